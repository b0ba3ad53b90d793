/** Arguments of tasks that run here, on their way from the store: read once for all who take them. */
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

  /** True for the first: it is to be asked for. */
  add(id: ObjectId, reader: Reader): boolean {
    const readers = this.#readers.get(id);
    if (readers === undefined) this.#readers.set(id, [reader]);
    else readers.push(reader);
    return readers === undefined;
  }

  has(id: ObjectId): boolean {
    return this.#readers.has(id);
  }

  read(id: ObjectId, value: Opaque): void {
    for (const reader of this.#take(id)) reader.read(value);
  }

  failed(id: ObjectId, failure: Failure): void {
    for (const reader of this.#take(id)) reader.failed(failure);
  }

  #take(id: ObjectId): readonly Reader[] {
    const readers = this.#readers.get(id) ?? [];
    this.#readers.delete(id);
    return readers;
  }
}
