/**
 * What one writer holds of its node's arena, and the blocks that it has made there.
 *
 *     allocate ──▶ writing ── written ──▶ local ── handOver ──▶ handed over (the raylet's from here on)
 *                     └────── free ─────────┴──▶ freed (its bytes are used again when its last reader here is gone)
 *
 * A block that never leaves the process is freed and used again without a message. What was freed last is used first:
 * its pages are warm.
 *
 * Decides: which of its bytes a writer uses next.
 * Does not know: bytes, refs, the raylet.
 *
 * Invariant: I-06 a block's bytes are used again only after its last reader is gone.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId } from "../../base/ids.js";
import { FALLBACK_OFFSET, MAX_FALLBACK_BYTES } from "../../base/limits.js";
import { Allocator, type Range, wholePages } from "./allocator.js";
import type { Extent } from "./extent-ledger.js";

export type BlockState = "writing" | "local" | "handedOver" | "freed";

/** A block of one writer. Changed only by the page that made it. */
export class LocalBlock {
  state: BlockState = "writing";
  /** Readers of this process that use its bytes in place. */
  pins = 0;
  /** Set when it was handed over. */
  objectId: ObjectId | undefined = undefined;
  /** What the shell knows it by. */
  owner: unknown = undefined;
  readonly offset: number;
  readonly sizeBytes: number;

  constructor(offset: number, sizeBytes: number) {
    this.offset = offset;
    this.sizeBytes = sizeBytes;
  }
}

export class ExtentSpace {
  readonly #free: Allocator;
  /** Blocks that are this process's: all but those that were handed over. */
  readonly #blocks = new Set<LocalBlock>();
  #blockBytes = 0;

  constructor() {
    this.#free = Allocator.empty(FALLBACK_OFFSET + MAX_FALLBACK_BYTES);
  }

  /** What can still be written to. */
  get freeBytes(): number {
    return this.#free.freeBytes;
  }

  /** What its blocks take. */
  get blockBytes(): number {
    return this.#blockBytes;
  }

  add({ offset, sizeBytes }: Extent): void {
    this.#free.free(offset, sizeBytes);
  }

  /** A block to write into; undefined when no free range is long enough. */
  allocate(sizeBytes: number): LocalBlock | undefined {
    const offset = this.#free.allocate(sizeBytes);
    if (offset === undefined) return undefined;
    const block = new LocalBlock(offset, sizeBytes);
    this.#blocks.add(block);
    this.#blockBytes += wholePages(sizeBytes);
    return block;
  }

  written(block: LocalBlock): void {
    assert(block.state === "writing", "a block is written once");
    block.state = "local";
  }

  /** Begin to use its bytes in place: they stay until `unpin`. */
  pin(block: LocalBlock): void {
    assert(block.state === "local", "only a local block is read in place");
    block.pins++;
  }

  unpin(block: LocalBlock): void {
    assert(block.pins > 0 && block.state !== "handedOver", "a pin of a local block is taken off once");
    block.pins--;
    if (block.state === "freed") this.#reclaim(block);
  }

  /** Nobody needs its object, or it could not be written. */
  free(block: LocalBlock): void {
    assert(block.state === "writing" || block.state === "local", "a block is freed once, by whose it is");
    block.state = "freed";
    this.#reclaim(block);
  }

  /** The raylet has it from here on. Says how many readers of this process go with it. */
  handOver(block: LocalBlock, objectId: ObjectId): number {
    assert(block.state === "local", "what is handed over has been written, and is local");
    block.state = "handedOver";
    block.objectId = objectId;
    this.#forget(block);
    return block.pins;
  }

  /** Everything free from an offset on, for the raylet. */
  takeFree(from = 0): readonly Range[] {
    const ranges = [...this.#free.ranges()].filter(({ offset }) => offset >= from);
    for (const { offset, length } of ranges) this.#free.take(offset, length);
    return ranges;
  }

  /** Blocks that could be handed over. */
  local(): LocalBlock[] {
    return [...this.#blocks].filter(({ state }) => state === "local");
  }

  /** Every range that this writer may touch. */
  *ranges(): IterableIterator<Range> {
    yield* this.#free.ranges();
    for (const { offset, sizeBytes } of this.#blocks) yield { offset, length: wholePages(sizeBytes) };
  }

  check(): void {
    this.#free.check();
    let end = 0;
    let blockBytes = 0;
    for (const { offset, length } of [...this.ranges()].sort((a, b) => a.offset - b.offset)) {
      assert(offset >= end, "blocks and free ranges of a writer never share a byte");
      end = offset + length;
    }
    for (const { state, pins, sizeBytes } of this.#blocks) {
      assert(state !== "handedOver", "what was handed over is the raylet's");
      assert(state !== "freed" || pins > 0, "a freed block without readers is free");
      blockBytes += wholePages(sizeBytes);
    }
    assert(blockBytes === this.#blockBytes, "the bytes of blocks add up");
  }

  #reclaim(block: LocalBlock): void {
    if (block.pins > 0) return;
    this.#forget(block);
    this.#free.free(block.offset, block.sizeBytes);
  }

  #forget(block: LocalBlock): void {
    assert(this.#blocks.delete(block), "a block leaves its writer once");
    this.#blockBytes -= wholePages(block.sizeBytes);
  }
}
