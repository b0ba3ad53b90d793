/**
 * The GCS's desk for objects: takes messages of raylets, owners and holders to the object table and to lineage, for the
 * living, and refuses what the table has no room for.
 *
 * Lecture: steps `registerObject` and `notifyWaiters`, on the side of the GCS.
 *
 * Invariant: I-07 the object table is bounded: who asks for more is told so, and everything else goes on.
 */
import {
  type ActorId,
  type JobId,
  type NodeId,
  OBJECT_ID_DIGITS,
  type ObjectId,
  type ProcessId,
  type ProcessRef,
  rayletOf,
  TASK_ID_DIGITS,
} from "../../base/ids.js";
import { DECLARATION_WAIT_MS } from "../../base/limits.js";
import type { Failure, Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import { firstOf } from "../store/holders.js";
import type { Lineage } from "./lineage.js";
import type { ObjectTablePort } from "./object-port.js";
import type { ObjectTable } from "./object-table.js";

export interface ObjectDeskPort {
  send(to: ProcessRef, message: Message): void;
  isNodeAlive(node: NodeId): boolean;
  isAlive(process: ProcessRef): boolean;
  isJobAlive(job: JobId): boolean;
  /**
   * Call `heard` when every living process among these has sent what it had to say of its holds and its tasks when this
   * was called, at the latest after `HOLD_FLUSH_PATIENCE_MS`.
   */
  hear(isAsked: (process: ProcessId) => boolean, heard: () => void): void;
}

export class ObjectDesk {
  readonly #objects: ObjectTable;
  readonly #lineage: Lineage;
  readonly #journey: Journey;
  readonly #port: ObjectDeskPort;
  /** Since when objects are known to be without a maker. */
  readonly #strayMs = new Map<ObjectId, number>();
  #flushing = false;
  /** Lost objects without a known spec: those whose holders are being heard, and those whose turn comes then. */
  #asked: ReadonlySet<ObjectId> = new Set();
  #unasked = new Set<ObjectId>();
  /** Who holds most, in words: looked at once between two heartbeats, however many objects are refused. */
  #mostHolding: string | undefined;

  constructor(objects: ObjectTable, lineage: Lineage, journey: Journey, port: ObjectDeskPort) {
    this.#objects = objects;
    this.#lineage = lineage;
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
        this.#objects.subscribe(from.nodeId, message.objectId, message.fetch, message.failedAt);
        return true;
      case "unsubscribeObject":
        this.#objects.unsubscribe(from.nodeId, message.objectId);
        return true;
      case "dropLocation":
        this.#dropLocation(from, message);
        return true;
      case "objectFailed":
        this.#objects.makerFailed(from.processId, message.objectId, message.reason);
        return true;
      case "registerLineage":
        if (this.#port.isJobAlive(message.task.jobId) && this.#port.isAlive(from)) this.#lineage.register(message);
        return true;
      case "updateLineage":
        if (this.#port.isAlive(from)) this.#lineage.update(from.processId, message);
        return true;
      case "addHolds":
        for (const object of message.objects) this.#addHold(from, object as ObjectId, message);
        this.#port.send(from, { type: "holdsAdded", sequence: message.sequence });
        return true;
      case "releaseHolds":
        for (const object of message.objects) this.#objects.release(from.processId, object as ObjectId);
        return true;
      default:
        return false;
    }
  }

  /** False when the table has no room: the holder has been told. */
  addHold(from: ProcessRef, object: ObjectId): boolean {
    const hasRoom = this.#objects.hasRoomFor([object]);
    if (hasRoom) this.#objects.addHold(from.processId, object);
    else this.#port.send(from, { type: "objectFailed", objectId: object, reason: this.#tableFull(object) });
    return hasRoom;
  }

  /**
   * A ref may reach its borrower although its owner died before its own word of the object had left. An owner says so
   * before the ref leaves, so when every living process has been heard, what is still without a maker has none. Nor has
   * it when those who are left do not answer: a process in synchronous code has said its word before it lost the ref.
   */
  tick(nowMs: number): void {
    this.#mostHolding = undefined;
    this.#objects.tick();
    const { strays } = this.#objects;
    for (const object of this.#strayMs.keys()) if (!strays.has(object)) this.#strayMs.delete(object);
    for (const object of strays) if (!this.#strayMs.has(object)) this.#strayMs.set(object, nowMs);
    const overdue = [...this.#strayMs].filter(([, sinceMs]) => nowMs - sinceMs >= DECLARATION_WAIT_MS);
    if (overdue.length === 0 || this.#flushing) return;
    this.#flushing = true;
    const everybody = () => true;
    this.#port.hear(everybody, () => {
      this.#flushing = false;
      for (const [object] of overdue) if (strays.has(object)) this.#objects.fail(object, nobodys(object));
    });
  }

  /**
   * An object without a copy is wanted, and how it is made is not known. Its owner hands that over with the answer, and may
   * have asked for the object before, in the same turn: it holds the object.
   */
  askForSpec(object: ObjectId): void {
    if (this.#asked.has(object)) return;
    this.#unasked.add(object);
    if (this.#asked.size === 0) this.#askHolders();
  }

  /** One question at a time, for all that were asked for meanwhile: a node may take thousands of objects along. */
  #askHolders(): void {
    const asked = [...this.#unasked];
    this.#asked = this.#unasked;
    this.#unasked = new Set();
    const holdsAny = (process: ProcessId) => asked.some((object) => this.#objects.isHeldBy(process, object));
    this.#port.hear(holdsAny, () => {
      this.#asked = new Set();
      for (const object of asked) this.#lineage.noSpec(object);
      if (this.#unasked.size > 0) this.#askHolders();
    });
  }

  #registerObject(node: NodeId, message: MessageBody<"registerObject">): void {
    if (!this.#port.isNodeAlive(node)) return; // it was declared dead: its copies are no more, whatever it says
    const { objectId, sizeBytes, attempt, holder, contains } = message;
    const living = holder !== undefined && this.#port.isAlive(holder) ? holder.processId : undefined;
    if ((living !== undefined || contains.length > 0) && !this.#objects.hasRoomFor([objectId, ...contains])) {
      const reason = this.#tableFull(objectId);
      this.#port.send(rayletOf(node), { type: "objectRefused", objectId, reason });
      return;
    }
    const told = this.#objects.register(node, objectId, sizeBytes, living, contains, attempt);
    if (told) this.#journey.record("notifyWaiters", objectId);
    this.#port.send(rayletOf(node), { type: "objectRegistered", objectId });
  }

  /**
   * A copy that its own raylet gave up, or that another could not read: then it must not be read again. A node that was
   * only handing on what it had got keeps what it pulls.
   */
  #dropLocation(from: ProcessRef, { nodeId, objectId }: MessageBody<"dropLocation">): void {
    const wasCopy = this.#objects.dropLocation(nodeId, objectId);
    if (wasCopy && from.nodeId !== nodeId) this.#port.send(rayletOf(nodeId), { type: "freeObject", objectId });
  }

  #addHold(from: ProcessRef, object: ObjectId, { declare, runner }: MessageBody<"addHolds">): void {
    if (!this.#port.isAlive(from)) return;
    if (this.addHold(from, object) && declare) this.#objects.declare(from.processId, object, runner);
  }

  #holders(): string {
    this.#mostHolding ??= firstOf(this.#objects.holdings(), (a, b) => b[1] - a[1])
      .map(holderInWords)
      .join("; ");
    return `Those who hold most: ${this.#mostHolding}`;
  }

  #tableFull(object: ObjectId): Failure {
    return {
      code: "OBJECT_STORE_FULL",
      message: `object ${object} cannot be entered in the object table: it has room for ${this.#objects.maxObjects} objects of the cluster, which is the limit. ${this.#holders()}. Drop refs, or put many small values into one object`,
    };
  }
}

function holderInWords([holder, count]: readonly [string, number]): string {
  const kind = holder.length === OBJECT_ID_DIGITS ? "object" : holder.length === TASK_ID_DIGITS ? "task" : "process";
  return `${kind} ${holder} ${count}`;
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
    objectAvailable: (waiter, objectId, { sizeBytes, attempt }, { locations, width }) =>
      send(rayletOf(waiter), {
        type: "objectAvailable",
        objectId,
        sizeBytes,
        attempt,
        locations,
        width,
      }),
    objectGone: (waiter, objectId, reason) => send(rayletOf(waiter), { type: "objectGone", objectId, reason }),
    freeObject: (node, objectId) => send(rayletOf(node), { type: "freeObject", objectId }),
    promoteResult: (runner, objectId) => send(runner, { type: "promoteResult", objectId }),
    becomePrimary: (node, objectId) => send(rayletOf(node), { type: "becomePrimary", objectId }),
    unreachable: (id) => {
      if (id.length === TASK_ID_DIGITS) tables.actorUnreachable(id as ActorId);
      else tables.objectFreed(id as ObjectId);
    },
    lostIsWanted: (objectId) => tables.lostIsWanted(objectId),
  };
}

function nobodys(object: ObjectId): Failure {
  return {
    code: "OWNER_DIED",
    message: `object ${object} has no value, and nobody who lives is going to make it: the process that owned it died before it had told the cluster of the object`,
  };
}
