/**
 * The store of a node: index, spilling, room and object manager as one, between the raylet and the world.
 *
 * Decides: nothing itself; it takes what the world says to the part that it concerns, and lets waiting requests go on
 * after everything that may have made room.
 * Does not know: object bytes, sockets, leases.
 */
import { assert } from "../../base/assert.js";
import { GCS, type NodeId, type ObjectId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { Failure, Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { Block } from "../store/entry.js";
import { holdersInWords } from "../store/holders.js";
import { Room } from "../store/room.js";
import { type SpillFileId, Spilling, type SpillPart } from "../store/spilling.js";
import { StoreIndex } from "../store/store-index.js";
import { ObjectManager } from "./object-manager.js";
import type { ObjectManagerPort, Sources, Want } from "./pull.js";
import { StoreDesk } from "./store-desk.js";

/** What the store asks of the disk, and of the arena's file system. */
export interface DiskPort {
  /** Take space for a range of the arena, before anybody writes there. False when there is none. */
  reserveSpace(offset: number, sizeBytes: number): boolean;
  /** Write blocks of the arena into a new file; answered with `written`. */
  writeSpill(file: SpillFileId, parts: readonly SpillPart[]): void;
  /** Copy an object from its file into the block at `offset`; answered with `restored`. */
  restoreSpill(object: ObjectId, file: SpillFileId, offset: number, sizeBytes: number): void;
  deleteSpill(file: SpillFileId): void;
  /** No block lies in the fallback file any more. */
  emptyFallback(): void;
  /** Answered with `wakeUp`. */
  wakeUpAfter(delayMs: number): void;
}

export interface NodeStorePort {
  readonly disk: DiskPort;
  send(to: ProcessRef, message: Message): void;
  /** To a process of this node, if it is still there. */
  sendToLocal(process: ProcessId, message: Message): void;
  fetchObject(object: ObjectId, from: Sources, offset: number, sizeBytes: number): void;
  argumentReady(want: Want & { readonly kind: "argument" }, object: ObjectId): void;
  argumentFailed(want: Want & { readonly kind: "argument" }, reason: Failure): void;
  /** The store is full: what nobody can reach any more should go before anything is spilled for it. */
  wantGarbage(): void;
  /** The process broke the protocol: its connection ends. */
  refuse(process: ProcessRef, why: string): void;
  /** A process of this node in words, with the tasks that it runs. */
  nameOf(process: ProcessId): string;
}

/** Where a puller's bytes come from. */
export type PullSource =
  | { readonly kind: "memory"; readonly offset: number; readonly sizeBytes: number }
  | { readonly kind: "file"; readonly file: SpillFileId; readonly sizeBytes: number };

export class NodeStore {
  readonly index: StoreIndex;
  readonly spilling: Spilling;
  readonly room: Room;
  readonly objects: ObjectManager;
  readonly #desk: StoreDesk;
  readonly #port: NodeStorePort;
  readonly #journey: Journey;
  /** Files from which objects are being read into memory. */
  readonly #restoring = new Map<ObjectId, SpillFileId>();
  #usesFallback = false;
  /** The processes of other nodes have been asked for garbage, and nothing was freed here since, nor has time passed. */
  #hasAskedAll = false;

  constructor(self: NodeId, capacityBytes: number, port: NodeStorePort, journey: Journey) {
    this.#port = port;
    this.#journey = journey;
    this.index = new StoreIndex(capacityBytes, (offset, sizeBytes) => port.disk.reserveSpace(offset, sizeBytes));
    this.spilling = new Spilling(this.index, port.disk);
    this.room = new Room(this.index, this.spilling, {
      revoke: (except) => this.#revoke(except),
      dropLocation: (objectId) => this.objects.evicted(objectId),
      wakeUpAfter: (delayMs) => port.disk.wakeUpAfter(delayMs),
      holders: () => this.#holders(),
    });
    this.objects = new ObjectManager(self, this.#objectPort(), this, journey);
    this.#desk = new StoreDesk(this, this.objects, journey, port);
  }

  /** True when the message was about objects. */
  receive(from: ProcessRef, message: Message): boolean {
    if (!this.#desk.receive(from, message)) return false;
    if (message.type === "freeObject") this.#hasAskedAll = false;
    this.settle();
    return true;
  }

  processDied(process: ProcessId): void {
    this.#desk.processDied(process);
    this.index.processDied(process);
    this.processLeft(process);
  }

  /** It asks for nothing any more. What it may still write to, or read in place, stays its own until it is dead. */
  processLeft(process: ProcessId): void {
    this.room.processDied(process);
    this.objects.processDied(process);
    this.settle();
  }

  /** A fetch from another node has ended. `OBJECT_LOST`: its copy is not there, or damaged. */
  fetched(object: ObjectId, failure: Failure | undefined): void {
    this.objects.fetched(object, this.#explained(failure));
    this.settle();
  }

  /** A spill file is complete, or could not be written. */
  written(file: SpillFileId, failure: Failure | undefined): void {
    this.spilling.written(file, failure);
    this.settle();
  }

  /** A restore has ended. `OBJECT_LOST`: the bytes could not be read, or are not those that were written. */
  restored(object: ObjectId, failure: Failure | undefined): void {
    const file = this.#restoring.get(object);
    this.#restoring.delete(object);
    assert(file !== undefined, "a restore ends once");
    this.objects.restored(object, file, this.#explained(failure));
    this.spilling.close(file);
    this.settle();
  }

  /** A puller reads the object; matched by one `closePull`. */
  openPull(object: ObjectId, reader: ProcessId): PullSource | undefined {
    const block = this.index.pin(object, reader);
    if (block !== undefined) return { kind: "memory", offset: block.offset, sizeBytes: block.sizeBytes };
    const sizeBytes = this.spilling.sizeOf(object);
    const file = this.spilling.open(object);
    return file === undefined || sizeBytes === undefined ? undefined : { kind: "file", file, sizeBytes };
  }

  closePull(object: ObjectId, reader: ProcessId, source: PullSource): void {
    if (source.kind === "file") this.spilling.close(source.file);
    else this.index.unpin(object, reader, source.offset);
    this.settle();
  }

  /** A puller has found that the bytes in this file are not those that were written. */
  damaged(object: ObjectId, file: SpillFileId): void {
    this.objects.lost(object, file);
    this.settle();
  }

  diskHas(freeBytes: number): void {
    this.spilling.diskHas(freeBytes);
    this.room.pump();
  }

  wakeUp(): void {
    this.room.wakeUp();
    this.settle();
  }

  tick(nowMs: number): void {
    this.#hasAskedAll = false;
    this.room.tick(nowMs);
    this.objects.tick(nowMs);
    this.settle();
  }

  /** Something has changed: who waits for room goes on, and what should be on disk is written. */
  settle(): void {
    this.room.pump();
    const usesFallback = this.index.fallbackBytes > 0;
    if (this.#usesFallback && !usesFallback) this.#port.disk.emptyFallback();
    this.#usesFallback = usesFallback;
  }

  check(): void {
    this.index.check();
    this.spilling.check();
    this.room.check();
    this.objects.check();
  }

  #objectPort(): ObjectManagerPort {
    return {
      subscribeObject: (objectId, forTask, fetch, failedAt) => this.#subscribe({ objectId, forTask, fetch, failedAt }),
      unsubscribeObject: (objectId) => this.#port.send(GCS, { type: "unsubscribeObject", objectId }),
      registerReplica: (objectId, sizeBytes, attempt) =>
        this.#port.send(GCS, { type: "registerObject", objectId, sizeBytes, attempt, holder: undefined, contains: [] }),
      fetchObject: (objectId, from, offset, sizeBytes) => this.#port.fetchObject(objectId, from, offset, sizeBytes),
      restoreObject: (objectId, offset, sizeBytes) => this.#restore(objectId, { offset, sizeBytes }),
      dropLocation: (objectId, nodeId) => this.#port.send(GCS, { type: "dropLocation", objectId, nodeId }),
      objectReady: (want, objectId) => this.#objectReady(want, objectId),
      objectFailed: (want, objectId, reason) => {
        if (want.kind === "argument") return this.#port.argumentFailed(want, reason);
        this.#port.sendToLocal(want.process, { type: "objectFailed", objectId, reason });
      },
      objectMissing: (process, objectId) => this.#port.sendToLocal(process, { type: "argumentMissing", objectId }),
    };
  }

  #subscribe(asked: Omit<MessageBody<"subscribeObject">, "type">): void {
    if (asked.forTask === undefined) this.#journey.record("subscribeObject", asked.objectId);
    else this.#journey.record("locateArgument", asked.forTask, asked.objectId);
    this.#port.send(GCS, { type: "subscribeObject", ...asked });
  }

  #restore(objectId: ObjectId, { offset, sizeBytes }: Block): void {
    const file = this.spilling.open(objectId);
    if (file === undefined) return;
    this.#restoring.set(objectId, file);
    this.#port.disk.restoreSpill(objectId, file, offset, sizeBytes);
  }

  #revoke(except: ProcessId): void {
    this.#port.wantGarbage();
    if (!this.#hasAskedAll) this.#port.send(GCS, { type: "garbageWanted" });
    this.#hasAskedAll = true;
    for (const [writer] of this.index.holdings()) {
      if (writer !== except) this.#port.sendToLocal(writer, { type: "extentsWanted" });
    }
  }

  #holders(): string {
    return holdersInWords(this.index, (process) => this.#port.nameOf(process));
  }

  /** The file system had no room for a block that was given: the shell cannot know who holds what. */
  #explained(failure: Failure | undefined): Failure | undefined {
    if (failure?.code !== "OBJECT_STORE_FULL") return failure;
    return { ...failure, message: `${failure.message}. ${this.#holders()}. Free space there, or drop refs` };
  }

  #objectReady(want: Want, objectId: ObjectId): void {
    if (want.kind === "argument") return this.#port.argumentReady(want, objectId);
    const block = want.fetch ? this.index.pin(objectId, want.process) : undefined;
    const { offset, sizeBytes } = block ?? { offset: 0, sizeBytes: 0 };
    this.#port.sendToLocal(want.process, {
      type: "objectReady",
      objectId,
      local: block !== undefined,
      offset,
      sizeBytes,
    });
  }
}
