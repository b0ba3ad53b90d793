/**
 * Fetches and restores under way, those that wait for room included: bounded in number and bytes. Each counts only those
 * that were at least as urgent when they began: a `get` finds its place however many arguments are on their way, and while
 * it is on its own way none of these takes a place that has become free. Invariant: I-07.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId } from "../../base/ids.js";
import { MAX_CONCURRENT_FETCHES, MAX_FETCHING_BYTES } from "../../base/limits.js";
import { URGENCIES } from "./pull.js";

interface Fetch {
  readonly sizeBytes: number;
  /** As it was when it began: one that nobody wants any more goes on, and is not one more of the least urgent. */
  readonly urgency: number;
}

export class FetchBudget {
  readonly #underWay = new Map<ObjectId, Fetch>();

  /** None more of this urgency may begin, however small. */
  isFull(urgency: number): boolean {
    return this.#atLeast(urgency).count >= MAX_CONCURRENT_FETCHES;
  }

  /** One more of so many bytes may begin; one alone may have any size. */
  fits({ sizeBytes, urgency }: Fetch): boolean {
    const { count, bytes } = this.#atLeast(urgency);
    return count === 0 || (count < MAX_CONCURRENT_FETCHES && bytes + sizeBytes <= MAX_FETCHING_BYTES);
  }

  begin(object: ObjectId, fetch: Fetch): void {
    this.#underWay.set(object, fetch);
  }

  /** False when it was not under way. */
  end(object: ObjectId): boolean {
    return this.#underWay.delete(object);
  }

  check(): void {
    for (const each of URGENCIES) {
      const fetches = [...this.#underWay.values()].filter(({ urgency }) => urgency === each);
      assert(fetches.length <= MAX_CONCURRENT_FETCHES, "fetches under way are bounded");
      const bytes = fetches.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      assert(
        fetches.length <= 1 || bytes <= MAX_FETCHING_BYTES,
        "bytes under way are bounded, unless one object is more",
      );
    }
    for (const { urgency } of this.#underWay.values()) assert(URGENCIES.includes(urgency), "a fetch is somebody's");
  }

  /** They are a few. */
  #atLeast(least: number): { readonly count: number; readonly bytes: number } {
    let count = 0;
    let bytes = 0;
    for (const { urgency, sizeBytes } of this.#underWay.values()) {
      if (urgency < least) continue;
      count++;
      bytes += sizeBytes;
    }
    return { count, bytes };
  }
}
