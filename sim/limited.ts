/**
 * Steps of random user code with time limits: tasks and calls that may end in time or not, among others that have all the
 * time they need. What comes of a limit depends on time, so nothing that follows may depend on it: these steps draw from a
 * sequence of their own, keep their refs to themselves, and let their values go.
 */
import type { FunctionId } from "../src/base/ids.js";
import type { Prng } from "../src/base/prng.js";
import {
  type Api,
  type Argument,
  get,
  type Handle,
  type Made,
  type Observer,
  PLAIN_ACTOR,
  PLAIN_CALL,
  type Ref,
  type Script,
  type Value,
} from "./program.js";
import { SimError, USER_ERROR } from "./values.js";
import { between } from "./world.js";

/** What the steps call: see `workload.ts`. */
export interface LimitedCodes {
  readonly mix: FunctionId;
  readonly tiny: FunctionId;
  readonly gated: FunctionId;
  readonly gate: FunctionId;
  readonly shield: FunctionId;
}

interface Slot {
  readonly index: number;
  readonly ref: Ref;
  /** It, or what it takes, has a time limit. */
  readonly mayTimeOut: boolean;
}

export class LimitedSteps {
  readonly #api: Api;
  readonly #prng: Prng;
  readonly #depth: number;
  readonly #codes: LimitedCodes;
  readonly #observer: Observer;
  readonly #nextIndex: () => number;
  #slots: Slot[] = [];

  constructor(api: Api, prng: Prng, depth: number, codes: LimitedCodes, observer: Observer, nextIndex: () => number) {
    this.#api = api;
    this.#prng = prng;
    this.#depth = depth;
    this.#codes = codes;
    this.#observer = observer;
    this.#nextIndex = nextIndex;
  }

  *step(handles: readonly Handle[]): Script<void> {
    const handle = this.#prng.pick(handles);
    const kind = this.#prng.below(5);
    if (kind === 0) this.#burst();
    else if (kind === 1) this.#tasks();
    else if (kind === 2 && handle !== undefined) this.#calls(handle);
    else if (kind === 3) yield* this.#gate();
    else this.#chain();
    yield* this.#getAll();
  }

  /** Some of many small tasks have limits: the others share their workers. */
  #burst(): void {
    const maxRetries = this.#prng.pick([3, 3, 1, 0]) ?? 3;
    for (let i = between(this.#prng, 3, 12); i > 0; i--) {
      const timeoutMs = this.#prng.chance(0.4) ? between(this.#prng, 1, 60) : 0;
      this.#call(this.#codes.tiny, [plain(`limited ${i}`)], timeoutMs, { maxRetries });
    }
  }

  /** Some run for long, or have children. */
  #tasks(): void {
    for (let i = between(this.#prng, 1, 3); i > 0; i--) {
      const numReturns = between(this.#prng, 1, 2);
      const maxRetries = this.#prng.pick([3, 3, 1, 0]) ?? 3;
      this.#call(this.#codes.mix, [this.#orders(numReturns)], this.#limit(), { numReturns, maxRetries });
    }
  }

  /** Calls without a limit wait for those that have one, and come after them. */
  #calls(handle: Handle): void {
    for (let i = between(this.#prng, 2, 6); i > 0; i--) {
      const method = this.#prng.pick(["add", "slow", "slow", "fail"]) ?? "add";
      const timeoutMs = this.#prng.chance(0.5) ? between(this.#prng, 1, 60) : 0;
      this.#callActor(handle, method, [plain("x".repeat(this.#prng.below(80)))], timeoutMs);
    }
  }

  /** Nobody opens the gate before the limits are over: the task is ended with its worker, the call goes on. */
  *#gate(): Script<void> {
    const gate = this.#api.createActor(this.#codes.gate, [], PLAIN_ACTOR);
    const arg = { ...plain("gated"), names: [gate] };
    if (this.#prng.chance(0.5)) this.#call(this.#codes.gated, [arg], this.#limit());
    this.#callActor(gate, "wait", [], this.#limit());
    yield* this.#getAll();
    this.#callActor(gate, "open", [], 0);
    yield* this.#getAll();
    this.#api.drop(gate);
  }

  /** What takes the result of a task that has had its time fails like it, and who only names it hears of it. */
  #chain(): void {
    const [first] = this.#call(this.#codes.mix, [this.#orders(1)], this.#limit());
    if (first === undefined) return;
    this.#call(this.#codes.tiny, [plain("after"), first.ref], 0, { takesLimited: true });
    this.#call(this.#codes.shield, [{ ...plain("shielded"), names: [first.ref] }], 0);
    const args = [this.#orders(1), first.ref];
    this.#call(this.#codes.mix, args, this.#prng.chance(0.5) ? this.#limit() : 0, { takesLimited: true });
  }

  #call(
    functionId: FunctionId,
    args: readonly Argument[],
    timeoutMs: number,
    options: { readonly maxRetries?: number; readonly numReturns?: number; readonly takesLimited?: boolean } = {},
  ): Slot[] {
    const refs = this.#api.call(functionId, args, { ...PLAIN_CALL, ...options, timeoutMs });
    return refs.map((ref) => this.#add(ref, timeoutMs, options.takesLimited));
  }

  #callActor(handle: Handle, method: string, args: readonly Argument[], timeoutMs: number): void {
    this.#add(this.#api.callActor(handle, method, args, timeoutMs), timeoutMs);
  }

  #add(ref: Ref, timeoutMs: number, takesLimited = false): Slot {
    const slot = { index: this.#nextIndex(), ref, mayTimeOut: timeoutMs > 0 || takesLimited };
    this.#slots.push(slot);
    this.#observer.added(slot.index, ref);
    if (timeoutMs > 0 && !takesLimited) this.#observer.limited(slot.index, timeoutMs);
    return slot;
  }

  *#getAll(): Script<void> {
    const slots = this.#slots;
    this.#slots = [];
    for (const slot of slots) yield* this.#getOne(slot);
  }

  *#getOne({ index, ref, mayTimeOut }: Slot): Script<void> {
    try {
      const [value] = yield* get(ref);
      this.#observer.got(index, value as Value);
      for (const thing of [...(value?.refs ?? []), ...(value?.handles ?? [])]) this.#api.drop(thing);
    } catch (error) {
      if (!(error instanceof SimError)) throw error;
      if (error.code === "TASK_TIMEOUT" && mayTimeOut) this.#observer.timedOut(index);
      else if (error.code !== USER_ERROR) throw error;
    }
    this.#api.drop(ref);
  }

  #orders(numReturns: number): Made {
    return plain(`${this.#prng.below(1 << 30)} ${this.#depth - 1} ${numReturns}`);
  }

  #limit(): number {
    return between(this.#prng, 1, this.#prng.chance(0.5) ? 40 : 300);
  }
}

function plain(token: string): Made {
  return { token, sizeBytes: 50, names: [] };
}
