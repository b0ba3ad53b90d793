/**
 * The task submitter: gets a process's tasks to leased workers.
 *
 * Tasks wait in one queue for each scheduling key. A lease is asked of the own raylet with its first task on board; the
 * next tasks go straight from here to the leased worker, and no scheduler hears of them.
 *
 * Decides: when a lease is asked for, used, and given back; how many tasks a worker gets ahead; what is tried again.
 * Does not know: encodings, sockets, where objects are.
 *
 * Invariants: I-02 at most 1 + maxRetries attempts; a gated task never keeps the task that opens its gate waiting:
 * one task at a time goes to a worker until the key is known to be fast; a worker hands unstarted tasks back; and those
 * of a worker that does not, because its thread is busy, are recalled.
 */
import { assert } from "../../base/assert.js";
import { type LeaseId, type NodeId, type ProcessRef, rayletOf } from "../../base/ids.js";
import { LEASE_IDLE_MS, MAX_OPEN_REQUESTS_PER_KEY } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import type { Amounts } from "../resources.js";
import { GivenUpRuns } from "./given-up-runs.js";
import {
  breakAll,
  breakLease,
  checkLease,
  describeQueue,
  dialFailed,
  type Grant,
  isForsaken,
  isSpent,
  KeyQueue,
  type Lease,
  lostConnection,
  lostLease,
  lostMessage,
  lostWithNode,
  mayRunAgain,
  newLease,
  recallOf,
  refusalOf,
  takeBack,
} from "./key-queue.js";
import type { LeasePoolPort } from "./lease-pool-port.js";
import { OpenRequests } from "./open-requests.js";
import { hasStoredArguments, type Outcome, type Task, type TaskTemplate } from "./records.js";

export class LeasePool {
  readonly #self: ProcessRef;
  readonly #port: LeasePoolPort;
  readonly #queues = new Map<string, KeyQueue>();
  readonly #leases = new Map<LeaseId, Lease>();
  readonly requests = new OpenRequests();
  readonly #givenUp: GivenUpRuns<LeaseId>;
  #nextLease = 1;
  #total: Amounts = new Map();
  #nowMs = 0;

  constructor(self: ProcessRef, port: LeasePoolPort) {
    this.#self = self;
    this.#port = port;
    this.#givenUp = new GivenUpRuns(port);
  }

  /** A task whose dependencies are ready. */
  submit(task: Task): void {
    const queue = this.#queueOf(task.template);
    task.state = "queued";
    queue.tasks.push(task);
    this.#pump(queue);
  }

  /** A task that must go through the schedulers: it has large arguments somewhere. It gets a lease of its own. */
  submitAlone(task: Task): void {
    this.#request(this.#queueOf(task.template), task);
  }

  clusterTotals(total: Amounts): void {
    this.#total = total;
    for (const queue of this.#queues.values()) {
      queue.clusterHas(total);
      this.#pump(queue);
    }
  }

  // ── What the schedulers say ───────────────────────────────────────────────────────────────────────────────────────

  leaseForwarded(leaseId: LeaseId): void {
    const task = this.requests.taskOf(leaseId);
    if (task !== undefined) this.#port.taskForwarded(task);
  }

  /** Idempotent. One by a second worker goes back: the first one's node has died, and the GCS had the request placed again. */
  leaseGranted({ leaseId, worker, address, dispatched, recallable }: Grant): void {
    if (this.#leases.get(leaseId)?.worker.processId === worker.processId) return;
    const { queue, task, late, wasSent } = this.requests.answered(leaseId);
    if (queue === undefined || task === undefined) {
      if (late !== undefined && dispatched)
        this.#add(lostLease(leaseId, this.#queueOf(late.template), worker, address, late, this.#nowMs));
      return this.#port.send(rayletOf(worker.nodeId), refusalOf(leaseId, dispatched));
    }
    if (wasSent && !dispatched && !mayRunAgain(task, true, this.#port)) {
      this.#finish(task, { kind: "failed", ...lostWithNode(task) });
      return this.#port.send(rayletOf(worker.nodeId), refusalOf(leaseId, false));
    }
    // What is behind a task in this very process nobody can recall: the task would keep us from it, too.
    const mayRecall = recallable && worker.processId !== this.#self.processId;
    const lease = this.#add(newLease(leaseId, queue, worker, address, mayRecall, this.#nowMs));
    task.infeasible = "";
    if (dispatched) {
      task.state = "pushed";
      task.sequence = 0;
      lease.inFlight.set(0, task); // the raylet has sent it ahead as number 0
      if (task.storeResult) this.#port.runsAt(task, worker);
    } else if (task.state === "requested") {
      task.state = "queued";
      if (hasStoredArguments(task)) lease.first = task;
      else queue.tasks.unshift(task);
    }
    this.#port.connect(lease);
  }

  leaseRefused(leaseId: LeaseId, reason: Failure): void {
    const { queue, task } = this.requests.answered(leaseId);
    if (queue === undefined || task === undefined) return;
    this.#finish(task, { kind: "failed", ...reason });
    this.#pump(queue);
  }

  leaseCancelled(leaseId: LeaseId): void {
    const { queue, task } = this.requests.answered(leaseId);
    if (queue === undefined || task === undefined) return;
    if (task.state === "requested") this.#requeue(task);
    this.#pump(queue);
  }

  /** Others wait: an idle lease goes back now, a busy one after its tenure. */
  leaseWanted(leaseId: LeaseId): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined || lease.wantedSinceMs > 0) return;
    lease.wantedSinceMs = this.#nowMs || 1;
    this.#returnIfIdle(lease);
  }

  /**
   * The worker died, or its node. The oldest unanswered task was running and loses an attempt; not as the bystander of
   * a worker that was killed because of another lease's task. Of one that was given up: nothing runs there any more.
   */
  leaseLost(leaseId: LeaseId, reason: Failure, bystander = false): void {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return this.#givenUp.over(leaseId);
    // What is tried again must not go to another lease of the same worker, whose end follows.
    breakAll(this.#leases.values(), ({ worker }) => worker.processId === lease.worker.processId, this.#nowMs);
    this.#lose(lease, reason, bystander);
  }

  nodeLost(nodeId: NodeId, reason: Failure): void {
    const there = breakAll(this.#leases.values(), ({ worker }) => worker.nodeId === nodeId, this.#nowMs);
    for (const lease of there) this.#lose(lease, reason, false);
    this.#givenUp.nodeLost(nodeId);
  }

  /** Its first task waits in `get`, and its worker, which is still being dialled, has sent word. Late, it says nothing. */
  leaseBlocked(leaseId: LeaseId): void {
    const lease = this.#leases.get(leaseId);
    if (lease?.inFlight.get(0) === undefined) return;
    lease.blockedBy = 0;
    this.#pump(lease.queue);
  }

  // ── What the worker says ──────────────────────────────────────────────────────────────────────────────────────────

  connected(lease: Lease): void {
    if (this.#leases.get(lease.id) !== lease) return;
    lease.state = "open";
    const { first } = lease;
    lease.first = undefined;
    if (first?.state === "queued") this.#push(lease, first);
    this.#pump(lease.queue);
    this.#returnIfIdle(lease);
  }

  /** The connection was lost: the raylet will say why the worker died. */
  disconnected(lease: Lease): void {
    if (this.#leases.get(lease.id) === lease) breakLease(lease, this.#nowMs);
  }

  /** It is dialled again: its raylet would say if it had died. `isBusy`: it may be in synchronous code of the task. */
  unreached(lease: Lease, isBusy: boolean): void {
    if (this.#leases.get(lease.id) === lease) dialFailed(lease, isBusy, this.#nowMs);
  }

  /** Hot path: one call for each answered task. */
  answered(lease: Lease, sequence: number, outcome: Outcome, runTimeMs: number): void {
    const task = lease.inFlight.get(sequence);
    if (task === undefined) return; // answered before, or taken back
    lease.inFlight.delete(sequence);
    if (lease.blockedBy !== undefined && sequence >= lease.blockedBy) lease.blockedBy = undefined;
    lease.stalled = false;
    lease.stillSinceMs = 0;
    lease.queue.noteRunTime(runTimeMs);
    this.#finish(task, outcome);
  }

  /** After a batch of answers: send what waits, or give the lease back. */
  settle(lease: Lease): void {
    if (this.#leases.get(lease.id) !== lease) return;
    this.#pump(lease.queue);
    if (lease.inFlight.size > 0) return;
    lease.idleSinceMs = this.#nowMs;
    // This worker is free and a task still waits for another lease: it can have this one.
    const surplus = lease.queue.surplusRequest();
    if (surplus !== undefined) this.#port.sendToRaylet({ type: "cancelLease", leaseId: surplus });
    this.#returnIfIdle(lease);
  }

  /**
   * The worker did not start these: its running task takes long, or waits (`blocked`), or an argument that was there is
   * gone. No attempt is lost. A blocked lease counts for nothing when it is asked whether more are needed; otherwise two
   * gated tasks on two CPUs would keep the task that opens their gate waiting for ever.
   */
  handedBack(lease: Lease, sequences: readonly number[], blocked: boolean): void {
    const back = sequences.filter((sequence) => lease.inFlight.get(sequence) !== undefined);
    if (back.length === 0 && !blocked) return; // they were recalled before
    const tasks = takeBack(lease, back);
    lease.blockedBy = blocked ? lease.inFlight.keys().at(-1) : undefined;
    this.#startAnew(lease, tasks);
  }

  /** Its raylet has made sure that pushes above `started` and up to `upTo` will not start there. Idempotent. */
  tasksRecalled(leaseId: LeaseId, upTo: number, started: number): void {
    const lease = this.#leases.get(leaseId);
    const back = lease?.inFlight.keys().filter((sequence) => sequence > started && sequence <= upTo) ?? [];
    if (lease !== undefined && back.length > 0) this.#startAnew(lease, takeBack(lease, back));
  }

  #startAnew(lease: Lease, tasks: Task[]): void {
    for (const task of tasks.reverse()) this.#requeue(task);
    this.#pump(lease.queue);
    if (lease.inFlight.size === 0 && lease.state === "open" && lease.queue.requests.size > 0) this.#return(lease);
  }

  // ── Ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Take a task out wherever it is; a running one is the caller's business. Says where its worker is, if pushed. */
  withdraw(task: Task): Lease | undefined {
    const queue = this.#queueOf(task.template);
    if (task.state === "queued") queue.remove(task);
    if (task.state === "requested") {
      const cancel = (leaseId: LeaseId) => this.#port.sendToRaylet({ type: "cancelLease", leaseId });
      this.requests.withdraw(task, queue).forEach(cancel);
      this.#pump(queue);
    }
    return queue.leaseOf(task);
  }

  /** The worker is ended for the task that it runs, and gets no other. */
  end(lease: Lease, why: string): void {
    this.disconnected(lease);
    this.#port.send(rayletOf(lease.worker.nodeId), { type: "killLeasedWorker", leaseId: lease.id, why });
  }

  runnerOf(task: Task): ProcessRef | undefined {
    return this.#queues.get(task.template.schedulingKey)?.leaseOf(task)?.worker;
  }

  /** Idle leases go back after `LEASE_IDLE_MS`; broken ones are given up; what waits behind a long task is recalled. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const lease of [...this.#leases.values()]) {
      if (isForsaken(lease, nowMs)) {
        this.#givenUp.add(lease.id, lease.worker, lease.inFlight.values(), { type: "giveUpLease", leaseId: lease.id });
        this.#lose(lease, lostConnection(lease), false);
      } else if (lease.state === "unreached" && lease.dials.isOver(nowMs)) {
        lease.state = "connecting";
        this.#port.connect(lease);
      } else if (lease.state === "open" && lease.inFlight.size > 0) {
        const recall = recallOf(lease, nowMs);
        if (recall !== undefined) this.#port.send(rayletOf(lease.worker.nodeId), recall);
      } else if (lease.state === "open" && nowMs - lease.idleSinceMs > LEASE_IDLE_MS) {
        this.#return(lease);
      }
    }
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    return [...this.#queues.values()].map(describeQueue).join("\n");
  }

  get hasLeases(): boolean {
    return this.#leases.size > 0;
  }

  check(): void {
    this.requests.check();
    for (const lease of this.#leases.values()) checkLease(lease);
  }

  #queueOf(template: TaskTemplate): KeyQueue {
    const known = this.#queues.get(template.schedulingKey);
    if (known !== undefined) return known;
    const queue = new KeyQueue(template, this.#total);
    this.#queues.set(template.schedulingKey, queue);
    return queue;
  }

  /** Hot path: fill the open leases, then ask for more if tasks are left. */
  #pump(queue: KeyQueue): void {
    while (queue.tasks.length > 0) {
      const lease = queue.bestLease(this.#nowMs);
      if (lease === undefined) break;
      const task = queue.tasks.shift();
      if (task === undefined || task.state !== "queued") continue;
      this.#push(lease, task);
    }
    if (queue.tasks.length > 0) this.#requestMore(queue);
  }

  #push(lease: Lease, task: Task): void {
    const sequence = lease.nextSequence++;
    task.state = "pushed";
    task.sequence = sequence;
    if (lease.inFlight.size === 0) lease.stillSinceMs = 0;
    lease.inFlight.set(sequence, task);
    this.#port.push(lease, task);
  }

  #requestMore(queue: KeyQueue): void {
    const usable = queue.leases.filter((lease) => lease.blockedBy === undefined && lease.state !== "broken").length;
    const room = Math.max(1, queue.capacity) - usable;
    while (queue.tasks.length > 0 && queue.plainRequests < Math.min(room, MAX_OPEN_REQUESTS_PER_KEY)) {
      const task = queue.tasks.shift();
      if (task !== undefined && task.state === "queued") this.#request(queue, task);
    }
  }

  /** Lecture, `submitTask`: hand the task to the own local scheduler. */
  #request(queue: KeyQueue, task: Task): void {
    const leaseId = `${this.#self.processId}.${(this.#nextLease++).toString(16)}` as LeaseId;
    task.state = "requested";
    const request = this.#port.leaseRequest(leaseId, task);
    this.requests.open(leaseId, queue, task, request.task !== undefined);
    // This process waits for a lease of another kind: its idle ones may hold what that needs.
    for (const lease of [...this.#leases.values()]) {
      if (lease.queue !== queue && lease.inFlight.size === 0 && lease.state === "open") this.#return(lease);
    }
    this.#port.sendToRaylet({ ...request, type: "requestLease" });
  }

  #add(lease: Lease): Lease {
    this.#leases.set(lease.id, lease);
    lease.queue.leases.push(lease);
    return lease;
  }

  #returnIfIdle(lease: Lease): void {
    if (lease.inFlight.size > 0 || lease.state !== "open") return;
    const isWanted = lease.wantedSinceMs > 0 || this.requests.hasOthersThan(lease.queue);
    if (isWanted || isSpent(lease)) this.#return(lease);
  }

  #return(lease: Lease): void {
    assert(lease.inFlight.size === 0, "a lease goes back when nothing is in flight");
    this.#forget(lease);
    this.#port.send(rayletOf(lease.worker.nodeId), { type: "returnLease", leaseId: lease.id });
    if (lease.queue.tasks.length > 0) this.#pump(lease.queue);
  }

  #forget(lease: Lease): void {
    this.#leases.delete(lease.id);
    lease.queue.leases.splice(lease.queue.leases.indexOf(lease), 1);
    this.#port.disconnect(lease);
  }

  /** The oldest task was running, or its time was over; the others had not started, or were lost by another's fault. */
  #lose(lease: Lease, reason: Failure, bystander: boolean): void {
    this.#forget(lease);
    if (lease.first?.state === "queued") this.#requeue(lease.first);
    const lost = [...lease.inFlight.values()];
    lease.inFlight.clear();
    if (lost.length > 1) lease.queue.forgetRunTimes();
    for (const [i, task] of [...lost.entries()].reverse()) {
      if (task.state === "pushed" && mayRunAgain(task, i === 0 && !bystander, this.#port)) this.#requeue(task);
      else this.#finish(task, { kind: "failed", code: reason.code, message: lostMessage(task, reason) });
    }
    this.#pump(lease.queue);
  }

  /** It starts anew: on the next lease, or, with stored arguments, where the schedulers can have them. */
  #requeue(task: Task): void {
    const queue = this.#queueOf(task.template);
    if (hasStoredArguments(task)) return this.#request(queue, task);
    task.state = "queued";
    queue.tasks.unshift(task);
  }

  #finish(task: Task, outcome: Outcome): void {
    if (task.state === "done") return this.#port.endedLate(task);
    task.state = "done";
    this.#port.finished(task, outcome);
  }
}
