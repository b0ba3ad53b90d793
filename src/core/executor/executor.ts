/**
 * The executor: runs the tasks that arrive at a worker.
 *
 * Lecture: step `executeTask`.
 *
 *     pushed ──▶ (preparing: functions and arguments are brought) ──▶ running ⇄ blocked in get ──▶ answered
 *        └──▶ handed back unstarted
 *
 * Decides: what runs next, what is handed back. The tasks of a lease run one at a time and in order: none overtakes one
 * that is still being prepared, since it might keep the thread and wait for just that one. Behind one that takes long or
 * waits nothing is kept.
 * Does not know: functions, values, sockets. The port runs the user's code.
 *
 * Invariants: I-01 every push is answered, handed back, or dies with its connection; nothing runs on a closed lease.
 * I-02 what has been recalled does not start.
 */
import { assert } from "../../base/assert.js";
import type { LeaseId, ProcessRef } from "../../base/ids.js";
import { HAND_BACK_AFTER_MS, MAX_CLOSED_LEASES, PROMOTE_UNREAD_AFTER_MS } from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import { isRebuild } from "../actor-lease.js";
import type { Outcome } from "../owner/records.js";
import { WorkerClaims } from "./claim-words.js";
import { type Caller, isBlocked, type LeaseSlot, newRun, newSlot, PLAIN, type Run, type Unread } from "./lease-slot.js";

/** Why a rebuild has not begun. */
export const MISSING = { code: "ARGUMENT_MISSING", message: "an argument was lost before the task began" } as const;

export interface ExecutorPort {
  nowMs(): number;
  sendToRaylet(message: Message): void;
  /** By the control plane, to an owner that has not connected. */
  sendToOwner(owner: ProcessRef, message: Message): void;
  /** Bring what the task needs. True: all is here already; else `prepared` follows. */
  prepare(run: Run): boolean;
  /** Lecture, `executeTask`. The outcome when the code was synchronous; else `finished` follows. */
  execute(run: Run): Outcome | undefined;
  answer(caller: Caller, run: Run, outcome: Outcome, runTimeMs: number): void;
  /** The owner may be busy and others may wait: put the values into the store. `promoted` gives the answer then. */
  promoteUnread(run: Run, outcome: Outcome, promoted: (outcome: Outcome) => void): void;
  /** A task that the GCS had run again has ended: its results are in the store, and nobody takes an answer. */
  rebuilt(lease: LeaseSlot, run: Run, outcome: Outcome): void;
  handBack(caller: Caller, lease: LeaseSlot, sequences: readonly number[], blocked: boolean): void;
  /** Nothing of the lease runs, and nothing will: its owner's messages about it mean nothing from here on. */
  leaseOver(lease: LeaseSlot): void;
  /** Call `tick` after this time. */
  wakeUpAfter(delayMs: number): void;
}

export class Executor {
  readonly #port: ExecutorPort;
  readonly #leases = new Map<LeaseId, LeaseSlot>();
  /** Leases that ended lately: an owner's message about one may still be under way. */
  readonly #closed = new Set<LeaseId>();
  readonly #claims: WorkerClaims | undefined;

  /** `claimWords` are shared with the raylet, where that is possible. */
  constructor(port: ExecutorPort, claimWords?: Int32Array) {
    this.#port = port;
    this.#claims = claimWords && new WorkerClaims(claimWords);
  }

  /** The raylet has granted a lease on this worker. */
  openLease(id: LeaseId, owner: ProcessRef, { held, claim, hasFirst } = PLAIN): void {
    const lease = this.#leases.get(id) ?? this.#add(id, owner);
    lease.held = held;
    if (lease.claim !== claim) {
      lease.claim = claim;
      this.#claims?.open(lease);
    }
    if (hasFirst && !lease.dispatched) return;
    lease.granted = true;
    if (lease.current === undefined) this.#drain(lease);
  }

  /** The lease is over: what has not started goes back, what runs is answered if its owner is still there. */
  closeLease(id: LeaseId): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.closed = true;
    this.#remember(id);
    this.#handBackQueued(lease, false);
    if (lease.current?.state !== "running") this.#forget(lease);
  }

  /**
   * Its owner has given up what runs: that is nobody's, though the end of the owner's connection, or even what came by it
   * before, may not have been read here yet.
   */
  disownLease(id: LeaseId): void {
    this.closeLease(id);
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.caller = undefined;
  }

  /**
   * The owner has connected: it gets the answers that waited for it. Its message may overtake the raylet's; what it
   * pushes waits for that. `attached` is called before anything is answered; not at all when the lease is over.
   */
  attach(id: LeaseId, owner: ProcessRef, caller: Caller, attached: (lease: LeaseSlot) => void): void {
    if (this.#closed.has(id)) return;
    const lease = this.#leases.get(id) ?? this.#add(id, owner);
    lease.caller = caller;
    attached(lease);
    this.#answerUnread(lease, caller);
    if (lease.goneBack.length > 0) this.#handBack(lease, lease.goneBack.splice(0), false);
    if (isBlocked(lease.current)) this.#handBack(lease, [], true);
  }

  /** The owner's connection is gone. */
  detach(caller: Caller): void {
    for (const lease of this.#leases.values()) {
      if (lease.caller !== caller) continue;
      lease.caller = undefined;
      while (lease.queue.length > 0) lease.queue.shift();
    }
  }

  /** The first task of a lease, sent ahead by the raylet: number 0, before all others. Idempotent by its lease. */
  dispatch(id: LeaseId, task: unknown): void {
    const lease = this.#leases.get(id);
    if (lease === undefined || lease.dispatched || lease.closed) return;
    lease.dispatched = true;
    lease.granted = true;
    lease.queue.unshift(newRun(lease, 0, task));
    if (lease.current === undefined) this.#drain(lease);
  }

  /** Hot path: one call for each task. */
  push(lease: LeaseSlot, sequence: number, task: unknown): void {
    if (lease.closed || isBlocked(lease.current)) {
      if (lease.caller !== undefined) this.#port.handBack(lease.caller, lease, [sequence], !lease.closed);
      return;
    }
    lease.queue.push(newRun(lease, sequence, task));
    if (!lease.granted) return;
    if (lease.current === undefined) this.#drain(lease);
    else if (lease.queue.length === 1) this.#port.wakeUpAfter(HAND_BACK_AFTER_MS);
  }

  /** What a run needed is here. */
  prepared(run: Run): void {
    if (run.state !== "preparing") return;
    const { lease } = run;
    if (lease.closed) {
      run.state = "done";
      this.#handBack(lease, [run.sequence], false);
      this.#ended(lease);
    } else if (this.#start(run)) this.#drain(lease);
    else if (lease.queue.length > 0) this.#port.wakeUpAfter(HAND_BACK_AFTER_MS);
  }

  /** It could not be prepared: a missing function, a lost argument. */
  failedToPrepare(run: Run, outcome: Outcome): void {
    if (run.state !== "preparing") return;
    run.startedMs = this.#port.nowMs();
    this.#answer(run, outcome);
    this.#ended(run.lease);
  }

  /** An argument that was here when the lease was granted is lost: the task must not hold resources while it waits. */
  argumentMissing(run: Run): void {
    if (run.state !== "preparing") return;
    run.state = "done";
    const { lease } = run;
    if (isRebuild(lease)) this.#port.rebuilt(lease, run, { kind: "failed", ...MISSING });
    else if (lease.caller === undefined) lease.goneBack.push(run.sequence);
    else this.#handBack(lease, [run.sequence], false);
    this.#ended(lease);
  }

  /** Asynchronous code has ended, perhaps without the value that it waited for: it takes its CPU back all the same. */
  finished(run: Run, outcome: Outcome): void {
    if (run.state !== "running") return;
    const { lease } = run;
    if (isBlocked(run)) this.#port.sendToRaylet({ type: "taskResumed", leaseId: lease.id });
    this.#answer(run, outcome);
    this.#ended(lease);
  }

  /** The task waits in `get` or `wait`, and its synchronous part has ended: its CPU is free for others. */
  block(run: Run): void {
    run.waits++;
    if (run.waits > 1 || run.state !== "running") return;
    const { lease } = run;
    this.#handBackQueued(lease, true);
    this.#port.sendToRaylet({ type: "taskBlocked", leaseId: lease.id });
    // Its owner may dial for long, if another task keeps this thread meanwhile, and would take the lease for a busy one.
    if (lease.caller !== undefined || isRebuild(lease)) return;
    this.#port.sendToOwner(lease.owner, { type: "leaseBlocked", leaseId: lease.id });
  }

  resume(run: Run): void {
    assert(run.waits > 0, "a task resumes as often as it was blocked");
    run.waits--;
    if (run.waits > 0 || run.state !== "running") return;
    this.#port.sendToRaylet({ type: "taskResumed", leaseId: run.lease.id });
  }

  /** Tasks that wait behind one that takes long are handed back: another worker may be free. */
  tick(): void {
    const now = this.#port.nowMs();
    for (const lease of this.#leases.values()) {
      for (const unread of lease.unanswered) this.#promoteUnread(lease, unread, now);
      if (lease.current === undefined || lease.queue.length === 0) continue;
      const leftMs = lease.current.startedMs + HAND_BACK_AFTER_MS - now;
      if (leftMs <= 0) this.#handBackQueued(lease, false);
      else this.#port.wakeUpAfter(leftMs);
    }
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    const lines = [...this.#leases.values()].map((lease) => {
      const { current } = lease;
      const does = current?.state === "preparing" ? "prepares" : "runs";
      const running =
        current === undefined ? "idle" : `${does} ${current.sequence}${isBlocked(current) ? ", blocked" : ""}`;
      const more = `${lease.queue.length} queued, ${lease.unanswered.length} unanswered`;
      return `lease ${lease.id} of ${lease.owner.processId}: ${running}; ${more}${lease.closed ? "; closed" : ""}`;
    });
    return lines.join("\n");
  }

  check(): void {
    for (const lease of this.#leases.values()) {
      assert(lease.queue.length === 0 || lease.current !== undefined || !lease.granted, "what can run, runs");
      assert(!isBlocked(lease.current) || lease.queue.length === 0, "nothing waits behind a blocked task");
    }
  }

  /**
   * Run what is there, one after the other, until something takes longer than this turn. What has been recalled does not
   * start. It is handed back, because a task may count as started and yet not be; its owner drops what it has had back.
   */
  #drain(lease: LeaseSlot): void {
    let recalled: number[] | undefined;
    for (let run = lease.queue.shift(); run !== undefined; run = lease.queue.shift()) {
      if (!this.#mayStart(run)) {
        recalled ??= [];
        recalled.push(run.sequence);
        continue;
      }
      if (this.#prepare(run) && this.#start(run)) continue;
      if (lease.queue.length > 0) this.#port.wakeUpAfter(HAND_BACK_AFTER_MS);
      break;
    }
    if (recalled !== undefined) this.#handBack(lease, recalled, false);
  }

  #mayStart({ lease, sequence }: Run): boolean {
    return this.#claims === undefined || lease.claim === 0 || this.#claims.mayStart(lease, sequence);
  }

  /** True when all that it needs is here. */
  #prepare(run: Run): boolean {
    if (this.#port.prepare(run)) return true;
    run.state = "preparing";
    run.startedMs = this.#port.nowMs();
    run.lease.current = run;
    return false;
  }

  /** True when the run has ended already. */
  #start(run: Run): boolean {
    const { lease } = run;
    run.state = "running";
    run.startedMs = this.#port.nowMs();
    lease.current = run;
    const outcome = this.#port.execute(run);
    if (outcome === undefined) return false;
    this.#answer(run, outcome);
    lease.current = undefined;
    return true;
  }

  /** What the lease was at is over. */
  #ended(lease: LeaseSlot): void {
    lease.current = undefined;
    if (lease.closed) this.#forget(lease);
    else this.#drain(lease);
  }

  #add(id: LeaseId, owner: ProcessRef): LeaseSlot {
    const lease = newSlot(id, owner);
    this.#leases.set(id, lease);
    return lease;
  }

  #forget(lease: LeaseSlot): void {
    if (this.#leases.delete(lease.id)) this.#port.leaseOver(lease);
  }

  #remember(id: LeaseId): void {
    this.#closed.add(id);
    if (this.#closed.size <= MAX_CLOSED_LEASES) return;
    for (const oldest of this.#closed) {
      this.#closed.delete(oldest);
      return;
    }
  }

  #answer(run: Run, outcome: Outcome): void {
    run.state = "done";
    const { lease } = run;
    const runTimeMs = this.#port.nowMs() - run.startedMs;
    if (isRebuild(lease)) this.#port.rebuilt(lease, run, outcome);
    else if (lease.caller !== undefined) this.#port.answer(lease.caller, run, outcome, runTimeMs);
    else if (run.sequence === 0) this.#keepUnread(lease, run, outcome, runTimeMs);
  }

  #keepUnread(lease: LeaseSlot, run: Run, outcome: Outcome, runTimeMs: number): void {
    lease.unanswered.push({ run, outcome, runTimeMs, sinceMs: this.#port.nowMs(), state: "inline" });
    this.#port.wakeUpAfter(PROMOTE_UNREAD_AFTER_MS);
  }

  #answerUnread(lease: LeaseSlot, caller: Caller): void {
    const ready = lease.unanswered.filter(({ state }) => state !== "promoting");
    const left = lease.unanswered.filter(({ state }) => state === "promoting");
    lease.unanswered.splice(0, lease.unanswered.length, ...left);
    for (const { run, outcome, runTimeMs } of ready) this.#port.answer(caller, run, outcome, runTimeMs);
  }

  /** Its owner has not come for the first result of the lease, and the refs of it may have gone to others. */
  #promoteUnread(lease: LeaseSlot, unread: Unread, nowMs: number): void {
    if (unread.state !== "inline") return;
    const leftMs = unread.sinceMs + PROMOTE_UNREAD_AFTER_MS - nowMs;
    if (leftMs > 0) return this.#port.wakeUpAfter(leftMs);
    unread.state = "promoting";
    this.#port.promoteUnread(unread.run, unread.outcome, (outcome) => {
      unread.outcome = outcome;
      unread.state = "promoted";
      if (lease.caller !== undefined) this.#answerUnread(lease, lease.caller);
    });
  }

  #handBackQueued(lease: LeaseSlot, blocked: boolean): void {
    const sequences: number[] = [];
    for (let run = lease.queue.shift(); run !== undefined; run = lease.queue.shift()) sequences.push(run.sequence);
    if (sequences.length > 0 || blocked) this.#handBack(lease, sequences, blocked);
  }

  #handBack(lease: LeaseSlot, sequences: readonly number[], blocked: boolean): void {
    if (lease.caller !== undefined) this.#port.handBack(lease.caller, lease, sequences, blocked);
  }
}
