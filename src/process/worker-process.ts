/**
 * A worker: runs the tasks of its leases, or becomes an actor. Connections on one side, the executor machines on the
 * other; user code in between.
 */
import { type ConnectionId, GCS, type LeaseId, type NodeId, type ProcessId, type ProcessRef } from "../base/ids.js";
import { PIPELINE_BELOW_MS } from "../base/limits.js";
import type { Call } from "../core/executor/actor-executor.js";
import { Executor, type ExecutorPort } from "../core/executor/executor.js";
import { holderOf, type LeaseSlot, type Run } from "../core/executor/lease-slot.js";
import type { Outcome } from "../core/owner/records.js";
import { ConnectionError } from "../errors.js";
import { Acceptor } from "../io/acceptor.js";
import type { Connection } from "../io/connection.js";
import { dial } from "../io/dial.js";
import { listen } from "../io/listener.js";
import { receiveSockets } from "../io/pass-socket.js";
import { startWatchdog } from "../io/watchdog.js";
import type { Message } from "../protocol/messages.js";
import { ActorHost } from "./actor-host.js";
import { type Caller, Callers, forgetLease } from "./callers.js";
import { nowMs } from "./clock.js";
import type { WorkerConfig } from "./config.js";
import { CoreProcess } from "./core-process.js";
import { markOutput } from "./output-marks.js";
import { currentTask } from "./task-context.js";
import { type RunHost, TaskRunner, taskOfSpec, type WorkerTask } from "./task-runner.js";
import type { HandleHooks } from "./value-codec.js";
import { mappedClaims, threadedClaims } from "./worker-claims.js";

/** The first worker of a node may be there before its raylet listens. */
const RAYLET_PATIENCE_MS = 20_000;
const RAYLET_POLL_MS = 5;

async function dialPatiently(...how: Parameters<typeof dial>): Promise<Connection> {
  const deadline = nowMs() + RAYLET_PATIENCE_MS;
  for (;;) {
    try {
      return await dial(...how);
    } catch (error) {
      if (!(error instanceof ConnectionError) || nowMs() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, RAYLET_POLL_MS));
    }
  }
}

export class WorkerProcess {
  readonly core: CoreProcess;
  readonly #executor: Executor;
  readonly #runner: TaskRunner;
  readonly #callers: Callers;
  readonly #host: RunHost = {
    ownerOf: (run) => (run as Run).lease.owner,
    holderOf: (run) => holderOf(run as Run),
    heldBy: (run) => (run as Run).lease.held,
    block: (run) => this.#executor.block(run as Run),
    resume: (run) => this.#executor.resume(run as Run),
    finished: (run, outcome) => this.#executor.finished(run as Run, outcome),
    flush: (run) => this.#flush((run as Run).lease.caller as Caller | undefined),
  };
  #actor: ActorHost | undefined;
  #actorName: string | undefined;
  #wake: NodeJS.Timeout | undefined;
  #wakeDelayMs = 0;

  /** Connect to the raylet, listen for owners, say that this worker is ready. */
  static async start(
    config: WorkerConfig,
    handles: HandleHooks,
    onCore: (core: CoreProcess) => void,
  ): Promise<WorkerProcess> {
    const watchdog = startWatchdog();
    let worker: WorkerProcess | undefined;
    markOutput(() => worker?.actorName ?? currentTask()?.name ?? "");
    const secret = Buffer.from(config.secretHex, "hex");
    const identity = { nodeId: config.nodeId, processId: config.processId };
    const [raylet, threaded] = await Promise.all([
      dialPatiently({ unixPath: config.rayletPath }, { identity: { role: "worker", ...identity }, secret }),
      threadedClaims(config),
      watchdog,
    ]);
    const claimWords = threaded ?? mappedClaims(config);
    const self: ProcessRef = { nodeId: config.nodeId as NodeId, processId: config.processId as ProcessId };
    const { arenaPath, fallbackPath, arenaBytes, rayletPath } = config;
    const warn = (text: string) => console.error(`mobula: ${text}`);
    const paths = { rayletPath, arenaPath, fallbackPath };
    const options = { self, role: "worker" as const, secret, ...paths, arenaBytes, raylet, handles, warn };
    const started = new WorkerProcess(new CoreProcess(options), claimWords);
    worker = started;
    onCore(started.core);
    const acceptor = new Acceptor({
      identity: { role: "worker", ...identity, clusterId: config.clusterId },
      secret,
      accept: (connection) => started.#callers.accept(connection),
    });
    await listen({ unixPath: config.socketPath }, acceptor);
    receiveSockets((socket, bytes) => acceptor.take(socket, bytes));
    const { socketPath: unixPath } = config;
    const recallable = claimWords !== undefined;
    started.core.raylet.sendToRaylet({ type: "workerReady", pid: process.pid, unixPath, recallable });
    return started;
  }

  private constructor(core: CoreProcess, claimWords: Int32Array | undefined) {
    this.core = core;
    this.#runner = new TaskRunner(core);
    core.onMessage = (message) => this.#receive(message);
    core.onRayletLost = () => process.exit(1); // its raylet is gone, and so is its node
    const port: ExecutorPort = {
      nowMs,
      sendToRaylet: (message) => core.raylet.sendToRaylet(message),
      sendToOwner: (owner, message) => core.raylet.send(owner, message),
      prepare: (run) =>
        this.#runner.prepare(
          run.task as WorkerTask,
          () => {
            this.#executor.prepared(run);
            this.#runner.drop(run.task as WorkerTask); // its lease may be over
          },
          (outcome) => this.#executor.failedToPrepare(run, outcome),
          () => this.#executor.argumentMissing(run),
        ),
      execute: (run) => this.#runner.execute(run.task as WorkerTask, this.#host, run),
      answer: (caller, run, outcome, runTimeMs) => this.#answer(caller as Caller, run.lease, run, outcome, runTimeMs),
      promoteUnread: (run, outcome, promoted) =>
        this.#runner.results.promote(run.task as WorkerTask, outcome, holderOf(run), promoted),
      rebuilt: (lease, _run, outcome) => this.#rebuilt(lease.id, outcome),
      handBack: (caller, lease, sequences, blocked) =>
        this.#callers.handBack(caller as Caller, lease, sequences, blocked),
      leaseOver: forgetLease,
      wakeUpAfter: (delayMs) => this.#wakeUpAfter(delayMs),
    };
    this.#executor = new Executor(port, claimWords);
    const worker = this;
    this.#callers = new Callers({
      executor: this.#executor,
      get actor() {
        return worker.#actor?.executor;
      },
      runner: this.#runner,
    });
  }

  /** Whose output this process writes, if it is an actor: its name, or that of its class. */
  get actorName(): string | undefined {
    return this.#actorName;
  }

  /** The state in words, for people who ask why something waits (SIGUSR2). */
  describe(): string {
    return `as a worker:\n${this.#executor.describe()}\nas an owner:\n${this.core.owner.describe()}`;
  }

  // ── Control messages ──────────────────────────────────────────────────────────────────────────────────────────────

  #receive(message: Message): void {
    switch (message.type) {
      case "openLease":
        this.core.jobId = message.jobId;
        this.core.namespace = message.namespace;
        this.#executor.openLease(message.leaseId, message.owner, message);
        return;
      case "closeLease":
        this.#executor.closeLease(message.leaseId);
        return;
      case "disownLease":
        this.#executor.disownLease(message.leaseId);
        return this.#sayDisowned(message.leaseId);
      case "disownCalls":
        return this.#disownCalls(message.connection);
      case "dispatchTask":
        this.#executor.dispatch(message.leaseId, taskOfSpec(message.task, message.leaseId));
        return;
      case "promoteResult":
        return this.#runner.results.promoteResult(message.objectId);
      case "askUse":
        return this.core.raylet.sendToRaylet({ type: "workerUse", inUse: this.core.owner.isInUse });
      case "createActor":
        return void this.#createActor(message.leaseId, message.actor);
      default:
        return;
    }
  }

  /** Whoever is told lets go of what was sealed in his name: that must have been registered before. */
  #sayDisowned(leaseId: LeaseId): void {
    this.core.store.whenAnnounced(() => this.core.raylet.sendToRaylet({ type: "leaseDisowned", leaseId }));
  }

  #disownCalls(connection: ConnectionId): void {
    this.#callers.disown(connection);
    this.core.store.whenAnnounced(() => this.core.raylet.sendToRaylet({ type: "callsDisowned", connection }));
  }

  /** Lecture, `createActor`: from here on this worker is the actor. */
  async #createActor(leaseId: LeaseId, spec: Extract<Message, { type: "createActor" }>["actor"]): Promise<void> {
    const { actorId } = spec;
    this.#actorName = spec.actorName === "" ? spec.name : spec.actorName;
    this.core.jobId = spec.jobId;
    this.core.actorName = this.#actorName;
    try {
      this.#actor = await ActorHost.create(this.core, this.#runner, leaseId, spec, {
        answer: (caller, call, outcome) => this.#answer(caller as Caller, undefined, call, outcome, 0),
      });
      this.core.raylet.send(GCS, { type: "actorCreated", actorId, leaseId, failure: undefined });
    } catch (error) {
      const { nodeId } = this.core.self;
      const maker = { taskId: actorId, name: spec.name, nodeId, pid: process.pid, attempt: 0 };
      const failure = this.core.values.encodeActorFailure(error, maker);
      this.core.raylet.send(GCS, { type: "actorCreated", actorId, leaseId, failure });
    }
  }

  // ── Answers ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The answer leaves when every ref that the task received is held in this process's own name. */
  #answer(
    caller: Caller,
    lease: LeaseSlot | undefined,
    { task, sequence }: Run | Call,
    outcome: Outcome,
    runTimeMs: number,
  ): void {
    const { references } = this.core.owner;
    if (runTimeMs >= PIPELINE_BELOW_MS) this.#runner.ranLong(task as WorkerTask, runTimeMs);
    this.#runner.results.keep(task as WorkerTask, outcome);
    if (references.holds.areSettled) this.#callers.answer(caller, lease, sequence, outcome, runTimeMs);
    else references.holds.whenSettled(() => this.#callers.answer(caller, lease, sequence, outcome, runTimeMs));
  }

  /** The same for a task that the GCS had run again. */
  #rebuilt(leaseId: LeaseId, outcome: Outcome): void {
    const failure = this.#runner.failureOf(outcome);
    this.core.owner.references.holds.whenSettled(() =>
      this.core.raylet.send(GCS, { type: "taskRebuilt", leaseId, failure }),
    );
  }

  #flush(caller: Caller | undefined): void {
    caller?.connection.flush();
    this.core.raylet.flush();
  }

  /** One timer, with the shortest delay that was asked for: the executor asks again for what is left of the others. */
  #wakeUpAfter(delayMs: number): void {
    if (this.#wake !== undefined && delayMs >= this.#wakeDelayMs) return;
    clearTimeout(this.#wake);
    this.#wakeDelayMs = delayMs;
    this.#wake = setTimeout(() => {
      this.#wake = undefined;
      this.#executor.tick();
    }, delayMs);
  }
}
