/**
 * A worker: runs the tasks of its leases, or becomes an actor. Connections on one side, the executor machines on the
 * other; user code in between.
 */
import { ByteReader, MalformedBytes } from "../base/bytes.js";
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
import { nowMs } from "./clock.js";
import type { WorkerConfig } from "./config.js";
import { CoreProcess } from "./core-process.js";
import {
  CALL_HEADER_BYTES,
  type IncomingTemplate,
  NO_LEASE,
  PUSH_HEADER_BYTES,
  readArguments,
  readTemplate,
  storesResult,
  writeAnswerHeader,
  writeOutcome,
} from "./direct-frames.js";
import { bufferOf } from "./direct-links.js";
import { FRAME } from "./frame-types.js";
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

/** An owner's connection, as the executor's caller. */
export interface CallerConnection {
  readonly connection: Connection;
  readonly templates: IncomingTemplate[];
  /** By the numbers that their owner has given them, which are their routes. */
  readonly leases: Map<number, LeaseSlot>;
}

export class WorkerProcess {
  readonly core: CoreProcess;
  readonly #executor: Executor;
  readonly #runner: TaskRunner;
  readonly #callers = new Map<ConnectionId, CallerConnection>();
  readonly #host: RunHost = {
    ownerOf: (run) => (run as Run).lease.owner,
    holderOf: (run) => holderOf(run as Run),
    heldBy: (run) => (run as Run).lease.held,
    block: (run) => this.#executor.block(run as Run),
    resume: (run) => this.#executor.resume(run as Run),
    finished: (run, outcome) => this.#executor.finished(run as Run, outcome),
    flush: (run) => this.#flush((run as Run).lease.caller as CallerConnection | undefined),
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
      accept: (connection) => started.#accept(connection),
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
      answer: (caller, run, outcome, runTimeMs) =>
        this.#answer(caller as CallerConnection, run.lease, run, outcome, runTimeMs),
      promoteUnread: (run, outcome, promoted) =>
        this.#runner.results.promote(run.task as WorkerTask, outcome, holderOf(run), promoted),
      rebuilt: (lease, _run, outcome) => this.#rebuilt(lease.id, outcome),
      handBack: (caller, lease, sequences, blocked) =>
        this.#handBack(caller as CallerConnection, numberOf(lease), sequences, blocked),
      leaseOver: (lease) => forget(lease),
      wakeUpAfter: (delayMs) => this.#wakeUpAfter(delayMs),
    };
    this.#executor = new Executor(port, claimWords);
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

  /** Their caller has lost the connection; its end may not have been read here, nor even all that came before it. */
  #disownCalls(connection: ConnectionId): void {
    const caller = this.#callers.get(connection);
    if (caller !== undefined) {
      caller.connection.destroy(); // what is still unread is read no more
      this.#detach(caller);
    }
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
        answer: (caller, call, outcome) => this.#answer(caller as CallerConnection, undefined, call, outcome, 0),
      });
      this.core.raylet.send(GCS, { type: "actorCreated", actorId, leaseId, failure: undefined });
    } catch (error) {
      const { nodeId } = this.core.self;
      const maker = { taskId: actorId, name: spec.name, nodeId, pid: process.pid, attempt: 0 };
      const failure = this.core.values.encodeActorFailure(error, maker);
      this.core.raylet.send(GCS, { type: "actorCreated", actorId, leaseId, failure });
    }
  }

  // ── Owners' connections ───────────────────────────────────────────────────────────────────────────────────────────

  #accept(connection: Connection): void {
    if (connection.peer.role !== "driver" && connection.peer.role !== "worker") {
      connection.destroy();
      return;
    }
    const caller: CallerConnection = { connection, templates: [], leases: new Map() };
    this.#callers.set(connection.id, caller);
    connection.start({
      frame: (type, bytes, start, end) => this.#frame(caller, type, bytes, start, end),
      closed: () => this.#detach(caller),
    });
  }

  /** Nothing more comes by the connection. */
  #detach(caller: CallerConnection): void {
    this.#callers.delete(caller.connection.id);
    this.#executor.detach(caller);
    this.#actor?.executor.detach(caller);
  }

  /** Hot path: one call for each frame. */
  #frame(caller: CallerConnection, type: number, chunk: Uint8Array, start: number, end: number): void {
    const bytes = bufferOf(chunk);
    if (type === FRAME.push) return this.#push(caller, bytes, start, end);
    if (type === FRAME.call) return this.#call(caller, bytes, start, end);
    const reader = new ByteReader(bytes, start, end);
    if (type === FRAME.template) {
      const { index, template } = readTemplate(reader);
      caller.templates[index] = template;
    } else if (type === FRAME.attach) {
      this.#attach(caller, reader);
    } else if (type === FRAME.abort) {
      this.#abort(caller, reader.u16(), reader.u32());
    } else {
      throw new MalformedBytes(`frame type ${type} from an owner`);
    }
  }

  /** A call that waits here will not start; of what runs the signal is told. */
  #abort(caller: CallerConnection, number: number, sequence: number): void {
    if (number !== NO_LEASE) return this.#runner.abort(caller.leases.get(number)?.id, sequence);
    this.#actor?.executor.withdraw(caller, sequence);
    this.#runner.abort(caller, sequence);
  }

  #attach(caller: CallerConnection, reader: ByteReader): void {
    const number = reader.u16();
    const leaseId = reader.text(64) as LeaseId;
    const { nodeId, processId } = caller.connection.peer;
    const owner = { nodeId: nodeId as NodeId, processId: processId as ProcessId };
    this.#executor.attach(leaseId, owner, caller, (lease) => {
      caller.leases.set(number, lease);
      lease.route = number;
    });
  }

  #push(caller: CallerConnection, bytes: Buffer, start: number, end: number): void {
    if (end - start < PUSH_HEADER_BYTES) throw new MalformedBytes("a task that is too short");
    const number = bytes.readUInt16LE(start);
    const sequence = bytes.readUInt32LE(start + 2);
    const lease = caller.leases.get(number);
    if (lease === undefined) return this.#handBack(caller, number, [sequence], false);
    const template = caller.templates[bytes.readUInt16LE(start + 6)];
    if (template === undefined) throw new MalformedBytes("a task of an unknown template");
    this.#executor.push(lease, sequence, {
      template,
      counter: bytes.readUInt32LE(start + 8),
      attempt: bytes[start + 12],
      storeResult: storesResult(bytes[start + 13] as number),
      args: readArguments(bytes, start + PUSH_HEADER_BYTES, end),
      origin: lease.id,
      sequence,
    } as WorkerTask);
  }

  #call(caller: CallerConnection, bytes: Buffer, start: number, end: number): void {
    if (end - start < CALL_HEADER_BYTES) throw new MalformedBytes("a call that is too short");
    const template = caller.templates[bytes.readUInt16LE(start + 4)];
    if (template === undefined || this.#actor === undefined) throw new MalformedBytes("a call of nothing");
    const sequence = bytes.readUInt32LE(start);
    this.#actor.executor.push(caller, sequence, {
      template,
      counter: bytes.readUInt32LE(start + 6),
      attempt: 0,
      storeResult: storesResult(bytes[start + 10] as number),
      args: readArguments(bytes, start + CALL_HEADER_BYTES, end),
      origin: caller,
      sequence,
    } as WorkerTask);
  }

  /** The answer leaves when every ref that the task received is held in this process's own name. */
  #answer(
    caller: CallerConnection,
    lease: LeaseSlot | undefined,
    { task, sequence }: Run | Call,
    outcome: Outcome,
    runTimeMs: number,
  ): void {
    const { references } = this.core.owner;
    if (runTimeMs >= PIPELINE_BELOW_MS) this.#runner.ranLong(task as WorkerTask, runTimeMs);
    this.#runner.results.keep(task as WorkerTask, outcome);
    if (references.holds.areSettled) this.#writeAnswer(caller, lease, sequence, outcome, runTimeMs);
    else references.holds.whenSettled(() => this.#writeAnswer(caller, lease, sequence, outcome, runTimeMs));
  }

  /** The same for a task that the GCS had run again. */
  #rebuilt(leaseId: LeaseId, outcome: Outcome): void {
    const failure = this.#runner.failureOf(outcome);
    this.core.owner.references.holds.whenSettled(() =>
      this.core.raylet.send(GCS, { type: "taskRebuilt", leaseId, failure }),
    );
  }

  #writeAnswer(
    { connection }: CallerConnection,
    lease: LeaseSlot | undefined,
    sequence: number,
    outcome: Outcome,
    runTimeMs: number,
  ): void {
    const writer = connection.beginFrame(FRAME.answer);
    writeAnswerHeader(writer, lease === undefined ? NO_LEASE : numberOf(lease), sequence, runTimeMs);
    writeOutcome(writer, outcome);
    connection.endFrame();
  }

  #handBack(caller: CallerConnection, number: number, sequences: readonly number[], blocked: boolean): void {
    const writer = caller.connection.beginFrame(FRAME.handBack);
    writer.u16(number);
    writer.u8(blocked ? 1 : 0);
    writer.u32(sequences.length);
    for (const sequence of sequences) writer.u32(sequence);
    caller.connection.endFrame();
  }

  #flush(caller: CallerConnection | undefined): void {
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

/** A lease's number on its owner's connection. */
function numberOf({ route }: LeaseSlot): number {
  return (route as number | undefined) ?? NO_LEASE;
}

/** A lease that is over is found by its number no more, which may be another's by now. */
function forget(lease: LeaseSlot): void {
  const leases = (lease.caller as CallerConnection | undefined)?.leases;
  if (leases?.get(numberOf(lease)) === lease) leases.delete(numberOf(lease));
}
