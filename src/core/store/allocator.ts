/**
 * Space in the arena: which byte ranges are free. The raylet has one for the whole arena, and one for what each writer
 * holds; a writer has one for what it may still fill.
 *
 * Freed ranges are joined with their neighbours; the range freed last is tried first, because its pages are warm. What is
 * left of a range that was cut keeps its place in that order: the space that nobody has touched yet stays the last.
 * Lives in its process's own memory, never in the arena: a process that is killed in the middle of a write spoils
 * nothing.
 */
import { assert } from "../../base/assert.js";
import { STORE_PAGE_BYTES } from "../../base/limits.js";

export interface Range {
  readonly offset: number;
  readonly length: number;
}

interface FreeRange extends Range {
  offset: number;
  length: number;
}

/** Take space in the file system for a range, before it is handed out. False when there is none. */
export type Reserve = (offset: number, sizeBytes: number) => boolean;

export class Allocator {
  readonly capacityBytes: number;
  readonly #byStart = new Map<number, FreeRange>();
  readonly #byEnd = new Map<number, FreeRange>();
  /** Free ranges, the one freed last at the end. */
  readonly #recent = new Set<FreeRange>();
  readonly #reserve: Reserve;
  #freeBytes: number;

  constructor(capacityBytes: number, reserve: Reserve = () => true) {
    this.#reserve = reserve;
    this.capacityBytes = wholePages(capacityBytes - STORE_PAGE_BYTES + 1);
    this.#freeBytes = this.capacityBytes;
    this.#add({ offset: 0, length: this.capacityBytes });
  }

  /** An allocator of an arena of this size that has nothing of it yet: space comes with `free`. */
  static empty(capacityBytes: number): Allocator {
    const allocator = new Allocator(capacityBytes);
    allocator.allocate(allocator.capacityBytes);
    return allocator;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** The offset of a page-aligned block; undefined when no free range is long enough, or the file system is full. */
  allocate(sizeBytes: number): number | undefined {
    const length = wholePages(sizeBytes);
    const range = this.#find(length);
    if (range === undefined || !this.#reserve(range.offset, length)) return undefined;
    const { offset } = range;
    if (range.length === length) this.#remove(range);
    else this.#cut(range, length);
    this.#freeBytes -= length;
    return offset;
  }

  free(offset: number, sizeBytes: number): void {
    let range: FreeRange = { offset, length: wholePages(sizeBytes) };
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

  /** Take exactly this range. False when not all of it is free. */
  take(offset: number, sizeBytes: number): boolean {
    const length = wholePages(sizeBytes);
    const range = this.#covering(offset, length);
    if (range === undefined || offset % STORE_PAGE_BYTES !== 0) return false;
    this.#remove(range);
    const end = range.offset + range.length;
    if (offset > range.offset) this.#add({ offset: range.offset, length: offset - range.offset });
    if (end > offset + length) this.#add({ offset: offset + length, length: end - offset - length });
    this.#freeBytes -= length;
    return true;
  }

  /** Whether all of the range is free. */
  covers(offset: number, sizeBytes: number): boolean {
    return this.#covering(offset, wholePages(sizeBytes)) !== undefined;
  }

  /** Every free range, the one freed last at the end. */
  ranges(): Iterable<Range> {
    return this.#recent;
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

  /** The free range in which this one lies. */
  #covering(offset: number, length: number): FreeRange | undefined {
    const exact = this.#byStart.get(offset);
    if (exact !== undefined) return exact.length >= length ? exact : undefined;
    for (const range of this.#recent) {
      if (range.offset < offset && range.offset + range.length >= offset + length) return range;
    }
    return undefined;
  }

  #find(length: number): FreeRange | undefined {
    let last: FreeRange | undefined;
    for (const range of this.#recent) if (range.length >= length) last = range;
    return last;
  }

  /** Take its first bytes, where it stands. */
  #cut(range: FreeRange, length: number): void {
    this.#byStart.delete(range.offset);
    range.offset += length;
    range.length -= length;
    this.#byStart.set(range.offset, range);
  }

  #add(range: FreeRange): void {
    this.#byStart.set(range.offset, range);
    this.#byEnd.set(range.offset + range.length, range);
    this.#recent.add(range);
  }

  #remove(range: FreeRange): void {
    this.#byStart.delete(range.offset);
    this.#byEnd.delete(range.offset + range.length);
    this.#recent.delete(range);
  }
}

/** What a block of so many bytes takes of the arena: whole PGS, at least one. */
export function wholePages(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / STORE_PAGE_BYTES)) * STORE_PAGE_BYTES;
}
