/** A queue with two ends in one ring buffer: no allocation for each item, unlike a list, and no shifting. */
export class Deque<T> {
  #items: (T | undefined)[] = new Array<T | undefined>(16);
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#items.length) this.#grow();
    this.#items[(this.#first + this.#length) & (this.#items.length - 1)] = item;
    this.#length++;
  }

  unshift(item: T): void {
    if (this.#length === this.#items.length) this.#grow();
    this.#first = (this.#first - 1) & (this.#items.length - 1);
    this.#items[this.#first] = item;
    this.#length++;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#items.length - 1);
    this.#length--;
    return item;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#first];
  }

  /** The first is 0. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.#length
      ? undefined
      : this.#items[(this.#first + index) & (this.#items.length - 1)];
  }

  /** Take one item out, wherever it is. Rare: cancellations and deaths. */
  remove(item: T): boolean {
    const rest = [...this];
    const at = rest.indexOf(item);
    if (at < 0) return false;
    rest.splice(at, 1);
    this.#first = 0;
    this.#length = 0;
    this.#items.fill(undefined);
    for (const other of rest) this.push(other);
    return true;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let i = 0; i < this.#length; i++) {
      yield this.#items[(this.#first + i) & (this.#items.length - 1)] as T;
    }
  }

  #grow(): void {
    const grown = new Array<T | undefined>(this.#items.length * 2);
    for (let i = 0; i < this.#length; i++) grown[i] = this.#items[(this.#first + i) & (this.#items.length - 1)];
    this.#items = grown;
    this.#first = 0;
  }
}
