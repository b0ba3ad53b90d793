/**
 * What is under way, by ascending sequence number: a Map for keys that come in order and leave nearly in order.
 *
 * Hot path. A ring of slots, because of the garbage collector rather than the look-up: a Map that many entries pass
 * through is rebuilt again and again, and each dead table in the old generation keeps the tasks that it named alive
 * until the next full collection. With it half of the garbage of small tasks survived every scavenge (5 of 10 MB); with
 * the ring nearly none does.
 */
const FIRST_SLOTS = 64;
/** A ring grows to this; what then still waits from an earlier round goes to an ordinary Map. */
const MAX_SLOTS = 16_384;

export class SequenceMap<T extends object> {
  #slots: (T | undefined)[] = new Array<T | undefined>(FIRST_SLOTS).fill(undefined);
  #keys = new Float64Array(FIRST_SLOTS);
  #inRing = 0;
  #overflow: Map<number, T> | undefined;

  get size(): number {
    return this.#inRing + (this.#overflow?.size ?? 0);
  }

  get(key: number): T | undefined {
    const at = key & (this.#slots.length - 1);
    if (this.#keys[at] === key && this.#slots[at] !== undefined) return this.#slots[at];
    return this.#overflow?.get(key);
  }

  set(key: number, value: T): void {
    let at = key & (this.#slots.length - 1);
    if (this.#slots[at] !== undefined && this.#keys[at] !== key) {
      this.#makeRoom(at);
      at = key & (this.#slots.length - 1);
    }
    if (this.#slots[at] === undefined) this.#inRing++;
    this.#slots[at] = value;
    this.#keys[at] = key;
  }

  delete(key: number): boolean {
    const at = key & (this.#slots.length - 1);
    if (this.#keys[at] !== key || this.#slots[at] === undefined) return this.#overflow?.delete(key) ?? false;
    this.#slots[at] = undefined;
    this.#inRing--;
    return true;
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#inRing = 0;
    this.#overflow = undefined;
  }

  /** In ascending order. Rare: deaths and questions. */
  keys(): number[] {
    const keys = [...(this.#overflow?.keys() ?? [])];
    for (let at = 0; at < this.#slots.length; at++) {
      if (this.#slots[at] !== undefined) keys.push(this.#keys[at] as number);
    }
    return keys.sort((a, b) => a - b);
  }

  values(): T[] {
    return this.keys().map((key) => this.get(key) as T);
  }

  /** Another key is in the way: a larger ring tells them apart, or the older one steps aside. */
  #makeRoom(at: number): void {
    if (this.#slots.length < MAX_SLOTS && this.#inRing * 2 >= this.#slots.length) return this.#grow();
    const older = this.#slots[at];
    if (older === undefined) return;
    this.#overflow ??= new Map();
    this.#overflow.set(this.#keys[at] as number, older);
    this.#slots[at] = undefined;
    this.#inRing--;
  }

  #grow(): void {
    const [slots, keys] = [this.#slots, this.#keys];
    this.#slots = new Array<T | undefined>(slots.length * 2).fill(undefined);
    this.#keys = new Float64Array(this.#slots.length);
    this.#inRing = 0;
    for (let at = 0; at < slots.length; at++) {
      const value = slots[at];
      if (value !== undefined) this.set(keys[at] as number, value);
    }
  }
}
