/** An actor's lease is named after the actor (`<actor>.<incarnation>`), a task's after the process that asked for it. */
export function isActorLease(request: { readonly leaseId: string; readonly taskId: string }): boolean {
  return request.leaseId.startsWith(`${request.taskId}.`);
}
