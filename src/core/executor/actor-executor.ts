/**
 * The executor of a worker that has become an actor.
 *
 * Decides: when a call starts. Calls of one caller start in the order in which they came, also when an earlier one waits
 * for its arguments; between callers there is no order. At most `maxConcurrency` calls are under way: synchronous
 * methods run to their end, asynchronous ones interleave at `await`.
 * Does not know: methods, values, sockets.
 *
 * Invariant: I-04 per-caller order; a call runs at most once.
 */
import { assert } from "../../base/assert.js";
import { Deque } from "../../base/deque.js";
import type { LeaseId } from "../../base/ids.js";
import { MAX_CALLS_AHEAD } from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import type { Outcome } from "../owner/records.js";
import type { Caller } from "./lease-slot.js";

export interface Call {
  readonly caller: Caller;
  readonly sequence: number;
  readonly task: unknown;
  state: "queued" | "preparing" | "prepared" | "running" | "done";
  waits: number;
  /** Its caller is gone, or takes it for lost: its results are held in nobody's name. */
  orphan: boolean;
}

export interface ActorExecutorPort {
  sendToRaylet(message: Message): void;
  prepare(call: Call): boolean;
  execute(call: Call): Outcome | undefined;
  answer(caller: Caller, call: Call, outcome: Outcome): void;
}

export class ActorExecutor {
  readonly #port: ActorExecutorPort;
  readonly #leaseId: LeaseId;
  readonly #maxConcurrency: number;
  readonly #maxAhead: number;
  readonly #queues = new Map<Caller, Deque<Call>>();
  readonly #running = new Set<Call>();
  #blocked = 0;
  #saidBlocked = false;

  constructor(leaseId: LeaseId, maxConcurrency: number, port: ActorExecutorPort, maxAhead = MAX_CALLS_AHEAD) {
    this.#maxAhead = maxAhead;
    this.#leaseId = leaseId;
    this.#maxConcurrency = maxConcurrency;
    this.#port = port;
  }

  /** Hot path: one call for each call. */
  push(caller: Caller, sequence: number, task: unknown): void {
    const call: Call = { caller, sequence, task, state: "queued", waits: 0, orphan: false };
    let queue = this.#queues.get(caller);
    if (queue === undefined) {
      queue = new Deque();
      this.#queues.set(caller, queue);
    }
    if (queue.length >= this.#maxAhead) {
      const message = `${this.#maxAhead} calls of one caller wait at the actor, which is the limit: get() some results first`;
      return this.#port.answer(caller, call, { kind: "failed", code: "PENDING_CALLS_LIMIT", message });
    }
    queue.push(call);
    if (queue.length === 1) this.#drain(queue);
  }

  prepared(call: Call): void {
    if (call.state !== "preparing") return;
    call.state = "prepared";
    this.#drainCaller(call.caller);
  }

  failedToPrepare(call: Call, outcome: Outcome): void {
    if (call.state !== "preparing") return;
    call.state = "done";
    this.#queues.get(call.caller)?.remove(call);
    this.#port.answer(call.caller, call, outcome);
    this.#drainCaller(call.caller);
  }

  finished(call: Call, outcome: Outcome): void {
    if (!this.#running.delete(call)) return;
    call.state = "done";
    if (call.waits > 0) this.#blocked--;
    this.#port.answer(call.caller, call, outcome);
    this.#sayBlocked();
    this.#goToTheEnd(call.caller);
    for (const queue of [...this.#queues.values()]) this.#drain(queue);
  }

  /** The call has had its time: if it has not started, it never will. What runs is not ours to stop. */
  withdraw(caller: Caller, sequence: number): void {
    const queue = this.#queues.get(caller);
    const call = queue && waitingIn(queue, sequence);
    if (queue === undefined || call === undefined || call.state === "done") return;
    call.state = "done";
    const message = "its time was over before it started";
    this.#port.answer(caller, call, { kind: "failed", code: "TASK_TIMEOUT", message });
    this.#drain(queue);
  }

  /** The caller is gone: what has not started never will. */
  detach(caller: Caller): void {
    this.#queues.delete(caller);
    for (const call of this.#running) if (call.caller === caller) call.orphan = true;
  }

  block(call: Call): void {
    if (++call.waits === 1 && this.#running.has(call)) this.#blocked++;
    this.#sayBlocked();
  }

  resume(call: Call): void {
    assert(call.waits > 0, "a call resumes as often as it was blocked");
    if (--call.waits === 0 && this.#running.has(call)) this.#blocked--;
    this.#sayBlocked();
  }

  check(): void {
    assert(this.#running.size <= this.#maxConcurrency, "no more calls run than the actor allows");
    assert(this.#blocked <= this.#running.size, "only running calls are blocked");
  }

  #drainCaller(caller: Caller): void {
    const queue = this.#queues.get(caller);
    if (queue !== undefined) this.#drain(queue);
  }

  /** Callers take turns where the actor's concurrency is short: who was served comes last. */
  #goToTheEnd(caller: Caller): void {
    const queue = this.#queues.get(caller);
    if (queue === undefined || queue.length === 0) return;
    this.#queues.delete(caller);
    this.#queues.set(caller, queue);
  }

  #drain(queue: Deque<Call>): void {
    for (let call = queue.peek(); call !== undefined; call = queue.peek()) {
      if (call.state === "done") {
        queue.shift(); // it was withdrawn
        continue;
      }
      if (this.#running.size >= this.#maxConcurrency || call.state === "preparing") return;
      if (call.state === "queued" && !this.#port.prepare(call)) {
        call.state = "preparing";
        return;
      }
      queue.shift();
      this.#start(call);
    }
  }

  #start(call: Call): void {
    call.state = "running";
    const outcome = this.#port.execute(call);
    if (outcome === undefined) {
      this.#running.add(call);
      if (call.waits > 0) this.#blocked++;
      this.#sayBlocked();
      return;
    }
    call.state = "done";
    this.#port.answer(call.caller, call, outcome);
  }

  /** While every call under way waits, the actor's CPU is free for others. */
  #sayBlocked(): void {
    const blocked = this.#running.size > 0 && this.#blocked === this.#running.size;
    if (blocked === this.#saidBlocked) return;
    this.#saidBlocked = blocked;
    this.#port.sendToRaylet({ type: blocked ? "taskBlocked" : "taskResumed", leaseId: this.#leaseId });
  }
}

/** Sequence numbers grow along a queue, with gaps where calls were refused. */
function waitingIn(queue: Deque<Call>, sequence: number): Call | undefined {
  const ahead = sequence - (queue.peek()?.sequence ?? 0);
  for (let index = Math.min(ahead, queue.length - 1); index >= 0; index--) {
    const call = queue.at(index);
    if (call !== undefined && call.sequence <= sequence) return call.sequence === sequence ? call : undefined;
  }
  return undefined;
}
