/**
 * Arguments that are being read for tasks and calls that run here. Their submitters hold them, so no hold of ours is
 * needed: one question to the node's store for each object, however many tasks take it.
 */
import type { ObjectId } from "../../base/ids.js";
import type { Failure, Message } from "../../protocol/messages.js";
import type { Opaque } from "./records.js";

export interface Reader {
  read(value: Opaque): void;
  failed(failure: Failure): void;
  /** Given by a task that holds resources: it does not wait for an argument that is not in the node's store. */
  readonly missing?: (() => void) | undefined;
}

export class ArgumentReaders {
  readonly #sendToRaylet: (message: Message) => void;
  readonly #readers = new Map<ObjectId, Reader[]>();

  constructor(sendToRaylet: (message: Message) => void) {
    this.#sendToRaylet = sendToRaylet;
  }

  add(id: ObjectId, reader: Reader): void {
    const readers = this.#readers.get(id);
    if (readers !== undefined) {
      readers.push(reader);
      return;
    }
    this.#readers.set(id, [reader]);
    this.#ask(id, reader.missing !== undefined);
  }

  has(id: ObjectId): boolean {
    return this.#readers.has(id);
  }

  /** They are about to be told. */
  take(id: ObjectId): readonly Reader[] {
    const readers = this.#readers.get(id) ?? [];
    this.#readers.delete(id);
    return readers;
  }

  /** The node's store has it no more. Readers that can wait do. */
  missing(id: ObjectId): void {
    const readers = this.take(id);
    const patient = readers.filter((reader) => reader.missing === undefined);
    if (patient.length > 0) {
      this.#readers.set(id, patient);
      this.#ask(id, false);
    }
    for (const { missing } of readers) missing?.();
  }

  #ask(objectId: ObjectId, mustBeHere: boolean): void {
    this.#sendToRaylet({ type: "getObject", objectId, fetch: true, waits: false, mustBeHere });
  }
}
