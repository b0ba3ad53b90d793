import { type ActorId, GCS, type LeaseId, type ProcessRef } from "../base/ids.js";

/** An actor's lease is named after the actor (`<actor>.<incarnation>`), a task's after the process that asked for it. */
export function isActorLease(request: {
  readonly leaseId: string;
  readonly taskId: string;
  readonly owner: ProcessRef;
}): boolean {
  return request.leaseId.startsWith(`${request.taskId}.`) && !isRebuild(request);
}

/** Whose lease it is, if it is an actor's. */
export function actorOf(leaseId: LeaseId): ActorId {
  return leaseId.slice(0, leaseId.lastIndexOf(".")) as string as ActorId;
}

/** The GCS runs a task again to make its results anew: the lease is its own, and ends with the task's answer. */
export function isRebuild({ owner }: { readonly owner: ProcessRef }): boolean {
  return owner.processId === GCS.processId;
}
