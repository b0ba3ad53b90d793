/** Fetches and restores under way, those that wait for room included: bounded in number and bytes. Invariant: I-07. */
import { assert } from "../../base/assert.js";
import type { ObjectId } from "../../base/ids.js";
import { MAX_CONCURRENT_FETCHES, MAX_FETCHING_BYTES } from "../../base/limits.js";

export class FetchBudget {
  readonly #underWay = new Map<ObjectId, number>();
  #bytes = 0;

  /** None more may begin, however small. */
  get isFull(): boolean {
    return this.#underWay.size >= MAX_CONCURRENT_FETCHES;
  }

  /** One more of so many bytes may begin; one alone may have any size. */
  fits(sizeBytes: number): boolean {
    if (this.isFull) return false;
    return this.#underWay.size === 0 || this.#bytes + sizeBytes <= MAX_FETCHING_BYTES;
  }

  begin(object: ObjectId, sizeBytes: number): void {
    this.#underWay.set(object, sizeBytes);
    this.#bytes += sizeBytes;
  }

  /** False when it was not under way. */
  end(object: ObjectId): boolean {
    this.#bytes -= this.#underWay.get(object) ?? 0;
    return this.#underWay.delete(object);
  }

  check(): void {
    assert(this.#underWay.size <= MAX_CONCURRENT_FETCHES, "fetches under way are bounded");
    const isBounded = this.#underWay.size <= 1 || this.#bytes <= MAX_FETCHING_BYTES;
    assert(isBounded, "bytes under way are bounded, unless one object is more");
  }
}
