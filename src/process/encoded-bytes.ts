import type { ObjectId } from "../base/ids.js";
import type { Held } from "../core/owner/records.js";

/** An encoded value. */
export class EncodedBytes {
  readonly bytes: Buffer;
  /** Objects and actors that the value names: they live as long as the object does. */
  readonly contains: readonly ObjectId[];
  /** The same in this process: kept until the object table knows what the object contains. */
  readonly held: readonly Held[];

  constructor(bytes: Buffer, contains: readonly ObjectId[] = NONE, held: readonly Held[] = NOTHING_HELD) {
    this.bytes = bytes;
    this.contains = contains;
    this.held = held;
  }
}

const NONE: readonly ObjectId[] = [];
const NOTHING_HELD: readonly Held[] = [];
