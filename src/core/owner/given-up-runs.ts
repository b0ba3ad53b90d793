/**
 * Runs that this owner has given up, because the connection to their worker was lost: they may still go on there.
 *
 * What such a run seals before its worker reads that it is nobody's is held in the owner's name, perhaps long after the
 * task has come to another end. So the tasks are kept here until the worker's raylet says that this is over; only then is
 * letting go of their results the last word. A task that still runs elsewhere has the same done at its end, because it has
 * run more than once.
 *
 * Invariant: I-05 what nobody uses is let go.
 */
import { type LeaseId, type NodeId, type ProcessRef, rayletOf } from "../../base/ids.js";
import type { Lease } from "./key-queue.js";
import type { LeasePoolPort } from "./lease-pool-port.js";
import type { Task } from "./records.js";

interface GivenUp {
  readonly worker: ProcessRef;
  readonly tasks: readonly Task[];
}

export class GivenUpRuns {
  readonly #port: LeasePoolPort;
  readonly #leases = new Map<LeaseId, GivenUp>();

  constructor(port: LeasePoolPort) {
    this.#port = port;
  }

  /** All that is in flight on the lease. `over` follows, or the end of its node. */
  add({ id: leaseId, worker, inFlight }: Lease): void {
    this.#leases.set(leaseId, { worker, tasks: [...inFlight.values()] });
    this.#port.send(rayletOf(worker.nodeId), { type: "giveUpLease", leaseId });
  }

  /** Nothing more will be sealed for the lease in this owner's name. */
  over(leaseId: LeaseId): void {
    const tasks = this.#leases.get(leaseId)?.tasks ?? [];
    this.#leases.delete(leaseId);
    for (const task of tasks) if (task.state === "done") this.#port.endedLate(task);
  }

  nodeLost(nodeId: NodeId): void {
    for (const [leaseId, { worker }] of [...this.#leases]) if (worker.nodeId === nodeId) this.over(leaseId);
  }
}
