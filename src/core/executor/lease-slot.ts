/** What an executor knows of its leases and of the tasks that came by them. */
import { Deque } from "../../base/deque.js";
import type { LeaseId, ProcessRef } from "../../base/ids.js";
import type { Outcome } from "../owner/records.js";
import { type Amounts, NOTHING } from "../resources.js";
import { type Claimed, UNCLAIMED } from "./claim-words.js";

/** Where answers for a lease go. The shell's connection; the executor only passes it on. */
export type Caller = unknown;

/** One task at this worker. `task` is the shell's. */
export interface Run {
  readonly lease: LeaseSlot;
  readonly sequence: number;
  readonly task: unknown;
  state: "queued" | "preparing" | "running" | "done";
  /** How many waits of the task are pending; above 0 it is blocked. */
  waits: number;
  startedMs: number;
}

/** Who holds the results of a run: its owner, unless it has given the run up, and may have let go of them already. */
export function holderOf({ lease }: Run): ProcessRef | undefined {
  return lease.closed && lease.caller === undefined ? undefined : lease.owner;
}

/** What the raylet says of a lease when it opens it. */
export interface Opening {
  readonly held: Amounts;
  /** The lease's number in the claim words; 0 when the raylet recalls nothing. */
  readonly claim: number;
  /** The raylet sends its first task as well: nothing of the lease starts before that. */
  readonly hasFirst: boolean;
}

export const PLAIN: Opening = { held: NOTHING, claim: 0, hasFirst: false };

export interface LeaseSlot extends Claimed {
  readonly id: LeaseId;
  readonly owner: ProcessRef;
  claim: number;
  /** What its tasks hold of the node; known from the raylet's word on. */
  held: Amounts;
  /** The owner's connection; answers wait for it when the first task came by way of the raylet. */
  caller: Caller | undefined;
  /** The shell's way to it by its owner's connection. */
  route: unknown;
  readonly queue: Deque<Run>;
  readonly unanswered: Unread[];
  /** Handed back before the owner had connected. */
  readonly goneBack: number[];
  /** Being prepared, or running. */
  current: Run | undefined;
  /** The first task has come by way of the raylet. */
  dispatched: boolean;
  /** The raylet has said all that it says when it grants a lease. Its word may come after the owner's first push. */
  granted: boolean;
  closed: boolean;
}

/** An answer whose owner has not come for it. */
export interface Unread {
  readonly run: Run;
  outcome: Outcome;
  readonly runTimeMs: number;
  readonly sinceMs: number;
  /** "promoting": its values are on their way to the store; it is answered when they are there. */
  state: "inline" | "promoting" | "promoted";
}

export function newSlot(id: LeaseId, owner: ProcessRef): LeaseSlot {
  return {
    id,
    owner,
    ...UNCLAIMED,
    held: NOTHING,
    caller: undefined,
    route: undefined,
    queue: new Deque(),
    unanswered: [],
    goneBack: [],
    current: undefined,
    dispatched: false,
    granted: false,
    closed: false,
  };
}

export function newRun(lease: LeaseSlot, sequence: number, task: unknown): Run {
  return { lease, sequence, task, state: "queued", waits: 0, startedMs: 0 };
}

export function isBlocked(run: Run | undefined): boolean {
  return run !== undefined && run.waits > 0;
}
