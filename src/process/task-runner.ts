/**
 * Runs user code: brings what a task needs, calls its function, turns what comes back into results.
 *
 * Lecture: steps `executeTask` and `storeResult`.
 */
import { type ActorId, objectIdOf, type ObjectId, type ProcessRef, TASK_ID_DIGITS, type TaskId, taskIdOf } from "../base/ids.js";
import type { Outcome, Result } from "../core/owner/task.js";
import { InvalidOptionError, type TaskInfo } from "../errors.js";
import type { AnyFunction } from "../io/values/index.js";
import type { ActorSpec, Argument, Failure, TaskSpec } from "../protocol/messages.js";
import type { CoreProcess } from "./core-process.js";
import { type IncomingTask, type IncomingTemplate, ObjectArgument } from "./direct-frames.js";
import { EncodedBytes, StoredError, StoredFailure, type StoredValue, takeValue } from "./stored-value.js";
import { CallStyle, inTask, isPromise, TaskContext } from "./task-context.js";

/** A task or call at this worker. Where it came from, for `abort`. */
export interface WorkerTask extends IncomingTask {
  readonly caller: unknown;
  readonly lease: number;
  readonly sequence: number;
  /** Arguments from the store, by their place; filled by `prepare`. */
  fetched?: Map<number, unknown>;
  context?: TaskContext;
}

/** What the machine that runs a task is told. */
export interface RunEvents {
  readonly owner: ProcessRef;
  block(): void;
  resume(): void;
  finished(outcome: Outcome): void;
}

/** The code of a task: a function, or a method of the actor. */
export interface Code {
  readonly fn: CallableFunction;
  readonly self: unknown;
  readonly style: CallStyle;
}

export class TaskRunner {
  readonly #core: CoreProcess;
  readonly #codes = new WeakMap<IncomingTemplate, Code>();
  readonly #running = new Set<WorkerTask>();
  /** Set when this worker is an actor. */
  actorId: ActorId | undefined;
  instance: object | undefined;

  constructor(core: CoreProcess) {
    this.#core = core;
  }

  /** True when everything is here; else one of the two follows. */
  prepare(task: WorkerTask, ready: () => void, failed: (outcome: Outcome) => void): boolean {
    const waits: Promise<unknown>[] = [];
    if (this.#codeOf(task.template) === undefined) waits.push(this.#load(task.template));
    for (let i = 0; i < task.args.length; i++) {
      const arg = task.args[i];
      if (arg instanceof ObjectArgument) waits.push(this.#fetch(task, i, arg.objectId));
      else if (arg instanceof EncodedBytes) {
        const classes = this.#core.values.prepare(arg);
        if (classes !== undefined) waits.push(classes);
      }
    }
    if (waits.length === 0) return true;
    Promise.all(waits).then(ready, (error: unknown) => failed(this.#failedOutcome(task, error)));
    return false;
  }

  /** Lecture, `executeTask`. Undefined when the code is asynchronous or its result goes to the store. */
  execute(task: WorkerTask, events: RunEvents): Outcome | undefined {
    const { template, counter } = task;
    this.#core.journey.recordTask("executeTask", template.context, counter, template.name);
    const context = new TaskContext(
      taskIdOf(template.context, counter),
      template.name,
      task.attempt,
      template.depth,
      this.actorId,
      events.block,
      events.resume,
    );
    task.context = context;
    try {
      const upstream = this.#upstream(task);
      if (upstream !== undefined) return upstream;
      const code = this.#codeOf(template);
      if (code === undefined) throw new InvalidOptionError(`${template.name} has no method ${template.method}`);
      const result = code.style.call(context, code.fn, code.self, this.#argumentsOf(task));
      if (!isPromise(result)) return this.#returned(task, result, events);
      this.#running.add(task);
      result.then(
        (value) => this.#settle(task, () => this.#returned(task, value, events), events),
        (error: unknown) => this.#settle(task, () => this.#threw(task, error), events),
      );
      return undefined;
    } catch (error) {
      return this.#threw(task, error);
    }
  }

  /** Run an actor's constructor, as a task of its own. */
  async construct(spec: ActorSpec, args: readonly (StoredValue | ObjectArgument)[]): Promise<object> {
    const context = spec.actorId.slice(0, TASK_ID_DIGITS - 8) as IncomingTemplate["context"];
    const { functionId, name, jobId } = spec;
    const template = { functionId, name, method: "", jobId, context, depth: 1, numReturns: 1 };
    const counter = Number.parseInt(spec.actorId.slice(TASK_ID_DIGITS - 8), 16);
    const task: WorkerTask = { template, counter, attempt: 0, storeResult: false, args, caller: undefined, lease: 0, sequence: 0 };
    await new Promise<void>((resolve, reject) => {
      const failed = (outcome: Outcome) => reject(this.#errorOf(outcome));
      if (this.prepare(task, resolve, failed)) resolve();
    });
    const upstream = this.#upstream(task);
    if (upstream !== undefined) throw this.#errorOf(upstream);
    const type = this.#core.functions.get(functionId) as (new (...args: unknown[]) => object) | undefined;
    if (type === undefined) throw new InvalidOptionError(`class ${name} is not here`);
    const nothing = () => {};
    const taskContext = new TaskContext(spec.actorId as string as TaskId, name, 0, 1, spec.actorId, nothing, nothing);
    return inTask(taskContext, () => Reflect.construct(type, this.#argumentsOf(task)) as object);
  }

  /** Its owner has given up: the task's signal says so. */
  abort(caller: unknown, lease: number, sequence: number): void {
    for (const task of this.#running) {
      if (task.caller === caller && task.lease === lease && task.sequence === sequence) task.context?.abort();
    }
  }

  #settle(task: WorkerTask, outcome: () => Outcome | undefined, events: RunEvents): void {
    this.#running.delete(task);
    let settled: Outcome | undefined;
    try {
      settled = outcome();
    } catch (error) {
      settled = this.#threw(task, error);
    }
    if (settled !== undefined) events.finished(settled);
  }

  #codeOf(template: IncomingTemplate): Code | undefined {
    const known = this.#codes.get(template);
    if (known !== undefined) return known;
    const fn = template.method === "" ? this.#core.functions.get(template.functionId) : this.#methodOf(template.method);
    if (fn === undefined) return undefined;
    const code = { fn: fn as CallableFunction, self: template.method === "" ? undefined : this.instance, style: new CallStyle(fn as CallableFunction) };
    this.#codes.set(template, code);
    return code;
  }

  #methodOf(name: string): AnyFunction | undefined {
    const method: unknown = this.instance === undefined ? undefined : Reflect.get(this.instance, name);
    return typeof method === "function" ? method : undefined;
  }

  async #load(template: IncomingTemplate): Promise<void> {
    if (template.method !== "") throw new InvalidOptionError(`actor ${template.name} has no method ${template.method}`);
    await this.#core.functions.load(template.functionId);
  }

  #fetch(task: WorkerTask, index: number, objectId: ObjectId): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#core.owner.references.readArgument(objectId, {
        read: (value) => {
          task.fetched ??= new Map();
          task.fetched.set(index, value);
          const classes = this.#core.values.prepare(value);
          if (classes === undefined) resolve();
          else classes.then(resolve, reject);
        },
        failed: (failure) => reject(this.#core.values.failureError(failure)),
      });
    });
  }

  /** An argument from the store may be an error: then the task has failed too, without running. */
  #upstream(task: WorkerTask): Outcome | undefined {
    for (const value of task.fetched?.values() ?? []) {
      if (value instanceof StoredError) return { kind: "threw", error: value.error };
      if (value instanceof StoredFailure) return { kind: "failed", ...value.failure };
    }
    return undefined;
  }

  #argumentsOf(task: WorkerTask): readonly unknown[] {
    const { args, fetched } = task;
    if (args.length === 0) return args;
    return args.map((arg, index) =>
      this.#core.values.decode(arg instanceof ObjectArgument ? (fetched?.get(index) as StoredValue) : arg),
    );
  }

  /** Lecture, `storeResult`: a large result goes into the node's store; a small one travels with the answer. */
  #returned(task: WorkerTask, value: unknown, events: RunEvents): Outcome | undefined {
    const { numReturns } = task.template;
    if (numReturns === 1) return this.#results(task, [value], events);
    if (numReturns === 0) return { kind: "returned", results: [] };
    if (Array.isArray(value) && value.length === numReturns) return this.#results(task, value, events);
    const got = Array.isArray(value) ? `an array of ${value.length}` : `a ${typeof value}`;
    throw new InvalidOptionError(`${task.template.name} has numReturns ${numReturns} but returned ${got}: return an array of ${numReturns}`);
  }

  #results(task: WorkerTask, values: readonly unknown[], events: RunEvents): Outcome | undefined {
    const results: Result[] = [];
    let storing = 0;
    let failure: Failure | undefined;
    for (let index = 0; index < values.length; index++) {
      const { stored, isLarge } = this.#core.values.encode(values[index], "result");
      results.push({ kind: "inline", value: stored });
      if (!isLarge && !task.storeResult) continue;
      storing++;
      const objectId = objectIdOf(taskIdOf(task.template.context, task.counter), index);
      this.#core.storeResult(objectId, stored, false, events.owner, (error, sizeBytes) => {
        failure ??= error;
        results[index] = { kind: "stored", nodeId: this.#core.self.nodeId, sizeBytes };
        if (--storing === 0) events.finished(failure === undefined ? returned(results) : { kind: "failed", ...failure });
      });
    }
    return storing === 0 ? returned(results) : undefined;
  }

  #errorOf(outcome: Outcome): unknown {
    if (outcome.kind === "threw") return this.#core.values.decodeError(outcome.error as StoredValue);
    return outcome.kind === "failed" ? this.#core.values.failureError(outcome) : undefined;
  }

  #threw(task: WorkerTask, error: unknown): Outcome {
    return { kind: "threw", error: this.#core.values.encodeError(error, this.#infoOf(task)) };
  }

  #failedOutcome(task: WorkerTask, error: unknown): Outcome {
    return this.#threw(task, error);
  }

  #infoOf({ template, counter, attempt }: WorkerTask): TaskInfo {
    const taskId = taskIdOf(template.context, counter);
    return { taskId, name: template.name, nodeId: this.#core.self.nodeId, pid: process.pid, attempt };
  }
}

function returned(results: readonly Result[]): Outcome {
  return { kind: "returned", results };
}

/** The first task of a lease, which came by way of the raylet. */
export function taskOfSpec(spec: TaskSpec): WorkerTask {
  const { functionId, name, jobId, depth, numReturns, attempt, storeResult } = spec;
  const context = spec.taskId.slice(0, TASK_ID_DIGITS - 8) as IncomingTemplate["context"];
  return {
    template: { functionId, name, method: "", jobId, context, depth, numReturns },
    counter: Number.parseInt(spec.taskId.slice(TASK_ID_DIGITS - 8), 16),
    attempt,
    storeResult,
    args: argumentsOf(spec.arguments),
    caller: undefined,
    lease: 0,
    sequence: 0,
  };
}

export function argumentsOf(args: readonly Argument[]): readonly (StoredValue | ObjectArgument)[] {
  return args.map((arg) => {
    if (arg.kind === "object") return new ObjectArgument(arg.objectId);
    const bytes = Buffer.from(arg.bytes.buffer, arg.bytes.byteOffset, arg.bytes.length);
    return takeValue(bytes, 0, bytes.length);
  });
}
