/**
 * Runs virtual user code in a worker: brings what a task needs, runs its code, turns what comes back into results.
 *
 * Lecture: steps `executeTask` and `storeResult`.
 */
import {
  type ContextId,
  contextOfTask,
  type FunctionId,
  indexOfObject,
  type ObjectId,
  objectIdOf,
  type ProcessRef,
  runOfCopy,
  TASK_ID_DIGITS,
  type TaskId,
  taskOfObject,
} from "../src/base/ids.js";
import { MAX_INLINE_BYTES } from "../src/base/limits.js";
import { KeptAnswers } from "../src/core/executor/kept-answers.js";
import type { Outcome, Result } from "../src/core/owner/records.js";
import type { ActorSpec, Argument, Failure, TaskSpec } from "../src/protocol/messages.js";
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
  /** In whose name the results are held. */
  holder(): ProcessRef | undefined;
}

interface BringEvents {
  readonly ready: () => void;
  readonly failed: (failure: Failure) => void;
  readonly missing: (() => void) | undefined;
}

const COUNTER_AT = TASK_ID_DIGITS - 8;

export class TaskRunner {
  readonly #process: OwnerProcess;
  /** Arguments that came from the store, by task and place. */
  readonly #fetched = new Map<IncomingTask | ActorSpec, Map<number, SimValue>>();
  readonly #kept = new KeptAnswers();
  #instance: ActorInstance | undefined;
  #actor: ActorSpec | undefined;

  constructor(process: OwnerProcess) {
    this.#process = process;
  }

  /** True when everything is here; else one of the others follows. `missing`: the task does not wait for arguments. */
  prepare(task: IncomingTask, ready: () => void, failed: (outcome: Outcome) => void, missing?: () => void): boolean {
    const functionId = task.method === "" ? task.spec.functionId : undefined;
    const events = { ready, failed: (failure: Failure) => failed({ kind: "failed", ...failure }), missing };
    return this.#bring(task, functionId, task.spec.arguments, events);
  }

  /** Lecture, `executeTask`. Undefined when the code waits or its result goes to the store. */
  execute(task: IncomingTask, events: RunEvents): Outcome | undefined {
    const { spec } = task;
    const process = this.#process;
    const { context, counter } = partsOf(spec.taskId);
    process.journey.recordTask("executeTask", context, counter, spec.name);
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
      this.#process.owner.references.holds.whenSettled(() => done(undefined));
    };
    if (this.#bring(spec, spec.functionId, spec.arguments, { ready: build, failed: done, missing: undefined })) build();
  }

  #watchStart({ spec, caller }: IncomingTask): void {
    const { watch } = this.#process.around;
    if (this.#actor === undefined) watch.taskStarts(spec.taskId, spec.attempt, this.#process.ref);
    else watch.callStarts(this.#actor.actorId, caller, spec.taskId, this.#process.ref);
  }

  #bring(
    key: IncomingTask | ActorSpec,
    functionId: FunctionId | undefined,
    args: readonly Argument[],
    { ready, failed, missing: goBack }: BringEvents,
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
      this.#process.owner.references.argumentReaders.add(arg.objectId, {
        read: (value) => {
          const fetched = this.#fetched.get(key) ?? new Map<number, SimValue>();
          this.#fetched.set(key, fetched.set(index, value as SimValue));
          one();
        },
        failed: (reason) => {
          failure ??= reason;
          one();
        },
        missing: goBack,
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
      returned: (results) => this.#results(task, api, results, events.holder(), ended),
      threw: (error) => {
        api.dropAll();
        ended(outcomeOf(error));
      },
    }).run();
    returned = true;
    return atOnce;
  }

  keep({ taskId, attempt }: TaskSpec, outcome: Outcome): void {
    const { context, counter } = partsOf(taskId);
    this.#kept.keep(context, counter, attempt, outcome, 0);
  }

  /** The object table asks: now if the result is here, else when it will be. */
  promoteResult(objectId: ObjectId): void {
    const taskId = taskOfObject(objectId);
    const answer = this.#kept.find(taskId);
    if (answer === undefined) return this.#kept.promise(taskId);
    const { outcome, attempt } = answer;
    const result = outcome.kind === "returned" ? outcome.results[indexOfObject(objectId)] : undefined;
    const kept = outcome.kind === "threw" ? outcome.error : result?.kind === "inline" ? result.value : undefined;
    if (kept === undefined) return;
    const value = kept as SimValue;
    this.#process.sealValue(objectId, value, runOfCopy(attempt), undefined, () => {});
  }

  /** Put what an outcome has inline into the store, in the owner's name; an error in nobody's: it is answered, too. */
  promote(
    { taskId, attempt, numReturns }: TaskSpec,
    outcome: Outcome,
    holder: ProcessRef | undefined,
    promoted: (outcome: Outcome) => void,
  ): void {
    const inline = inlineOf(outcome, numReturns);
    const results: Result[] = outcome.kind === "returned" ? [...outcome.results] : [];
    let left = inline.length;
    if (left === 0) return promoted(outcome);
    const inNameOf = outcome.kind === "threw" ? undefined : holder;
    for (const { index, value } of inline) {
      this.#process.sealValue(objectIdOf(taskId, index), value, runOfCopy(attempt), inNameOf, (failure) => {
        if (failure === undefined)
          results[index] = { kind: "stored", nodeId: this.#process.ref.nodeId, sizeBytes: value.sizeBytes };
        if (--left === 0) promoted(outcome.kind === "threw" ? outcome : { kind: "returned", results });
      });
    }
  }

  /** Lecture, `storeResult`: what is large, or names others, goes into the store; the rest travels with the answer. */
  #results(
    { spec }: IncomingTask,
    api: ClusterApi,
    made: readonly Made[],
    holder: ProcessRef | undefined,
    ended: (outcome: Outcome) => void,
  ): void {
    const process = this.#process;
    const placed: [number, LocalValue][] = [];
    const results: Result[] = [];
    const { context, counter } = partsOf(spec.taskId);
    const storeAll = spec.storeResult || this.#kept.takePromise(context, counter);
    try {
      for (const [index, result] of made.entries()) {
        const { value, held } = api.encode(result);
        process.around.watch.valueMade(objectIdOf(spec.taskId, index), value);
        results.push({ kind: "inline", value });
        if (value.sizeBytes <= MAX_INLINE_BYTES && held.length === 0 && !storeAll) continue;
        placed.push([index, process.place(objectIdOf(spec.taskId, index), value, held)]);
      }
    } catch (error) {
      for (const [, local] of placed) process.freeLocal(local);
      return ended(outcomeOf(error));
    } finally {
      api.dropAll();
    }
    let storing = placed.length;
    let failure: Failure | undefined;
    if (storing === 0) return ended({ kind: "returned", results });
    for (const [index, local] of placed) {
      results[index] = { kind: "stored", nodeId: process.ref.nodeId, sizeBytes: local.value.sizeBytes };
      process.handOver(local, objectIdOf(spec.taskId, index), runOfCopy(spec.attempt), holder, (reason) => {
        failure ??= reason;
        if (--storing > 0) return;
        ended(failure === undefined ? { kind: "returned", results } : { kind: "failed", ...failure });
      });
    }
  }
}

function partsOf(taskId: TaskId): { readonly context: ContextId; readonly counter: number } {
  return {
    context: taskId.slice(0, COUNTER_AT) as ContextId,
    counter: Number.parseInt(taskId.slice(COUNTER_AT), 16),
  };
}

/** The values that an outcome carries itself. An error is the value of every result. */
function inlineOf(outcome: Outcome, numReturns: number): { readonly index: number; readonly value: SimValue }[] {
  if (outcome.kind === "threw") {
    return Array.from({ length: numReturns }, (_, index) => ({ index, value: outcome.error as SimValue }));
  }
  if (outcome.kind !== "returned") return [];
  return outcome.results.flatMap((result, index) =>
    result.kind === "inline" ? [{ index, value: result.value as SimValue }] : [],
  );
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
