/**
 * Runs virtual user code in a worker: brings what a task needs, runs its code, turns what comes back into results.
 *
 * Lecture: steps `executeTask` and `storeResult`.
 */
import {
  type ContextId,
  contextOfTask,
  type FunctionId,
  objectIdOf,
  TASK_ID_DIGITS,
  type TaskId,
} from "../src/base/ids.js";
import { MAX_INLINE_BYTES } from "../src/base/limits.js";
import type { Outcome, Result } from "../src/core/owner/records.js";
import type { ActorSpec, Argument, Failure } from "../src/protocol/messages.js";
import { ClusterApi } from "./cluster-api.js";
import type { IncomingTask } from "./frames.js";
import type { LocalValue, OwnerProcess } from "./owner-process.js";
import type { ActorInstance, Made, Script, Value } from "./program.js";
import { failureOf, ScriptRunner } from "./script-runner.js";
import { decode, errorValue, type SimValue, USER_ERROR } from "./values.js";

/** What the machine that runs a task is told. */
export interface RunEvents {
  block(): void;
  resume(): void;
  finished(outcome: Outcome): void;
}

const COUNTER_AT = TASK_ID_DIGITS - 8;

export class TaskRunner {
  readonly #process: OwnerProcess;
  /** Arguments that came from the store, by task and place. */
  readonly #fetched = new Map<IncomingTask | ActorSpec, Map<number, SimValue>>();
  #instance: ActorInstance | undefined;
  #actor: ActorSpec | undefined;

  constructor(process: OwnerProcess) {
    this.#process = process;
  }

  /** True when everything is here; else one of the two follows. */
  prepare(task: IncomingTask, ready: () => void, failed: (outcome: Outcome) => void): boolean {
    const functionId = task.method === "" ? task.spec.functionId : undefined;
    return this.#bring(task, functionId, task.spec.arguments, ready, (failure) =>
      failed({ kind: "failed", ...failure }),
    );
  }

  /** Lecture, `executeTask`. Undefined when the code waits or its result goes to the store. */
  execute(task: IncomingTask, events: RunEvents): Outcome | undefined {
    const { spec } = task;
    const process = this.#process;
    const context = spec.taskId.slice(0, COUNTER_AT) as ContextId;
    process.journey.recordTask("executeTask", context, Number.parseInt(spec.taskId.slice(COUNTER_AT), 16), spec.name);
    const values = this.#argumentsOf(task, spec.arguments);
    for (const { error } of values) if (error !== undefined) return upstream(error);
    this.#watchStart(task);
    const api = new ClusterApi(process, contextOfTask(spec.taskId, spec.attempt), spec.depth);
    const script = this.#scriptOf(
      task,
      api,
      values.map((value) => api.decode(value)),
    );
    return this.#run(task, api, script, events);
  }

  /** Run an actor's constructor; `done` with the reason why there is no actor. */
  construct(spec: ActorSpec, done: (failure: Failure | undefined) => void): void {
    const build = () => {
      const code = this.#process.codeOf(spec.functionId);
      const values = this.#argumentsOf(spec, spec.arguments);
      const failed = values.find(({ error }) => error !== undefined)?.error;
      if (failed !== undefined || code?.kind !== "actor")
        return done(failed ?? { code: USER_ERROR, message: "no class" });
      const context = contextOfTask(spec.actorId as string as TaskId, 0);
      const api = new ClusterApi(this.#process, context, 1);
      this.#actor = spec;
      this.#instance = code.create(values.map((value) => api.decode(value)));
      api.dropAll();
      // The constructor's refs are held in this process's own name before its creator lets go.
      this.#process.owner.references.whenHoldsSettled(() => done(undefined));
    };
    if (this.#bring(spec, spec.functionId, spec.arguments, build, done)) build();
  }

  #watchStart({ spec, caller }: IncomingTask): void {
    const { watch } = this.#process.around;
    if (this.#actor === undefined) watch.taskStarts(spec.taskId, this.#process.ref);
    else watch.callStarts(this.#actor.actorId, caller, spec.taskId, this.#process.ref);
  }

  #bring(
    key: IncomingTask | ActorSpec,
    functionId: FunctionId | undefined,
    args: readonly Argument[],
    ready: () => void,
    failed: (failure: Failure) => void,
  ): boolean {
    let missing = 0;
    let failure: Failure | undefined;
    const one = () => {
      if (--missing > 0) return;
      if (failure === undefined) ready();
      else failed(failure);
    };
    if (functionId !== undefined && this.#process.codeOf(functionId) === undefined) {
      missing++;
      this.#process.fetchFunction(functionId, one);
    }
    args.forEach((arg, index) => {
      if (arg.kind === "value") return;
      missing++;
      this.#process.owner.references.readArgument(arg.objectId, {
        read: (value) => {
          const fetched = this.#fetched.get(key) ?? new Map<number, SimValue>();
          this.#fetched.set(key, fetched.set(index, value as SimValue));
          one();
        },
        failed: (reason) => {
          failure ??= reason;
          one();
        },
      });
    });
    return missing === 0;
  }

  #argumentsOf(key: IncomingTask | ActorSpec, args: readonly Argument[]): SimValue[] {
    const fetched = this.#fetched.get(key);
    this.#fetched.delete(key);
    return args.map((arg, index) => (arg.kind === "value" ? decode(arg.bytes) : (fetched?.get(index) as SimValue)));
  }

  #scriptOf(task: IncomingTask, api: ClusterApi, args: readonly Value[]): Script<readonly Made[]> {
    if (this.#instance !== undefined) return this.#instance.call(api, task.method, args);
    const code = this.#process.codeOf(task.spec.functionId);
    if (code?.kind !== "task") throw new Error(`${task.spec.name} is not a function`);
    return code.run(api, args);
  }

  /** The machine wants the outcome at once if there is one, and else is told of it. */
  #run(task: IncomingTask, api: ClusterApi, script: Script<readonly Made[]>, events: RunEvents): Outcome | undefined {
    let atOnce: Outcome | undefined;
    let returned = false;
    const ended = (outcome: Outcome) => {
      if (returned) events.finished(outcome);
      else atOnce = outcome;
    };
    new ScriptRunner(this.#process, api, script, {
      block: events.block,
      resume: events.resume,
      returned: (results) => this.#results(task, api, results, ended),
      threw: (error) => {
        api.dropAll();
        ended(outcomeOf(error));
      },
    }).run();
    returned = true;
    return atOnce;
  }

  /** Lecture, `storeResult`: what is large, or names others, goes into the store; the rest travels with the answer. */
  #results(task: IncomingTask, api: ClusterApi, made: readonly Made[], ended: (outcome: Outcome) => void): void {
    const { spec, caller } = task;
    const process = this.#process;
    const placed: [number, LocalValue][] = [];
    const results: Result[] = [];
    try {
      for (const [index, result] of made.entries()) {
        const { value, held } = api.encode(result);
        process.around.watch.valueMade(objectIdOf(spec.taskId, index), value);
        results.push({ kind: "inline", value });
        if (value.sizeBytes <= MAX_INLINE_BYTES && held.length === 0 && !spec.storeResult) continue;
        placed.push([index, process.place(objectIdOf(spec.taskId, index), value, held)]);
      }
    } catch (error) {
      for (const [, local] of placed) process.freeLocal(local);
      return ended(outcomeOf(error));
    } finally {
      api.dropAll();
    }
    let storing = placed.length;
    if (storing === 0) return ended({ kind: "returned", results });
    for (const [index, local] of placed) {
      results[index] = { kind: "stored", nodeId: process.ref.nodeId, sizeBytes: local.value.sizeBytes };
      process.handOver(local, objectIdOf(spec.taskId, index), caller, () => {
        if (--storing === 0) ended({ kind: "returned", results });
      });
    }
  }
}

/** A task whose argument is an error has failed too, without running. */
function upstream(error: Failure): Outcome {
  return error.code === USER_ERROR ? { kind: "threw", error: errorValue(error) } : { kind: "failed", ...error };
}

function outcomeOf(error: unknown): Outcome {
  const failure = failureOf(error);
  if (failure === undefined) throw error; // a bug of the simulator, or an invariant that broke under user code
  return { kind: "threw", error: errorValue(failure) };
}
