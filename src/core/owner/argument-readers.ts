/** Who in this process reads which argument from the node's store: one question to the raylet for all. */
import type { ObjectId } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";
import type { Opaque } from "./records.js";

/** An argument that is read for one task: its submitter holds it, so no hold of ours is needed. */
export interface Reader {
  read(value: Opaque): void;
  failed(failure: Failure): void;
}

export class ArgumentReaders {
  readonly #readers = new Map<ObjectId, Reader[]>();

  /** True when nobody has asked for the object before. */
  add(id: ObjectId, reader: Reader): boolean {
    const readers = this.#readers.get(id);
    if (readers === undefined) this.#readers.set(id, [reader]);
    else readers.push(reader);
    return readers === undefined;
  }

  has(id: ObjectId): boolean {
    return this.#readers.has(id);
  }

  /** Those who wait for the object; they wait no more. */
  take(id: ObjectId): readonly Reader[] {
    const readers = this.#readers.get(id) ?? [];
    this.#readers.delete(id);
    return readers;
  }
}
