/** An object on its way to this node: who wants it, how much, where it is, and what its manager asks of the world. */
import type { LeaseId, NodeId, ObjectId, ProcessId, TaskId } from "../../base/ids.js";
import type { Failure, NodeInfo } from "../../protocol/messages.js";

/**
 * Who wants an object: a process in `get` or (`waits`) in `wait`, or a lease request whose task takes it as an argument.
 * `mustBeHere`: a task that holds resources takes it; it waits for the way back from disk or from another node, not longer.
 */
export type Want =
  | {
      readonly kind: "get";
      readonly process: ProcessId;
      readonly fetch: boolean;
      readonly waits?: boolean;
      readonly mustBeHere?: boolean;
    }
  | { readonly kind: "argument"; readonly leaseId: LeaseId; readonly taskId: TaskId };

export interface ObjectManagerPort {
  /** `fetch`: the object is wanted itself, not only that it exists. `failedAt`: the copy there could not be fetched. */
  subscribeObject(object: ObjectId, forTask: TaskId | undefined, fetch: boolean, failedAt?: NodeId): void;
  unsubscribeObject(object: ObjectId): void;
  /** A replica has been sealed here. */
  registerReplica(object: ObjectId, sizeBytes: number, attempt: number): void;
  /** The copy there is gone, or nobody can read it: then it is none. */
  dropLocation(object: ObjectId, node: NodeId): void;
  /** Copy an object from other nodes' stores into the local block at `offset`; `fetched` says how it went. */
  fetchObject(object: ObjectId, from: Sources, offset: number, sizeBytes: number): void;
  /** Copy a spilled object from its file into the local block at `offset`; `restored` says how it went. */
  restoreObject(object: ObjectId, offset: number, sizeBytes: number): void;
  objectReady(want: Want, object: ObjectId): void;
  objectFailed(want: Want, object: ObjectId, reason: Failure): void;
  /** It was to be here, and may be a long time coming: who wanted it does not wait. */
  objectMissing(process: ProcessId, object: ObjectId): void;
}

/** Where an object is, the best first; the first `width` may be asked at the same time. */
export interface Sources {
  readonly locations: readonly NodeId[];
  readonly width: number;
}

/** The same with their addresses. */
export interface FetchSources {
  readonly nodes: readonly NodeInfo[];
  readonly width: number;
}

export interface Pull {
  readonly wants: Want[];
  sizeBytes: number;
  /** The run of its task that made the copies. */
  attempt: number;
  sources: Sources;
  /** The first of those that were asked last. */
  from: NodeId | undefined;
  /** "fetching": from the wait for a block on. "resting": it failed often; the object table is asked when time has passed. */
  state: "subscribed" | "queued" | "fetching" | "resting";
  attempts: number;
  /** Since when it has failed, though nothing bad is known of any copy. */
  failingSinceMs: number | undefined;
  /** How often time has passed while nobody said where it is. */
  ticks: number;
}

export const NOWHERE: Sources = { locations: [], width: 1 };

export function newPull(want: Want): Pull {
  return {
    wants: [want],
    sizeBytes: 0,
    attempt: 0,
    sources: NOWHERE,
    from: undefined,
    state: "subscribed",
    attempts: 0,
    failingSinceMs: undefined,
    ticks: 0,
  };
}

export function isImpatient(want: Want): want is Want & { readonly kind: "get" } {
  return want.kind === "get" && want.mustBeHere === true;
}

/** Of what somebody wants: task arguments, `wait`, `get`. */
export const URGENCIES: readonly number[] = [0, 1, 2];

/** get > wait > task arguments > nobody any more. */
export function urgency({ wants }: Pull): number {
  if (wants.length === 0) return -1;
  if (!wants.some((want) => want.kind === "get")) return 0;
  return wants.some((want) => want.kind === "get" && !want.waits) ? 2 : 1;
}

export function isCurious(want: Want): boolean {
  return want.kind === "get" && !want.fetch;
}

/** Another first for each attempt. */
export function rotated({ locations, width }: Sources, by: number): Sources {
  const first = by % locations.length;
  return { locations: [...locations.slice(first), ...locations.slice(0, first)], width };
}
