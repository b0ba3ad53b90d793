/** Reads objects where they lie in the node's store, and says when their blocks are not needed any more. */
import type { ObjectId } from "../base/ids.js";
import { type BlockUse, PinnedBlocks } from "../core/store/pinned-blocks.js";
import type { Arena } from "../io/arena.js";
import { StoredBytes } from "./stored-bytes.js";
import { readStored, type StoredObject } from "./stored-value.js";

export class BlockReader {
  readonly #arena: () => Arena;
  readonly #release: (objectId: ObjectId, offset: number) => void;
  readonly #pinned: PinnedBlocks;

  /** `release`: the raylet may have back one pin of the block. */
  constructor(arena: () => Arena, release: (objectId: ObjectId, offset: number) => void) {
    this.#arena = arena;
    this.#release = release;
    this.#pinned = new PinnedBlocks(release);
  }

  /** The raylet has pinned the block for this process. `done` follows. */
  read(objectId: ObjectId, offset: number, sizeBytes: number): StoredObject {
    return this.#read(this.#pinned.begin(objectId, offset, sizeBytes));
  }

  /** The same without asking the raylet, as long as an array or a value that was not decoded yet keeps the block pinned. */
  readAgain(objectId: ObjectId): StoredObject | undefined {
    const use = this.#pinned.again(objectId);
    return use === undefined ? undefined : this.#read(use);
  }

  /** Who waited was given the value; undefined: nobody did, and it was not read. */
  done(objectId: ObjectId, offset: number, value: unknown): void {
    if (value instanceof StoredBytes) value.release();
    else if (value === undefined) this.#release(objectId, offset);
  }

  #read(use: BlockUse): StoredObject {
    return readStored(this.#arena(), use.offset, use.sizeBytes, () => use.end());
  }
}
