/**
 * The desk of a node's store: takes the messages of writers and readers to the store index and the object manager.
 *
 * Lecture: steps `storeResult` and `registerObject`.
 */
import { GCS, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { Failure, Message, MessageBody } from "../../protocol/messages.js";
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
  /** Who made an object that the GCS has not confirmed yet: its writer, and others who were going to write the same. */
  readonly #sealing = new Map<ObjectId, Set<ProcessId>>();
  /** A task that ran again makes the same object again: its writer waits for the seal of the first. */
  readonly #waiting = new Map<ObjectId, Map<ProcessId, MessageBody<"createObject">>>();

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
        this.writersGone();
        return true;
      case "objectRefused":
        this.#registrationRefused(message.objectId, message.reason);
        return true;
      case "objectRegistered":
        this.#objectRegistered(message.objectId);
        return true;
      case "getObject":
        if (message.mustBeHere && !this.#store.has(message.objectId)) {
          this.#port.send(from, { type: "argumentMissing", objectId: message.objectId });
          return true;
        }
        this.#objects.want(message.objectId, { kind: "get", process: from.processId, fetch: message.fetch });
        return true;
      case "cancelGet":
        this.#objects.cancel(message.objectId, (want) => want.kind === "get" && want.process === from.processId);
        return true;
      case "releaseBlock":
        this.#store.unpin(message.objectId, from.processId);
        return true;
      case "objectAvailable":
        this.#objects.objectAvailable(message.objectId, message.sizeBytes, message.attempt, message.locations);
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

  /** A writer of this node, or a fetch, gave up or died: another that waits writes in its place. */
  writersGone(): void {
    for (const [objectId, waiting] of [...this.#waiting]) {
      this.#waiting.delete(objectId);
      for (const [process, message] of waiting) this.#createFor(process, message);
    }
    this.#objects.writersGone();
  }

  processDied(process: ProcessId): void {
    for (const waiting of this.#waiting.values()) waiting.delete(process);
    this.writersGone();
  }

  #createObject(from: ProcessRef, message: MessageBody<"createObject">): void {
    this.#createFor(from.processId, message);
  }

  #createFor(process: ProcessId, message: MessageBody<"createObject">): void {
    const { objectId, sizeBytes } = message;
    const block = this.#store.create(objectId, sizeBytes, process);
    if (block === "full") {
      const reason = storeFull(objectId, sizeBytes, this.#store);
      this.#port.sendToLocal(process, { type: "objectRefused", objectId, reason });
    } else if (block !== "exists") {
      this.#port.sendToLocal(process, { type: "objectCreated", objectId, offset: block.offset });
    } else if (!this.#store.has(objectId)) {
      const waiting = this.#waiting.get(objectId) ?? new Map<ProcessId, MessageBody<"createObject">>();
      this.#waiting.set(objectId, waiting.set(process, message));
    } else if (this.#sealing.has(objectId)) {
      this.#sealing.get(objectId)?.add(process);
    } else {
      this.#port.sendToLocal(process, { type: "objectSealed", objectId }); // a task ran again: the first result stands
    }
  }

  /** Lecture, `storeResult`: the object is in the store from here on; then `registerObject` tells the GCS. */
  #sealObject(from: ProcessRef, { objectId, attempt, holder, contains }: MessageBody<"sealObject">): void {
    if (this.#store.has(objectId)) return; // said twice: its holder may have let go of it since
    const sizeBytes = this.#store.seal(objectId);
    if (sizeBytes === undefined) return;
    this.#journey.record("storeResult", objectId);
    this.#journey.record("registerObject", objectId);
    this.#sealing.set(objectId, new Set([from.processId, ...(this.#waiting.get(objectId)?.keys() ?? [])]));
    this.#waiting.delete(objectId);
    this.#port.send(GCS, { type: "registerObject", objectId, sizeBytes, attempt, holder, contains });
    this.#objects.sealedHere(objectId);
  }

  #objectRegistered(objectId: ObjectId): void {
    const writers = this.#sealing.get(objectId) ?? [];
    this.#sealing.delete(objectId);
    for (const writer of writers) this.#port.sendToLocal(writer, { type: "objectSealed", objectId });
  }

  /** The object table has no room: nobody could ever find the object. */
  #registrationRefused(objectId: ObjectId, reason: Failure): void {
    const writers = this.#sealing.get(objectId) ?? [];
    this.#sealing.delete(objectId);
    this.#store.free(objectId);
    for (const writer of writers) this.#port.sendToLocal(writer, { type: "objectRefused", objectId, reason });
  }
}
