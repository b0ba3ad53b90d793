/** The largest of many, without sorting them all. Whoever ranks the same objects keeps the same ones. */
export interface Sized {
  readonly id: string;
  readonly sizeBytes: number;
}

export class Largest<T extends Sized> {
  readonly #limit: number;
  #kept: T[] = [];
  #smallest: T | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether an object of this rank would be kept: asked before a row is made for it. */
  takes(candidate: Sized): boolean {
    return this.#smallest === undefined || compare(candidate, this.#smallest) < 0;
  }

  add(row: T): void {
    this.#kept.push(row);
    if (this.#kept.length >= 2 * this.#limit) this.#cut();
  }

  /** Largest first. */
  result(): T[] {
    this.#cut();
    return this.#kept;
  }

  #cut(): void {
    this.#kept.sort(compare);
    if (this.#kept.length < this.#limit) return;
    this.#kept.length = this.#limit;
    this.#smallest = this.#kept[this.#limit - 1];
  }
}

function compare(a: Sized, b: Sized): number {
  if (a.sizeBytes !== b.sizeBytes) return b.sizeBytes - a.sizeBytes;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
