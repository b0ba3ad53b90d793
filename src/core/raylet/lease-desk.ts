/**
 * The lease desk: what a raylet says to workers and owners when a lease is granted, and when an owner wants back what its
 * worker has not started.
 *
 * Recall: a worker whose thread is in synchronous code reads nothing, so its raylet takes unstarted pushes back by the
 * claim words that both share (`src/core/executor/claim-words.ts`). The desk knows which number a lease has there; the
 * words are the shell's, and may take a while.
 *
 * Decides: nothing. A recall of a lease that is over, or of a worker without claim words, has no answer: whatever its owner
 * needs to know it hears from others.
 */
import { GCS, type LeaseId, type ProcessRef } from "../../base/ids.js";
import type { LeaseRequest, Message, MessageBody, NodeInfo } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import type { LocalScheduler } from "./local-scheduler.js";
import type { WorkerPool, WorkerSlot } from "./worker-pool.js";

export interface LeaseDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** Recall a lease's pushes up to number `upTo` by the worker's claim words. `recalled` follows, or nothing. */
  recallPushes(worker: ProcessRef, leaseId: LeaseId, claim: number, upTo: number): void;
}

export class LeaseDesk {
  readonly #info: NodeInfo;
  readonly #pool: WorkerPool;
  readonly #scheduler: LocalScheduler;
  readonly #port: LeaseDeskPort;

  constructor(info: NodeInfo, pool: WorkerPool, scheduler: LocalScheduler, port: LeaseDeskPort) {
    this.#info = info;
    this.#pool = pool;
    this.#scheduler = scheduler;
    this.#port = port;
  }

  /** The worker learns whose pushes it may take, and gets the first task; the owner and the GCS learn of the worker. */
  grant(request: LeaseRequest, { ref: worker, pid, unixPath, leases, ...slot }: WorkerSlot): void {
    const { leaseId, owner, jobId, namespace, exclusive, held, task } = request;
    const dispatched = task !== undefined;
    const claim = slot.recallable ? (leases.get(leaseId) ?? 0) : 0;
    const recallable = claim > 0;
    this.#port.send(GCS, { type: "processJoined", process: worker, jobId });
    this.#port.send(worker, {
      type: "openLease",
      leaseId,
      owner,
      jobId,
      namespace,
      exclusive,
      held,
      claim,
      hasFirst: dispatched,
    });
    if (dispatched) this.#port.send(worker, { type: "dispatchTask", leaseId, task });
    const address = { unixPath, host: this.#info.host, port: this.#info.port };
    const granted: Message = { type: "leaseGranted", leaseId, worker, pid, address, dispatched, recallable };
    if (!isActorLease(request) && !isRebuild(request)) this.#port.send(owner, granted);
    this.#port.send(GCS, granted);
  }

  /** Idempotent: what has been recalled stays so. */
  recall({ leaseId, upTo }: MessageBody<"recallTasks">): void {
    const worker = this.#scheduler.grantOf(leaseId)?.worker;
    const slot = worker && this.#pool.get(worker.processId);
    const claim = slot?.recallable === true ? slot.leases.get(leaseId) : undefined;
    if (worker !== undefined && claim !== undefined && claim > 0) this.#port.recallPushes(worker, leaseId, claim, upTo);
  }

  /** Pushes above `started` and up to `upTo` will not start. The lease's owner is told, whoever has asked. */
  recalled(leaseId: LeaseId, upTo: number, started: number): void {
    const request = this.#scheduler.grantOf(leaseId)?.request;
    if (request === undefined || isActorLease(request) || isRebuild(request)) return;
    this.#port.send(request.owner, { type: "tasksRecalled", leaseId, upTo, started });
  }
}
