/**
 * The queue of one scheduling key, and what it knows of its tasks' run times.
 *
 * Decides: how many tasks a worker of this key gets ahead.
 */
import { assert } from "../../base/assert.js";
import { Deque } from "../../base/deque.js";
import type { LeaseId, ProcessRef } from "../../base/ids.js";
import {
  FIRST_REDIAL_MS,
  LEASE_REASON_WAIT_MS,
  MAX_OPEN_REQUESTS_PER_KEY,
  MAX_PIPELINE_DEPTH,
  MAX_PUSHES_PER_LEASE,
  MAX_REDIAL_MS,
  MAX_REFUSED_DIALS,
  PIPELINE_AHEAD_MS,
  PIPELINE_BELOW_MS,
  RECALL_AFTER_MS,
  RECALL_PAUSE_MS,
} from "../../base/limits.js";
import { SequenceMap } from "../../base/sequence-map.js";
import type { Failure, Message, MessageBody, ProcessAddress } from "../../protocol/messages.js";
import { Backoff } from "../backoff.js";
import type { Amounts } from "../resources.js";
import type { Task, TaskTemplate } from "./records.js";

const MEAN_OVER_TASKS = 16;
const MIN_PIPELINE_DEPTH = 2;
/** A lease that others want may be kept busy this long. */
const WANTED_TENURE_MS = 100;

export interface Lease {
  readonly id: LeaseId;
  readonly queue: KeyQueue;
  readonly worker: ProcessRef;
  readonly address: ProcessAddress;
  /** "unreached": a dial failed, another follows. "broken": the connection was lost. */
  state: "connecting" | "unreached" | "open" | "broken";
  /** The task for whose stored arguments this lease was granted here: it waits for the connection. */
  first: Task | undefined;
  /** Pushed and unanswered, oldest first. */
  readonly inFlight: SequenceMap<Task>;
  nextSequence: number;
  idleSinceMs: number;
  wantedSinceMs: number;
  brokenSinceMs: number;
  readonly dials: Backoff;
  /**
   * What runs there waits in `get`: this task, or one before it. Until it has answered the lease does not count when it is
   * asked whether more are needed, though others answer that had ended before: their results were on the way to a store.
   */
  blockedBy: number | undefined;
  /** The shell's way to the worker. */
  route: unknown;
  /** Its task takes long: nothing more is pushed until that has answered. */
  stalled: boolean;
  /** What waits behind a task that keeps the worker's thread can be had back. */
  readonly recallable: boolean;
  /** Since when its oldest task has been seen to be the same; 0: since the last tick. */
  stillSinceMs: number;
}

/** Tasks that may run on each other's leases: one waiting line, the leases and the open requests of one scheduling key. */
export class KeyQueue {
  readonly key: string;
  readonly demand: Amounts;
  /** How many of its leases the whole cluster could hold at once. */
  capacity = 0;
  readonly tasks = new Deque<Task>();
  readonly leases: Lease[] = [];
  readonly requests = new Map<LeaseId, Task>();
  /** Of these, what waits for large arguments too: for how long, nobody here knows. */
  readonly requestsWithArguments = new Set<LeaseId>();
  /** The last 32 run times, one bit each: set when it was below `PIPELINE_BELOW_MS`. */
  #history = 0;
  #samples = 0;
  /** The mean run time, of the last dozen tasks or so. */
  #meanMs = 0;
  /** What must not run twice is not pushed ahead: of a dead worker's tasks nobody could say which had started. */
  readonly #once: boolean;

  constructor(template: TaskTemplate, total: Amounts) {
    this.#once = template.maxRetries === 0;
    this.key = template.schedulingKey;
    this.demand = template.demand;
    this.clusterHas(total);
  }

  /** Hot path: the open lease with the fewest tasks in flight, if it may take one more. */
  bestLease(nowMs: number): Lease | undefined {
    let best: Lease | undefined;
    let fewest = this.depth;
    for (const lease of this.leases) {
      if (lease.state !== "open" || lease.stalled || lease.inFlight.size >= fewest) continue;
      if (lease.inFlight.size > 0 && !lease.recallable && this.capacity > 1) continue;
      if (lease.wantedSinceMs > 0 && nowMs - lease.wantedSinceMs > WANTED_TENURE_MS) continue;
      if (isSpent(lease)) continue;
      best = lease;
      fewest = lease.inFlight.size;
    }
    return best;
  }

  clusterHas(total: Amounts): void {
    this.capacity = capacityFor(this.demand, total);
  }

  /** Where a pushed task is. */
  leaseOf(task: Task): Lease | undefined {
    return this.leases.find((lease) => lease.inFlight.get(task.sequence) === task);
  }

  noteRunTime(runTimeMs: number): void {
    this.#history = (this.#history << 1) | (runTimeMs < PIPELINE_BELOW_MS ? 1 : 0);
    if (this.#samples < 32) this.#samples++;
    this.#meanMs += (runTimeMs - this.#meanMs) / Math.min(this.#samples, MEAN_OVER_TASKS);
  }

  /** A task that waits, perhaps for its lease's connection, waits no more. */
  remove(task: Task): void {
    this.tasks.remove(task);
    for (const lease of this.leases) if (lease.first === task) lease.first = undefined;
  }

  /** Requests that wait for nothing but a worker. */
  get plainRequests(): number {
    return this.requests.size - this.requestsWithArguments.size;
  }

  /** A request whose task could as well run on a lease that is there: nothing waits for that. */
  surplusRequest(): LeaseId | undefined {
    if (this.tasks.length > 0) return undefined;
    for (const leaseId of this.requests.keys()) if (!this.requestsWithArguments.has(leaseId)) return leaseId;
    return undefined;
  }

  /** A worker died: one task at a time again, so that the next death has one suspect. */
  forgetRunTimes(): void {
    this.#history = 0;
    this.#samples = 0;
  }

  /**
   * How many tasks a worker may have at once: one, until the median run time is known to be short; then what it runs in
   * `PIPELINE_AHEAD_MS`. That hides the way to the worker and back, and what is beyond goes to other workers. From a lease
   * that is not recallable nobody could take back what waits behind a task that keeps the thread: it gets one at a time,
   * unless the cluster has room for one such lease only, so that there is nobody else to run them.
   */
  get depth(): number {
    if (this.#once || this.#samples < 4 || bitsSet(this.#history) * 2 <= this.#samples) return 1;
    return Math.max(MIN_PIPELINE_DEPTH, Math.min(MAX_PIPELINE_DEPTH, Math.floor(PIPELINE_AHEAD_MS / this.#meanMs)));
  }
}

/** How many leases of this demand the whole cluster could hold at once. */
function capacityFor(demand: Amounts, total: Amounts): number {
  let capacity = MAX_OPEN_REQUESTS_PER_KEY;
  for (const [name, amount] of demand) {
    if (amount > 0) capacity = Math.min(capacity, Math.floor((total.get(name) ?? 0) / amount));
  }
  return capacity;
}

function bitsSet(word: number): number {
  let bits = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** What its raylet says of it. */
export type Grant = Pick<MessageBody<"leaseGranted">, "leaseId" | "worker" | "address" | "dispatched" | "recallable">;

export function newLease(
  id: LeaseId,
  queue: KeyQueue,
  worker: ProcessRef,
  address: ProcessAddress,
  recallable: boolean,
  nowMs: number,
): Lease {
  return {
    id,
    queue,
    worker,
    address,
    state: "connecting",
    first: undefined,
    inFlight: new SequenceMap(),
    nextSequence: 1,
    idleSinceMs: nowMs,
    wantedSinceMs: 0,
    brokenSinceMs: 0,
    dials: new Backoff(FIRST_REDIAL_MS, MAX_REDIAL_MS),
    blockedBy: undefined,
    route: undefined,
    stalled: false,
    recallable,
    stillSinceMs: 0,
  };
}

/** A lease that nobody wants any more, and whose first task has begun: kept until its worker's end is known. */
export function lostLease(
  id: LeaseId,
  queue: KeyQueue,
  worker: ProcessRef,
  address: ProcessAddress,
  first: Task,
  nowMs: number,
): Lease {
  const lease = newLease(id, queue, worker, address, false, nowMs);
  breakLease(lease, nowMs);
  lease.inFlight.set(0, first);
  return lease;
}

/** Its connection is lost, or will be: it gets no task any more, and its raylet says what became of its worker. */
export function breakLease(lease: Lease, nowMs: number): void {
  if (lease.state === "broken") return;
  lease.state = "broken";
  lease.brokenSinceMs = nowMs;
}

/** Of these leases those of one worker, or of one node. Says which. */
export function breakAll(leases: Iterable<Lease>, isLost: (lease: Lease) => boolean, nowMs: number): readonly Lease[] {
  const lost = [...leases].filter(isLost);
  for (const lease of lost) breakLease(lease, nowMs);
  return lost;
}

/** `isBusy`: it may be in synchronous code of the task. */
export function dialFailed(lease: Lease, isBusy: boolean, nowMs: number): void {
  if (lease.state !== "connecting") return;
  if (isBusy) lease.dials.succeeded();
  else lease.dials.failed(nowMs);
  lease.state = "unreached";
  if (lease.dials.failures >= MAX_REFUSED_DIALS) breakLease(lease, nowMs);
}

/** Its connection is lost, and its raylet has had its time to say why. */
export function isForsaken({ state, brokenSinceMs }: Lease, nowMs: number): boolean {
  return state === "broken" && nowMs - brokenSinceMs > LEASE_REASON_WAIT_MS;
}

/** It has used up its numbers: it goes back as soon as nothing is in flight. */
export function isSpent(lease: Lease): boolean {
  return lease.nextSequence > MAX_PUSHES_PER_LEASE;
}

export function checkLease(lease: Lease): void {
  assert(lease.queue.leases.includes(lease), "a lease is in its queue");
  for (const task of lease.inFlight.values()) {
    assert(task.state === "pushed" || task.state === "done", "what is in flight was pushed");
  }
}

/** What its worker has not started and never will, in order, but for tasks whose time was up. */
export function takeBack(lease: Lease, sequences: readonly number[]): Task[] {
  const tasks: Task[] = [];
  for (const sequence of sequences) {
    const task = lease.inFlight.get(sequence);
    lease.inFlight.delete(sequence);
    if (task?.state === "pushed") tasks.push(task);
  }
  lease.stalled = lease.inFlight.size > 0;
  lease.queue.noteRunTime(PIPELINE_BELOW_MS * 2); // the one before them takes longer than was thought
  return tasks;
}

/** Its worker was lost. A bystander was not running, and loses no attempt. False when it had its last. */
export function mayRunAgain(task: Task, wasRunning: boolean, port: { runsAgain(task: Task): void }): boolean {
  const { maxRetries } = task.template;
  if (wasRunning && maxRetries >= 0 && task.attempt >= maxRetries) return false;
  if (wasRunning) task.attempt++;
  task.run++;
  port.runsAgain(task);
  return true;
}

/** The time of its task was over when the grant came. A worker that has begun with it may never end, and is ended. */
export function refusalOf(leaseId: LeaseId, hasBegun: boolean): Message {
  if (!hasBegun) return { type: "returnLease", leaseId };
  const why = "the timeoutMs of its task was over before its owner knew of the lease";
  return { type: "killLeasedWorker", leaseId, why };
}

/**
 * Called when time has passed. Its oldest task does not end: a worker that reads would have handed back what waits behind
 * it, so its thread is busy, nothing more goes there, and the raylet is asked for what has not started.
 */
export function recallOf(lease: Lease, nowMs: number): Message | undefined {
  if (lease.stillSinceMs === 0) lease.stillSinceMs = nowMs;
  if (nowMs - lease.stillSinceMs < RECALL_AFTER_MS) return undefined;
  lease.stalled = true;
  if (lease.inFlight.size === 1 || !lease.recallable) return undefined;
  lease.stillSinceMs = nowMs + RECALL_PAUSE_MS; // the raylet may know nothing now
  return { type: "recallTasks", leaseId: lease.id, upTo: lease.nextSequence - 1 };
}

/** The state in words, for people who ask why something waits. */
export function describeQueue({ key, tasks, leases, requests }: KeyQueue): string {
  const lines = leases.map((lease) => {
    const running = [...lease.inFlight.values()].map((task) => `${task.template.name} ${task.id}`).join(", ");
    const marks = `${lease.state}${lease.blockedBy === undefined ? "" : ", blocked"}${lease.wantedSinceMs > 0 ? ", wanted" : ""}`;
    return `  lease ${lease.id} on worker ${lease.worker.processId} (${marks}): ${running || "idle"}`;
  });
  return [
    `queue ${key}: ${tasks.length} tasks wait; requests ${[...requests.keys()].join(" ") || "none"}`,
    ...lines,
  ].join("\n");
}

export function lostConnection({ worker }: Lease): Failure {
  const message = `the connection to worker ${worker.processId} on node ${worker.nodeId} was lost`;
  return { code: "WORKER_CRASHED", message };
}

/**
 * It went with its request, and is not where that was granted: a node had been given both, may have begun, and died. The
 * GCS had the request placed again, without its task.
 */
export function lostWithNode(task: Task): Failure {
  const reason = { code: "NODE_DIED", message: "the node that had been given it died" };
  return { ...reason, message: lostMessage(task, reason) };
}

export function lostMessage(task: Task, reason: Failure): string {
  const attempts = task.attempt + 1;
  const tried = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  return `task ${task.template.name} (${task.id}) failed after ${tried} (maxRetries ${task.template.maxRetries}): ${reason.message}`;
}
