/**
 * The local scheduler: grants leases on the workers of its node, and passes on what it cannot place alone.
 *
 * Lecture: steps `submitTask`, `forwardToGlobal`, `checkArguments`, `dispatchTask`.
 *
 *     requested ──▶ waiting for arguments ──▶ ready ──▶ granted ──▶ returned or lost
 *         └──▶ forwarded to the global scheduler
 *
 * Decides: who gets a worker next. Deeper tasks first, since the ones above wait for them; then first come, first served
 * within tasks of the same demand.
 * Does not know: bytes, processes, sockets.
 *
 * Invariants: I-03 admitted ≤ total; I-07 the queue is bounded; a lease is granted once (its id names it).
 */
import { assert } from "../../base/assert.js";
import type { JobId, LeaseId, NodeId, ObjectId, ProcessId, ProcessRef } from "../../base/ids.js";
import { MAX_CLOSED_LEASES, MAX_QUEUED_LEASES } from "../../base/limits.js";
import type { Failure, LeaseRequest } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import type { Journey } from "../journey.js";
import { Recent } from "../recent.js";
import { cpuOf, fits, type NodeResources } from "../resources.js";
import type { Granted, Queued } from "./leases.js";
import { ReadyQueue } from "./ready-queue.js";
import type { WorkerPool, WorkerSlot } from "./worker-pool.js";

export interface LocalSchedulerPort {
  forwardToGlobal(request: LeaseRequest): void;
  spill(request: LeaseRequest): void;
  /** Bring an argument here; `argumentReady` or `argumentFailed` follow; only a refusal within the call. */
  wantArgument(request: LeaseRequest, object: ObjectId): void;
  dropArguments(request: LeaseRequest): void;
  hasObject(object: ObjectId): boolean;
  /** The worker learns whose pushes it may take, and gets the first task. */
  grantLease(request: LeaseRequest, slot: WorkerSlot): void;
  closeLease(worker: ProcessRef, leaseId: LeaseId): void;
  /** `workerDied` follows. */
  killWorker(worker: ProcessRef, why: string): void;
  /** `placed`: the global scheduler sent the request here, and remembers it until it hears of its end. */
  leaseCancelled(request: LeaseRequest, placed: boolean): void;
  leaseRefused(request: LeaseRequest, reason: Failure, placed: boolean): void;
  leaseLost(request: LeaseRequest, reason: Failure, bystander: boolean): void;
  leaseWanted(request: LeaseRequest): void;
}

export class LocalScheduler {
  readonly #self: NodeId;
  readonly #maxQueued: number;
  readonly #port: LocalSchedulerPort;
  readonly #resources: NodeResources;
  readonly #pool: WorkerPool;
  readonly #journey: Journey;
  readonly #queued = new Map<LeaseId, Queued>();
  readonly #ready = new ReadyQueue();
  readonly #granted = new Map<LeaseId, Granted>();
  /** What owners of this node asked for lately: a request may come again when it was passed on, or has ended. */
  readonly #submitted = new Recent<LeaseId>(MAX_CLOSED_LEASES);
  /** A request waits for resources that others hold. */
  #isStarving = false;
  #alone = true;
  #draining = false;

  constructor(
    self: NodeId,
    port: LocalSchedulerPort,
    resources: NodeResources,
    pool: WorkerPool,
    journey: Journey,
    maxQueued = MAX_QUEUED_LEASES,
  ) {
    this.#maxQueued = maxQueued;
    this.#self = self;
    this.#port = port;
    this.#resources = resources;
    this.#pool = pool;
    this.#journey = journey;
  }

  /** Lecture, `submitTask`: an owner of this node asks for a lease. Idempotent: the owner has named it. */
  submitTask(request: LeaseRequest): void {
    if (this.#submitted.has(request.leaseId)) return;
    this.#submitted.add(request.leaseId);
    this.#journey.record("submitTask", request.taskId, request.name);
    if (this.#canPlaceAlone(request)) {
      this.#journey.record("forwardToGlobal", request.taskId, "", "everything is local");
      this.#queue(request, false);
    } else {
      this.#forwardToGlobal(request);
    }
    this.dispatch();
  }

  /** The global scheduler chose this node. What does not fit now goes back at once: others may have room. */
  queueLease(request: LeaseRequest): void {
    if (this.#queued.has(request.leaseId) || this.#granted.has(request.leaseId)) return;
    if (this.#draining || !this.#resources.canTake(request.demand)) {
      this.#port.spill(request);
      return;
    }
    this.#queue(request, true);
    this.dispatch();
  }

  argumentReady(leaseId: LeaseId, object: ObjectId): void {
    const queued = this.#queued.get(leaseId);
    if (queued === undefined || !queued.missing.delete(object) || queued.missing.size > 0) return;
    this.#ready.add(queued.request);
    this.dispatch();
  }

  argumentFailed(leaseId: LeaseId, reason: Failure): void {
    const queued = this.#queued.get(leaseId);
    if (queued !== undefined) this.#refuse(queued.request, reason);
  }

  /** The owner needs it no more. A lease that is granted already is for the owner to return. */
  cancel(leaseId: LeaseId): "known" | "unknown" {
    const queued = this.#queued.get(leaseId);
    if (queued === undefined) return this.#granted.has(leaseId) ? "known" : "unknown";
    this.#forget(queued);
    this.#port.leaseCancelled(queued.request, queued.placed);
    return "known";
  }

  /** The owner is done with its lease. Idempotent. */
  returnLease(leaseId: LeaseId): void {
    const granted = this.#granted.get(leaseId);
    if (granted === undefined) return;
    this.#end(granted);
    this.#port.closeLease(granted.worker, leaseId);
    this.dispatch();
  }

  /** Its CPU is free for others while the lease's task waits in `get`. */
  taskBlocked(leaseId: LeaseId): void {
    const granted = this.#granted.get(leaseId);
    if (granted === undefined || granted.blocked) return;
    granted.blocked = true;
    granted.hasBegun = true;
    this.#resources.giveBack(cpuOf(granted.held));
    this.#pool.setBlocked(granted.worker.processId, leaseId, true);
    this.dispatch();
  }

  /** It has its value: it takes its CPU back at once, beyond the total if it must. */
  taskResumed(leaseId: LeaseId): void {
    const granted = this.#granted.get(leaseId);
    if (granted === undefined || !granted.blocked) return;
    granted.blocked = false;
    this.#resources.takeResuming(cpuOf(granted.held));
    this.#pool.setBlocked(granted.worker.processId, leaseId, false);
  }

  /** The actor lives: it keeps what it holds, and what only its placement needed goes back. */
  settleActor(leaseId: LeaseId): void {
    const granted = this.#granted.get(leaseId);
    if (granted === undefined) return;
    const { held } = granted.request;
    if (granted.blocked) this.#resources.takeResuming(cpuOf(granted.held)); // a call of it waits in `get` already
    this.#resources.giveBack(granted.held);
    this.#resources.takeResuming(held);
    if (granted.blocked) this.#resources.giveBack(cpuOf(held));
    granted.held = held;
    this.dispatch();
  }

  /**
   * A worker process ended: its leases are lost, their owners are told why. Where it was killed because of a task that kept
   * its thread, those of other leases are bystanders, which had not begun.
   */
  workerDied(worker: ProcessId, reason: Failure): void {
    const lost = [...this.#granted.values()].filter((granted) => granted.worker.processId === worker);
    const wasKept = lost.some(({ doomed, blocked }) => doomed && !blocked);
    for (const granted of lost) {
      this.#end(granted);
      this.#port.leaseLost(granted.request, reason, wasKept && !granted.doomed && !granted.hasBegun);
    }
    this.dispatch();
  }

  /** Nobody wants the results any more: queued requests go, granted ones end. */
  ownerDied(owner: ProcessId): void {
    this.#endTasks((request) => request.owner.processId === owner);
  }

  /**
   * A worker died that owned tasks. They might wait for ever for what it was going to do, so their workers end with
   * them, and what they hold is free when they have. (When a driver dies, the end of its job ends its workers.)
   */
  workerOwnerDied(owner: ProcessId): void {
    for (const granted of this.#granted.values()) {
      const { request, worker } = granted;
      if (request.owner.processId !== owner || isActorLease(request) || granted.doomed) continue;
      granted.doomed = true;
      this.#port.killWorker(worker, `the owner of its task ${request.name}, process ${owner}, died`);
    }
    this.ownerDied(owner);
  }

  /** The same for every owner on a node that died: nobody else would return their leases. */
  ownersLost(node: NodeId): void {
    this.#endTasks((request) => request.owner.nodeId === node);
  }

  jobEnded(jobId: JobId): void {
    for (const queued of [...this.#queued.values()]) if (queued.request.jobId === jobId) this.#forget(queued);
  }

  /** With other nodes about, what does not fit here now may fit there. */
  setAlone(alone: boolean): void {
    this.#alone = alone;
    if (alone) return;
    for (const queued of [...this.#queued.values()]) {
      if (this.#ready.has(queued.request) && !this.#resources.canTake(queued.request.demand)) this.#passOn(queued);
    }
  }

  /** Nothing new is granted. What runs may end; owners keep no lease here for their next tasks. */
  drain(): void {
    this.#draining = true;
    for (const queued of [...this.#queued.values()]) this.#passOn(queued);
    this.wantLeasesBack();
  }

  /** Requests wait elsewhere in the cluster: owners give idle leases back. */
  wantLeasesBack(): void {
    for (const { request } of this.#granted.values()) {
      if (!isActorLease(request) && !isRebuild(request)) this.#port.leaseWanted(request);
    }
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    const queued = [...this.#queued.values()].map(({ request, missing }) => {
      const why = missing.size === 0 ? "ready" : `waits for ${[...missing].join(" ")}`;
      return `queued ${request.leaseId} (${request.name}, depth ${request.depth}): ${why}`;
    });
    const granted = [...this.#granted.values()].map(
      ({ request, worker, blocked }) =>
        `granted ${request.leaseId} (${request.name}) on worker ${worker.processId}${blocked ? ", blocked" : ""}`,
    );
    const free = [...this.#resources.available].map(([name, amount]) => `${name} ${amount}`);
    return [`free: ${free.join(", ")}`, ...queued, ...granted].join("\n");
  }

  get isStarving(): boolean {
    return this.#isStarving;
  }

  get isIdle(): boolean {
    return this.#granted.size === 0 && this.#queued.size === 0;
  }

  /** The lease's task has outlived its time: its worker is about to be killed for it. */
  doom(leaseId: LeaseId): ProcessRef | undefined {
    const granted = this.#granted.get(leaseId);
    if (granted !== undefined) granted.doomed = true;
    return granted?.worker;
  }

  grantOf(leaseId: LeaseId): { readonly request: LeaseRequest; readonly worker: ProcessRef } | undefined {
    return this.#granted.get(leaseId);
  }

  /** Grant what can be granted now. Called after every change that may make room. */
  dispatch(): void {
    let withoutWorker = 0;
    this.#isStarving = false;
    for (const shape of this.#ready.shapes()) {
      for (let request = shape.peek(); request !== undefined; request = shape.peek()) {
        if (!this.#resources.canTake(request.demand)) {
          this.#isStarving = true;
          break;
        }
        const slot = this.#pool.take(request, isActorLease(request));
        const failure = slot === undefined ? this.#pool.startFailure : undefined;
        if (failure !== undefined) {
          this.#refuse(request, failure);
          continue;
        }
        if (slot === undefined) {
          withoutWorker += shape.size;
          break;
        }
        this.#grant(request, slot);
      }
    }
    if (withoutWorker > 0) this.#pool.needWorkers(withoutWorker);
    if (this.#isStarving) this.wantLeasesBack();
  }

  /** The names of what runs on a worker, for people. */
  tasksOn(process: ProcessId): readonly string[] {
    const granted = [...this.#granted.values()].filter(({ worker }) => worker.processId === process);
    return granted.map(({ request }) => request.name);
  }

  check(): void {
    this.#resources.check();
    this.#pool.check();
    assert(this.#queued.size <= this.#maxQueued, "the queue of leases is bounded");
    for (const leaseId of this.#granted.keys()) {
      assert(!this.#queued.has(leaseId), "a lease is granted once");
    }
  }

  /** All arguments are here or on their way to the only node, and there is room, or nobody else to ask. */
  #canPlaceAlone(request: LeaseRequest): boolean {
    const { strategy } = request;
    if (this.#draining || !fits(request.demand, this.#resources.total)) return false;
    if (strategy.kind === "node" && strategy.nodeId !== this.#self) return false;
    if (this.#alone) return true;
    if (strategy.kind === "spread") return false;
    if (strategy.kind === "default" && !request.arguments.every((a) => this.#port.hasObject(a.objectId))) return false;
    return this.#resources.canTake(request.demand) && !this.#ready.hasShapeOf(request);
  }

  /** Lecture, `forwardToGlobal`. */
  #forwardToGlobal(request: LeaseRequest): void {
    this.#journey.record("forwardToGlobal", request.taskId);
    this.#port.forwardToGlobal(request);
  }

  /** Others may have room. The global scheduler gets back what it placed here; else it would take it for known. */
  #passOn(queued: Queued): void {
    this.#forget(queued);
    if (queued.placed) this.#port.spill(queued.request);
    else this.#forwardToGlobal(queued.request);
  }

  #queue(request: LeaseRequest, placed: boolean): void {
    if (this.#queued.size >= this.#maxQueued) {
      const message = `${request.name}: node ${this.#self} has ${this.#maxQueued} requests for workers waiting, which is the limit. get() some results before more is submitted`;
      return this.#port.leaseRefused(request, { code: "PENDING_CALLS_LIMIT", message }, placed);
    }
    const queued: Queued = { request, missing: this.#checkArguments(request), placed };
    this.#queued.set(request.leaseId, queued);
    if (queued.missing.size === 0) this.#ready.add(request);
    for (const object of [...queued.missing]) {
      if (this.#queued.has(request.leaseId)) this.#port.wantArgument(request, object); // else the first was refused
    }
  }

  /** Lecture, `checkArguments`: which arguments the own store lacks. */
  #checkArguments(request: LeaseRequest): Set<ObjectId> {
    if (request.arguments.length === 0) {
      this.#journey.record("checkArguments", request.taskId, "", "no large arguments");
      return new Set();
    }
    this.#journey.record("checkArguments", request.taskId);
    return new Set(request.arguments.map((a) => a.objectId).filter((id) => !this.#port.hasObject(id)));
  }

  /** Lecture, `dispatchTask`: the first task goes to the worker with the grant, which saves the owner a round trip. */
  #grant(request: LeaseRequest, slot: WorkerSlot): void {
    this.#queued.delete(request.leaseId);
    this.#ready.remove(request);
    this.#resources.take(request.demand);
    const granted = { request, worker: slot.ref, held: request.demand, blocked: false, hasBegun: false, doomed: false };
    this.#granted.set(request.leaseId, granted);
    if (request.task !== undefined) this.#journey.record("dispatchTask", request.taskId);
    this.#port.grantLease(request, slot);
  }

  /** Actors are not among them: they live as long as somebody holds them. */
  #endTasks(matches: (request: LeaseRequest) => boolean): void {
    const isOver = ({ request }: Queued | Granted) => !isActorLease(request) && matches(request);
    for (const queued of [...this.#queued.values()].filter(isOver)) this.#forget(queued);
    for (const granted of [...this.#granted.values()].filter(isOver)) {
      if (!granted.doomed) this.returnLease(granted.request.leaseId);
    }
  }

  #end(granted: Granted): void {
    const { request, worker } = granted;
    this.#granted.delete(request.leaseId);
    if (granted.blocked) this.#resources.takeResuming(cpuOf(granted.held));
    this.#resources.giveBack(granted.held);
    this.#pool.giveBack(worker.processId, request.leaseId);
  }

  #refuse(request: LeaseRequest, reason: Failure): void {
    const queued = this.#queued.get(request.leaseId);
    assert(queued !== undefined, "a request is refused while it waits");
    this.#forget(queued);
    this.#port.leaseRefused(request, reason, queued.placed);
  }

  #forget(queued: Queued): void {
    this.#queued.delete(queued.request.leaseId);
    this.#ready.remove(queued.request);
    if (queued.missing.size > 0) this.#port.dropArguments(queued.request);
  }
}
