/**
 * Runs user code: brings what a task needs, calls its function, turns what comes back into results.
 *
 * Lecture: steps `executeTask` and `storeResult`.
 */
import { type ActorId, type LeaseId, type ObjectId, type ProcessRef, TASK_ID_DIGITS, taskIdOf } from "../base/ids.js";
import { isRebuild } from "../core/actor-lease.js";
import type { Outcome } from "../core/owner/records.js";
import { InvalidOptionError, type TaskInfo } from "../errors.js";
import type { AnyFunction } from "../io/values/index.js";
import type { ActorSpec, Argument, Failure, TaskSpec } from "../protocol/messages.js";
import { nowMs } from "./clock.js";
import type { CoreProcess } from "./core-process.js";
import { type IncomingTask, type IncomingTemplate, ObjectArgument } from "./direct-frames.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { LocalValue } from "./local-store.js";
import { Results } from "./results.js";
import { StoredBytes } from "./stored-bytes.js";
import { StoredError, StoredFailure, type StoredValue, takeValue } from "./stored-value.js";
import { type Blocker, CallStyle, inTask, isPromise, TaskContext } from "./task-context.js";
import { isPrimitive } from "./value-codec.js";

/** A task or call at this worker. */
export interface WorkerTask extends IncomingTask {
  /** What `sequence` counts, for `abort`: a task's lease by its id, the connection of an actor's caller. */
  readonly origin: unknown;
  readonly sequence: number;
  /** Arguments from the store, by their place; filled by `prepare`, until it runs or it is known that it will not. */
  fetched?: Map<number, unknown> | undefined;
  isPastArguments?: boolean;
  context?: TaskContext;
}

/** The machine that runs tasks: told of waits and ends. One for all tasks, so that a task needs no closures. */
export interface RunHost extends Blocker {
  /** Whose the results are. */
  ownerOf(run: unknown): ProcessRef;
  /** In whose name they are held: nobody's, when their owner has given the run up. */
  holderOf(run: unknown): ProcessRef | undefined;
  finished(run: unknown, outcome: Outcome): void;
  /** The run may keep the thread for long: send what has gathered for its caller and the raylet. */
  flush(run: unknown): void;
}

/** The code of a task: a function, or a method of the actor. */
export interface Code {
  readonly fn: CallableFunction;
  readonly self: unknown;
  readonly style: CallStyle;
}

export class TaskRunner {
  readonly #core: CoreProcess;
  readonly results: Results;
  readonly #codes = new WeakMap<IncomingTemplate, Code>();
  readonly #running = new Set<WorkerTask>();
  /** Set when this worker is an actor. */
  actorId: ActorId | undefined;
  instance: object | undefined;

  constructor(core: CoreProcess) {
    this.#core = core;
    this.results = new Results(core);
  }

  /** True when everything is here; else one of the others follows. `missing`: the task does not wait for arguments. */
  prepare(task: WorkerTask, ready: () => void, failed: (outcome: Outcome) => void, missing?: () => void): boolean {
    const waits: Promise<unknown>[] = [];
    if (this.#codeOf(task.template) === undefined) waits.push(this.#load(task.template));
    for (let i = 0; i < task.args.length; i++) {
      const arg = task.args[i];
      if (arg instanceof ObjectArgument) waits.push(this.#fetch(task, i, arg.objectId, missing));
      else if (arg instanceof EncodedBytes) {
        const classes = this.#core.values.prepare(arg);
        if (classes !== undefined) waits.push(classes);
      }
    }
    if (waits.length === 0) return true;
    Promise.all(waits).then(ready, (error: unknown) => {
      this.drop(task);
      failed(this.#refused(task, error));
    });
    return false;
  }

  /** Lecture, `executeTask`. Undefined when the code is asynchronous or its result goes to the store. */
  execute(task: WorkerTask, host: RunHost, run: unknown): Outcome | undefined {
    const { template, counter } = task;
    this.#core.journey.recordTask("executeTask", template.context, counter, template.name);
    const context = new TaskContext(template, counter, task.attempt, this.actorId, host, run);
    task.context = context;
    let isUsers = false;
    try {
      const upstream = this.#upstream(task);
      if (upstream !== undefined) {
        this.drop(task);
        return this.#ended(task, upstream, host, run);
      }
      const code = this.#codeOf(template);
      if (code === undefined) throw new InvalidOptionError(`${template.name} has no method ${template.method}`);
      const { style } = code;
      const isQuick = style.isQuick;
      const args = this.#argumentsOf(task);
      const startMs = isQuick ? 0 : nowMs();
      if (!isQuick) host.flush(run); // what has ended must not wait for the end of this
      isUsers = true;
      const result = style.call(context, code.fn, code.self, args);
      isUsers = false;
      if (!isQuick) style.ran(nowMs() - startMs);
      if (!isPromise(result)) return this.#returned(task, result, host, run);
      this.#running.add(task);
      result.then(
        (value) => this.#settle(task, () => this.#returned(task, value, host, run), host, run),
        (error: unknown) => this.#settle(task, () => this.#ended(task, this.#threw(task, error), host, run), host, run),
      );
      return undefined;
    } catch (error) {
      this.drop(task);
      const outcome = isUsers ? this.#threw(task, error) : this.#refused(task, error);
      return this.#ended(task, outcome, host, run);
    }
  }

  /** Run an actor's constructor, as a task of its own. */
  async construct(spec: ActorSpec, args: readonly (StoredValue | ObjectArgument)[]): Promise<object> {
    const context = spec.actorId.slice(0, TASK_ID_DIGITS - 8) as IncomingTemplate["context"];
    const { functionId, name, jobId } = spec;
    const template = { functionId, name, method: "", jobId, context, depth: 1, numReturns: 1 };
    const counter = Number.parseInt(spec.actorId.slice(TASK_ID_DIGITS - 8), 16);
    const task: WorkerTask = {
      template,
      counter,
      attempt: 0,
      storeResult: false,
      args,
      origin: undefined,
      sequence: 0,
    };
    await new Promise<void>((resolve, reject) => {
      const failed = (outcome: Outcome) => reject(this.#core.values.errorOf(outcome));
      if (this.prepare(task, resolve, failed)) resolve();
    });
    const upstream = this.#upstream(task);
    if (upstream !== undefined) {
      this.drop(task);
      throw this.#core.values.errorOf(upstream);
    }
    const type = this.#core.functions.get(functionId) as (new (...args: unknown[]) => object) | undefined;
    if (type === undefined) throw new InvalidOptionError(`class ${name} is not here`);
    // A constructor holds what its placement asked for, waits or not; it is told what its actor is to hold.
    const blocker: Blocker = { block: () => {}, resume: () => {}, heldBy: () => spec.held };
    const taskContext = new TaskContext(template, counter, 0, spec.actorId, blocker, undefined);
    return inTask(taskContext, () => Reflect.construct(type, this.#argumentsOf(task)) as object);
  }

  /** It has ended, and took longer than a quick task does. */
  ranLong({ template }: WorkerTask, runTimeMs: number): void {
    this.#codes.get(template)?.style.ran(runTimeMs);
  }

  /** Its owner has given up: the task's signal says so. */
  abort(origin: unknown, sequence: number): void {
    for (const task of this.#running) {
      if (task.origin === origin && task.sequence === sequence) task.context?.abort();
    }
  }

  /** Why a task that was to make its results again did not; undefined when it has. */
  failureOf(outcome: Outcome): Failure | undefined {
    if (outcome.kind === "failed") return { code: outcome.code, message: outcome.message };
    if (outcome.kind !== "threw") return undefined;
    const error = this.#core.values.errorOf(outcome);
    return { code: "TASK", message: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  }

  #settle(task: WorkerTask, outcome: () => Outcome | undefined, host: RunHost, run: unknown): void {
    this.#running.delete(task);
    let settled: Outcome | undefined;
    try {
      settled = outcome();
    } catch (error) {
      settled = this.#ended(task, this.#refused(task, error), host, run);
    }
    if (settled !== undefined) host.finished(run, settled);
  }

  #codeOf(template: IncomingTemplate): Code | undefined {
    const known = this.#codes.get(template);
    if (known !== undefined) return known;
    const fn = template.method === "" ? this.#core.functions.get(template.functionId) : this.#methodOf(template.method);
    if (fn === undefined) return undefined;
    const code = {
      fn: fn as CallableFunction,
      self: template.method === "" ? undefined : this.instance,
      style: new CallStyle(fn as CallableFunction),
    };
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

  #fetch(task: WorkerTask, index: number, objectId: ObjectId, missing?: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#core.owner.references.argumentReaders.add(objectId, {
        read: (value) => {
          if (task.isPastArguments) return resolve(); // another one has failed
          if (value instanceof StoredBytes) value.retain();
          task.fetched ??= new Map();
          task.fetched.set(index, value);
          const classes = this.#core.values.prepare(value);
          if (classes === undefined) resolve();
          else classes.then(resolve, reject);
        },
        failed: (failure) => reject(this.#core.values.failureError(failure)),
        missing:
          missing &&
          (() => {
            this.drop(task);
            missing();
          }),
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
    try {
      return args.map((arg, index) =>
        this.#core.values.decode(arg instanceof ObjectArgument ? (fetched?.get(index) as StoredValue) : arg),
      );
    } finally {
      if (fetched !== undefined) this.drop(task);
    }
  }

  /** It has its arguments, or will not run: those that came from the store need not stay in their places for it. */
  drop(task: WorkerTask): void {
    const { fetched } = task;
    task.fetched = undefined;
    task.isPastArguments = true;
    for (const value of fetched?.values() ?? []) if (value instanceof StoredBytes) value.release();
  }

  /** Lecture, `storeResult`: a large result goes into the node's store; a small one travels with the answer. */
  #returned(task: WorkerTask, value: unknown, host: RunHost, run: unknown): Outcome | undefined {
    const { numReturns } = task.template;
    if (this.results.isPromised(task)) task.storeResult = true;
    if (numReturns === 1) return this.#one(task, value, host, run);
    if (numReturns === 0) return { kind: "returned", results: [] };
    if (Array.isArray(value) && value.length === numReturns) return this.#several(task, value, host, run);
    const got = Array.isArray(value) ? `an array of ${value.length}` : `a ${typeof value}`;
    throw new InvalidOptionError(
      `${task.template.name} has numReturns ${numReturns} but returned ${got}: return an array of ${numReturns}`,
    );
  }

  /** Hot path: one small result. */
  #one(task: WorkerTask, value: unknown, host: RunHost, run: unknown): Outcome | undefined {
    if (task.storeResult) return this.#several(task, [value], host, run);
    if (isPrimitive(value)) return { kind: "value", value };
    const encoded = this.#core.values.encode(value, "result");
    return encoded instanceof LocalValue ? this.#store(task, [encoded], host, run) : { kind: "value", value: encoded };
  }

  #several(task: WorkerTask, values: readonly unknown[], host: RunHost, run: unknown): Outcome | undefined {
    return this.#store(task, this.results.place(values, task.storeResult), host, run);
  }

  #store(
    task: WorkerTask,
    values: readonly (StoredValue | LocalValue)[],
    host: RunHost,
    run: unknown,
  ): Outcome | undefined {
    const done = (outcome: Outcome) => host.finished(run, outcome);
    return this.results.store(task, values, host.holderOf(run), done);
  }

  /** It ended without a value of its own. Whoever waits for its results elsewhere is not kept waiting for the owner. */
  #ended(task: WorkerTask, outcome: Outcome, host: RunHost, run: unknown): Outcome | undefined {
    if (isRebuild({ owner: host.ownerOf(run) })) return outcome; // the GCS tells those who wait
    if (outcome.kind === "failed" || !(task.storeResult || this.results.isPromised(task))) return outcome;
    this.results.promote(task, outcome, host.holderOf(run), (promoted) => host.finished(run, promoted));
    return undefined;
  }

  #threw(task: WorkerTask, error: unknown): Outcome {
    return { kind: "threw", error: this.#core.values.encodeError(error, this.#infoOf(task)) };
  }

  /** The user's code has not run, or what it returned cannot be the result. */
  #refused(task: WorkerTask, error: unknown): Outcome {
    return { kind: "threw", error: this.#core.values.encodeRefusal(error, this.#infoOf(task)) };
  }

  #infoOf({ template, counter, attempt }: WorkerTask): TaskInfo {
    const taskId = taskIdOf(template.context, counter);
    return { taskId, name: template.name, nodeId: this.#core.self.nodeId, pid: process.pid, attempt };
  }
}

/** The first task of a lease, which came by way of the raylet. */
export function taskOfSpec(spec: TaskSpec, leaseId: LeaseId): WorkerTask {
  const { functionId, name, jobId, depth, numReturns, attempt, storeResult } = spec;
  const context = spec.taskId.slice(0, TASK_ID_DIGITS - 8) as IncomingTemplate["context"];
  return {
    template: { functionId, name, method: "", jobId, context, depth, numReturns },
    counter: Number.parseInt(spec.taskId.slice(TASK_ID_DIGITS - 8), 16),
    attempt,
    storeResult,
    args: argumentsOf(spec.arguments),
    origin: leaseId,
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
