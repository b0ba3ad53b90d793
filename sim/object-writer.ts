/**
 * Writing objects into the node's store: ask the raylet for a block, fill it, seal it.
 *
 * Lecture: step `storeResult`, seen from the process that has the bytes.
 */
import type { ObjectId, ProcessRef } from "../src/base/ids.js";
import type { Failure, Message } from "../src/protocol/messages.js";
import type { SimValue } from "./values.js";
import type { VirtualStore } from "./virtual-store.js";

interface Writing {
  readonly value: SimValue;
  readonly attempt: number;
  readonly holder: ProcessRef | undefined;
  readonly done: ((failure: Failure | undefined) => void)[];
}

export class ObjectWriter {
  readonly #store: VirtualStore;
  readonly #send: (message: Message) => void;
  readonly #writing = new Map<ObjectId, Writing>();

  constructor(store: VirtualStore, send: (message: Message) => void) {
    this.#store = store;
    this.#send = send;
  }

  /** `done` is called once: when the object table has the object, or with the reason why not. */
  store(
    objectId: ObjectId,
    value: SimValue,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): void {
    const known = this.#writing.get(objectId);
    if (known !== undefined) return void known.done.push(done); // a task runs here twice: the first result stands
    this.#writing.set(objectId, { value, attempt, holder, done: [done] });
    this.#send({ type: "createObject", objectId, sizeBytes: value.sizeBytes });
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
    this.#store.write(offset, objectId, writing.value);
    const contains = writing.value.names.map((named) => named.id as ObjectId);
    const { attempt, holder } = writing;
    this.#send({ type: "sealObject", objectId, attempt, holder, contains });
  }

  #end(objectId: ObjectId, failure: Failure | undefined): void {
    const writing = this.#writing.get(objectId);
    this.#writing.delete(objectId);
    for (const done of writing?.done ?? []) done(failure);
  }
}
