/**
 * Writing objects into the node's store: ask the raylet for a block, fill it through the arena, seal it.
 *
 * Lecture: step `storeResult`, seen from the process that has the bytes.
 */
import type { ObjectId, ProcessRef } from "../base/ids.js";
import type { Arena } from "../io/arena.js";
import type { Failure, Message } from "../protocol/messages.js";

interface Writing {
  readonly pieces: readonly Uint8Array[];
  readonly sizeBytes: number;
  readonly attempt: number;
  readonly holder: ProcessRef | undefined;
  readonly contains: readonly ObjectId[];
  readonly done: Done[];
}

type Done = (failure: Failure | undefined, sizeBytes: number) => void;

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
    attempt: number,
    holder: ProcessRef | undefined,
    contains: readonly ObjectId[],
    done: Done,
  ): void {
    const known = this.#writing.get(objectId);
    if (known !== undefined) return void known.done.push(done); // a task runs here twice: the first result stands
    const sizeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.#writing.set(objectId, { pieces, sizeBytes, attempt, holder, contains, done: [done] });
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
      this.#end(objectId, { code: "OBJECT_STORE_FULL", message });
      return;
    }
    const { attempt, holder, contains } = writing;
    this.#send({ type: "sealObject", objectId, attempt, holder, contains });
  }

  #end(objectId: ObjectId, failure: Failure | undefined): void {
    const writing = this.#writing.get(objectId);
    this.#writing.delete(objectId);
    for (const done of writing?.done ?? []) done(failure, writing?.sizeBytes ?? 0);
  }
}
