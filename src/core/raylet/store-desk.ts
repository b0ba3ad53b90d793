/**
 * The desk of a node's store: takes the messages of writers and readers to the store index and the object manager.
 *
 * Lecture: steps `storeResult` and `registerObject`.
 */
import { GCS, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { Failure, Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { Place } from "../store/entry.js";
import type { Room, RoomRequest } from "../store/room.js";
import type { Spilling } from "../store/spilling.js";
import type { StoreIndex } from "../store/store-index.js";
import type { ObjectManager, StoreParts } from "./object-manager.js";

export interface StoreDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** To a process of this node, if it is still there. */
  sendToLocal(process: ProcessId, message: Message): void;
  /** The process broke the protocol: its connection ends. */
  refuse(process: ProcessRef, why: string): void;
}

/** An object that the GCS has not confirmed yet. */
interface Sealing {
  /** Two, when its task ran twice. */
  readonly sealers: Set<ProcessId>;
  /** Its run was given up by the owner, or is a rebuild: if nobody else holds the object, the GCS has it freed. */
  readonly isOrphan: boolean;
  /** What a later run sealed, whose owner waits for it: it stands if the first is freed. */
  later: readonly (readonly [ProcessRef, MessageBody<"sealObject">])[];
}

const NOT_NOW: Failure = { code: "OBJECT_STORE_FULL", message: "no room is free now" };
const NOR_ON_DISK: Failure = { code: "OUT_OF_DISK", message: "no room is free now, nor on disk" };

export class StoreDesk {
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #room: Room;
  readonly #objects: ObjectManager;
  readonly #journey: Journey;
  readonly #port: StoreDeskPort;
  readonly #sealing = new Map<ObjectId, Sealing>();

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
    return this.#receiveFromWriter(from, message) || this.#receiveAboutObject(from, message);
  }

  /** What it has in extents of its own goes with them. */
  processDied(process: ProcessId): void {
    for (const sealing of this.#sealing.values()) {
      sealing.later = sealing.later.filter(([{ processId }]) => processId !== process);
    }
  }

  #receiveFromWriter(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "leaseExtent":
        this.#leaseExtent(from, message);
        return true;
      case "returnExtent":
        this.#returnExtent(from, message);
        return true;
      case "sealObject":
        this.#sealObject(from, message);
        return true;
      case "objectRefused":
        this.#registrationRefused(message.objectId, message.reason);
        return true;
      case "objectRegistered":
        this.#objectRegistered(message.objectId);
        return true;
      default:
        return false;
    }
  }

  #receiveAboutObject(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "getObject":
        this.#getObject(from.processId, message);
        return true;
      case "cancelGet":
        this.#objects.cancel(message.objectId, (want) => want.kind === "get" && want.process === from.processId);
        return true;
      case "releaseBlock":
        this.#store.unpin(message.objectId, from.processId, message.offset);
        return true;
      case "objectAvailable":
        this.#objects.objectAvailable(message.objectId, message.sizeBytes, message.attempt, message);
        return true;
      case "objectGone":
        this.#objects.objectGone(message.objectId, message.reason);
        return true;
      case "freeObject":
        this.#free(message.objectId);
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

  #getObject(process: ProcessId, { objectId, fetch, waits, mustBeHere }: MessageBody<"getObject">): void {
    this.#objects.want(objectId, { kind: "get", process, fetch, waits, mustBeHere });
  }

  /**
   * Room that is free is given at once. For more than that the writer, which has tried all it can, waits its turn: before
   * that it is told whether there is disk.
   */
  #leaseExtent(from: ProcessRef, { request, minBytes, last, letGo }: MessageBody<"leaseExtent">): void {
    const asked: RoomRequest = {
      process: from.processId,
      objectId: undefined,
      sizeBytes: minBytes,
      hasLetGo: letGo,
      take: (place) => this.#lease(from, request, minBytes, place),
      refuse: (reason) => this.#port.send(from, { type: "extentRefused", request, reason }),
    };
    if (last) this.#room.ask(asked);
    else if (!this.#room.askNow(asked)) asked.refuse(this.#spilling.diskFits(minBytes) ? NOT_NOW : NOR_ON_DISK);
  }

  #lease(writer: ProcessRef, request: number, minBytes: number, place: Place): boolean {
    const extent = this.#store.leaseExtent(writer.processId, minBytes, place);
    if (extent === undefined) return false;
    this.#port.send(writer, { type: "extentLeased", request, offset: extent.offset, sizeBytes: extent.sizeBytes });
    return true;
  }

  #returnExtent(from: ProcessRef, { offset, sizeBytes }: MessageBody<"returnExtent">): void {
    if (this.#store.returnExtent(from.processId, offset, sizeBytes)) return;
    this.#port.refuse(from, `it returned ${sizeBytes} bytes at ${offset} of the store, which it does not hold`);
  }

  /** Lecture, `storeResult`: the object is in the store from here on; then `registerObject` tells the GCS. */
  #sealObject(from: ProcessRef, message: MessageBody<"sealObject">): void {
    const { objectId, offset, sizeBytes, attempt, holder, contains } = message;
    const sealing = this.#sealing.get(objectId);
    const isOrphan = holder === undefined || holder.processId === GCS.processId;
    if (sealing?.isOrphan === true && !isOrphan) {
      sealing.later = [...sealing.later, [from, message]];
      return;
    }
    const adopted = this.#adopt(from.processId, message);
    if (adopted === "foreign") {
      const why = `it sealed object ${objectId} of ${sizeBytes} bytes at ${offset} of the store, outside of its extents`;
      return this.#port.refuse(from, why);
    }
    if (adopted === "known") {
      // Said twice, or its task ran again: the first result stands. Its holder may have let go of it since.
      if (sealing === undefined) this.#port.send(from, { type: "objectSealed", objectId });
      else sealing.sealers.add(from.processId);
      return;
    }
    this.#journey.record("storeResult", objectId);
    this.#journey.record("registerObject", objectId);
    // There is one when the copy that it is about was freed before the answer.
    const { sealers, later } = sealing ?? { sealers: new Set<ProcessId>(), later: [] };
    this.#sealing.set(objectId, { sealers: sealers.add(from.processId), isOrphan, later });
    this.#port.send(GCS, { type: "registerObject", objectId, sizeBytes, attempt, holder, contains });
    this.#objects.sealedHere(objectId);
  }

  #adopt(
    writer: ProcessId,
    { objectId, offset, sizeBytes, pins }: MessageBody<"sealObject">,
  ): "sealed" | "known" | "foreign" {
    if (!this.#spilling.has(objectId)) return this.#store.adopt(objectId, writer, { offset, sizeBytes }, pins);
    this.#store.discard(objectId, writer, { offset, sizeBytes }, pins);
    return "known";
  }

  #objectRegistered(objectId: ObjectId): void {
    this.#answerSealers(objectId, { type: "objectSealed", objectId });
  }

  #answerSealers(objectId: ObjectId, answer: Message): void {
    const sealing = this.#sealing.get(objectId);
    this.#sealing.delete(objectId);
    for (const sealer of sealing?.sealers ?? []) this.#port.sendToLocal(sealer, answer);
    for (const [from, message] of sealing?.later ?? []) this.#sealObject(from, message);
  }

  /** The object table has no room: nobody could ever find the object. */
  #registrationRefused(objectId: ObjectId, reason: Failure): void {
    this.#free(objectId);
    this.#answerSealers(objectId, { type: "objectRefused", objectId, reason });
  }

  #free(objectId: ObjectId): void {
    this.#spilling.free(objectId);
    this.#store.free(objectId);
  }
}
