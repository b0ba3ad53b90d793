/**
 * The global control store: the tables of the cluster and the global scheduler, behind one door.
 *
 * Decides: nothing itself. It takes a message to the table that it concerns, and tells tables of deaths.
 * Does not know: sockets, object bytes.
 */
import {
  type ActorId,
  type JobId,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ProcessRef,
  rayletOf,
  TASK_ID_DIGITS,
} from "../../base/ids.js";
import { NODE_TIMEOUT_MS } from "../../base/limits.js";
import type { Failure, Message, MessageBody, NodeInfo } from "../../protocol/messages.js";
import { isActorLease } from "../actor-lease.js";
import { Collector } from "../collector.js";
import type { Journey } from "../journey.js";
import { recordOf } from "../resources.js";
import { ActorTable } from "./actor-table.js";
import { FunctionTable } from "./function-table.js";
import { GlobalScheduler } from "./global-scheduler.js";
import { HoldFlush } from "./hold-flush.js";
import { ObjectTable } from "./object-table.js";

export interface GcsPort {
  send(to: ProcessRef, message: Message): void;
  /** Call `tick` after this time. */
  wakeUpAfter(delayMs: number): void;
  /** Everything ends: the shell stops its own node too. */
  stop(reason: string): void;
}

interface NodeRecord {
  readonly info: NodeInfo;
  heardAtMs: number;
}

interface ProcessRecord {
  readonly ref: ProcessRef;
  jobId: JobId | undefined;
}

export class Gcs {
  readonly functions: FunctionTable;
  readonly objects: ObjectTable;
  readonly actors: ActorTable;
  readonly scheduler: GlobalScheduler;
  readonly #port: GcsPort;
  readonly #journey: Journey;
  readonly #nodes = new Map<NodeId, NodeRecord>();
  readonly #processes = new Map<ProcessId, ProcessRecord>();
  readonly #jobs = new Map<ProcessId, { readonly jobId: JobId; readonly namespace: string }>();
  readonly #flush: HoldFlush;
  readonly #collector = new Collector();
  #nextJob = 1;
  #nowMs = 0;

  constructor(port: GcsPort, journey: Journey) {
    this.#port = port;
    this.#journey = journey;
    this.functions = new FunctionTable({
      functionFound: (to, functionId, payload) => port.send(to, { type: "functionFound", functionId, payload }),
    });
    this.objects = new ObjectTable(this.#objectPort());
    this.scheduler = new GlobalScheduler(this.#schedulerPort(), this.objects);
    this.actors = new ActorTable(this.#actorPort());
    this.#flush = new HoldFlush({
      flushHolds: (to, epoch) => port.send(to, { type: "flushHolds", epoch }),
      holdsEnded: (process, reason) => this.objects.holderDied(process, reason),
    });
  }

  /** A message that a raylet passed on or sent itself. The shell has checked that the sender's role may send it. */
  receive(from: ProcessRef, message: Message): void {
    const node = this.#nodes.get(from.nodeId);
    if (node !== undefined) node.heardAtMs = this.#nowMs;
    switch (message.type) {
      case "registerNode":
        return this.#registerNode(message);
      case "reportResources":
        return this.scheduler.reportResources(from.nodeId, message.available);
      case "drainNode":
        this.scheduler.drainNode(message.nodeId);
        return this.#port.send(rayletOf(message.nodeId), { type: "nodeDrained" });
      case "attachDriver":
        return this.#attachDriver(from, message.namespace);
      case "processJoined":
        this.#processes.set(message.process.processId, { ref: message.process, jobId: message.jobId });
        return;
      case "processDied":
        return this.#processDied(message.process, message.reason);
      case "registerFunction":
        this.#journey.record("registerFunction", message.functionId, message.name);
        return this.functions.register(message.functionId, message.payload);
      case "fetchFunction":
        return this.functions.fetch(from, message.functionId);
      case "placeLease":
        return this.scheduler.placeTask(message);
      case "leaseSpilled":
        return this.scheduler.spilled(from.nodeId, message.request, message.available);
      case "leaseGranted":
        return this.#leaseGranted(message);
      case "cancelLease":
        return this.#cancelLease(message.leaseId);
      case "leaseCancelled":
        return this.scheduler.ended(message.leaseId);
      case "leaseLost":
        return this.actors.leaseLost(message.leaseId, message.reason);
      case "stopCluster":
        return this.#stop();
      case "query":
        return this.#answer(from, message);
      case "collected":
        return this.#collector.answered(message.query, from.processId, message.json, message.last);
      default:
        if (!this.#receiveForObjects(from, message)) this.#receiveForActors(from, message);
    }
  }

  /** Everything that waits for time: silent nodes, questions nobody answers. Called every `HEARTBEAT_MS`. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#collector.tick(nowMs);
    this.scheduler.tick(nowMs);
    this.actors.tick(nowMs);
    for (const [nodeId, node] of [...this.#nodes]) {
      if (node.heardAtMs === 0) node.heardAtMs = nowMs;
      if (nowMs - node.heardAtMs > NODE_TIMEOUT_MS) this.nodeDied(nodeId, `silent for ${NODE_TIMEOUT_MS} ms`);
    }
  }

  /** A node's raylet is gone, and with it every process and copy there. */
  nodeDied(nodeId: NodeId, why: string): void {
    if (!this.#nodes.delete(nodeId)) return;
    const reason = { code: "NODE_DIED", message: `node ${nodeId} died: ${why}` };
    this.#collector.died(nodeId);
    this.objects.nodeDied(nodeId);
    this.scheduler.removeNode(nodeId);
    for (const { ref } of [...this.#processes.values()]) {
      if (ref.nodeId === nodeId) this.#processDied(ref, reason);
    }
    for (const other of this.#nodes.keys()) this.#port.send(rayletOf(other), { type: "nodeLost", nodeId, reason });
    this.#sendClusterView();
  }

  check(): void {
    this.functions.check();
    this.objects.check();
    this.actors.check();
    this.scheduler.check();
  }

  /** What `mobula trace` asks the GCS's own process. */
  traceOf(subject: string): string {
    return JSON.stringify([...this.#journey.records()].filter((r) => subject === "" || r.subject.startsWith(subject)));
  }

  get nodeCount(): number {
    return this.#nodes.size;
  }

  #receiveForObjects(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "registerObject":
        this.#registerObject(from.nodeId, message);
        return true;
      case "subscribeObject":
        this.#subscribeObject(from.nodeId, message);
        return true;
      case "unsubscribeObject":
        this.objects.unsubscribe(from.nodeId, message.objectId);
        return true;
      case "dropLocation":
        this.objects.dropLocation(message.nodeId, message.objectId);
        return true;
      case "addHolds":
        for (const object of message.objects) this.#addHold(from, object as ObjectId, message.declare);
        this.#port.send(from, { type: "holdsAdded", sequence: message.sequence });
        return true;
      case "releaseHolds":
        for (const object of message.objects) this.objects.release(from.processId, object as ObjectId);
        return true;
      case "holdsFlushed":
        this.#flush.flushed(from.processId, message.epoch);
        return true;
      default:
        return false;
    }
  }

  #receiveForActors(from: ProcessRef, message: Message): void {
    switch (message.type) {
      case "registerActor":
        if (!this.#isAlive(from)) return; // its last words: nobody holds the actor
        this.objects.addHold(from.processId, message.actorId as string as ObjectId);
        this.#journey.record("registerActor", message.actorId, message.name);
        this.actors.register(message);
        return;
      case "subscribeActor":
        return this.actors.subscribe(from, message.actorId);
      case "actorCreated":
        return this.#actorCreated(message);
      case "killActor":
        return this.actors.kill(message.actorId);
      case "findActor": {
        const spec = this.actors.find(message.name, message.namespace);
        const { query } = message;
        const found = { actorId: spec?.actorId, functionId: spec?.functionId, className: spec?.name ?? "" };
        return this.#port.send(from, { type: "actorFound", query, ...found });
      }
      default:
        return; // not for the GCS: the shell has refused it by its role table
    }
  }

  #registerNode(info: NodeInfo & { readonly type: "registerNode" }): void {
    this.#nodes.set(info.nodeId, { info, heardAtMs: this.#nowMs });
    this.scheduler.addNode(info);
    this.#sendClusterView();
  }

  #sendClusterView(): void {
    const nodes = [...this.#nodes.values()].map((node) => node.info);
    for (const nodeId of this.#nodes.keys()) this.#port.send(rayletOf(nodeId), { type: "clusterView", nodes });
  }

  #attachDriver(from: ProcessRef, namespace: string): void {
    const known = this.#jobs.get(from.processId);
    const jobId = known?.jobId ?? ((this.#nextJob++).toString(16).padStart(8, "0") as JobId);
    this.#jobs.set(from.processId, { jobId, namespace });
    this.#processes.set(from.processId, { ref: from, jobId });
    this.#port.send(from, { type: "jobStarted", jobId });
  }

  #processDied(process: ProcessRef, reason: Failure): void {
    const record = this.#processes.get(process.processId);
    this.#processes.delete(process.processId);
    this.functions.forgetProcess(process);
    this.scheduler.ownerDied(process);
    this.#flush.died(process.processId);
    this.actors.processDied(process, reason);
    const job = this.#jobs.get(process.processId);
    if (job !== undefined) this.#endJob(process, job.jobId);
    else if (record?.jobId !== undefined) this.#tellOtherNodes(process, reason);
    const mates = [...this.#processes.values()].filter((p) => p.jobId !== undefined && p.jobId === record?.jobId);
    this.#flush.begin(process.processId, ownerDied(process, reason), job === undefined ? mates.map((p) => p.ref) : []);
  }

  /** A worker that died may own leases anywhere; its own raylet knows of its death. */
  #tellOtherNodes(process: ProcessRef, reason: Failure): void {
    for (const nodeId of this.#nodes.keys()) {
      if (nodeId !== process.nodeId) this.#port.send(rayletOf(nodeId), { type: "processDied", process, reason });
    }
  }

  #endJob(driver: ProcessRef, jobId: JobId): void {
    this.#jobs.delete(driver.processId);
    // Before its actors are killed, so that raylets can ask them for what they recorded.
    for (const nodeId of this.#nodes.keys()) this.#port.send(rayletOf(nodeId), { type: "jobEnded", jobId, driver });
    this.actors.jobEnded(jobId);
  }

  #leaseGranted(message: MessageBody<"leaseGranted">): void {
    this.scheduler.granted(message.leaseId);
    const actorId = message.leaseId.slice(0, TASK_ID_DIGITS) as ActorId;
    if (!message.leaseId.startsWith(`${actorId}.`)) return;
    const outcome = this.actors.leaseGranted(message.leaseId, message.worker, message.address);
    if (outcome === "creating") return;
    this.#port.send(rayletOf(message.worker.nodeId), { type: "returnLease", leaseId: message.leaseId });
  }

  #cancelLease(leaseId: MessageBody<"cancelLease">["leaseId"]): void {
    const node = this.scheduler.cancel(leaseId);
    if (node !== undefined) this.#port.send(rayletOf(node), { type: "cancelLease", leaseId });
  }

  #actorCreated(message: MessageBody<"actorCreated">): void {
    if (message.failure === undefined) return this.actors.created(message.actorId, message.leaseId);
    this.actors.failed(message.actorId, { code: "ACTOR_DIED", message: message.failure.message });
  }

  #registerObject(node: NodeId, message: MessageBody<"registerObject">): void {
    const { objectId, sizeBytes, holder, contains } = message;
    const living = holder !== undefined && this.#isAlive(holder) ? holder.processId : undefined;
    const told = this.objects.register(node, objectId, sizeBytes, living, contains);
    if (told) this.#journey.record("notifyWaiters", objectId);
    this.#port.send(rayletOf(node), { type: "objectRegistered", objectId });
  }

  #subscribeObject(node: NodeId, message: MessageBody<"subscribeObject">): void {
    this.objects.subscribe(node, message.objectId, message.fetch);
  }

  #addHold(from: ProcessRef, object: ObjectId, declare: boolean): void {
    if (!this.#isAlive(from)) return;
    if (declare) this.objects.declare(from.processId, object);
    else this.objects.addHold(from.processId, object);
  }

  #isAlive(process: ProcessRef): boolean {
    return this.#processes.has(process.processId);
  }

  #answer(from: ProcessRef, { query, about, subject }: MessageBody<"query">): void {
    const answer = (json: string) => this.#port.send(from, { type: "answer", query, json });
    if (about === "nodes") return answer(JSON.stringify(this.#nodesView()));
    const nodes = [...this.#nodes.keys()];
    const own = about === "trace" ? [this.traceOf(subject)] : [];
    const number = this.#collector.ask(this.#nowMs, nodes, own, (answers) => answer(`[${answers.join(",")}]`));
    for (const nodeId of nodes) {
      const asked = about === "trace" ? subject : `#${about}`;
      this.#port.send(rayletOf(nodeId), { type: "collect", query: number, subject: asked });
    }
  }

  #nodesView(): readonly unknown[] {
    return this.scheduler.nodes().map(({ info, available }) => ({
      nodeId: info.nodeId,
      address: `${info.host}:${info.port}`,
      alive: true,
      isHead: info.isHead,
      resources: recordOf(info.total),
      available: recordOf(available),
      labels: Object.fromEntries(info.labels),
    }));
  }

  #stop(): void {
    for (const { info } of this.#nodes.values()) {
      if (!info.isHead) this.#port.send(rayletOf(info.nodeId), { type: "stopNode", reason: "the cluster was stopped" });
    }
    this.#port.stop("the cluster was stopped");
  }

  #objectPort(): ConstructorParameters<typeof ObjectTable>[0] {
    return {
      objectAvailable: (waiter, objectId, entry, { locations, width }) =>
        this.#port.send(rayletOf(waiter), {
          type: "objectAvailable",
          objectId,
          sizeBytes: entry.sizeBytes,
          locations,
          width,
        }),
      objectGone: (waiter, objectId, reason) =>
        this.#port.send(rayletOf(waiter), { type: "objectGone", objectId, reason }),
      freeObject: (node, objectId) => this.#port.send(rayletOf(node), { type: "freeObject", objectId }),
      becomePrimary: (node, objectId) => this.#port.send(rayletOf(node), { type: "becomePrimary", objectId }),
      unreachable: (id) => {
        if (id.length === TASK_ID_DIGITS) this.actors.unreachable(id as ActorId);
      },
    };
  }

  #schedulerPort(): ConstructorParameters<typeof GlobalScheduler>[0] {
    return {
      queueLease: (node, request) => this.#port.send(rayletOf(node), { ...request, type: "queueLease" }),
      leaseInfeasible: (owner, leaseId, reason) => this.#port.send(owner, { type: "leaseInfeasible", leaseId, reason }),
      leaseRefused: (owner, leaseId, code, message) => {
        this.actors.leaseLost(leaseId, { code, message });
        this.#port.send(owner, { type: "leaseRefused", leaseId, reason: { code, message } });
      },
      leaseCancelled: (owner, leaseId) => this.#port.send(owner, { type: "leaseCancelled", leaseId }),
      wakeUpAfter: (delayMs) => this.#port.wakeUpAfter(delayMs),
      leasesWanted: (node) => this.#port.send(rayletOf(node), { type: "leasesWanted" }),
      recordLookUp: (request) => this.#journey.record("lookUpObjects", request.taskId),
      recordPlacement: (request, node) => {
        const step = isActorLease(request) ? "leaseActorWorker" : "placeTask";
        this.#journey.record(step, request.taskId, node);
      },
    };
  }

  #actorPort(): ConstructorParameters<typeof ActorTable>[0] {
    return {
      leaseActorWorker: (request) => this.scheduler.placeTask(request),
      cancelLease: (leaseId) => this.#cancelLease(leaseId),
      createActor: (worker, leaseId, actor) => {
        this.#journey.record("createActor", actor.actorId, actor.name);
        this.#port.send(worker, { type: "createActor", leaseId, actor });
      },
      settleActor: (worker, leaseId) => this.#port.send(rayletOf(worker.nodeId), { type: "settleActor", leaseId }),
      killProcess: (process, reason) =>
        this.#port.send(rayletOf(process.nodeId), { type: "killProcess", process, reason }),
      announce: (to, actor) => this.#port.send(to, { type: "actorState", ...actor }),
    };
  }
}

function ownerDied(process: ProcessRef, reason: Failure): Failure {
  return {
    code: "OWNER_DIED",
    message: `process ${process.processId} on node ${process.nodeId}, which owned the object, died before its value existed: ${reason.message}`,
  };
}
