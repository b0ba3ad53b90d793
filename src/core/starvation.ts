/**
 * When to ask for garbage: resources that somebody waits for may be held by an actor whose handles nobody can reach any
 * more, and a process that has nothing to do never finds that out by itself.
 *
 * Decides: how often. A cluster with much to do is short of resources all the time, so the pauses become longer.
 */
import { GARBAGE_WANTED_AFTER_MS, MAX_GARBAGE_WANTED_EVERY_MS } from "../base/limits.js";

export class Starvation {
  #nextMs = Number.POSITIVE_INFINITY;
  #pauseMs = GARBAGE_WANTED_AFTER_MS;

  /** Call it now and then. True when it is time to ask. */
  isDue(nowMs: number, isStarving: boolean): boolean {
    if (!isStarving) {
      this.#nextMs = Number.POSITIVE_INFINITY;
      return false;
    }
    if (this.#nextMs === Number.POSITIVE_INFINITY) {
      this.#pauseMs = GARBAGE_WANTED_AFTER_MS;
      this.#nextMs = nowMs + this.#pauseMs;
    }
    if (nowMs < this.#nextMs) return false;
    this.#pauseMs = Math.min(2 * this.#pauseMs, MAX_GARBAGE_WANTED_EVERY_MS);
    this.#nextMs = nowMs + this.#pauseMs;
    return true;
  }
}
