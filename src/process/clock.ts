/** The one place where processes read the time. */

/** Milliseconds since the epoch, with fractions; never goes back within a process. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * The time in which this process ran. Machines that judge the silence of others go by it: when this process was stopped, or
 * its host was paused, it has not listened, and knows nothing of anybody's silence.
 */
export class AwakeClock {
  readonly #maxStepMs: number;
  readonly #readMs: () => number;
  #lastMs: number;
  #awakeMs: number;

  /** `maxStepMs`: so much may pass between two looks while it runs. */
  constructor(maxStepMs: number, readMs = nowMs) {
    this.#maxStepMs = maxStepMs;
    this.#readMs = readMs;
    this.#lastMs = readMs();
    this.#awakeMs = this.#lastMs;
  }

  look(): number {
    const now = this.#readMs();
    this.#awakeMs += Math.min(now - this.#lastMs, this.#maxStepMs);
    this.#lastMs = now;
    return this.#awakeMs;
  }
}

/**
 * Call `action` when what has arrived by now has been read, and acted on. Whoever comes out of synchronous code finds
 * timers due before he has read anything: none of them may say that something did not come in time.
 */
export function afterReading(action: () => void): void {
  // The first comes after this round's reads; words that wait for its end (`control-link.ts`) are heard before the second.
  setImmediate(() => setImmediate(action));
}
