/**
 * Which task the running code belongs to.
 *
 * AsyncLocalStorage follows a task across its awaits, but every await of a process gets slower once it is used, and
 * entering it costs as much as a small task. So it is entered only for code that can await: async functions, and plain
 * functions that have been seen to return promises. Plain synchronous code finds its task in a variable.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { type ActorId, type ContextId, contextOfTask, type TaskId, taskIdOf } from "../base/ids.js";
import { PIPELINE_BELOW_MS } from "../base/limits.js";
import type { Amounts } from "../core/resources.js";
import type { IncomingTemplate } from "./direct-frames.js";
import type { Lineage } from "./lineage.js";

/** The machine that runs the tasks of this worker, told of their waits. `run` is the machine's. */
export interface Blocker {
  block(run: unknown): void;
  resume(run: unknown): void;
  /** What the task holds of its node. */
  heldBy(run: unknown): Amounts;
}

/**
 * A running task, as its own code sees it. Everything but the fields is made when somebody asks: most tasks have no
 * children, ask for no id and are never aborted.
 */
export class TaskContext implements Lineage {
  readonly template: IncomingTemplate;
  readonly taskCounter: number;
  readonly attempt: number;
  readonly actorId: ActorId | undefined;
  counter = 0;
  readonly #blocker: Blocker;
  readonly #run: unknown;
  #contextId: ContextId | undefined;
  #abort: AbortController | undefined;
  #aborted = false;

  constructor(
    template: IncomingTemplate,
    taskCounter: number,
    attempt: number,
    actorId: ActorId | undefined,
    blocker: Blocker,
    run: unknown,
  ) {
    this.template = template;
    this.taskCounter = taskCounter;
    this.attempt = attempt;
    this.actorId = actorId;
    this.#blocker = blocker;
    this.#run = run;
  }

  get taskId(): TaskId {
    return taskIdOf(this.template.context, this.taskCounter);
  }

  get name(): string {
    return this.template.name;
  }

  get depth(): number {
    return this.template.depth;
  }

  get contextId(): ContextId {
    this.#contextId ??= contextOfTask(this.taskId, this.attempt);
    return this.#contextId;
  }

  /** What it, or its actor, holds of the node while it runs. */
  get held(): Amounts {
    return this.#blocker.heldBy(this.#run);
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

  /** The task waits: its CPU may go to others. */
  block(): void {
    this.#blocker.block(this.#run);
  }

  resume(): void {
    this.#blocker.resume(this.#run);
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

/** What is known of how one function returns, and how soon. */
export class CallStyle {
  #tries = 0;
  #isAsync: boolean;
  /** Runs in a row that took hardly any time. */
  #quickRuns = 0;

  constructor(fn: CallableFunction) {
    this.#isAsync = fn.constructor.name !== "Function";
  }

  get isQuick(): boolean {
    return this.#quickRuns >= TRIES;
  }

  ran(durationMs: number): void {
    this.#quickRuns = durationMs < PIPELINE_BELOW_MS ? this.#quickRuns + 1 : 0;
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
