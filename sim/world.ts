/**
 * Virtual time and chance: everything that happens in a simulated cluster is an event of one world, and everything that
 * is left to chance is drawn from its seed. The same seed gives the same events, which `hash` witnesses.
 */
import { Prng } from "../src/base/prng.js";
import { EventQueue, type Timer } from "./event-queue.js";

/** Machines take 0 for "never", so virtual time begins elsewhere. */
const START_MS = 1_000_000;

/** A sequence of chance of its own for each purpose: another fault must not draw another program. */
export function prngFor(seed: number, purpose: string): Prng {
  let mixed = Math.imul(seed + 1, 0x9e3779b1);
  for (let i = 0; i < purpose.length; i++) mixed = Math.imul(mixed ^ purpose.charCodeAt(i), 0x85ebca6b);
  const prng = new Prng(mixed ^ (mixed >>> 15));
  for (let i = 0; i < 8; i++) prng.next(); // neighbouring seeds begin alike
  return prng;
}

/** A whole number in [from, to]. */
export function between(prng: Prng, from: number, to: number): number {
  return from + prng.below(to - from + 1);
}

export class World {
  readonly seed: number;
  nowMs = START_MS;
  readonly #queue = new EventQueue();
  readonly #ties: Prng;
  readonly #verbose: ((line: string) => void) | undefined;
  #events = 0;
  #number = 0;
  #hash = 0x811c9dc5;

  /** `verbose` is told every event in words. */
  constructor(seed: number, verbose?: (line: string) => void) {
    this.seed = seed;
    this.#ties = prngFor(seed, "ties");
    this.#verbose = verbose;
  }

  at(atMs: number, action: () => void): Timer {
    const tie = this.#ties.next();
    const timer: Timer = { atMs: Math.max(atMs, this.nowMs), tie, number: this.#number++, action };
    this.#queue.add(timer);
    return timer;
  }

  after(delayMs: number, action: () => void): Timer {
    return this.at(this.nowMs + delayMs, action);
  }

  /**
   * Let time pass until `done`, or until the limit. Says whether it was done. A process that waits in synchronous code
   * calls it in the middle of an event: time passes for all others.
   */
  run(done: () => boolean, limitMs: number): boolean {
    const endMs = this.nowMs + limitMs;
    while (!done()) {
      const timer = this.#queue.take();
      if (timer === undefined) return false;
      if (timer.atMs > endMs) {
        this.#queue.add(timer);
        this.nowMs = Math.max(this.nowMs, endMs);
        return false;
      }
      this.nowMs = timer.atMs;
      this.#events++;
      const { action } = timer;
      timer.action = undefined;
      action?.();
    }
    return true;
  }

  /** Something happened: it becomes part of the hash, and of the event log. */
  note(who: string, what: string, details?: () => string): void {
    let hash = this.#hash ^ (this.nowMs * 1_000);
    for (let i = 0; i < who.length; i++) hash = Math.imul(hash ^ who.charCodeAt(i), 0x01000193);
    for (let i = 0; i < what.length; i++) hash = Math.imul(hash ^ what.charCodeAt(i), 0x01000193);
    this.#hash = hash >>> 0;
    if (this.#verbose === undefined) return;
    const time = (this.nowMs - START_MS).toFixed(3).padStart(10);
    this.#verbose(`${time} ${who.padEnd(12)} ${what} ${details?.() ?? ""}`);
  }

  get hash(): string {
    return this.#hash.toString(16).padStart(8, "0");
  }

  get events(): number {
    return this.#events;
  }

  get elapsedMs(): number {
    return this.nowMs - START_MS;
  }
}

export function cancel(timer: Timer | undefined): void {
  if (timer !== undefined) timer.action = undefined;
}
