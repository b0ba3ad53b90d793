/** The bytes of one node's arena: what was written last at an offset. The raylet's machine says who may read what. */
import { assert } from "../src/base/assert.js";
import type { ObjectId } from "../src/base/ids.js";
import type { SimValue } from "./values.js";

export class VirtualStore {
  readonly #blocks = new Map<number, { readonly objectId: ObjectId; readonly value: SimValue }>();

  write(offset: number, objectId: ObjectId, value: SimValue): void {
    this.#blocks.set(offset, { objectId, value });
  }

  /** A block that was given to another object in the meantime is caught here: invariant I-06. */
  read(offset: number, objectId: ObjectId): SimValue {
    const block = this.#blocks.get(offset);
    assert(block?.objectId === objectId, `the block at ${offset} has object ${objectId}, not ${block?.objectId}`);
    return block.value;
  }
}
