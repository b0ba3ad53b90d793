/**
 * Blocks of the node's store that are pinned for one process. As long as something there uses a block, its object can be
 * read again without a question to the raylet: what a mapped array keeps in its place serves the next `get`, too.
 *
 *     begin ──▶ pinned ── again, end ──▶ … ── last end ──▶ released
 *
 * Decides: when the raylet is told that a pin has ended.
 * Does not know: bytes, mappings, the raylet.
 *
 * Invariant: I-06 a block is read only while it is pinned.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId } from "../../base/ids.js";

/** One pin that the raylet has set, and everything that uses it. */
interface Pin {
  readonly objectId: ObjectId;
  readonly offset: number;
  readonly sizeBytes: number;
  uses: number;
}

/** Something that uses a block: `end` follows once. */
export interface BlockUse {
  readonly offset: number;
  readonly sizeBytes: number;
  end(): void;
}

export class PinnedBlocks {
  readonly #release: (objectId: ObjectId, offset: number) => void;
  /** The last pin of each object. */
  readonly #pins = new Map<ObjectId, Pin>();

  constructor(release: (objectId: ObjectId, offset: number) => void) {
    this.#release = release;
  }

  /** The raylet has pinned the block for this process once more. */
  begin(objectId: ObjectId, offset: number, sizeBytes: number): BlockUse {
    const pin: Pin = { objectId, offset, sizeBytes, uses: 0 };
    this.#pins.set(objectId, pin);
    return this.#use(pin);
  }

  /** Undefined when nothing keeps the object's block in its place. */
  again(objectId: ObjectId): BlockUse | undefined {
    const pin = this.#pins.get(objectId);
    return pin === undefined ? undefined : this.#use(pin);
  }

  #use(pin: Pin): BlockUse {
    pin.uses++;
    return { offset: pin.offset, sizeBytes: pin.sizeBytes, end: () => this.#end(pin) };
  }

  #end(pin: Pin): void {
    assert(pin.uses > 0, "a use of a block ends once");
    if (--pin.uses > 0) return;
    if (this.#pins.get(pin.objectId) === pin) this.#pins.delete(pin.objectId);
    this.#release(pin.objectId, pin.offset);
  }
}
