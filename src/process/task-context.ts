/**
 * Which task the running code belongs to.
 *
 * AsyncLocalStorage follows a task across its awaits, but every await of a process gets slower once it is used, and
 * entering it costs as much as a small task. So it is entered only for code that can await: async functions, and plain
 * functions that have been seen to return promises. Plain synchronous code finds its task in a variable.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { type ActorId, type ContextId, contextOfTask, type TaskId } from "../base/ids.js";
import type { Lineage } from "./core-process.js";

export class TaskContext implements Lineage {
  readonly taskId: TaskId;
  readonly name: string;
  readonly attempt: number;
  readonly depth: number;
  readonly actorId: ActorId | undefined;
  counter = 0;
  /** Tell the executor that the task waits, or goes on. */
  readonly block: () => void;
  readonly resume: () => void;
  #contextId: ContextId | undefined;
  #abort: AbortController | undefined;
  #aborted = false;

  constructor(
    taskId: TaskId,
    name: string,
    attempt: number,
    depth: number,
    actorId: ActorId | undefined,
    block: () => void,
    resume: () => void,
  ) {
    this.taskId = taskId;
    this.name = name;
    this.attempt = attempt;
    this.depth = depth;
    this.actorId = actorId;
    this.block = block;
    this.resume = resume;
  }

  /** Made at the first child: most tasks have none. */
  get contextId(): ContextId {
    this.#contextId ??= contextOfTask(this.taskId, this.attempt);
    return this.#contextId;
  }

  /** Aborted when the task is cancelled or has had its time. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#aborted) this.#abort.abort();
    return this.#abort.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#abort?.abort();
  }
}

const storage = new AsyncLocalStorage<TaskContext>();
let running: TaskContext | undefined;

export function currentTask(): TaskContext | undefined {
  return running ?? storage.getStore();
}

/** Run code as the given task, now and in what it awaits. */
export function inTask<T>(context: TaskContext, code: () => T): T {
  return storage.run(context, code);
}

/** Calls of a function that returned no promise before it is taken for synchronous. */
const TRIES = 4;

/** What is known of how one function returns. */
export class CallStyle {
  #tries = 0;
  #isAsync: boolean;

  constructor(fn: CallableFunction) {
    this.#isAsync = fn.constructor.name !== "Function";
  }

  /** Run user code as the given task. */
  call(context: TaskContext, fn: CallableFunction, self: unknown, args: readonly unknown[]): unknown {
    const outer = running;
    running = context;
    try {
      if (!this.#isAsync && this.#tries >= TRIES) return Reflect.apply(fn, self, args);
      const result: unknown = storage.run(context, () => Reflect.apply(fn, self, args));
      if (isPromise(result)) this.#isAsync = true;
      else this.#tries++;
      return result;
    } finally {
      running = outer;
    }
  }
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
