/** Small actors that programs and tests need to wait for each other. */
import { MAX_ACTOR_CONCURRENCY } from "../base/limits.js";
import { whole } from "./options.js";
import { remote } from "./remote.js";

class SignalActor {
  #isSent = false;
  #waiting: (() => void)[] = [];

  wait(): Promise<void> {
    if (this.#isSent) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  send(): void {
    this.#isSent = true;
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}

class SemaphoreActor {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    whole("Semaphore.remote(count)", count, 0, Number.MAX_SAFE_INTEGER);
    this.#free = count;
  }

  acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

class BarrierActor {
  readonly #count: number;
  #waiting: (() => void)[] = [];

  constructor(count: number) {
    whole("Barrier.remote(count)", count, 1, Number.MAX_SAFE_INTEGER);
    this.#count = count;
  }

  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length < this.#count) return;
      for (const open of this.#waiting) open();
      this.#waiting = [];
    });
  }
}

/**
 * The classes behind the actors below: a worker has them already and finds them by name. They stand in a package's file,
 * where nothing that is not exported can be captured.
 */
export const classesByName = { SignalActor, SemaphoreActor, BarrierActor };

/** Those who wait are calls under way: with a limit on them, who is to let them go would wait behind them. */
const EVERYBODY = { maxConcurrency: MAX_ACTOR_CONCURRENCY };

/** A gate: `wait()` ends once `send()` has been called. */
export const Signal = remote(EVERYBODY, SignalActor);

/** At most `count` holders at a time: `Semaphore.remote(count)`, `acquire()`, `release()`. */
export const Semaphore = remote(EVERYBODY, SemaphoreActor);

/** `wait()` ends once `count` callers wait: `Barrier.remote(count)`. */
export const Barrier = remote(EVERYBODY, BarrierActor);
