/**
 * The lease desk: what a raylet says to workers and owners when a lease is granted, and when an owner wants back what its
 * worker has not started.
 *
 * Recall: a worker whose thread is in synchronous code reads nothing, so its raylet takes unstarted pushes back by the
 * claim words that both share (`src/core/executor/claim-words.ts`). The desk knows which number a lease has there; the
 * words are the shell's, and may take a while.
 *
 * Giving up: an owner that has lost the connection to a worker tries elsewhere what was in flight, while the worker may
 * still run it, and seal its results in the owner's name. So the owner hears when that is over, and lets go of them then:
 * its worker reads `disownLease` behind all that it has been told, and answers behind all that it has sealed. Until then
 * it gets no other lease: what is tried again would wait behind itself.
 *
 * Decides: nothing. A recall of a lease that is over, or of a worker without claim words, has no answer: whatever its owner
 * needs to know it hears from others.
 */
import { GCS, type LeaseId, type ProcessId, type ProcessRef } from "../../base/ids.js";
import type { LeaseRequest, Message, MessageBody, NodeInfo } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import type { LocalScheduler } from "./local-scheduler.js";
import type { WorkerPool, WorkerSlot } from "./worker-pool.js";

export interface LeaseDeskPort {
  send(to: ProcessRef, message: Message): void;
  /** Recall a lease's pushes up to number `upTo` by the worker's claim words. `recalled` follows, or nothing. */
  recallPushes(worker: ProcessRef, leaseId: LeaseId, claim: number, upTo: number): void;
}

/** A lease whose owner has given it up, and whose worker has not read that yet. */
interface GivenUp {
  /** Undefined: it is dead, and need not be told. */
  owner: ProcessRef | undefined;
  readonly worker: ProcessRef;
}

export class LeaseDesk {
  readonly #info: NodeInfo;
  readonly #pool: WorkerPool;
  readonly #scheduler: LocalScheduler;
  readonly #port: LeaseDeskPort;
  readonly #givenUp = new Map<LeaseId, GivenUp>();

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

  /** True when the message was for this desk. */
  receive(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "recallTasks":
        this.#recall(message);
        return true;
      case "giveUpLease":
        this.#giveUp(from, message.leaseId);
        return true;
      case "leaseDisowned":
        this.#disowned(message.leaseId);
        return true;
      default:
        return false;
    }
  }

  /** A dead worker seals nothing more. */
  processDied(process: ProcessId): void {
    for (const [leaseId, givenUp] of [...this.#givenUp]) {
      if (givenUp.owner?.processId === process) givenUp.owner = undefined;
      if (givenUp.worker.processId === process) this.#disowned(leaseId);
    }
  }

  /** Idempotent. One that is unknown here is over, and so is its worker, or has read that before. */
  #giveUp(owner: ProcessRef, leaseId: LeaseId): void {
    const worker = this.#scheduler.grantOf(leaseId)?.worker;
    if (worker === undefined) {
      if (!this.#givenUp.has(leaseId)) this.#sayOver(owner, leaseId);
      return;
    }
    this.#givenUp.set(leaseId, { owner, worker });
    this.#pool.setUnread(worker.processId, leaseId, true);
    this.#port.send(worker, { type: "disownLease", leaseId });
    this.#scheduler.returnLease(leaseId);
  }

  #disowned(leaseId: LeaseId): void {
    const givenUp = this.#givenUp.get(leaseId);
    if (givenUp === undefined) return;
    const { owner, worker } = givenUp;
    this.#givenUp.delete(leaseId);
    if (owner !== undefined) this.#sayOver(owner, leaseId);
    this.#pool.setUnread(worker.processId, leaseId, false);
    this.#scheduler.dispatch();
  }

  #sayOver(owner: ProcessRef, leaseId: LeaseId): void {
    const reason = { code: "WORKER_CRASHED", message: "its owner had given the lease up" };
    this.#port.send(owner, { type: "leaseLost", leaseId, reason, bystander: false });
  }

  /** Idempotent: what has been recalled stays so. */
  #recall({ leaseId, upTo }: MessageBody<"recallTasks">): void {
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
