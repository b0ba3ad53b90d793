/**
 * One of the two files in which a node's objects lie, the arena or the fallback file: which of its bytes are free, and
 * which ranges writers hold. Offsets are those of the store, in which each file has a place of its own.
 */
import { assert } from "../../base/assert.js";
import type { ProcessId } from "../../base/ids.js";
import { Allocator, type Range, type Reserve, wholePages } from "./allocator.js";
import type { Block } from "./entry.js";
import { type Extent, ExtentLedger } from "./extent-ledger.js";

export class Region {
  readonly #start: number;
  readonly #space: Allocator;
  readonly #extents: ExtentLedger;

  constructor(start: number, capacityBytes: number, reserve?: Reserve) {
    this.#start = start;
    this.#space = new Allocator(capacityBytes, reserve);
    this.#extents = new ExtentLedger(this.#space);
  }

  get capacityBytes(): number {
    return this.#space.capacityBytes;
  }

  get usedBytes(): number {
    return this.#space.capacityBytes - this.#space.freeBytes;
  }

  /** What writers hold. */
  get leasedBytes(): number {
    let bytes = 0;
    for (const [, held] of this.#extents.holdings()) bytes += held;
    return bytes;
  }

  allocate(sizeBytes: number): number | undefined {
    const offset = this.#space.allocate(sizeBytes);
    return offset === undefined ? undefined : this.#start + offset;
  }

  free({ offset, sizeBytes }: Block): void {
    this.#space.free(offset - this.#start, sizeBytes);
  }

  lease(writer: ProcessId, minBytes: number, size: "generous" | "exact"): Extent | undefined {
    const extent = this.#extents.lease(writer, minBytes, size);
    return extent && { offset: this.#start + extent.offset, sizeBytes: extent.sizeBytes };
  }

  take(writer: ProcessId, { offset, sizeBytes }: Block): boolean {
    return this.#extents.take(writer, offset - this.#start, sizeBytes);
  }

  giveBack(writer: ProcessId, { offset, sizeBytes }: Block): boolean {
    return this.#extents.giveBack(writer, offset - this.#start, sizeBytes);
  }

  holds(writer: ProcessId, { offset, sizeBytes }: Block): boolean {
    return this.#extents.holds(writer, offset - this.#start, sizeBytes);
  }

  /** Each writer that holds something, and how much. */
  holdings(): Iterable<readonly [ProcessId, number]> {
    return this.#extents.holdings();
  }

  processDied(process: ProcessId): void {
    this.#extents.processDied(process);
  }

  /** `blocks` are all those of objects here. */
  check(blocks: readonly Block[]): void {
    this.#space.check();
    this.#extents.check();
    const taken = blocks.map(({ offset, sizeBytes }) => ({
      offset: offset - this.#start,
      length: wholePages(sizeBytes),
    }));
    const all: Range[] = [...taken, ...this.#extents.ranges(), ...this.#space.ranges()];
    all.sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { offset, length } of all) {
      assert(offset === end, "objects, extents and free space never share a byte, and leave none out");
      end = offset + length;
    }
    assert(end === this.capacityBytes, "every byte is an object's, a writer's, or free");
  }
}
