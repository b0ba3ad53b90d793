/** What the global scheduler asks of the world, as messages and as calls of the other tables. */
import { type JobId, type LeaseId, type NodeId, type ProcessRef, rayletOf } from "../../base/ids.js";
import type { Failure, Message } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import type { Journey } from "../journey.js";
import type { GlobalSchedulerPort } from "./global-scheduler.js";

export function schedulerPort(
  port: {
    send(to: ProcessRef, message: Message): void;
    wakeUpAfter(delayMs: number): void;
  },
  journey: Journey,
  tables: {
    namespaceOf(job: JobId): string;
    actorLeaseLost(leaseId: LeaseId, reason: Failure): void;
    rebuildRefused(leaseId: LeaseId, reason: Failure): void;
    rebuildLost(leaseId: LeaseId, reason: Failure): void;
  },
): GlobalSchedulerPort {
  const toRaylet = (node: NodeId, message: Message) => port.send(rayletOf(node), message);
  return {
    // Requests of the GCS itself, for actors and for rebuilding, do not know it.
    queueLease: (node, request) =>
      toRaylet(node, { ...request, namespace: tables.namespaceOf(request.jobId), type: "queueLease" }),
    leaseInfeasible: (owner, leaseId, reason) => {
      if (!isRebuild({ owner })) port.send(owner, { type: "leaseInfeasible", leaseId, reason });
    },
    leaseRefused: (owner, leaseId, code, message) => {
      if (isRebuild({ owner })) return tables.rebuildRefused(leaseId, { code, message });
      tables.actorLeaseLost(leaseId, { code, message });
      port.send(owner, { type: "leaseRefused", leaseId, reason: { code, message } });
    },
    leaseCancelled: (owner, leaseId) => {
      if (!isRebuild({ owner })) port.send(owner, { type: "leaseCancelled", leaseId });
    },
    rebuildLost: (leaseId, reason) => tables.rebuildLost(leaseId, reason),
    wakeUpAfter: (delayMs) => port.wakeUpAfter(delayMs),
    leasesWanted: (node) => toRaylet(node, { type: "leasesWanted" }),
    garbageWanted: (node) => toRaylet(node, { type: "garbageWanted" }),
    recordLookUp: (request) => journey.record("lookUpObjects", request.taskId),
    recordPlacement: (request, node) => {
      const step = isActorLease(request) ? "leaseActorWorker" : "placeTask";
      journey.record(step, request.taskId, node);
    },
  };
}
