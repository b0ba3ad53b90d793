/** Why an object cannot be had, in words for its user. */
import type { ObjectId, ProcessRef } from "../../base/ids.js";
import { MAX_OBJECTS, MAX_WAITERS_PER_OBJECT } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";

export function tooManyWait(object: ObjectId): Failure {
  return {
    code: "PENDING_CALLS_LIMIT",
    message: `object ${object} cannot be waited for: at most ${MAX_WAITERS_PER_OBJECT} nodes wait for one object, and the cluster for ${MAX_OBJECTS} objects. Wait for fewer at a time`,
  };
}

export function ownerDied(process: ProcessRef, reason: Failure): Failure {
  return {
    code: "OWNER_DIED",
    message: `process ${process.processId} on node ${process.nodeId}, which owned the object, died before its value existed: ${reason.message}`,
  };
}

export function lost(object: ObjectId, how: string): Failure {
  return {
    code: "OBJECT_LOST",
    message: `object ${object} is lost: ${how}, and it cannot be made again: only results of tasks are, unless maxRetries is 0`,
  };
}
