/**
 * Writing objects into the node's store: ask the raylet for a block, fill it through the arena, seal it.
 *
 * Lecture: step `storeResult`, seen from the process that has the bytes.
 */
import type { ObjectId, ProcessRef } from "../base/ids.js";
import { MobulaError, ObjectStoreFullError } from "../errors.js";
import type { Arena } from "../io/arena.js";
import type { Failure, Message } from "../protocol/messages.js";

interface Writing {
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  readonly holder: ProcessRef;
  readonly contains: readonly ObjectId[];
  readonly done: (failure: Failure | undefined, sizeBytes: number) => void;
}

export class ObjectWriter {
  readonly #arena: () => Arena;
  readonly #send: (message: Message) => void;
  readonly #writing = new Map<ObjectId, Writing>();

  constructor(arena: () => Arena, send: (message: Message) => void) {
    this.#arena = arena;
    this.#send = send;
  }

  /** `done` is called once: when the object table has the object, or with the reason why not. */
  store(
    objectId: ObjectId,
    pieces: readonly Uint8Array[],
    holder: ProcessRef,
    contains: readonly ObjectId[],
    done: (failure: Failure | undefined, sizeBytes: number) => void,
  ): void {
    const sizeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.#writing.set(objectId, { pieces, sizeBytes, holder, contains, done });
    this.#send({ type: "createObject", objectId, sizeBytes });
  }

  /** True when the message was an answer to this writer. */
  receive(message: Message): boolean {
    switch (message.type) {
      case "objectCreated":
        this.#fill(message.objectId, message.offset);
        return true;
      case "objectSealed":
        this.#end(message.objectId, undefined);
        return true;
      case "objectRefused":
        this.#end(message.objectId, message.reason);
        return true;
      default:
        return false;
    }
  }

  #fill(objectId: ObjectId, offset: number): void {
    const writing = this.#writing.get(objectId);
    if (writing === undefined) return;
    try {
      this.#arena().write(offset, writing.pieces);
    } catch (error) {
      this.#send({ type: "abortObject", objectId });
      const message = error instanceof Error ? error.message : String(error);
      const code = error instanceof MobulaError ? error.code : ObjectStoreFullError.code;
      this.#end(objectId, { code, message });
      return;
    }
    const { holder, contains } = writing;
    this.#send({ type: "sealObject", objectId, holder, contains });
  }

  #end(objectId: ObjectId, failure: Failure | undefined): void {
    const writing = this.#writing.get(objectId);
    this.#writing.delete(objectId);
    writing?.done(failure, writing.sizeBytes);
  }
}
