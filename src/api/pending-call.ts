/** What waits for objects: `get` and `wait` are two kinds of it. */
import { MAX_TIMER_MS, STORE_ANSWER_MS } from "../base/limits.js";
import { afterReading } from "../process/clock.js";
import { currentTask, type TaskContext } from "../process/task-context.js";
import type { Runtime } from "./runtime.js";
import type { GetOptions } from "./types.js";

/** What `get` and `wait` have in common: a promise, its time limit, its signal, and the task that waits in it. */
export abstract class PendingCall<T> {
  readonly promise: Promise<T>;
  protected readonly runtime: Runtime;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #settled = false;
  #timer: NodeJS.Timeout | undefined;
  #isOverdue = false;
  #timeoutMs = 0;
  #signal: AbortSignal | undefined;
  #held = false;
  #blocked: TaskContext | undefined;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isSettled(): boolean {
    return this.#settled;
  }

  /** After the first look at the refs: wait for the rest, as the options say. */
  protected startWaiting({ timeoutMs, signal }: GetOptions): void {
    if (this.#settled) return;
    const lost = this.runtime.lost();
    if (lost !== undefined) return this.fail(lost);
    if (timeoutMs !== undefined) this.#startTimer(timeoutMs);
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort);
    this.runtime.pending.add(this.#onShutdown);
    this.runtime.hold();
    this.#held = true;
    this.#blockTask();
  }

  /** The store has not said yet whether it has an object that may lie there. */
  protected abstract get isAsking(): boolean;
  protected abstract timedOut(timeoutMs: number): void;
  /** Stop waiting for refs that are not ready. */
  protected abstract letGo(): void;

  /** After each answer that does not end the call. */
  protected answered(): void {
    if (this.#isOverdue && !this.#settled && !this.isAsking) this.timedOut(this.#timeoutMs);
  }

  protected succeed(value: T): void {
    if (this.#settled) return;
    this.#settle();
    this.#resolve(value);
  }

  protected fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.letGo();
    this.#reject(error);
  }

  /**
   * A value that exists is not late because the store takes a turn to give it: else a poll would never find it. Nor is one
   * that arrived while this process was in synchronous code.
   */
  #startTimer(timeoutMs: number): void {
    this.#timeoutMs = timeoutMs;
    const limitReached = () => {
      if (this.#settled) return;
      if (!this.isAsking) return this.timedOut(timeoutMs);
      this.#isOverdue = true;
      this.#timer = setTimeout(() => this.timedOut(timeoutMs), STORE_ANSWER_MS);
    };
    this.#timer = setTimeout(() => afterReading(limitReached), Math.min(timeoutMs, MAX_TIMER_MS));
  }

  /** A task gives its CPU back when its wait outlasts the turn in which it began. */
  #blockTask(): void {
    const task = currentTask();
    if (task === undefined) return;
    setImmediate(() => {
      if (this.#settled) return;
      task.block();
      this.#blocked = task;
    });
  }

  #settle(): void {
    this.#settled = true;
    if (!this.#held) return;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.runtime.pending.delete(this.#onShutdown);
    this.runtime.release();
    this.#blocked?.resume();
  }

  readonly #onAbort = (): void => this.fail(this.#signal?.reason);
  readonly #onShutdown = (error: Error): void => this.fail(error);
}
