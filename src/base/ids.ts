/**
 * Names of things. All ids are lower-case hex strings; brands keep a task id from being taken for an object id.
 *
 * Ids of tasks, objects and actors are derived, not drawn, so that a task which runs again makes the same ids again:
 *
 *     context  24 digits  hash of the parent task's id and its attempt (a driver's context: hash of its job id)
 *     task     32 digits  context + 8 digits of that context's counter
 *     object   36 digits  task + 4 digits of the return index (a put takes a counter of its own, index 0)
 *     actor    32 digits  as a task: the id of its creation
 */
import { hash96 } from "./hash.js";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type NodeId = Branded<"node">;
/** A worker or driver process. */
export type ProcessId = Branded<"process">;
export type JobId = Branded<"job">;
export type TaskId = Branded<"task">;
export type ObjectId = Branded<"object">;
export type ActorId = Branded<"actor">;
export type FunctionId = Branded<"function">;
/** `<process>.<counter>`: the owner that asked names its lease, which makes every lease message idempotent. */
export type LeaseId = Branded<"lease">;
export type ContextId = Branded<"context">;
/** The name of a connection at both its ends, so that others can be told of it. */
export type ConnectionId = Branded<"connection">;

/** Where a process is: what an owner, a holder and the sender of a message are known by. */
export interface ProcessRef {
  readonly nodeId: NodeId;
  readonly processId: ProcessId;
}

const COUNTER_DIGITS = 8;
const INDEX_DIGITS = 4;
/** Indexes from here on are promoted arguments; a task has far fewer returns. */
const FIRST_PROMOTED_INDEX = 0x8000;
export const TASK_ID_DIGITS = 32;
export const OBJECT_ID_DIGITS = TASK_ID_DIGITS + INDEX_DIGITS;

/** The context in which one attempt of a task makes its children. */
export function contextOfTask(task: TaskId, attempt: number): ContextId {
  return hash96(`task ${task} ${attempt}`) as ContextId;
}

/** The context in which a driver makes tasks. */
export function contextOfDriver(job: JobId): ContextId {
  return hash96(`driver ${job}`) as ContextId;
}

export function taskIdOf(context: ContextId, counter: number): TaskId {
  return (context + counter.toString(16).padStart(COUNTER_DIGITS, "0")) as TaskId;
}

export function objectIdOf(task: TaskId, index: number): ObjectId {
  return (task + index.toString(16).padStart(INDEX_DIGITS, "0")) as ObjectId;
}

/** In place of a run's number: the copy that an owner sealed of a value in its memory. */
export const SEALED_BY_OWNER = 0xffff;

/** The run of a task, as copies of its results bear it. */
export function runOfCopy(run: number): number {
  return run & 0x7fff;
}

/** The object that an inline argument becomes when its task is kept for rebuilding. */
export function promotedIdOf(task: TaskId, argument: number): ObjectId {
  return objectIdOf(task, FIRST_PROMOTED_INDEX + argument);
}

/** Which return of its task an object is; from `FIRST_PROMOTED_INDEX` on it is an argument. */
export function indexOfObject(object: ObjectId): number {
  return Number.parseInt(object.slice(TASK_ID_DIGITS), 16);
}

/** The task that makes an object (or the counter of a `put`). */
export function taskOfObject(object: ObjectId): TaskId {
  return object.slice(0, TASK_ID_DIGITS) as TaskId;
}

export function isHexId(text: string, digits: number): boolean {
  return text.length === digits && /^[0-9a-f]+$/.test(text);
}

/** The GCS as an address. It is one; no node or process is ever drawn as all zeros. */
export const GCS: ProcessRef = { nodeId: "000000000000" as NodeId, processId: "000000000000" as ProcessId };

/** The raylet of a node as an address: its process bears the node's id. */
export function rayletOf(nodeId: NodeId): ProcessRef {
  return { nodeId, processId: nodeId as string as ProcessId };
}

export function isRaylet(ref: ProcessRef): boolean {
  return (ref.processId as string) === (ref.nodeId as string);
}

/** The n-th worker of a node. Derived, so that the first can be started before the node's machines are there. */
export function workerRefOf(nodeId: NodeId, n: number): ProcessRef {
  return { nodeId, processId: hash96(`${nodeId} worker ${n}`).slice(0, 12) as ProcessId };
}
