/**
 * The actor table: every actor, from its registration to its death.
 *
 * Lecture, actors: steps `registerActor`, `leaseActorWorker`, `createActor`. Calls never pass here: they go straight
 * from the caller to the actor's process.
 *
 *     pending ── lease granted ──▶ creating ── constructed ──▶ alive
 *        └───────────────┴──────── killed, failed, unreachable ──▶ dead
 *
 * Decides: the state of an actor, who is told of it, and who has a name.
 * Does not know: how a node is chosen (global scheduler), who still holds a handle (object table).
 *
 * Invariant: I-04 one live incarnation.
 */
import { assert } from "../../base/assert.js";
import type { ActorId, JobId, LeaseId, ProcessId, ProcessRef } from "../../base/ids.js";
import {
  MAX_ACTORS,
  MAX_EARLY_ACTORS,
  MAX_GONE_ACTORS,
  MAX_KEPT_ACTOR_ERROR_BYTES,
  REGISTRATION_WAIT_MS,
} from "../../base/limits.js";
import type { ActorFailure, ActorSpec, Failure, LeaseRequest, ProcessAddress } from "../../protocol/messages.js";
import { Recent } from "../recent.js";

export interface ActorTablePort {
  /** Lecture, `leaseActorWorker`: select a raylet, queue the creation there, wait for its lease. */
  leaseActorWorker(request: LeaseRequest): void;
  cancelLease(leaseId: LeaseId): void;
  /** Lecture, `createActor`: the leased worker becomes the actor. */
  createActor(worker: ProcessRef, leaseId: LeaseId, actor: ActorSpec): void;
  /** The living actor keeps only what it holds. */
  settleActor(worker: ProcessRef, leaseId: LeaseId): void;
  killProcess(worker: ProcessRef, reason: Failure): void;
  announce(to: ProcessRef, actor: ActorView): void;
}

export interface ActorView {
  readonly actorId: ActorId;
  readonly state: "pending" | "alive" | "dead";
  readonly incarnation: number;
  readonly worker: ProcessRef | undefined;
  readonly address: ProcessAddress | undefined;
  readonly reason: Failure | undefined;
  /** What its calls get instead of the reason, encoded: the table never looks inside. */
  readonly error: Uint8Array | undefined;
}

interface Row {
  readonly spec: ActorSpec;
  readonly leaseId: LeaseId;
  state: "pending" | "creating" | "alive" | "dead";
  incarnation: number;
  worker: ProcessRef | undefined;
  address: ProcessAddress | undefined;
  reason: Failure | undefined;
  error: Uint8Array | undefined;
  readonly subscribers: Map<ProcessId, ProcessRef>;
}

export class ActorTable {
  readonly #port: ActorTablePort;
  readonly #maxActors: number;
  readonly #rows = new Map<ActorId, Row>();
  readonly #names = new Map<string, ActorId>();
  readonly #byLease = new Map<LeaseId, ActorId>();
  /** Who asked for an actor that is not registered yet. */
  readonly #early = new Map<ActorId, { readonly sinceMs: number; readonly subscribers: Map<ProcessId, ProcessRef> }>();
  readonly #gone = new Recent<ActorId>(MAX_GONE_ACTORS);
  readonly #maxErrorBytes: number;
  #errorBytes = 0;
  #nowMs = 0;

  constructor(port: ActorTablePort, maxActors = MAX_ACTORS, maxErrorBytes = MAX_KEPT_ACTOR_ERROR_BYTES) {
    this.#port = port;
    this.#maxActors = maxActors;
    this.#maxErrorBytes = maxErrorBytes;
  }

  /** Lecture, `registerActor`. Idempotent: the actor's id is derived from the call that makes it. */
  register(spec: ActorSpec): "registered" | "refused" {
    if (this.#rows.has(spec.actorId)) return "registered";
    const row = this.#add(spec);
    if (row === undefined) return "refused";
    this.#tellEarly(row);
    const name = nameKey(spec.namespace, spec.actorName);
    const taken = spec.actorName === "" ? undefined : this.#names.get(name);
    if (taken !== undefined) {
      this.#die(row, {
        code: "ACTOR_NAME_TAKEN",
        message: `the name ${spec.actorName} in namespace ${spec.namespace} belongs to actor ${taken}: use getActor, or another name`,
      });
      return "refused";
    }
    if (spec.actorName !== "") this.#names.set(name, spec.actorId);
    this.#byLease.set(row.leaseId, spec.actorId);
    this.#port.leaseActorWorker(leaseRequestOf(row));
    return "registered";
  }

  /** In place of `register`: its constructor cannot have its arguments. Idempotent. */
  neverMade(spec: ActorSpec, failure: ActorFailure): void {
    const row = this.#rows.has(spec.actorId) ? undefined : this.#add(spec);
    if (row === undefined) return;
    this.#keepError(row, failure);
    this.#die(row, { code: "ACTOR_DIED", message: failure.message });
    this.#tellEarly(row);
  }

  /** There is no room for it: its handles are told that it is dead. */
  refuse({ actorId, name, owner }: ActorSpec): void {
    this.#gone.add(actorId);
    const message = `actor ${name} (${actorId}) cannot be made: the cluster has room for ${this.#maxActors} actors, which is the limit. kill() some, or drop their handles`;
    const view = { ...goneView(actorId), reason: { code: "ACTOR_DIED", message } };
    for (const to of this.#early.get(actorId)?.subscribers.values() ?? []) this.#port.announce(to, view);
    this.#early.delete(actorId);
    this.#port.announce(owner, view);
  }

  /** A raylet granted the lease: its worker becomes the actor. Idempotent: a second word of the same grant is no other. */
  leaseGranted(leaseId: LeaseId, worker: ProcessRef, address: ProcessAddress): "creating" | "not wanted" {
    const row = this.#rowOfLease(leaseId);
    if (row === undefined || row.state === "dead") return "not wanted";
    if (row.state !== "pending") return row.worker?.processId === worker.processId ? "creating" : "not wanted";
    row.state = "creating";
    row.worker = worker;
    row.address = address;
    this.#port.createActor(worker, leaseId, row.spec);
    return "creating";
  }

  /** The constructor has run, or there is no actor because of this failure. */
  created(actorId: ActorId, leaseId: LeaseId, failure?: ActorFailure): void {
    const row = this.#rows.get(actorId);
    if (row === undefined || row.state !== "creating" || row.worker === undefined) return;
    if (failure !== undefined) {
      this.#keepError(row, failure);
      return this.#die(row, { code: "ACTOR_DIED", message: failure.message });
    }
    row.state = "alive";
    row.incarnation++;
    this.#port.settleActor(row.worker, leaseId);
    this.#announce(row);
  }

  /** Its worker died, its lease was refused. */
  failed(actorId: ActorId, reason: Failure): void {
    const row = this.#rows.get(actorId);
    if (row === undefined || row.state === "dead") return;
    this.#die(row, reason);
  }

  leaseLost(leaseId: LeaseId, reason: Failure): void {
    const row = this.#rowOfLease(leaseId);
    if (row === undefined) return;
    if (row.state === "pending") return this.failed(row.spec.actorId, reason);
    const message = `actor ${row.spec.name} (${row.spec.actorId}) died with its process: ${reason.message}`;
    this.failed(row.spec.actorId, { code: "ACTOR_DIED", message });
  }

  /** Processes of actors that this process knows how to reach: what it called them with may still be unread there. */
  reachedBy(process: ProcessId): ReadonlySet<ProcessId> {
    const reached = new Set<ProcessId>();
    for (const { subscribers, worker } of this.#rows.values())
      if (worker !== undefined && subscribers.has(process)) reached.add(worker.processId);
    return reached;
  }

  processDied(process: ProcessRef, reason: Failure): void {
    for (const { subscribers } of this.#early.values()) subscribers.delete(process.processId);
    for (const row of this.#rows.values()) {
      row.subscribers.delete(process.processId);
      if (row.worker?.processId === process.processId && row.state !== "dead") {
        this.#die(row, {
          code: "ACTOR_DIED",
          message: `actor ${row.spec.name} (${row.spec.actorId}) died with its process: ${reason.message}`,
        });
      }
    }
  }

  kill(actorId: ActorId): void {
    this.failed(actorId, { code: "ACTOR_DIED", message: `actor ${this.#nameOf(actorId)} was killed with kill()` });
  }

  /** The last handle is gone. */
  unreachable(actorId: ActorId): void {
    const row = this.#rows.get(actorId);
    if (row === undefined) return;
    if (row.state !== "dead") {
      this.#die(row, { code: "ACTOR_DIED", message: `actor ${this.#nameOf(actorId)} ended: its last handle was gone` });
    }
    this.#forget(row);
  }

  jobEnded(jobId: JobId): void {
    for (const row of [...this.#rows.values()]) {
      if (row.spec.jobId !== jobId) continue;
      if (row.state !== "dead")
        this.#die(row, { code: "ACTOR_DIED", message: `the job of actor ${row.spec.name} ended` });
      this.#forget(row);
    }
  }

  /**
   * A handle goes straight from process to process, so its receiver may ask before the maker's registration has come:
   * who asks for an actor that is not known to be gone waits a while.
   */
  subscribe(from: ProcessRef, actorId: ActorId): void {
    const row = this.#rows.get(actorId);
    if (row !== undefined) {
      row.subscribers.set(from.processId, from);
      this.#port.announce(from, viewOf(row));
    } else if (this.#gone.has(actorId) || this.#early.size >= MAX_EARLY_ACTORS) {
      this.#port.announce(from, goneView(actorId));
    } else {
      const early = this.#early.get(actorId) ?? { sinceMs: this.#nowMs, subscribers: new Map() };
      early.subscribers.set(from.processId, from);
      this.#early.set(actorId, early);
    }
  }

  /** An actor that is still not registered never will be: its maker died before its word of it had left. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [actorId, { sinceMs, subscribers }] of this.#early) {
      if (nowMs - sinceMs < REGISTRATION_WAIT_MS) continue;
      this.#early.delete(actorId);
      for (const to of subscribers.values()) this.#port.announce(to, goneView(actorId));
    }
  }

  find(name: string, namespace: string): ActorSpec | undefined {
    const actorId = this.#names.get(nameKey(namespace, name));
    return actorId === undefined ? undefined : this.#rows.get(actorId)?.spec;
  }

  check(): void {
    assert(this.#rows.size <= this.#maxActors, "the actor table is bounded");
    let errorBytes = 0;
    for (const { error } of this.#rows.values()) errorBytes += error?.length ?? 0;
    assert(errorBytes === this.#errorBytes && errorBytes <= this.#maxErrorBytes, "kept errors are bounded");
    const workers = new Set<ProcessId>();
    for (const row of this.#rows.values()) {
      if (row.state === "alive") assert(row.worker !== undefined, "a living actor has a process");
      if (row.worker === undefined || row.state === "dead") continue;
      assert(!workers.has(row.worker.processId), "a worker process is one actor");
      workers.add(row.worker.processId);
    }
    for (const actorId of this.#names.values()) {
      assert(this.#rows.get(actorId)?.state !== "dead", "a dead actor has no name");
    }
  }

  /** Undefined when it is over already, or there is no room. */
  #add(spec: ActorSpec): Row | undefined {
    if (this.#gone.has(spec.actorId)) return undefined;
    if (this.#rows.size >= this.#maxActors) {
      this.refuse(spec);
      return undefined;
    }
    const row: Row = {
      spec,
      leaseId: `${spec.actorId}.0` as LeaseId,
      state: "pending",
      incarnation: 0,
      worker: undefined,
      address: undefined,
      reason: undefined,
      error: undefined,
      subscribers: new Map([[spec.owner.processId, spec.owner]]),
    };
    this.#rows.set(spec.actorId, row);
    return row;
  }

  /** For its callers; where there is no room, the words must do. */
  #keepError(row: Row, { error }: ActorFailure): void {
    if (error.length === 0 || this.#errorBytes + error.length > this.#maxErrorBytes) return;
    this.#errorBytes += error.length;
    row.error = error;
  }

  #tellEarly(row: Row): void {
    const early = this.#early.get(row.spec.actorId);
    if (early === undefined) return;
    this.#early.delete(row.spec.actorId);
    for (const to of early.subscribers.values()) {
      row.subscribers.set(to.processId, to);
      this.#port.announce(to, viewOf(row));
    }
  }

  #forget(row: Row): void {
    this.#rows.delete(row.spec.actorId);
    this.#errorBytes -= row.error?.length ?? 0;
    this.#byLease.delete(row.leaseId);
    this.#gone.add(row.spec.actorId);
  }

  #rowOfLease(leaseId: LeaseId): Row | undefined {
    const actorId = this.#byLease.get(leaseId);
    return actorId === undefined ? undefined : this.#rows.get(actorId);
  }

  #nameOf(actorId: ActorId): string {
    const row = this.#rows.get(actorId);
    return row === undefined ? actorId : `${row.spec.name} (${actorId})`;
  }

  #die(row: Row, reason: Failure): void {
    const before = row.state;
    row.state = "dead";
    row.reason = reason;
    const name = nameKey(row.spec.namespace, row.spec.actorName);
    if (this.#names.get(name) === row.spec.actorId) this.#names.delete(name);
    if (before === "pending") this.#port.cancelLease(row.leaseId);
    else if (row.worker !== undefined) this.#port.killProcess(row.worker, reason);
    this.#announce(row);
  }

  #announce(row: Row): void {
    for (const to of row.subscribers.values()) this.#port.announce(to, viewOf(row));
  }
}

function goneView(actorId: ActorId): ActorView {
  const reason = { code: "ACTOR_DIED", message: `actor ${actorId} is not in the cluster any more` };
  return {
    actorId,
    state: "dead",
    incarnation: 0,
    worker: undefined,
    address: undefined,
    reason,
    error: undefined,
  };
}

function viewOf(row: Row): ActorView {
  const { incarnation, worker, address, reason, error } = row;
  const state = row.state === "creating" ? "pending" : row.state;
  return { actorId: row.spec.actorId, state, incarnation, worker, address, reason, error };
}

/** Both are any text, so no separator could keep them apart; a length does. */
function nameKey(namespace: string, name: string): string {
  return `${namespace.length} ${namespace} ${name}`;
}

function leaseRequestOf({ spec, leaseId }: Row): LeaseRequest {
  return {
    leaseId,
    owner: spec.owner,
    jobId: spec.jobId,
    namespace: "",
    name: spec.name,
    taskId: spec.actorId as string as LeaseRequest["taskId"],
    demand: spec.demand,
    held: spec.held,
    strategy: spec.strategy,
    depth: 0,
    exclusive: true,
    arguments: spec.largeArguments,
    task: undefined,
  };
}
