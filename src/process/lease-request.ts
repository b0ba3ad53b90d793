/** What an owner asks its raylet for when a task needs a worker. */
import type { JobId, ProcessRef } from "../base/ids.js";
import { MAX_LEASE_ARGUMENT_BYTES } from "../base/limits.js";
import { isExclusive, ObjectEntry, type Task } from "../core/owner/records.js";
import type { Argument, LeaseRequest } from "../protocol/messages.js";
import { encodedValue } from "./encoded-value.js";
import type { StoredValue } from "./stored-value.js";

interface Requester {
  readonly self: ProcessRef;
  readonly jobId: JobId;
  readonly namespace: string;
}

/** Arguments as control messages carry them: small ones as they are, others as objects. */
export function controlArguments(args: readonly unknown[]): Argument[] {
  return args.map((arg): Argument => {
    if (arg instanceof ObjectEntry && arg.state !== "inline") return { kind: "object", objectId: arg.id };
    const value = arg instanceof ObjectEntry ? arg.value : arg;
    return { kind: "value", bytes: encodedValue(value as StoredValue) };
  });
}

export function leaseRequestFor(process: Requester, leaseId: LeaseRequest["leaseId"], task: Task): LeaseRequest {
  const { template, depth } = task;
  const large = task.dependencies.filter((entry) => entry.state === "stored" || !entry.owned);
  const args = controlArguments(task.args as readonly unknown[]);
  const inlineBytes = args.reduce((sum, arg) => sum + (arg.kind === "value" ? arg.bytes.length : 0), 0);
  const taskId = task.id;
  return {
    leaseId,
    owner: process.self,
    jobId: process.jobId,
    namespace: process.namespace,
    name: template.name,
    taskId,
    demand: template.demand,
    held: template.demand,
    strategy: template.strategy,
    depth,
    exclusive: isExclusive(template),
    arguments: large.map((entry) => ({ objectId: entry.id, sizeBytes: entry.sizeBytes })),
    // A task that must not run twice is pushed by its owner alone, who then knows whether it may have run.
    task:
      template.maxRetries === 0 || inlineBytes > MAX_LEASE_ARGUMENT_BYTES
        ? undefined
        : {
            taskId,
            jobId: process.jobId,
            name: template.name,
            functionId: template.functionId as never,
            owner: process.self,
            attempt: task.run,
            depth,
            numReturns: template.numReturns,
            storeResult: task.storeResult,
            arguments: args,
          },
  };
}
