/** A virtual worker: runs the tasks of its leases, or becomes an actor. */
import { type ConnectionId, GCS, type LeaseId, type ProcessRef } from "../src/base/ids.js";
import { ActorExecutor, type Call } from "../src/core/executor/actor-executor.js";
import { CLAIM_WORDS, RayletClaims } from "../src/core/executor/claim-words.js";
import { Executor, type ExecutorPort } from "../src/core/executor/executor.js";
import { holderOf, type LeaseSlot, type Run } from "../src/core/executor/lease-slot.js";
import type { Outcome } from "../src/core/owner/records.js";
import type { ActorSpec, Message } from "../src/protocol/messages.js";
import type { DirectFrame, IncomingTask, OwnerFrame } from "./frames.js";
import { connect, type LinkEnd, type LinkEvents } from "./link.js";
import { OwnerProcess } from "./owner-process.js";
import type { Surroundings, WorkerDoor } from "./surroundings.js";
import { TaskRunner } from "./task-runner.js";
import { encode, errorValue, type SimValue } from "./values.js";
import type { VirtualNode } from "./virtual-node.js";
import type { VirtualProcess } from "./virtual-process.js";

/** An owner's connection, as the executors' caller. */
interface Caller {
  readonly id: ConnectionId;
  readonly end: LinkEnd<DirectFrame>;
  readonly ref: ProcessRef;
  readonly leases: Map<LeaseId, LeaseSlot>;
}

export class Worker extends OwnerProcess implements WorkerDoor {
  readonly claims: RayletClaims | undefined;
  readonly #executor: Executor;
  readonly #runner: TaskRunner;
  readonly #callers = new Map<ConnectionId, Caller>();
  #actor: ActorExecutor | undefined;

  constructor(around: Surroundings, name: string, ref: ProcessRef, node: VirtualNode) {
    super(around, name, ref, "worker", node);
    const words = node.recallable ? new Int32Array(CLAIM_WORDS) : undefined;
    this.claims = words && new RayletClaims(words);
    this.#runner = new TaskRunner(this);
    this.#executor = this.#makeExecutor(words);
    const { recallable } = node;
    const unixPath = `/virtual/${ref.processId}`;
    this.enter(() => this.sendToRaylet({ type: "workerReady", pid: 1, unixPath, recallable }));
  }

  connectOwner(owner: VirtualProcess, id: ConnectionId, events: LinkEvents<DirectFrame>): LinkEnd<DirectFrame> {
    const [theirs, ours] = connect<DirectFrame>(
      this.world,
      this.around.network,
      { process: owner, events },
      {
        process: this,
        events: {
          frame: (frame) => this.#fromOwner(caller, frame as OwnerFrame),
          closed: () => this.#detach(caller),
        },
      },
    );
    const caller: Caller = { id, end: ours, ref: owner.ref, leases: new Map() };
    this.#callers.set(id, caller);
    return theirs;
  }

  #detach(caller: Caller): void {
    this.#callers.delete(caller.id);
    this.#executor.detach(caller);
    this.#actor?.detach(caller);
  }

  override check(): void {
    super.check();
    this.#executor.check();
    this.#actor?.check();
  }

  // ── Control messages ──────────────────────────────────────────────────────────────────────────────────────────────

  protected override receiveForRole(message: Message): void {
    switch (message.type) {
      case "openLease":
        this.jobId = message.jobId;
        return this.#executor.openLease(message.leaseId, message.owner, message);
      case "closeLease":
        return this.#executor.closeLease(message.leaseId);
      case "disownLease":
        this.#executor.disownLease(message.leaseId);
        return this.writer.whenAnnounced(() => this.sendToRaylet({ type: "leaseDisowned", leaseId: message.leaseId }));
      case "disownCalls":
        return this.#disownCalls(message.connection);
      case "dispatchTask": {
        const task: IncomingTask = { spec: message.task, method: "", caller: message.task.owner };
        return this.#executor.dispatch(message.leaseId, task);
      }
      case "promoteResult":
        return this.#runner.promoteResult(message.objectId);
      case "askUse":
        return this.sendToRaylet({ type: "workerUse", inUse: this.owner.isInUse });
      case "createActor":
        return this.#createActor(message.leaseId, message.actor);
      default:
        return;
    }
  }

  #disownCalls(connection: ConnectionId): void {
    const caller = this.#callers.get(connection);
    caller?.end.cut();
    if (caller !== undefined) this.#detach(caller);
    this.writer.whenAnnounced(() => this.sendToRaylet({ type: "callsDisowned", connection }));
  }

  // ── Owners' connections ───────────────────────────────────────────────────────────────────────────────────────────

  #fromOwner(caller: Caller, frame: OwnerFrame): void {
    this.world.note(this.name, frame.kind, () =>
      JSON.stringify(frame, (key, value) => (key === "bytes" ? "…" : value)),
    );
    switch (frame.kind) {
      case "attach":
        return this.#executor.attach(frame.leaseId, caller.ref, caller, (lease) =>
          caller.leases.set(frame.leaseId, lease),
        );
      case "push":
        return this.#push(caller, frame);
      case "call":
        this.#actor?.push(caller, frame.sequence, frame.task);
        return;
      case "abort":
        if (frame.leaseId === undefined) this.#actor?.withdraw(caller, frame.sequence);
        return;
    }
  }

  #push(caller: Caller, { leaseId, sequence, task }: OwnerFrame & { readonly kind: "push" }): void {
    const lease = caller.leases.get(leaseId);
    if (lease !== undefined) return this.#executor.push(lease, sequence, task);
    caller.end.send({ kind: "handBack", leaseId, sequences: [sequence], blocked: false });
  }

  // ── Executors ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #makeExecutor(words: Int32Array | undefined): Executor {
    const port: ExecutorPort = {
      nowMs: () => this.localNowMs,
      sendToRaylet: (message) => this.sendToRaylet(message),
      sendToOwner: (owner, message) => this.send(owner, message),
      prepare: (run) =>
        this.#runner.prepare(
          taskOf(run),
          () => executor.prepared(run),
          (outcome) => executor.failedToPrepare(run, outcome),
          () => executor.argumentMissing(run),
        ),
      execute: (run) =>
        this.#runner.execute(taskOf(run), {
          block: () => executor.block(run),
          resume: () => executor.resume(run),
          finished: (outcome) => executor.finished(run, outcome),
          holder: () => holderOf(run),
        }),
      answer: (caller, run, outcome, runTimeMs) =>
        this.#answer(caller as Caller, run.lease.id, run, outcome, runTimeMs),
      promoteUnread: (run, outcome, promoted) =>
        this.#runner.promote(taskOf(run).spec, outcome, holderOf(run), promoted),
      rebuilt: (lease, _run, outcome) => this.#rebuilt(lease.id, outcome),
      handBack: (caller, lease, sequences, blocked) =>
        (caller as Caller).end.send({ kind: "handBack", leaseId: lease.id, sequences, blocked }),
      leaseOver: ({ id, caller }) => (caller as Caller | undefined)?.leases.delete(id),
      wakeUpAfter: (delayMs) => this.after(delayMs, () => executor.tick()),
    };
    const executor = new Executor(port, words);
    return executor;
  }

  /** The answer leaves when every ref that the task received is held in this process's own name. */
  #answer({ end }: Caller, leaseId: LeaseId | undefined, run: Run | Call, outcome: Outcome, runTimeMs: number): void {
    const { sequence } = run;
    this.#runner.keep(taskOf(run).spec, outcome);
    this.owner.references.holds.whenSettled(() => end.send({ kind: "answer", leaseId, sequence, outcome, runTimeMs }));
  }

  /** The same for a task that the GCS had run again. */
  #rebuilt(leaseId: LeaseId, outcome: Outcome): void {
    const error = outcome.kind === "threw" ? (outcome.error as SimValue).error : undefined;
    const failure = outcome.kind === "failed" ? { code: outcome.code, message: outcome.message } : error;
    this.owner.references.holds.whenSettled(() => this.send(GCS, { type: "taskRebuilt", leaseId, failure }));
  }

  /** Lecture, `createActor`: from here on this worker is the actor. */
  #createActor(leaseId: LeaseId, spec: ActorSpec): void {
    this.jobId = spec.jobId;
    const { actorId } = spec;
    this.#runner.construct(spec, (failure) => {
      if (failure === undefined) this.#actor = this.#makeActor(leaseId, spec.maxConcurrency);
      const died = failure && errorValue({ code: "ACTOR_DIED", message: failure.message });
      const words = failure && died && { message: failure.message, error: encode(died) };
      this.send(GCS, { type: "actorCreated", actorId, leaseId, failure: words });
    });
  }

  #makeActor(leaseId: LeaseId, maxConcurrency: number): ActorExecutor {
    const actor: ActorExecutor = new ActorExecutor(leaseId, maxConcurrency, {
      sendToRaylet: (message) => this.sendToRaylet(message),
      prepare: (call) =>
        this.#runner.prepare(
          taskOf(call),
          () => actor.prepared(call),
          (outcome) => actor.failedToPrepare(call, outcome),
        ),
      execute: (call) =>
        this.#runner.execute(taskOf(call), {
          block: () => actor.block(call),
          resume: () => actor.resume(call),
          finished: (outcome) => actor.finished(call, outcome),
          holder: () => (call.orphan ? undefined : taskOf(call).caller),
        }),
      answer: (caller, call, outcome) => this.#answer(caller as Caller, undefined, call, outcome, 0),
    });
    return actor;
  }
}

function taskOf(run: Run | Call): IncomingTask {
  return run.task as IncomingTask;
}
