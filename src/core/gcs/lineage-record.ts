/** What the GCS knows of a task whose results it may have to make again. */
import type { LeaseId, ObjectId, ProcessId, ProcessRef, TaskId } from "../../base/ids.js";
import type { LineageSpec } from "../../protocol/messages.js";

/** A run of the task that is under way. */
export interface Rebuild {
  readonly leaseId: LeaseId;
  /** What its arguments name, held in the task's name until it has ended. */
  readonly held: readonly ObjectId[];
  worker: ProcessRef | undefined;
}

export interface LineageRecord {
  readonly spec: LineageSpec;
  readonly sizeBytes: number;
  /** Returns that have an entry in the object table. */
  readonly live: Set<number>;
  /** Tasks whose results this one takes. */
  readonly needs: ReadonlySet<TaskId>;
  /** Who has it run, while it has not ended there. */
  owner: ProcessId | undefined;
  lostAttempts: number;
  /** Every run has a number of its own: it tells the children of two runs apart. */
  run: number;
  rebuild: Rebuild | undefined;
  /** Why the last run is no more. */
  lastLoss: string;
}
