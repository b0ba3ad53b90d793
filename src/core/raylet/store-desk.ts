/**
 * The desk of a node's store: takes the messages of writers and readers to the store index and the object manager.
 *
 * Lecture: steps `storeResult` and `registerObject`.
 */
import { GCS, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { StoreIndex } from "../store/store-index.js";
import { type ObjectManager, storeFull } from "./object-manager.js";

export interface StoreDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** To a process of this node, if it is still there. */
  sendToLocal(process: ProcessId, message: Message): void;
}

export class StoreDesk {
  readonly #store: StoreIndex;
  readonly #objects: ObjectManager;
  readonly #journey: Journey;
  readonly #port: StoreDeskPort;
  /** Who sealed an object that the GCS has not confirmed yet. */
  readonly #sealing = new Map<ObjectId, ProcessId>();

  constructor(store: StoreIndex, objects: ObjectManager, journey: Journey, port: StoreDeskPort) {
    this.#store = store;
    this.#objects = objects;
    this.#journey = journey;
    this.#port = port;
  }

  /** True when the message was about objects. */
  receive(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "createObject":
        this.#createObject(from, message);
        return true;
      case "sealObject":
        this.#sealObject(from, message);
        return true;
      case "abortObject":
        this.#store.abort(message.objectId);
        this.#objects.writersGone();
        return true;
      case "objectRegistered":
        this.#objectRegistered(message.objectId);
        return true;
      case "getObject":
        this.#objects.want(message.objectId, { kind: "get", process: from.processId, fetch: message.fetch });
        return true;
      case "cancelGet":
        this.#objects.cancel(message.objectId, (want) => want.kind === "get" && want.process === from.processId);
        return true;
      case "releaseBlock":
        this.#store.unpin(message.objectId, from.processId, message.offset);
        return true;
      case "objectAvailable":
        this.#objects.objectAvailable(message.objectId, message.sizeBytes, message);
        return true;
      case "objectGone":
        this.#objects.objectGone(message.objectId, message.reason);
        return true;
      case "freeObject":
        this.#store.free(message.objectId);
        return true;
      default:
        return false;
    }
  }

  #createObject(from: ProcessRef, { objectId, sizeBytes }: MessageBody<"createObject">): void {
    const block = this.#store.create(objectId, sizeBytes, from.processId);
    if (block === "full") {
      this.#port.send(from, { type: "objectRefused", objectId, reason: storeFull(objectId, sizeBytes, this.#store) });
    } else if (block === "exists") {
      this.#port.send(from, { type: "objectSealed", objectId }); // a task ran again: the first result stands
    } else {
      this.#port.send(from, { type: "objectCreated", objectId, offset: block.offset });
    }
  }

  /** Lecture, `storeResult`: the object is in the store from here on; then `registerObject` tells the GCS. */
  #sealObject(from: ProcessRef, { objectId, holder, contains }: MessageBody<"sealObject">): void {
    if (this.#store.has(objectId)) return; // said twice: its holder may have let go of it since
    const sizeBytes = this.#store.seal(objectId);
    if (sizeBytes === undefined) return;
    this.#journey.record("storeResult", objectId);
    this.#journey.record("registerObject", objectId);
    this.#sealing.set(objectId, from.processId);
    this.#port.send(GCS, { type: "registerObject", objectId, sizeBytes, holder, contains });
    this.#objects.sealedHere(objectId);
  }

  #objectRegistered(objectId: ObjectId): void {
    const sealer = this.#sealing.get(objectId);
    this.#sealing.delete(objectId);
    if (sealer !== undefined) this.#port.sendToLocal(sealer, { type: "objectSealed", objectId });
  }
}
