/** What virtual owners ask their raylets for; the counterpart of `src/process/lease-request.ts`. */
import type { JobId, LeaseId, ProcessRef } from "../src/base/ids.js";
import { MAX_LEASE_ARGUMENT_BYTES } from "../src/base/limits.js";
import { isExclusive, type Task } from "../src/core/owner/records.js";
import type { LeaseRequest } from "../src/protocol/messages.js";
import { inlineSize, type OwnedArgument } from "./arguments.js";
import type { DirectLinks } from "./direct-links.js";

interface Requester {
  readonly ref: ProcessRef;
  readonly jobId: JobId;
  readonly links: Pick<DirectLinks, "specOf">;
}

export function leaseRequestFor(process: Requester, leaseId: LeaseId, task: Task): LeaseRequest {
  const { template } = task;
  const large = task.dependencies.filter((entry) => entry.state === "stored" || !entry.owned);
  const inlineBytes = (task.args as readonly OwnedArgument[]).reduce((sum, arg) => sum + inlineSize(arg), 0);
  return {
    leaseId,
    owner: process.ref,
    jobId: process.jobId,
    namespace: "",
    name: template.name,
    taskId: task.id,
    demand: template.demand,
    held: template.demand,
    strategy: template.strategy,
    depth: task.depth,
    exclusive: isExclusive(template),
    arguments: large.map((entry) => ({ objectId: entry.id, sizeBytes: entry.sizeBytes })),
    // A task that must not run twice is pushed by its owner alone, who then knows whether it may have run.
    task: template.maxRetries === 0 || inlineBytes > MAX_LEASE_ARGUMENT_BYTES ? undefined : process.links.specOf(task),
  };
}
