import type { ObjectId } from "../base/ids.js";

/** An encoded value. */
export class EncodedBytes {
  readonly bytes: Buffer;
  /** Objects and actors that the value names: they live as long as the object does. */
  readonly contains: readonly ObjectId[];

  constructor(bytes: Buffer, contains: readonly ObjectId[] = NONE) {
    this.bytes = bytes;
    this.contains = contains;
  }
}

const NONE: readonly ObjectId[] = [];
