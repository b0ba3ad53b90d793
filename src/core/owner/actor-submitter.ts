/**
 * Actor calls of one process: from the handle straight to the actor's process.
 *
 * Lecture: actor step 4, `callActor`.
 *
 * Calls of one handle leave in submission order, also when an earlier one still waits for its arguments; the connection
 * keeps that order. Until the actor lives, and while it cannot be reached, they wait here.
 *
 *     pending ──▶ connecting ──▶ alive ── connection lost ──▶ broken ──▶ asking ── "it lives" ──▶ connecting
 *         └───────────┴────────────┴──── the GCS says that it is dead ──▶ dead
 *
 * Decides: when a call is sent, when the actor is dialled, and what becomes of calls when it dies or is out of reach.
 * Does not know: encodings, sockets.
 *
 * Invariant: I-04 per-caller order; at most once: a call that was sent is not sent again, unless its retries allow it.
 */
import { assert } from "../../base/assert.js";
import { Deque } from "../../base/deque.js";
import type { ActorId, ConnectionId, LeaseId, NodeId, ProcessRef } from "../../base/ids.js";
import { ACTOR_REASON_WAIT_MS, FIRST_REDIAL_MS, MAX_REDIAL_MS } from "../../base/limits.js";
import { SequenceMap } from "../../base/sequence-map.js";
import type { Failure, Message, ProcessAddress } from "../../protocol/messages.js";
import { actorOf } from "../actor-lease.js";
import { Backoff } from "../backoff.js";
import { GivenUpRuns } from "./given-up-runs.js";
import { type ActorLink, type Opaque, type Outcome, type Task, upstreamFailure } from "./records.js";

export interface ActorSubmitterPort {
  send(to: ProcessRef, message: Message): void;
  sendToGcs(message: Message): void;
  /** Dial the actor's process; `connected` or `disconnected` follow, never within the call. */
  connect(actor: ActorLink): void;
  /** Hot path: write the call into the actor's connection. */
  call(actor: ActorLink, task: Task): void;
  disconnect(actor: ActorLink): void;
  /** No handle is left here: the hold on the actor ends, and what its constructor was given may go. */
  releaseHandle(actor: ActorLink): void;
  finished(task: Task, outcome: Outcome): void;
  /** An attempt has ended whose task had done so before: what it has sealed in our name is nobody's. */
  endedLate(task: Task): void;
  /** Time matters from here on: call `tick` at once, if that has not been done of late, and again and again. */
  wakeUp(): void;
}

export class ActorSubmitter {
  readonly #port: ActorSubmitterPort;
  readonly #links = new Map<ActorId, ActorLink>();
  readonly #givenUp: GivenUpRuns<ConnectionId>;
  #nowMs = 0;

  constructor(port: ActorSubmitterPort) {
    this.#port = port;
    this.#givenUp = new GivenUpRuns(port);
  }

  /** A handle in this process. `isNew`: this process has just registered the actor and hears of it anyway. */
  link(actorId: ActorId, name: string, isNew: boolean): ActorLink {
    const known = this.#links.get(actorId);
    if (known !== undefined) return known;
    const link: ActorLink = {
      actorId,
      name,
      state: "pending",
      worker: undefined,
      address: undefined,
      connection: undefined,
      infeasible: "",
      end: undefined,
      waiting: new Deque(),
      inFlight: new SequenceMap(),
      nextSequence: 1,
      brokenSinceMs: 0,
      dials: new Backoff(FIRST_REDIAL_MS, MAX_REDIAL_MS),
      handles: 0,
      kept: [],
    };
    this.#links.set(actorId, link);
    if (!isNew) this.#port.sendToGcs({ type: "subscribeActor", actorId });
    return link;
  }

  addHandle(link: ActorLink): void {
    link.handles++;
  }

  /** The last handle lets the actor go, after its calls have been answered. */
  dropHandle(link: ActorLink): void {
    assert(link.handles > 0, "a handle is dropped once");
    link.handles--;
    this.#releaseIfUnused(link);
  }

  submit(link: ActorLink, task: Task): void {
    if (link.state === "dead") {
      this.#finish(task, died(link));
      return;
    }
    task.state = "queued";
    link.waiting.push(task);
    if (link.state === "alive") this.#sendWaiting(link);
  }

  /** The arguments of a waiting call are ready. */
  dependencyReady(link: ActorLink): void {
    if (link.state === "alive") this.#sendWaiting(link);
  }

  /** The lease is that of an actor which this process has made, and which is not placed yet. */
  leaseInfeasible(leaseId: LeaseId, reason: string): ActorLink | undefined {
    const link = this.#links.get(actorOf(leaseId));
    if (link?.state !== "pending") return undefined;
    link.infeasible = reason;
    return link;
  }

  /** The GCS says how the actor is. News may be repeated. */
  actorState(
    actorId: ActorId,
    state: "pending" | "alive" | "dead",
    worker: ProcessRef | undefined,
    address: ProcessAddress | undefined,
    reason: Failure | undefined,
    error: Opaque = undefined,
  ): void {
    const link = this.#links.get(actorId);
    if (link === undefined || link.state === "dead") return;
    if (state === "dead") {
      this.#die(link, endOf(reason, error));
    } else if (state === "pending" && link.state === "asking") {
      link.state = "pending";
    } else if (state === "alive" && (link.state === "pending" || link.state === "asking")) {
      link.state = "connecting";
      link.infeasible = "";
      link.worker = worker;
      link.address = address;
      this.#port.connect(link);
    }
  }

  /** The actor will never be: its calls end like this. */
  neverLives(link: ActorLink, end: Outcome): void {
    if (link.state !== "dead") this.#die(link, end);
  }

  connected(link: ActorLink, connection: ConnectionId): void {
    if (link.state !== "connecting") return;
    link.state = "alive";
    link.dials.succeeded();
    link.brokenSinceMs = 0;
    this.#giveUp(link);
    link.connection = connection; // what ends now may send others
    this.#interrupt(link);
    this.#sendWaiting(link);
  }

  /**
   * A dial failed, or the connection was lost. Only the GCS knows whether the actor is dead: it is asked after a while,
   * and an actor that lives is dialled again, with growing pauses and without end.
   */
  disconnected(link: ActorLink): void {
    if (link.state !== "connecting" && link.state !== "alive") return;
    this.#port.wakeUp(); // a process without leases has no clock running, and its time is old
    link.state = "broken";
    link.dials.failed(this.#nowMs);
    if (link.brokenSinceMs === 0) link.brokenSinceMs = this.#nowMs || 1;
  }

  /** Hot path: one call for each answer. */
  answered(link: ActorLink, sequence: number, outcome: Outcome): void {
    const task = link.inFlight.get(sequence);
    if (task === undefined) return;
    link.inFlight.delete(sequence);
    this.#finish(task, outcome);
    if (link.handles === 0) this.#releaseIfUnused(link);
  }

  /** Nothing that left by the connection will be sealed in this process's name any more. */
  callsDisowned(connection: ConnectionId): void {
    this.#givenUp.over(connection);
  }

  nodeLost(nodeId: NodeId): void {
    this.#givenUp.nodeLost(nodeId);
  }

  /** Take a call out that has not been sent; false when it has. It may have held others back. */
  withdraw(link: ActorLink, task: Task): boolean {
    if (task.state !== "queued" || !link.waiting.remove(task)) return false;
    if (link.state === "alive") this.#sendWaiting(link);
    else this.#releaseIfUnused(link);
    return true;
  }

  /** The actor's process, for a call that was sent. */
  runnerOf(task: Task): ProcessRef | undefined {
    for (const link of this.#links.values()) if (link.inFlight.get(task.sequence) === task) return link.worker;
    return undefined;
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const link of [...this.#links.values()]) {
      if (link.brokenSinceMs === 0 || link.state === "dead") continue;
      if (nowMs - link.brokenSinceMs >= ACTOR_REASON_WAIT_MS) {
        this.#giveUp(link);
        this.#interrupt(link);
      }
      if (link.state !== "broken" || !link.dials.isOver(nowMs)) continue;
      link.state = "asking";
      this.#port.sendToGcs({ type: "subscribeActor", actorId: link.actorId });
    }
  }

  get hasBrokenLinks(): boolean {
    for (const link of this.#links.values()) if (link.brokenSinceMs > 0 && link.state !== "dead") return true;
    return false;
  }

  get hasLinks(): boolean {
    return this.#links.size > 0;
  }

  links(): Iterable<ActorLink> {
    return this.#links.values();
  }

  find(actorId: ActorId): ActorLink | undefined {
    return this.#links.get(actorId);
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    const lines = [...this.#links.values()].map(({ name, actorId, state, waiting, inFlight, handles }) => {
      const calls = `${waiting.length} calls wait, ${inFlight.size} are under way`;
      return `actor ${name} ${actorId} (${state}): ${calls}; ${handles} handles`;
    });
    return lines.join("\n");
  }

  check(): void {
    for (const link of this.#links.values()) {
      assert(link.state !== "dead" || link.waiting.length === 0, "no call waits for a dead actor");
      let last = 0;
      for (const sequence of link.inFlight.keys()) {
        assert(sequence > last, "calls are sent in order");
        last = sequence;
      }
    }
  }

  /** Lecture, `callActor`: in order, so the first call whose arguments are missing holds the others back. */
  #sendWaiting(link: ActorLink): void {
    for (let task = link.waiting.peek(); task !== undefined && task.missing === 0; task = link.waiting.peek()) {
      link.waiting.shift();
      if (task.state !== "queued") continue;
      const upstream = upstreamFailure(task.dependencies);
      if (upstream !== undefined) {
        this.#finish(task, upstream);
        continue;
      }
      task.state = "pushed";
      task.sequence = link.nextSequence++;
      link.inFlight.set(task.sequence, task);
      this.#port.call(link, task);
    }
    if (link.handles === 0) this.#releaseIfUnused(link);
  }

  /** What is in flight ends here, and may go on there, even if the actor has been declared dead. */
  #giveUp({ worker, connection, inFlight }: ActorLink): void {
    if (inFlight.size === 0 || worker === undefined || connection === undefined) return;
    this.#givenUp.add(connection, worker, inFlight.values(), { type: "giveUpCalls", worker, connection });
  }

  /** Calls that were under way on a lost connection may have run: only those with retries left are sent again. */
  #interrupt(link: ActorLink): void {
    const interrupted = [...link.inFlight.values()];
    link.inFlight.clear();
    for (let i = interrupted.length - 1; i >= 0; i--) {
      const task = interrupted[i];
      if (task?.state !== "pushed" || !mayRunAgain(task)) continue;
      task.attempt++;
      task.run++;
      task.state = "queued";
      link.waiting.unshift(task);
    }
    for (const task of interrupted) if (task.state !== "queued") this.#finish(task, unavailable(link, task));
    this.#releaseIfUnused(link);
  }

  #die(link: ActorLink, end: Outcome | undefined): void {
    link.state = "dead";
    link.end = end;
    this.#giveUp(link);
    const lost = [...link.inFlight.values(), ...link.waiting];
    link.inFlight.clear();
    while (link.waiting.length > 0) link.waiting.shift();
    this.#port.disconnect(link);
    for (const task of lost) this.#finish(task, died(link));
    this.#releaseIfUnused(link);
  }

  #releaseIfUnused(link: ActorLink): void {
    if (link.handles > 0 || link.inFlight.size > 0 || link.waiting.length > 0) return;
    if (this.#links.get(link.actorId) !== link) return;
    this.#links.delete(link.actorId);
    this.#port.disconnect(link);
    this.#port.releaseHandle(link);
  }

  #finish(task: Task, outcome: Outcome): void {
    if (task.state === "done") return this.#port.endedLate(task);
    task.state = "done";
    this.#port.finished(task, outcome);
  }
}

function mayRunAgain({ template, attempt }: Task): boolean {
  return template.maxRetries < 0 || attempt < template.maxRetries;
}

function unavailable({ name, actorId }: ActorLink, task: Task): Outcome {
  const message = `call ${task.template.name} (${task.id}) of actor ${name} (${actorId}): the connection was lost while it was under way, and the actor lives. The call may or may not have run`;
  return { kind: "failed", code: "ACTOR_UNAVAILABLE", message };
}

/** What made the actor fail, encoded, says more than the reason. */
function endOf(reason: Failure | undefined, error: Opaque): Outcome | undefined {
  if (error !== undefined) return { kind: "threw", error };
  return reason && { kind: "failed", ...reason };
}

function died(link: ActorLink): Outcome {
  const message = `actor ${link.name} (${link.actorId}) is dead`;
  return link.end ?? { kind: "failed", code: "ACTOR_DIED", message };
}
