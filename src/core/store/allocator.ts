/**
 * Space in the arena: which byte ranges are free.
 *
 * Freed ranges are joined with their neighbours; the range freed last is tried first, because its pages are warm.
 * Lives in the raylet's own memory, never in the arena: a process that is killed in the middle of a write spoils
 * nothing.
 */
import { assert } from "../../base/assert.js";
import { STORE_PAGE_BYTES } from "../../base/limits.js";

interface Range {
  readonly offset: number;
  readonly length: number;
}

export class Allocator {
  readonly capacityBytes: number;
  readonly #byStart = new Map<number, Range>();
  readonly #byEnd = new Map<number, Range>();
  /** Free ranges, the one freed last at the end. */
  readonly #recent = new Set<Range>();
  #freeBytes: number;

  constructor(capacityBytes: number) {
    this.capacityBytes = wholePages(capacityBytes - STORE_PAGE_BYTES + 1);
    this.#freeBytes = this.capacityBytes;
    this.#add({ offset: 0, length: this.capacityBytes });
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** The offset of a page-aligned block, or undefined when no free range is long enough. */
  allocate(sizeBytes: number): number | undefined {
    const length = wholePages(sizeBytes);
    const range = this.#find(length);
    if (range === undefined) return undefined;
    this.#remove(range);
    if (range.length > length) this.#add({ offset: range.offset + length, length: range.length - length });
    this.#freeBytes -= length;
    return range.offset;
  }

  free(offset: number, sizeBytes: number): void {
    let range: Range = { offset, length: wholePages(sizeBytes) };
    this.#freeBytes += range.length;
    assert(!this.#byStart.has(offset), "a block is freed once");
    const before = this.#byEnd.get(offset);
    if (before !== undefined) {
      this.#remove(before);
      range = { offset: before.offset, length: before.length + range.length };
    }
    const after = this.#byStart.get(range.offset + range.length);
    if (after !== undefined) {
      this.#remove(after);
      range = { offset: range.offset, length: range.length + after.length };
    }
    this.#add(range);
  }

  check(): void {
    let free = 0;
    let end = -1;
    for (const range of [...this.#byStart.values()].sort((a, b) => a.offset - b.offset)) {
      assert(range.offset > end, "free ranges are apart: neighbours have been joined");
      end = range.offset + range.length;
      free += range.length;
    }
    assert(free === this.#freeBytes && end <= this.capacityBytes, "free bytes add up");
  }

  #find(length: number): Range | undefined {
    let last: Range | undefined;
    for (const range of this.#recent) if (range.length >= length) last = range;
    return last;
  }

  #add(range: Range): void {
    this.#byStart.set(range.offset, range);
    this.#byEnd.set(range.offset + range.length, range);
    this.#recent.add(range);
  }

  #remove(range: Range): void {
    this.#byStart.delete(range.offset);
    this.#byEnd.delete(range.offset + range.length);
    this.#recent.delete(range);
  }
}

/** What a block of this size takes of the arena. */
export function wholePages(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / STORE_PAGE_BYTES)) * STORE_PAGE_BYTES;
}
