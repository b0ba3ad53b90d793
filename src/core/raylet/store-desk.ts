/**
 * The desk of a node's store: takes the messages of writers and readers to the store index and the object manager.
 *
 * Lecture: steps `storeResult` and `registerObject`.
 */
import { GCS, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import { EXTENT_WAIT_MS } from "../../base/limits.js";
import type { Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { StoreIndex } from "../store/store-index.js";
import type { ObjectManager } from "./object-manager.js";

export interface StoreDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** To a process of this node, if it is still there. */
  sendToLocal(process: ProcessId, message: Message): void;
  /** The process broke the protocol: its connection ends. */
  refuse(process: ProcessRef, why: string): void;
}

/** A writer that waits for room, in synchronous code. */
interface Waiting {
  readonly writer: ProcessRef;
  readonly request: number;
  readonly minBytes: number;
  readonly untilMs: number;
}

export class StoreDesk {
  readonly #store: StoreIndex;
  readonly #objects: ObjectManager;
  readonly #journey: Journey;
  readonly #port: StoreDeskPort;
  /** Who sealed an object that the GCS has not confirmed yet: two, when its task ran twice. */
  readonly #sealing = new Map<ObjectId, Set<ProcessId>>();
  /** Oldest first; a process waits for one thing at a time. */
  readonly #waiting = new Map<ProcessId, Waiting>();
  #nowMs = 0;

  constructor(store: StoreIndex, objects: ObjectManager, journey: Journey, port: StoreDeskPort) {
    this.#store = store;
    this.#objects = objects;
    this.#journey = journey;
    this.#port = port;
  }

  /** True when the message was about objects. */
  receive(from: ProcessRef, message: Message): boolean {
    const isMine = this.#receiveFromWriter(from, message) || this.#receiveAboutObject(from, message);
    if (isMine) this.serveWaiting();
    return isMine;
  }

  /** Room may have come back: give it to those who wait, the oldest first. */
  serveWaiting(): void {
    for (const [process, { writer, request, minBytes }] of this.#waiting) {
      if (!this.#lease(writer, request, minBytes)) continue;
      this.#waiting.delete(process);
    }
  }

  processDied(process: ProcessId): void {
    this.#waiting.delete(process);
    this.serveWaiting();
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [process, { writer, request, minBytes, untilMs }] of this.#waiting) {
      if (nowMs < untilMs) continue;
      this.#waiting.delete(process);
      this.#refuse(writer, request, minBytes);
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
        this.#objects.want(message.objectId, { kind: "get", process: from.processId, fetch: message.fetch });
        return true;
      case "cancelGet":
        this.#objects.cancel(message.objectId, (want) => want.kind === "get" && want.process === from.processId);
        return true;
      case "releaseBlock":
        this.#store.unpin(message.objectId, from.processId, message.offset);
        return true;
      case "objectAvailable":
        this.#objects.objectAvailable(message.objectId, message.sizeBytes, message.locations);
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

  #leaseExtent(from: ProcessRef, { request, minBytes, last }: MessageBody<"leaseExtent">): void {
    this.#waiting.delete(from.processId);
    if (this.#lease(from, request, minBytes)) return;
    if (!last || minBytes > this.#store.capacityBytes) return this.#refuse(from, request, minBytes);
    this.#waiting.set(from.processId, { writer: from, request, minBytes, untilMs: this.#nowMs + EXTENT_WAIT_MS });
    for (const writer of this.#store.writers()) {
      if (writer !== from.processId) this.#port.sendToLocal(writer, { type: "extentsWanted" });
    }
  }

  #lease(writer: ProcessRef, request: number, minBytes: number): boolean {
    const extent = this.#store.leaseExtent(writer.processId, minBytes);
    if (extent === undefined) return false;
    this.#port.send(writer, { type: "extentLeased", request, offset: extent.offset, sizeBytes: extent.sizeBytes });
    return true;
  }

  #refuse(writer: ProcessRef, request: number, minBytes: number): void {
    const { usedBytes, capacityBytes } = this.#store;
    const message = `${minBytes} bytes do not fit: the store has ${usedBytes} of ${capacityBytes} bytes in use. Drop refs, or give the node more with objectStoreMemory`;
    this.#port.send(writer, { type: "extentRefused", request, reason: { code: "OBJECT_STORE_FULL", message } });
  }

  #returnExtent(from: ProcessRef, { offset, sizeBytes }: MessageBody<"returnExtent">): void {
    if (this.#store.returnExtent(from.processId, offset, sizeBytes)) return;
    this.#port.refuse(from, `it returned ${sizeBytes} bytes at ${offset} of the store, which it does not hold`);
  }

  /** Lecture, `storeResult`: the object is in the store from here on; then `registerObject` tells the GCS. */
  #sealObject(from: ProcessRef, message: MessageBody<"sealObject">): void {
    const { objectId, offset, sizeBytes, pins, holder, contains } = message;
    const adopted = this.#store.adopt(objectId, from.processId, { offset, sizeBytes }, pins);
    if (adopted === "foreign") {
      const why = `it sealed object ${objectId} of ${sizeBytes} bytes at ${offset} of the store, outside of its extents`;
      return this.#port.refuse(from, why);
    }
    if (adopted === "known") {
      // Said twice, or its task ran again: the first result stands. Its holder may have let go of it since.
      const sealers = this.#sealing.get(objectId);
      if (sealers === undefined) this.#port.send(from, { type: "objectSealed", objectId });
      else sealers.add(from.processId);
      return;
    }
    this.#journey.record("storeResult", objectId);
    this.#journey.record("registerObject", objectId);
    this.#sealing.set(objectId, new Set([from.processId]));
    this.#port.send(GCS, { type: "registerObject", objectId, sizeBytes, holder, contains });
    this.#objects.sealedHere(objectId);
  }

  #objectRegistered(objectId: ObjectId): void {
    const sealers = this.#sealing.get(objectId) ?? [];
    this.#sealing.delete(objectId);
    for (const sealer of sealers) this.#port.sendToLocal(sealer, { type: "objectSealed", objectId });
  }
}
