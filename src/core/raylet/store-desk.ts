/**
 * The desk of a node's store: takes the messages of writers and readers to the store index and the object manager.
 *
 * Lecture: steps `storeResult` and `registerObject`.
 */
import { GCS, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { Place } from "../store/entry.js";
import type { Room } from "../store/room.js";
import type { Spilling } from "../store/spilling.js";
import type { StoreIndex } from "../store/store-index.js";
import type { ObjectManager, StoreParts } from "./object-manager.js";

export interface StoreDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** To a process of this node, if it is still there. */
  sendToLocal(process: ProcessId, message: Message): void;
}

export class StoreDesk {
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #room: Room;
  readonly #objects: ObjectManager;
  readonly #journey: Journey;
  readonly #port: StoreDeskPort;
  /** Who sealed an object that the GCS has not confirmed yet. */
  readonly #sealing = new Map<ObjectId, ProcessId>();

  constructor(store: StoreParts, objects: ObjectManager, journey: Journey, port: StoreDeskPort) {
    this.#store = store.index;
    this.#spilling = store.spilling;
    this.#room = store.room;
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
        this.#abortObject(from, message.objectId);
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
        this.#store.unpin(message.objectId, from.processId);
        return true;
      case "objectAvailable":
        this.#objects.objectAvailable(message.objectId, message.sizeBytes, message.locations);
        return true;
      case "objectGone":
        this.#objects.objectGone(message.objectId, message.reason);
        return true;
      case "freeObject":
        this.#spilling.free(message.objectId);
        this.#store.free(message.objectId);
        return true;
      case "becomePrimary":
        if (this.#store.has(message.objectId) && !this.#spilling.has(message.objectId)) {
          this.#store.setCopy(message.objectId, "primary");
        }
        return true;
      default:
        return false;
    }
  }

  /** The writer is told when it has a block; until then it waits, in the order of asking. */
  #createObject(from: ProcessRef, { objectId, sizeBytes }: MessageBody<"createObject">): void {
    this.#room.ask({
      process: from.processId,
      objectId,
      sizeBytes,
      take: (place) => this.#takeBlock(from, objectId, sizeBytes, place),
      refuse: (reason) => this.#port.send(from, { type: "objectRefused", objectId, reason }),
    });
  }

  #takeBlock(from: ProcessRef, objectId: ObjectId, sizeBytes: number, place: Place): boolean {
    const block = this.#spilling.has(objectId)
      ? "exists"
      : this.#store.create(objectId, sizeBytes, from.processId, place);
    if (block === "full") return false;
    if (block === "exists") {
      this.#port.send(from, { type: "objectSealed", objectId }); // a task ran again: the first result stands
    } else {
      this.#port.send(from, { type: "objectCreated", objectId, offset: block.offset });
    }
    return true;
  }

  #abortObject(from: ProcessRef, objectId: ObjectId): void {
    if (this.#store.writerOf(objectId) !== from.processId) return; // said twice: somebody else writes it now
    this.#store.abort(objectId);
    this.#objects.writersGone();
  }

  /** Lecture, `storeResult`: the object is in the store from here on; then `registerObject` tells the GCS. */
  #sealObject(from: ProcessRef, { objectId, holder, contains }: MessageBody<"sealObject">): void {
    // Said twice, its holder may have let go of it since, or it is being restored from disk.
    if (this.#store.writerOf(objectId) !== from.processId) return;
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
