/** What the object table asks of the world, and what it shows of itself. */
import type { ActorId, NodeId, ObjectId, ProcessId, ProcessRef, TaskId } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";
import type { Sources } from "./distribution.js";

/** A process, an object that contains the ref, or a task that may have to run again with it. */
export type HolderId = ProcessId | ObjectId | TaskId;

/** What the table asks of the world. A port never calls back into the machine within the same call. */
export interface ObjectTablePort {
  /** Tell a waiting node where an object can be fetched. */
  objectAvailable(waiter: NodeId, object: ObjectId, entry: ObjectEntry, sources: Sources): void;
  /** Tell a waiting node that an object will never be there. */
  objectGone(waiter: NodeId, object: ObjectId, reason: Failure): void;
  /** Tell a node to drop its copy; nobody can reach the object any more. */
  freeObject(node: NodeId, object: ObjectId): void;
  /** Ask the worker that makes or has made the value to put it into the store: somebody waits for it. */
  promoteResult(runner: ProcessRef, object: ObjectId): void;
  /** Tell a node that its replica is the primary copy from now on. */
  becomePrimary(node: NodeId, object: ObjectId): void;
  /** Nobody can reach it any more. Actors are held like objects (they have no copies): their table ends them. */
  unreachable(object: ObjectId | ActorId): void;
  /** A node waits for an object whose last copy is gone. */
  lostIsWanted(object: ObjectId): void;
}

export interface ObjectEntry {
  readonly sizeBytes: number;
  /** The run of its task that made the copies. */
  readonly attempt: number;
  readonly locations: ReadonlySet<NodeId>;
}

/** A row as others see it. Actors have one too. */
export interface TableEntry extends ObjectEntry {
  readonly holders: ReadonlySet<HolderId>;
  /** Where its last copy was; "freed" for an object that was let go. */
  readonly lostFrom: NodeId | "freed" | undefined;
  /** Why there will be no value. */
  readonly gone: Failure | undefined;
}
