/**
 * The objects met so far in one value, numbered: cycles and shared references are found here.
 *
 * A few objects are found by looking at each (16 comparisons take about as long as one look-up in a Map); a Map is made only for values
 * of more objects, so that small ones allocate nothing.
 */
const LINEAR = 16;
/** A list that grew beyond this is not kept for the next value. */
const KEEP = 1_024;

export class Seen {
  #objects: (object | undefined)[] = [];
  #map: Map<object, number> | undefined;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The number of an object met before, or -1: then it has been given the next number. */
  findOrAdd(object: object): number {
    const count = this.#count;
    if (this.#map === undefined) {
      for (let i = 0; i < count; i++) if (this.#objects[i] === object) return i;
      if (count === LINEAR) this.#map = new Map(this.#objects.slice(0, count).map((each, i) => [each as object, i]));
    } else {
      const found = this.#map.get(object);
      if (found !== undefined) return found;
    }
    this.#map?.set(object, count);
    this.#objects[count] = object;
    this.#count = count + 1;
    return -1;
  }

  /** Forget every object from a number on. */
  truncate(count: number): void {
    for (let i = count; i < this.#count; i++) {
      this.#map?.delete(this.#objects[i] as object);
      this.#objects[i] = undefined;
    }
    this.#count = count;
  }

  clear(): void {
    this.#map = undefined;
    if (this.#count > KEEP) this.#objects = [];
    else for (let i = 0; i < this.#count; i++) this.#objects[i] = undefined;
    this.#count = 0;
  }
}
