/** Drives the generator of virtual user code on the machines of its process, in virtual time. */
import type { ObjectEntry, Opaque, Waiter } from "../src/core/owner/records.js";
import type { Failure } from "../src/protocol/messages.js";
import type { ClusterApi, ClusterRef } from "./cluster-api.js";
import type { OwnerProcess } from "./owner-process.js";
import { type Effect, type Given, type Handle, type Ref, type Script, UserError } from "./program.js";
import { SimError, type SimValue, USER_ERROR } from "./values.js";

export interface ScriptHooks<T> {
  /** The code waits in `get` or `wait`, and goes on. */
  block(): void;
  resume(): void;
  returned(result: T): void;
  threw(error: unknown): void;
}

export class ScriptRunner<T> {
  readonly #process: OwnerProcess;
  readonly #api: ClusterApi;
  readonly #script: Script<T>;
  readonly #hooks: ScriptHooks<T>;
  #effect: Effect | undefined;

  constructor(process: OwnerProcess, api: ClusterApi, script: Script<T>, hooks: ScriptHooks<T>) {
    this.#process = process;
    this.#api = api;
    this.#script = script;
    this.#hooks = hooks;
  }

  /** What the code waits for, in words for whoever asks why it does not end. */
  get waitsFor(): string {
    const effect = this.#effect;
    if (effect === undefined) return "nothing";
    if (!("refs" in effect)) return effect.kind;
    const entries = effect.refs.map((ref) => (ref as ClusterRef).entry);
    return `${effect.kind} ${entries.map(({ id, state, task }) => `${id} (${state}, task ${task?.state})`).join(", ")}`;
  }

  /** Run until the code waits or ends. */
  run(given?: Given): void {
    this.#advance(() => this.#script.next(given));
  }

  #fail(error: SimError): void {
    this.#advance(() => this.#script.throw(error));
  }

  #advance(step: () => IteratorResult<Effect, T>): void {
    let result: IteratorResult<Effect, T>;
    try {
      result = step();
      while (result.done !== true && this.#isSynchronous(result.value)) {
        if (!this.#process.alive) return;
        result = this.#script.next();
      }
    } catch (error) {
      this.#hooks.threw(error);
      return;
    }
    this.#effect = result.done === true ? undefined : result.value;
    if (result.done === true) this.#hooks.returned(result.value);
    else this.#perform(result.value);
  }

  /** What keeps the thread is over when this returns. */
  #isSynchronous(effect: Effect): boolean {
    const process = this.#process;
    const { files } = process.around;
    if (effect.kind === "compute") process.compute(effect.durationMs);
    else if (effect.kind === "make") files.make(effect.file);
    else if (effect.kind === "spin") files.await(effect.file, (isThere) => process.holdThread(isThere, effect.limitMs));
    else return false;
    return true;
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case "get":
        return this.#get(effect.refs);
      case "wait":
        return this.#wait(effect.refs, effect.count);
      case "sleep":
        return this.#process.after(effect.durationMs, () => this.run());
      case "until":
        return effect.arm(() => this.#process.soon(() => this.run()));
      case "find":
        return this.#process.findActor(effect.actorName, (found) => {
          const handle: Handle | undefined = found && this.#api.handle(found.actorId, found.className);
          this.run(handle);
        });
      default:
        return;
    }
  }

  /** Lecture, `get`: values in order, or the first error. */
  #get(refs: readonly Ref[]): void {
    const values = new Map<number, SimValue>();
    this.#await(refs, false, (index, entry, value, end) => {
      const failure = entry.failure ?? (value as SimValue).error;
      if (failure !== undefined) return end(() => this.#fail(new SimError(failure)));
      values.set(index, value as SimValue);
      if (values.size < refs.length) return;
      end(() => this.run(refs.map((_, i) => this.#api.decode(values.get(i) as SimValue))));
    });
  }

  #wait(refs: readonly Ref[], count: number): void {
    const ready = new Set<number>();
    this.#await(refs, true, (index, _entry, _value, end) => {
      ready.add(index);
      if (ready.size === count) end(() => this.run(ready.size));
    });
  }

  /** Wait for several objects; `told` hears of each until it ends the wait. */
  #await(
    refs: readonly Ref[],
    onlyExistence: boolean,
    told: (index: number, entry: ObjectEntry, value: Opaque, end: (go: () => void) => void) => void,
  ): void {
    const { references } = this.#process.owner;
    const waiting = new Map<ObjectEntry, Waiter[]>();
    let ended = false;
    let blocked = false;
    const end = (go: () => void) => {
      if (ended) return;
      ended = true;
      for (const [entry, waiters] of waiting) for (const waiter of waiters) references.unwant(entry, waiter);
      // As behind a promise: the code goes on at the end of the turn.
      this.#process.soon(() => {
        if (blocked) this.#hooks.resume();
        go();
      });
    };
    if (refs.length === 0) return end(() => this.run([]));
    refs.forEach((ref, index) => {
      const { entry } = ref as ClusterRef;
      const waiter: Waiter = {
        onlyExistence,
        entryReady: (ready, value) => {
          waiting.get(entry)?.splice(waiting.get(entry)?.indexOf(waiter) ?? 0, 1);
          if (!ended) told(index, ready, value, end);
        },
      };
      if (ended) return;
      waiting.set(entry, [...(waiting.get(entry) ?? []), waiter]);
      references.want(entry, waiter);
    });
    if (ended) return;
    blocked = true;
    this.#hooks.block();
  }
}

/** What a program threw, or was given to throw; undefined for a bug of ours. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof UserError) return { code: USER_ERROR, message: error.message };
  return error instanceof SimError ? { code: error.code, message: error.message } : undefined;
}
