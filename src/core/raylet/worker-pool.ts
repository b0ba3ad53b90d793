/**
 * The worker processes of a node.
 *
 *     starting ── workerReady ──▶ ready (idle or leased) ── stop, exit ──▶ gone
 *
 * Workers that end before they have registered are started again with growing pauses; after some, leases are refused.
 * Decides: when a worker is started or stopped, and which worker serves a lease. A worker belongs to one job from its
 * first lease on. A worker whose leases are all blocked in `get` may serve another one of its job, so nested tasks need
 * no more processes than there are CPUs. A spare worker is stopped only when it owns nothing that others may need.
 * Does not know: resources, queues.
 *
 * Invariant: I-07 workers are bounded; I-08 a job's workers end with it.
 */
import { assert } from "../../base/assert.js";
import { type JobId, type LeaseId, type NodeId, type ProcessId, type ProcessRef, workerRefOf } from "../../base/ids.js";
import {
  FIRST_WORKER_RESTART_MS,
  MAX_FAILED_STARTS,
  MAX_STARTING_WORKERS,
  MAX_WORKER_RESTART_MS,
  MAX_WORKERS_PER_NODE,
  WORKER_IDLE_MS,
  WORKER_START_TIMEOUT_MS,
} from "../../base/limits.js";
import type { Failure, Message } from "../../protocol/messages.js";
import { Backoff } from "../backoff.js";
import { CLAIM_PLACES, placeOf } from "../executor/claim-words.js";

/** Claim words hold 31 bits; 0 is no lease. A number comes again when its lease has long been forgotten. */
const MAX_CLAIM = 0x7fff_ffff;

export interface WorkerPoolPort {
  startWorker(worker: ProcessRef): void;
  send(worker: ProcessRef, message: Message): void;
  killWorker(worker: ProcessRef, why: string): void;
}

export interface WorkerSlot {
  readonly ref: ProcessRef;
  state: "starting" | "ready";
  pid: number;
  unixPath: string;
  jobId: JobId | undefined;
  exclusive: boolean;
  /** With their numbers in the claim words; 0 without. */
  readonly leases: Map<LeaseId, number>;
  readonly blocked: Set<LeaseId>;
  /** Their owners gave them up, and it has not read that: it may still be in synchronous code of their tasks. */
  readonly unread: Set<LeaseId>;
  /** It shares claim words with this node. */
  recallable: boolean;
  /** When it was started, or last became idle. */
  sinceMs: number;
  /** It has been asked since it became idle. */
  asked: boolean;
  /** It is an actor, or about to be: it will never be free for another lease. */
  isActor: boolean;
  /** It has been killed, or has lost its connection: its exit follows. */
  isEnding: boolean;
  /** Workers of one round were started under the same circumstances: they fail as one. */
  readonly round: number;
}

/** What a lease asks of its worker. */
export interface WorkerNeed {
  readonly leaseId: LeaseId;
  readonly jobId: JobId;
  readonly exclusive: boolean;
}

export class WorkerPool {
  readonly #nodeId: NodeId;
  readonly #port: WorkerPoolPort;
  readonly #warm: number;
  readonly #slots = new Map<ProcessId, WorkerSlot>();
  #started = 0;
  #nextClaim = 1;
  #isWarm = false;
  readonly #starts = new Backoff(FIRST_WORKER_RESTART_MS, MAX_WORKER_RESTART_MS);
  #round = 1;
  #lastFailure: Failure | undefined;
  #nowMs = 0;

  /** `warm` workers are kept ready: as many as the node has CPUs. */
  constructor(nodeId: NodeId, warm: number, port: WorkerPoolPort) {
    this.#nodeId = nodeId;
    this.#warm = Math.min(warm, MAX_WORKERS_PER_NODE);
    this.#port = port;
  }

  /** Start workers until `count` idle ones exist or are on their way. */
  prestart(count: number): void {
    while (this.#spare() < count && this.#start()) {}
  }

  /** The first worker is ready: now the node's other warm ones. Once; later ones are started when they are needed. */
  warmUp(): void {
    if (this.#isWarm) return;
    this.#isWarm = true;
    while (this.#slots.size < this.#warm && this.#start()) {}
  }

  /** A worker for a lease, or undefined: then one is on its way, or must become free first. */
  take(need: WorkerNeed, forActor = false): WorkerSlot | undefined {
    const fresh = forActor && this.#slots.size < MAX_WORKERS_PER_NODE;
    const slot = this.#idle(need.jobId, fresh) ?? (need.exclusive ? undefined : this.#blockedIn(need.jobId));
    if (slot === undefined) return undefined;
    slot.jobId = need.jobId;
    slot.exclusive = need.exclusive;
    slot.isActor = forActor;
    slot.leases.set(need.leaseId, this.#claimFor(slot));
    slot.asked = false;
    return slot;
  }

  /** A number whose place in the claim words is free; 0 when none is. */
  #claimFor({ leases }: WorkerSlot): number {
    const taken = new Set([...leases.values()].filter((claim) => claim > 0).map(placeOf));
    if (taken.size === CLAIM_PLACES) return 0;
    for (;;) {
      const claim = this.#nextClaim;
      this.#nextClaim = (claim % MAX_CLAIM) + 1;
      if (!taken.has(placeOf(claim))) return claim;
    }
  }

  /** `waiting` leases have resources but no worker: see that enough are on their way, one after a start that failed. */
  needWorkers(waiting: number): void {
    const most = this.#starts.failures > 0 ? 1 : MAX_STARTING_WORKERS;
    if (!this.#starts.isOver(this.#nowMs)) return;
    let starting = [...this.#slots.values()].filter(isStarting).length;
    while (starting < Math.min(waiting, most) && this.#start()) starting++;
  }

  ready(worker: ProcessRef, pid: number, unixPath: string, recallable = false): boolean {
    const slot = this.#slots.get(worker.processId);
    if (slot === undefined) return false;
    this.#starts.succeeded();
    slot.state = "ready";
    slot.pid = pid;
    slot.unixPath = unixPath;
    slot.recallable = recallable;
    slot.sinceMs = this.#nowMs;
    return true;
  }

  giveBack(worker: ProcessId, leaseId: LeaseId): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined) return;
    slot.leases.delete(leaseId);
    slot.blocked.delete(leaseId);
    if (slot.leases.size > 0) return;
    slot.exclusive = false;
    slot.isActor = false;
    slot.sinceMs = this.#nowMs;
  }

  /** It gets no lease before it has read that this one was given up. */
  setUnread(worker: ProcessId, leaseId: LeaseId, unread: boolean): void {
    const slot = this.#slots.get(worker);
    if (unread) slot?.unread.add(leaseId);
    else slot?.unread.delete(leaseId);
  }

  setBlocked(worker: ProcessId, leaseId: LeaseId, blocked: boolean): void {
    const slot = this.#slots.get(worker);
    if (slot === undefined || !slot.leases.has(leaseId)) return;
    if (blocked) slot.blocked.add(leaseId);
    else slot.blocked.delete(leaseId);
  }

  /** Its process ends soon. From here on it gets no lease: what ran there would have lost an attempt. */
  retire(worker: ProcessId): void {
    const slot = this.#slots.get(worker);
    if (slot !== undefined) slot.isEnding = true;
  }

  kill(worker: ProcessRef, why: string): void {
    this.retire(worker.processId);
    this.#port.killWorker(worker, why);
  }

  get(worker: ProcessId): WorkerSlot | undefined {
    return this.#slots.get(worker);
  }

  all(): Iterable<WorkerSlot> {
    return this.#slots.values();
  }

  /** The process is gone, whatever the reason. */
  remove(worker: ProcessId, reason: Failure): WorkerSlot | undefined {
    const slot = this.#slots.get(worker);
    this.#slots.delete(worker);
    if (slot?.state !== "starting" || slot.round !== this.#round) return slot;
    this.#round++;
    this.#starts.failed(this.#nowMs);
    this.#lastFailure = reason;
    return slot;
  }

  /** Why no lease can have a worker here, now: none can be started, and none is there that could become free. */
  get startFailure(): Failure | undefined {
    if (this.#starts.failures < MAX_FAILED_STARTS || this.#starts.isOver(this.#nowMs)) return undefined;
    for (const slot of this.#slots.values()) if (!slot.isEnding && !slot.isActor) return undefined;
    const last = this.#lastFailure?.message ?? "";
    return {
      code: "WORKER_CRASHED",
      message: `workers do not start on node ${this.#nodeId}: ${this.#starts.failures} failed in a row. The last: ${last}`,
    };
  }

  jobEnded(jobId: JobId): void {
    for (const slot of this.#slots.values()) {
      if (slot.jobId === jobId) this.kill(slot.ref, "its job ended");
    }
  }

  /** Who owns what others need stays, and is asked again later. An answer from before its last lease says nothing. */
  answeredUse(worker: ProcessRef, inUse: boolean): void {
    const slot = this.#slots.get(worker.processId);
    if (slot === undefined || !slot.asked || !isIdle(slot)) return;
    slot.asked = false;
    slot.sinceMs = this.#nowMs;
    if (!inUse && this.#spare() > this.#warm) this.kill(slot.ref, "it was idle");
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    let idle = this.#spare();
    for (const slot of [...this.#slots.values()]) {
      if (slot.sinceMs === 0) slot.sinceMs = nowMs;
      const age = nowMs - slot.sinceMs;
      if (isStarting(slot) && age > WORKER_START_TIMEOUT_MS) {
        this.kill(slot.ref, `it did not register within ${WORKER_START_TIMEOUT_MS} ms`);
      } else if (isIdle(slot) && age > WORKER_IDLE_MS && idle > this.#warm) {
        idle--;
        if (slot.jobId === undefined) this.kill(slot.ref, "it was idle");
        else if (!slot.asked) this.#port.send(slot.ref, { type: "askUse" });
        slot.asked = true;
      }
    }
  }

  check(): void {
    assert(this.#slots.size <= MAX_WORKERS_PER_NODE, "workers are bounded");
    for (const slot of this.#slots.values()) {
      assert(slot.leases.size === 0 || slot.state === "ready", "only a ready worker is leased");
      assert(!slot.exclusive || slot.leases.size <= 1, "an exclusive worker has one lease");
      // More than one may run: a task that resumes does not wait for the one that took its worker meanwhile.
      for (const lease of slot.blocked) assert(slot.leases.has(lease), "only a lease of the worker is blocked");
    }
  }

  #start(): boolean {
    if (this.#slots.size >= MAX_WORKERS_PER_NODE) return false;
    const ref = workerRefOf(this.#nodeId, this.#started++);
    const slot: WorkerSlot = {
      ref,
      state: "starting",
      pid: 0,
      unixPath: "",
      jobId: undefined,
      exclusive: false,
      leases: new Map(),
      blocked: new Set(),
      unread: new Set(),
      recallable: false,
      sinceMs: this.#nowMs,
      asked: false,
      isActor: false,
      isEnding: false,
      round: this.#round,
    };
    this.#slots.set(ref.processId, slot);
    this.#port.startWorker(ref);
    return true;
  }

  #spare(): number {
    let spare = 0;
    for (const slot of this.#slots.values()) if (isStarting(slot) || isIdle(slot)) spare++;
    return spare;
  }

  /**
   * Prefer a worker of the job: it has the job's functions already. An actor gets a fresh one: its process ends with it,
   * and one that has run tasks may own objects that others still wait for.
   */
  #idle(jobId: JobId, fresh: boolean): WorkerSlot | undefined {
    let unused: WorkerSlot | undefined;
    for (const slot of this.#slots.values()) {
      if (!isIdle(slot)) continue;
      if (slot.jobId === jobId && !fresh) return slot;
      if (slot.jobId === undefined) unused ??= slot;
    }
    return unused;
  }

  #blockedIn(jobId: JobId): WorkerSlot | undefined {
    for (const slot of this.#slots.values()) {
      const allBlocked = slot.leases.size > 0 && slot.blocked.size === slot.leases.size;
      const isFit = !slot.exclusive && !slot.isEnding && slot.unread.size === 0;
      if (slot.jobId === jobId && allBlocked && isFit) return slot;
    }
    return undefined;
  }
}

function isStarting({ state, isEnding }: WorkerSlot): boolean {
  return state === "starting" && !isEnding;
}

function isIdle({ state, isEnding, leases, unread }: WorkerSlot): boolean {
  return state === "ready" && !isEnding && leases.size === 0 && unread.size === 0;
}
