/** What the spec of a task says: its arguments, its size, and why it cannot run again, in words for its user. */
import type { ObjectId } from "../../base/ids.js";
import { MAX_LINEAGE_BYTES } from "../../base/limits.js";
import type { Failure, LineageSpec } from "../../protocol/messages.js";

/** Every object that the task takes or whose name it is given. */
export function argumentsOf({ task, nested }: LineageSpec): ObjectId[] {
  const ids = new Set(nested);
  for (const arg of task.arguments) if (arg.kind === "object") ids.add(arg.objectId);
  return [...ids];
}

/** About what it costs to keep. */
export function sizeOf({ task, nested, promoted }: LineageSpec): number {
  let bytes = 512 + 2 * task.name.length + 100 * (nested.length + promoted.length);
  for (const arg of task.arguments) bytes += 100 + (arg.kind === "value" ? arg.bytes.length : 0);
  return bytes;
}

export function nameOf({ task }: LineageSpec): string {
  return `${task.name} (${task.taskId})`;
}

interface Tried {
  readonly spec: LineageSpec;
  readonly lostAttempts: number;
  readonly lastLoss: string;
}

export function exhausted({ spec, lostAttempts, lastLoss }: Tried): string {
  const attempts = lostAttempts === 0 ? "1 attempt" : `${lostAttempts + 1} attempts`;
  const last = lastLoss === "" ? "" : `; the last was lost: ${lastLoss}`;
  return `its task ${nameOf(spec)} has had ${attempts} (maxRetries ${spec.maxRetries})${last}. Give it a larger maxRetries`;
}

export function noRoom(spec: LineageSpec, maxObjects: number): string {
  return `its task ${nameOf(spec)} needs arguments that were let go, and the object table has no room for them: its limit is ${maxObjects} objects of the cluster. Drop refs`;
}

export function evicted(object: ObjectId): Failure {
  const message = `object ${object} is lost, and how it was made is forgotten: the specs of the cluster's tasks have ${MAX_LINEAGE_BYTES} bytes, and the oldest make room. Keep fewer objects in scope, or put them again`;
  return { code: "OBJECT_RECONSTRUCTION", message };
}
