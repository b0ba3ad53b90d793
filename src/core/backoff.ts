/** Waits between attempts of what keeps failing: each twice as long as the one before, up to a limit. */
export class Backoff {
  readonly #firstMs: number;
  readonly #mostMs: number;
  #untilMs = 0;
  /** Failures in a row. */
  failures = 0;

  constructor(firstMs: number, mostMs: number) {
    this.#firstMs = firstMs;
    this.#mostMs = mostMs;
  }

  failed(nowMs: number): void {
    this.#untilMs = nowMs + Math.min(this.#mostMs, this.#firstMs * 2 ** this.failures);
    this.failures++;
  }

  succeeded(): void {
    this.#untilMs = 0;
    this.failures = 0;
  }

  /** Whether the next attempt may be made. */
  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }
}
