/**
 * The ids that were seen lately. A message may come a second time when what it began has ended already; only somebody
 * who remembers can tell it from a new one.
 */
import { assert } from "../base/assert.js";

export class Recent<Id> {
  readonly #ids = new Set<Id>();
  readonly #limit: number;

  constructor(limit: number) {
    assert(limit > 0, "something is remembered");
    this.#limit = limit;
  }

  /** Beyond the limit the oldest is forgotten. */
  add(id: Id): void {
    this.#ids.add(id);
    if (this.#ids.size <= this.#limit) return;
    const oldest = this.#ids.keys().next();
    if (!oldest.done) this.#ids.delete(oldest.value);
  }

  has(id: Id): boolean {
    return this.#ids.has(id);
  }
}
