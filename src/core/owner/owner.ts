/**
 * The owner: everything a driver or worker does for the tasks, objects and actors that it makes or borrows.
 *
 * Lecture: `submitTask` and `callActor` begin here, and `get` begins and ends here.
 *
 * Decides: when a task may leave (its dependencies are ready), by which way, and when it has had its time.
 * Does not know: bytes, encodings, sockets, promises.
 */
import type { ContextId, LeaseId, ProcessRef } from "../../base/ids.js";
import { INFEASIBLE_WARNING_MS, MAX_PENDING_CALLS } from "../../base/limits.js";
import type { LeaseRequest, Message, MessageBody } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import { ActorSubmitter } from "./actor-submitter.js";
import type { Lease } from "./key-queue.js";
import { receiveForLeases } from "./lease-messages.js";
import { LeasePool } from "./lease-pool.js";
import { LineageKeeper, type LineagePort } from "./lineage-keeper.js";
import { KeptOrigins } from "./origin.js";
import type { ActorLink } from "./records.js";
import {
  type Held,
  hasStoredArguments,
  ObjectEntry,
  type Opaque,
  type Outcome,
  Task,
  type TaskTemplate,
  upstreamFailure,
} from "./records.js";
import type { ReferenceTablePort } from "./reference-port.js";
import { ReferenceTable } from "./reference-table.js";
import { TaskList } from "./task-list.js";

/** After its time a task's worker has this long to end it by itself. */
export const KILL_AFTER_ABORT_MS = 100;

export interface OwnerPort
  extends LineagePort,
    Omit<ReferenceTablePort, "dependencyReady" | "runnerOf" | "resultEscapes" | "keepOrigin"> {
  sendToRaylet(message: Message): void;
  send(to: ProcessRef, message: Message): void;
  sendToGcs(message: Message): void;
  leaseRequest(leaseId: LeaseId, task: Task): LeaseRequest;
  connectLease(lease: Lease): void;
  pushTask(lease: Lease, task: Task): void;
  disconnectLease(lease: Lease): void;
  connectActor(actor: ActorLink): void;
  callActor(actor: ActorLink, task: Task): void;
  disconnectActor(actor: ActorLink): void;
  /** An encoded error that came with a message, as values are kept here. */
  takeError(bytes: Uint8Array): Opaque;
  /** Tell the task's code, wherever it runs, to stop. */
  abortTask(where: Lease | ActorLink, task: Task): void;
  /** Words for the user. */
  warn(text: string): void;
  wakeUp(): void;
}

interface Timed {
  readonly task: Task;
  readonly actor: ActorLink | undefined;
  aborted: boolean;
}

export class Owner {
  readonly references: ReferenceTable;
  readonly leases: LeasePool;
  readonly actors: ActorSubmitter;
  /** Of objects that are let go here, for `mobula memory`. */
  readonly origins = new KeptOrigins();
  /** Unfinished, with refs among or inside their arguments. */
  readonly tasksWithRefs = new TaskList();
  readonly #port: OwnerPort;
  readonly #journey: Journey;
  readonly #lineage: LineageKeeper;
  readonly #actorOf = new Map<Task, ActorLink>();
  /** Tasks with a time limit, and those that nobody can place. */
  readonly #timed = new Set<Timed>();
  readonly #infeasible = new Map<Task | ActorLink, number>();
  #pending = 0;
  #nowMs = 0;

  constructor(self: ProcessRef, port: OwnerPort, journey: Journey) {
    this.#port = port;
    this.#journey = journey;
    this.#lineage = new LineageKeeper(port);
    this.references = new ReferenceTable({
      sendToRaylet: (message) => port.sendToRaylet(message),
      sendToGcs: (message) => port.sendToGcs(message),
      storeValue: (entry) => port.storeValue(entry),
      announceLocal: (entry) => port.announceLocal(entry),
      readLocal: (entry) => port.readLocal(entry),
      readPinned: (id) => port.readPinned(id),
      doneReadingHere: (entry, value) => port.doneReadingHere(entry, value),
      freeLocal: (entry) => port.freeLocal(entry),
      readObject: (id, offset, sizeBytes) => port.readObject(id, offset, sizeBytes),
      doneReading: (id, offset, value) => port.doneReading(id, offset, value),
      track: (entry, handle) => port.track(entry, handle),
      dependencyReady: (task) => this.#dependencyReady(task),
      keepOrigin: (id, origin) => this.origins.keep(id, origin),
      runnerOf: (task) => this.leases.runnerOf(task) ?? this.actors.runnerOf(task),
      resultEscapes: (task) => task.state !== "waiting" && this.#lineage.handOver(task),
      wakeUp: () => port.wakeUp(),
    });
    this.leases = new LeasePool(self, {
      sendToRaylet: (message) => port.sendToRaylet(message),
      send: (to, message) => port.send(to, message),
      leaseRequest: (leaseId, task) => port.leaseRequest(leaseId, task),
      connect: (lease) => port.connectLease(lease),
      push: (lease, task) => this.#push(lease, task),
      disconnect: (lease) => port.disconnectLease(lease),
      taskForwarded: (task) => this.references.taskForwarded(task),
      runsAt: (task, worker) => this.references.runsAt(task, worker),
      runsAgain: (task) => this.#lineage.runsAgain(task),
      finished: (task, outcome) => this.#finished(task, outcome),
      endedLate: (task) => this.#releaseStrays(task),
    });
    this.actors = new ActorSubmitter({
      send: (to, message) => port.send(to, message),
      sendToGcs: (message) => port.sendToGcs(message),
      connect: (actor) => port.connectActor(actor),
      call: (actor, task) => this.#call(actor, task),
      disconnect: (actor) => port.disconnectActor(actor),
      releaseHandle: (actor) => {
        this.references.holds.letGo(actor.actorId);
        for (const held of actor.kept.splice(0)) this.letGo(held);
      },
      finished: (task, outcome) => this.#finished(task, outcome),
      endedLate: (task) => this.#releaseStrays(task),
      wakeUp: () => port.wakeUp(),
    });
  }

  /** Unfinished tasks and calls; the caller refuses more than `MAX_PENDING_CALLS`. */
  get hasRoom(): boolean {
    return this.#pending < MAX_PENDING_CALLS;
  }

  get pendingCount(): number {
    return this.#pending;
  }

  /** Make a task and its results, and send it on its way. With an actor it is a call of that actor. */
  submit(
    template: TaskTemplate,
    context: ContextId,
    counter: number,
    depth: number,
    args: Opaque,
    dependencies: readonly ObjectEntry[],
    nested: readonly Held[],
    actor: ActorLink | undefined,
  ): Task {
    const task = new Task(template, context, counter, depth, args, dependencies, nested);
    this.#pending++;
    if (dependencies.length + nested.length > 0) this.tasksWithRefs.add(task);
    for (const entry of dependencies) this.references.pin(entry);
    for (const held of nested) this.keep(held);
    if (template.timeoutMs > 0) this.#startTimer(task, actor);
    const ready = dependencies.length === 0 || this.references.awaitDependencies(task);
    if (actor !== undefined) {
      if (dependencies.length > 0) this.#actorOf.set(task, actor);
      this.actors.submit(actor, task);
    } else if (ready) {
      this.#send(task);
    }
    return task;
  }

  /** A control message for this process as an owner. True when it was one. */
  receive(message: Message): boolean {
    switch (message.type) {
      case "leaseInfeasible":
        this.#leaseInfeasible(message.leaseId, message.reason);
        return true;
      case "clusterTotals":
        this.leases.clusterTotals(message.total);
        return true;
      case "nodeLost":
        this.references.nodeLost(message.nodeId);
        this.leases.nodeLost(message.nodeId, message.reason);
        this.actors.nodeLost(message.nodeId);
        return true;
      case "actorState":
        this.#actorState(message);
        return true;
      case "callsDisowned":
        this.actors.callsDisowned(message.connection);
        return true;
      default:
        return receiveForLeases(this.leases, message) || this.#receiveForReferences(message);
    }
  }

  /** Time passes: idle leases, warnings, time limits. Needed while `isBusy`. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.leases.tick(nowMs);
    this.actors.tick(nowMs);
    for (const [waiting, sinceMs] of this.#infeasible) {
      if (sinceMs === 0) this.#infeasible.set(waiting, nowMs);
      if (sinceMs === 0 || nowMs - sinceMs < INFEASIBLE_WARNING_MS) continue;
      this.#infeasible.delete(waiting);
      if (waiting.infeasible === "" || waiting.state === "done" || waiting.state === "dead") continue;
      const words =
        "actorId" in waiting
          ? `actor ${waiting.name} (${waiting.actorId})`
          : `task ${waiting.template.name} (${waiting.id})`;
      this.#port.warn(`${words} waits for resources that no node has: ${waiting.infeasible}`);
    }
    for (const timed of [...this.#timed]) this.#checkTime(timed);
  }

  /** Whether something that others may need would end with this process: tasks, own objects that have left, actors. */
  get isInUse(): boolean {
    return this.#pending > 0 || this.references.ownsAny || this.actors.hasLinks;
  }

  get isBusy(): boolean {
    return this.leases.hasLeases || this.#timed.size > 0 || this.#infeasible.size > 0 || this.actors.hasBrokenLinks;
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    const parts = [this.leases.describe(), this.actors.describe(), this.references.describe()];
    return [`${this.#pending} tasks and calls are pending`, ...parts].filter((part) => part !== "").join("\n");
  }

  check(): void {
    this.references.check();
    this.leases.check();
    this.actors.check();
  }

  #actorState({ actorId, state, worker, address, reason, error }: MessageBody<"actorState">): void {
    const taken = error && this.#port.takeError(error);
    this.actors.actorState(actorId, state, worker, address, reason, taken);
  }

  #receiveForReferences(message: Message): boolean {
    switch (message.type) {
      case "objectReady":
        this.references.objectReady(message.objectId, message.local, message.offset, message.sizeBytes);
        return true;
      case "objectFailed":
        this.references.objectFailed(message.objectId, message.reason);
        return true;
      case "argumentMissing":
        this.references.argumentReaders.missing(message.objectId);
        return true;
      case "holdsAdded":
        this.references.holds.added(message.sequence);
        return true;
      case "flushHolds":
        this.references.holds.flushFor(message.epoch);
        return true;
      default:
        return false;
    }
  }

  /** Keep what a value names until `actor` is let go. */
  keepFor(actor: ActorLink, held: readonly Held[]): void {
    for (const each of held) {
      this.keep(each);
      actor.kept.push(each);
    }
  }

  /** Keep what a value names; `letGo` follows. */
  keep(held: Held): void {
    if (held instanceof ObjectEntry) this.references.pin(held);
    else this.actors.addHandle(held);
  }

  letGo(held: Held): void {
    if (held instanceof ObjectEntry) this.references.unpin(held);
    else this.actors.dropHandle(held);
  }

  #dependencyReady(task: Task): void {
    const actor = this.#actorOf.get(task);
    if (actor !== undefined) this.actors.dependencyReady(actor);
    else if (task.state === "waiting") this.#send(task);
  }

  /** Its dependencies are ready. If one of them failed, so has the task, without running. */
  #send(task: Task): void {
    const upstream = upstreamFailure(task.dependencies);
    if (upstream !== undefined) {
      task.state = "done";
      this.#finished(task, upstream);
      return;
    }
    if (task.storeResult) this.#lineage.handOver(task);
    if (hasStoredArguments(task)) this.leases.submitAlone(task);
    else this.leases.submit(task);
  }

  #push(lease: Lease, task: Task): void {
    this.#journey.recordTask("submitTask", task.context, task.counter, task.template.name, "the lease is reused");
    this.#port.pushTask(lease, task);
  }

  #call(actor: ActorLink, task: Task): void {
    this.#journey.recordTask("callActor", task.context, task.counter, actor.actorId);
    this.#port.callActor(actor, task);
  }

  #finished(task: Task, outcome: Outcome): void {
    this.#pending--;
    if (task.dependencies.length + task.nested.length > 0) this.tasksWithRefs.remove(task);
    if (task.dependencies.length > 0) this.#actorOf.delete(task);
    const { returns } = task;
    for (let index = 0; index < returns.length; index++) this.#resolve(returns[index], index, outcome);
    this.#lineage.ended(task, outcome.kind === "value" || outcome.kind === "returned");
    if (task.run > 0 || outcome.kind === "failed") this.#releaseStrays(task);
    for (const entry of task.dependencies) this.references.unpin(entry);
    for (const held of task.nested) this.letGo(held);
  }

  #releaseStrays({ returns }: Task): void {
    for (const entry of returns) this.references.releaseStray(entry);
  }

  #resolve(entry: ObjectEntry | undefined, index: number, outcome: Outcome): void {
    if (entry === undefined) return;
    if (outcome.kind === "value" && index === 0) {
      this.references.resolveInline(entry, outcome.value);
    } else if (outcome.kind === "failed") {
      this.references.fail(entry, { code: outcome.code, message: outcome.message });
    } else if (outcome.kind === "threw") {
      entry.isError = true;
      this.references.resolveInline(entry, outcome.error);
    } else {
      const result = outcome.kind === "returned" ? outcome.results[index] : undefined;
      if (result === undefined) {
        this.references.fail(entry, { code: "PROTOCOL", message: `the worker answered without result ${index}` });
      } else if (result.kind === "inline") {
        this.references.resolveInline(entry, result.value);
      } else {
        entry.task?.template.origins?.wasStored(entry, result.sizeBytes);
        this.references.resolveStored(entry, result.nodeId, result.sizeBytes);
      }
    }
  }

  #leaseInfeasible(leaseId: LeaseId, reason: string): void {
    const waiting = this.leases.requests.infeasible(leaseId, reason) ?? this.actors.leaseInfeasible(leaseId, reason);
    if (waiting === undefined || reason === "") return;
    this.#infeasible.set(waiting, 0); // from the next tick on
    this.#port.wakeUp();
  }

  #startTimer(task: Task, actor: ActorLink | undefined): void {
    this.#timed.add({ task, actor, aborted: false });
    this.#port.wakeUp();
  }

  /** `timeoutMs` counts from submission to result over all attempts. */
  #checkTime(timed: Timed): void {
    const { task, actor } = timed;
    if (task.state === "done" && !timed.aborted) {
      this.#timed.delete(timed);
      return;
    }
    if (task.deadlineMs === 0) task.deadlineMs = this.#nowMs + task.template.timeoutMs;
    if (this.#nowMs < task.deadlineMs) return;
    if (!timed.aborted) this.#timeOut(timed);
    else if (this.#nowMs >= task.deadlineMs + KILL_AFTER_ABORT_MS) {
      const lease = actor === undefined ? this.leases.withdraw(task) : undefined;
      if (lease !== undefined && lease.inFlight.keys()[0] !== task.sequence) return; // what runs is another
      this.#timed.delete(timed);
      if (lease === undefined) return;
      this.leases.end(lease, `task ${task.template.name} outlived its timeoutMs of ${task.template.timeoutMs}`);
    }
  }

  #timeOut(timed: Timed): void {
    const { task, actor } = timed;
    const { name, timeoutMs } = task.template;
    const lease = actor === undefined ? this.leases.withdraw(task) : undefined;
    const running = lease ?? (task.state === "pushed" ? actor : undefined);
    if (actor !== undefined && running === undefined) this.actors.withdraw(actor, task);
    if (running !== undefined) this.#port.abortTask(running, task);
    timed.aborted = true;
    if (lease === undefined) this.#timed.delete(timed);
    task.state = "done";
    const obstacle = actor?.infeasible ?? task.infeasible;
    const unschedulable = obstacle !== "";
    const why = unschedulable ? `no node of the cluster can ever take it: ${obstacle}` : "it has no result yet";
    this.#finished(task, {
      kind: "failed",
      code: unschedulable ? "TASK_UNSCHEDULABLE" : "TASK_TIMEOUT",
      message: `task ${name} (${task.id}) did not finish within timeoutMs ${timeoutMs}: ${why}`,
    });
  }
}
