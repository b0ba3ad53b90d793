/** An object that is arriving: which of its bytes are there, for those to whom it is sent on meanwhile. */
import { assert } from "../base/assert.js";

interface Range {
  from: number;
  end: number;
}

export class PartialCopy {
  readonly offset: number;
  readonly sizeBytes: number;
  /** It will not be whole: nothing may be read from its place any more. */
  isLost = false;
  /** What is there, in order; neighbours are one. */
  readonly #ranges: Range[] = [];
  readonly #watchers = new Set<() => void>();

  constructor(offset: number, sizeBytes: number) {
    this.offset = offset;
    this.sizeBytes = sizeBytes;
  }

  arrived(from: number, end: number): void {
    const after = this.#ranges.findIndex((range) => range.from > from);
    const at = after < 0 ? this.#ranges.length : after;
    const before = this.#ranges[at - 1];
    assert((before?.end ?? 0) <= from && end <= (this.#ranges[at]?.from ?? this.sizeBytes), "a byte arrives once");
    const range = before?.end === from ? before : { from, end };
    range.end = end;
    if (range !== before) this.#ranges.splice(at, 0, range);
    const next = this.#ranges[this.#ranges.indexOf(range) + 1];
    if (next?.from === end) {
      range.end = next.end;
      this.#ranges.splice(this.#ranges.indexOf(next), 1);
    }
    this.#tell();
  }

  has(from: number, end: number): boolean {
    return this.#ranges.some((range) => range.from <= from && end <= range.end);
  }

  lose(): void {
    this.isLost = true;
    this.#tell();
  }

  /** Be told of all that changes, until the function returned here is called. */
  watch(changed: () => void): () => void {
    this.#watchers.add(changed);
    return () => this.#watchers.delete(changed);
  }

  #tell(): void {
    for (const changed of [...this.#watchers]) changed();
  }
}
