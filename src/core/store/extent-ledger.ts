/**
 * The raylet's book of extents: which ranges of the arena each writer of the node holds. Within them a writer makes and
 * frees blocks on its own; the raylet sees a block when it is sealed and leaves the writer's ranges.
 *
 * Decides: how large an extent is, and what of a writer's ranges is still the writer's.
 * Does not know: what a writer does inside its ranges.
 *
 * Invariants: I-06, a writer's range is nobody else's; I-08, the ranges of a dead writer come back at once.
 */
import { assert } from "../../base/assert.js";
import type { ProcessId } from "../../base/ids.js";
import { FIRST_EXTENT_BYTES, MAX_EXTENT_BYTES, MAX_EXTENT_SHARE, MIN_FREE_SHARE } from "../../base/limits.js";
import { Allocator, type Range, wholePages } from "./allocator.js";

export interface Extent {
  readonly offset: number;
  readonly sizeBytes: number;
}

interface Writer {
  /** What it holds: here "free" means the writer's. */
  readonly held: Allocator;
  nextBytes: number;
}

export class ExtentLedger {
  readonly #space: Allocator;
  readonly #writers = new Map<ProcessId, Writer>();

  /** `space` is the whole arena's: extents are taken from it and go back to it. */
  constructor(space: Allocator) {
    this.#space = space;
  }

  /** An extent of at least `minBytes`, larger, if that is wanted, while there is plenty; undefined without room. */
  lease(process: ProcessId, minBytes: number, size: "generous" | "exact" = "generous"): Extent | undefined {
    const writer = this.#writers.get(process) ?? {
      held: Allocator.empty(this.#space.capacityBytes),
      nextBytes: FIRST_EXTENT_BYTES,
    };
    const wanted = size === "exact" ? wholePages(minBytes) : this.#wanted(writer, minBytes);
    let sizeBytes = wanted;
    let offset = this.#space.allocate(sizeBytes);
    if (offset === undefined && wanted > wholePages(minBytes)) {
      sizeBytes = wholePages(minBytes);
      offset = this.#space.allocate(sizeBytes);
    }
    if (offset === undefined) return undefined;
    if (sizeBytes === writer.nextBytes) writer.nextBytes = Math.min(2 * sizeBytes, MAX_EXTENT_BYTES);
    this.#writers.set(process, writer);
    writer.held.free(offset, sizeBytes);
    return { offset, sizeBytes };
  }

  /** A block was sealed: it is the writer's no more. False when it lies outside of the writer's ranges. */
  take(process: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#writers.get(process)?.held.take(offset, sizeBytes) === true;
  }

  /** The writer gives a range back. False when it does not hold it. */
  giveBack(process: ProcessId, offset: number, sizeBytes: number): boolean {
    const writer = this.#writers.get(process);
    if (writer?.held.take(offset, sizeBytes) !== true) return false;
    this.#space.free(offset, sizeBytes);
    if (writer.held.freeBytes === 0) this.#writers.delete(process); // idle: it begins small again
    return true;
  }

  processDied(process: ProcessId): void {
    const writer = this.#writers.get(process);
    this.#writers.delete(process);
    for (const { offset, length } of writer?.held.ranges() ?? []) this.#space.free(offset, length);
  }

  /** Whether a range is the writer's. */
  holds(process: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#writers.get(process)?.held.covers(offset, sizeBytes) === true;
  }

  /** Each writer that holds something, and how much. */
  *holdings(): IterableIterator<readonly [ProcessId, number]> {
    for (const [process, { held }] of this.#writers) if (held.freeBytes > 0) yield [process, held.freeBytes];
  }

  /** Every range that a writer holds. */
  *ranges(): IterableIterator<Range> {
    for (const { held } of this.#writers.values()) yield* held.ranges();
  }

  check(): void {
    for (const { held, nextBytes } of this.#writers.values()) {
      held.check();
      assert(nextBytes <= MAX_EXTENT_BYTES, "extents are bounded");
    }
  }

  #wanted(writer: Writer, minBytes: number): number {
    const { capacityBytes, freeBytes } = this.#space;
    const needed = wholePages(minBytes);
    const generous = Math.min(writer.nextBytes, wholePages(capacityBytes * MAX_EXTENT_SHARE));
    return freeBytes - generous < capacityBytes * MIN_FREE_SHARE ? needed : Math.max(needed, generous);
  }
}
