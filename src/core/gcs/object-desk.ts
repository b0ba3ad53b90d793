/**
 * The GCS's desk for objects: takes messages of raylets, owners and holders to the object table and to lineage.
 *
 * Lecture: steps `registerObject` and `notifyWaiters`, on the side of the GCS.
 */
import {
  type ActorId,
  type JobId,
  type NodeId,
  type ObjectId,
  type ProcessRef,
  rayletOf,
  TASK_ID_DIGITS,
} from "../../base/ids.js";
import type { Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { HoldFlush } from "./hold-flush.js";
import type { Lineage } from "./lineage.js";
import type { ObjectTable, ObjectTablePort } from "./object-table.js";

export interface ObjectDeskPort {
  send(to: ProcessRef, message: Message): void;
  isNodeAlive(node: NodeId): boolean;
  isAlive(process: ProcessRef): boolean;
  isJobAlive(job: JobId): boolean;
}

export class ObjectDesk {
  readonly #objects: ObjectTable;
  readonly #lineage: Lineage;
  readonly #flush: HoldFlush;
  readonly #journey: Journey;
  readonly #port: ObjectDeskPort;

  constructor(objects: ObjectTable, lineage: Lineage, flush: HoldFlush, journey: Journey, port: ObjectDeskPort) {
    this.#objects = objects;
    this.#lineage = lineage;
    this.#flush = flush;
    this.#journey = journey;
    this.#port = port;
  }

  /** True when the message was about objects. */
  receive(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "registerObject":
        this.#registerObject(from.nodeId, message);
        return true;
      case "subscribeObject":
        this.#objects.subscribe(from.nodeId, message.objectId, message.failedAt);
        return true;
      case "unsubscribeObject":
        this.#objects.unsubscribe(from.nodeId, message.objectId);
        return true;
      case "dropLocation":
        this.#dropLocation(from, message);
        return true;
      case "registerLineage":
        if (this.#port.isJobAlive(message.task.jobId) && this.#port.isAlive(from)) this.#lineage.register(message);
        return true;
      case "addHolds":
        for (const object of message.objects) this.#addHold(from, object as ObjectId, message.declare);
        this.#port.send(from, { type: "holdsAdded", sequence: message.sequence });
        return true;
      case "releaseHolds":
        for (const object of message.objects) this.#objects.release(from.processId, object as ObjectId);
        return true;
      case "holdsFlushed":
        this.#flush.flushed(from.processId, message.epoch);
        return true;
      default:
        return false;
    }
  }

  #registerObject(node: NodeId, message: MessageBody<"registerObject">): void {
    if (!this.#port.isNodeAlive(node)) return; // it was declared dead: its copies are no more, whatever it says
    const { objectId, sizeBytes, attempt, holder, contains } = message;
    const living = holder !== undefined && this.#port.isAlive(holder) ? holder.processId : undefined;
    const told = this.#objects.register(node, objectId, sizeBytes, living, contains, attempt);
    if (told) this.#journey.record("notifyWaiters", objectId);
    this.#port.send(rayletOf(node), { type: "objectRegistered", objectId });
  }

  /** A copy that its own raylet gave up, or that another could not read: then it must not be read again. */
  #dropLocation(from: ProcessRef, { nodeId, objectId }: MessageBody<"dropLocation">): void {
    this.#objects.dropLocation(nodeId, objectId);
    if (from.nodeId !== nodeId) this.#port.send(rayletOf(nodeId), { type: "freeObject", objectId });
  }

  #addHold(from: ProcessRef, object: ObjectId, declare: boolean): void {
    if (!this.#port.isAlive(from)) return;
    if (declare) this.#objects.declare(from.processId, object);
    else this.#objects.addHold(from.processId, object);
  }
}

/** What the object table asks of the world, as messages and as calls of the other tables. */
export function objectTablePort(
  port: Pick<ObjectDeskPort, "send">,
  tables: {
    actorUnreachable(actor: ActorId): void;
    objectFreed(object: ObjectId): void;
    lostIsWanted(object: ObjectId): void;
  },
): ObjectTablePort {
  const send = (to: ProcessRef, message: Message) => port.send(to, message);
  return {
    objectAvailable: (waiter, objectId, { sizeBytes, attempt, locations }) =>
      send(rayletOf(waiter), {
        type: "objectAvailable",
        objectId,
        sizeBytes,
        attempt,
        locations: [...locations],
      }),
    objectGone: (waiter, objectId, reason) => send(rayletOf(waiter), { type: "objectGone", objectId, reason }),
    freeObject: (node, objectId) => send(rayletOf(node), { type: "freeObject", objectId }),
    unreachable: (id) => {
      if (id.length === TASK_ID_DIGITS) tables.actorUnreachable(id as ActorId);
      else tables.objectFreed(id as ObjectId);
    },
    lostIsWanted: (objectId) => tables.lostIsWanted(objectId),
  };
}
