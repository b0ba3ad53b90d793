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
import { MAX_ACTORS, MAX_NODES, MAX_OBJECTS, MAX_QUEUED_LEASES, NODE_TIMEOUT_MS } from "../../base/limits.js";
import type { Failure, Message, MessageBody, NodeInfo } from "../../protocol/messages.js";
import { COLLECT_FROM_NODES_MS, Collector } from "../collector.js";
import type { Journey } from "../journey.js";
import { tableReport } from "../memory/table-report.js";
import { actorTablePort } from "./actor-port.js";
import { ActorTable } from "./actor-table.js";
import { DeadNodes } from "./dead-nodes.js";
import { FunctionTable } from "./function-table.js";
import { GlobalScheduler } from "./global-scheduler.js";
import { HoldFlush } from "./hold-flush.js";
import { JobTable } from "./job-table.js";
import { Lineage } from "./lineage.js";
import { ObjectDesk, objectTablePort } from "./object-desk.js";
import { ownerDied } from "./object-failures.js";
import { ObjectTable } from "./object-table.js";
import { OutputDesk } from "./output-desk.js";
import { schedulerPort } from "./scheduler-port.js";
import { nodesView } from "./views.js";

export interface GcsPort {
  send(to: ProcessRef, message: Message): void;
  /** Call `tick` after this time. */
  wakeUpAfter(delayMs: number): void;
  /** Everything ends: the shell stops its own node too. */
  stop(reason: string): void;
}

/** How large its tables may become. What is asked of it beyond is refused, and it goes on. */
export interface GcsLimits {
  readonly maxNodes: number;
  readonly maxObjects: number;
  readonly maxActors: number;
  readonly maxQueuedLeases: number;
}

const LIMITS: GcsLimits = {
  maxNodes: MAX_NODES,
  maxObjects: MAX_OBJECTS,
  maxActors: MAX_ACTORS,
  maxQueuedLeases: MAX_QUEUED_LEASES,
};

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
  readonly lineage: Lineage;
  readonly #port: GcsPort;
  readonly #limits: GcsLimits;
  readonly #journey: Journey;
  readonly #nodes = new Map<NodeId, NodeRecord>();
  readonly #dead = new DeadNodes();
  readonly #processes = new Map<ProcessId, ProcessRecord>();
  readonly #jobs = new JobTable();
  readonly #flush: HoldFlush;
  readonly #output: OutputDesk;
  readonly #desk: ObjectDesk;
  readonly #collector = new Collector();
  #nowMs = 0;

  constructor(port: GcsPort, journey: Journey, limits: Partial<GcsLimits> = {}) {
    this.#port = port;
    this.#limits = { ...LIMITS, ...limits };
    this.#journey = journey;
    this.functions = new FunctionTable({
      functionFound: (to, functionId, payload) => port.send(to, { type: "functionFound", functionId, payload }),
    });
    const { maxObjects, maxQueuedLeases, maxActors } = this.#limits;
    this.objects = new ObjectTable(
      objectTablePort(port, {
        actorUnreachable: (id) => this.actors.unreachable(id),
        objectFreed: (id) => this.lineage.freed(id),
        lostIsWanted: (id) => this.lineage.wanted(id),
      }),
      maxObjects,
    );
    this.scheduler = new GlobalScheduler(
      schedulerPort(port, journey, {
        namespaceOf: (id) => this.#jobs.namespaceOf(id),
        actorLeaseLost: (leaseId, reason) => this.actors.leaseLost(leaseId, reason),
        rebuildRefused: (leaseId, reason) => this.lineage.leaseRefused(leaseId, reason),
        rebuildLost: (leaseId, reason) => this.lineage.leaseLost(leaseId, reason),
      }),
      this.objects,
      maxQueuedLeases,
    );
    this.actors = new ActorTable(
      actorTablePort(port, journey, {
        placeTask: (request) => this.scheduler.placeTask(request),
        cancelLease: (leaseId) => this.#cancelLease(leaseId),
      }),
      maxActors,
    );
    this.lineage = new Lineage(
      {
        placeTask: (request) => this.scheduler.placeTask(request),
        cancelLease: (leaseId) => this.#cancelLease(leaseId),
        returnLease: ({ nodeId }, leaseId) => port.send(rayletOf(nodeId), { type: "returnLease", leaseId }),
        askForSpec: (object) => this.#desk.askForSpec(object),
      },
      this.objects,
    );
    this.#output = new OutputDesk((to, message) => port.send(to, message));
    this.#flush = new HoldFlush((to, epoch) => port.send(to, { type: "flushHolds", epoch }));
    this.#desk = new ObjectDesk(this.objects, this.lineage, journey, {
      send: (to, message) => port.send(to, message),
      isNodeAlive: (node) => this.#nodes.has(node),
      isAlive: (process) => this.#isAlive(process),
      isJobAlive: (id) => this.#jobs.isAlive(id),
      hear: (isAsked, heard) => {
        const isHeard = ({ ref, jobId }: ProcessRecord) => jobId !== undefined && isAsked(ref.processId); // others have no holds
        this.#flush.begin(this.#refsOf(isHeard), { heard, ended: () => {} });
      },
    });
  }

  /** A message that a raylet passed on or sent itself. The shell has checked that the sender's role may send it. */
  receive(from: ProcessRef, message: Message): void {
    const node = this.#nodes.get(from.nodeId);
    if (node !== undefined) node.heardAtMs = this.#nowMs;
    this.#receive(from, message);
    this.lineage.settle();
  }

  #receive(from: ProcessRef, message: Message): void {
    switch (message.type) {
      case "registerNode":
        return this.#registerNode(message);
      case "reportResources":
        return this.scheduler.reportResources(from.nodeId, message.available);
      case "garbageWanted":
        return this.scheduler.wantGarbage();
      case "drainNode":
        this.scheduler.drainNode(message.nodeId);
        return this.#port.send(rayletOf(message.nodeId), { type: "nodeDrained" });
      case "attachDriver":
        return this.#attachDriver(from, message);
      case "processJoined":
        return this.#processJoined(message);
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
        this.lineage.leaseLost(message.leaseId, message.reason);
        return this.actors.leaseLost(message.leaseId, message.reason);
      case "workerOutput":
        return this.#output.receive(from, message);
      case "leaseRefused":
        return this.lineage.leaseRefused(message.leaseId, message.reason);
      case "taskRebuilt":
        return this.lineage.rebuilt(message.leaseId, message.failure);
      case "stopCluster":
        return this.#stop();
      case "query":
        return this.#answer(from, message);
      case "collected":
        return this.#collector.answered(message.query, from.processId, message.json, message.last);
      case "holdsFlushed":
        return this.#flush.flushed(from.processId, message.epoch);
      default:
        if (!this.#desk.receive(from, message)) this.#receiveForActors(from, message);
    }
  }

  /** Everything that waits for time: silent nodes, questions nobody answers. Called every `HEARTBEAT_MS`. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#collector.tick(nowMs);
    this.scheduler.tick(nowMs);
    this.actors.tick(nowMs);
    this.#flush.tick(nowMs);
    this.#desk.tick(nowMs);
    for (const [nodeId, node] of [...this.#nodes]) {
      if (node.heardAtMs === 0) node.heardAtMs = nowMs;
      if (nowMs - node.heardAtMs > NODE_TIMEOUT_MS) this.nodeDied(nodeId, `silent for ${NODE_TIMEOUT_MS} ms`);
    }
    this.lineage.settle();
  }

  /** A node's raylet is gone, and with it every process and copy there. */
  nodeDied(nodeId: NodeId, why: string): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    this.#nodes.delete(nodeId);
    this.#dead.add(node.info);
    const reason = { code: "NODE_DIED", message: `node ${nodeId} died: ${why}` };
    this.#collector.died(nodeId);
    this.objects.nodeDied(nodeId);
    this.lineage.nodeDied(nodeId, reason);
    this.scheduler.removeNode(nodeId);
    for (const { ref } of [...this.#processes.values()]) {
      if (ref.nodeId === nodeId) this.#processDied(ref, reason);
    }
    for (const other of this.#nodes.keys()) this.#port.send(rayletOf(other), { type: "nodeLost", nodeId, reason });
    this.#sendClusterView();
    this.lineage.settle();
  }

  check(): void {
    this.functions.check();
    this.objects.check();
    this.actors.check();
    this.scheduler.check();
    this.lineage.check();
  }

  /** What `mobula trace` asks the GCS's own process. */
  traceOf(subject: string): string {
    return JSON.stringify([...this.#journey.records()].filter((r) => subject === "" || r.subject.startsWith(subject)));
  }

  get nodeCount(): number {
    return this.#nodes.size;
  }

  #receiveForActors(from: ProcessRef, message: Message): void {
    switch (message.type) {
      case "registerActor":
        if (!this.#isAlive(from)) return; // its last words: nobody holds the actor
        if (!this.#desk.addHold(from, message.actorId as string as ObjectId)) return this.actors.refuse(message);
        this.#journey.record("registerActor", message.actorId, message.name);
        this.actors.register(message);
        return;
      case "subscribeActor":
        return this.actors.subscribe(from, message.actorId);
      case "actorCreated":
        return this.actors.created(message.actorId, message.leaseId, message.failure);
      case "actorFailed":
        if (this.#isAlive(from) && this.#desk.addHold(from, message.actor.actorId as string as ObjectId))
          this.actors.neverMade(message.actor, message.failure);
        return;
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
    if (!this.#nodes.has(info.nodeId) && this.#nodes.size >= this.#limits.maxNodes) {
      const reason = `the cluster has ${this.#limits.maxNodes} nodes, which is the limit: remove some, or start another cluster`;
      return this.#port.send(rayletOf(info.nodeId), { type: "stopNode", reason });
    }
    this.#dead.forget(info.nodeId);
    this.#nodes.set(info.nodeId, { info, heardAtMs: this.#nowMs });
    this.scheduler.addNode(info);
    this.#sendClusterView();
  }

  #sendClusterView(): void {
    const nodes = [...this.#nodes.values()].map((node) => node.info);
    for (const nodeId of this.#nodes.keys()) this.#port.send(rayletOf(nodeId), { type: "clusterView", nodes });
  }

  #attachDriver(from: ProcessRef, { namespace, showsOutput }: MessageBody<"attachDriver">): void {
    const jobId = this.#jobs.attach(from.processId, namespace);
    this.#processes.set(from.processId, { ref: from, jobId });
    if (showsOutput) this.#output.driverAttached(jobId, from);
    this.#port.send(from, { type: "jobStarted", jobId });
  }

  #processJoined({ process, jobId }: MessageBody<"processJoined">): void {
    this.#processes.set(process.processId, { ref: process, jobId });
    if (jobId === undefined || this.#jobs.isAlive(jobId)) return;
    // Its lease was asked for before the job had ended, and granted where that was known already.
    this.#port.send(rayletOf(process.nodeId), { type: "jobEnded", jobId });
  }

  #refsOf(isMeant: (process: ProcessRecord) => boolean): readonly ProcessRef[] {
    return [...this.#processes.values()].filter(isMeant).map(({ ref }) => ref);
  }

  #processDied(process: ProcessRef, reason: Failure): void {
    const record = this.#processes.get(process.processId);
    this.#processes.delete(process.processId);
    this.functions.forgetProcess(process);
    this.scheduler.ownerDied(process);
    this.lineage.ownerDied(process.processId);
    this.#flush.died(process.processId);
    const reached = this.actors.reachedBy(process.processId);
    this.actors.processDied(process, reason);
    const job = this.#jobs.ofDriver(process.processId);
    if (job !== undefined) this.#endJob(process, job);
    else if (record?.jobId !== undefined) this.#tellOtherNodes(process, reason);
    const mayHold = ({ ref, jobId }: ProcessRecord) =>
      jobId !== undefined && (jobId === record?.jobId ? job === undefined : reached.has(ref.processId));
    this.#flush.begin(this.#refsOf(mayHold), {
      heard: () => this.objects.makerDied(process.processId, ownerDied(process, reason)),
      ended: () => this.objects.holderDied(process.processId),
    });
  }

  /** A worker that died may own leases anywhere; its own raylet knows of its death. */
  #tellOtherNodes(process: ProcessRef, reason: Failure): void {
    for (const nodeId of this.#nodes.keys()) {
      if (nodeId !== process.nodeId) this.#port.send(rayletOf(nodeId), { type: "processDied", process, reason });
    }
  }

  #endJob(driver: ProcessRef, jobId: JobId): void {
    this.#jobs.end(driver.processId);
    this.#output.jobEnded(jobId);
    this.lineage.jobEnded(jobId);
    // Before its actors are killed, so that raylets can ask them for what they recorded.
    for (const nodeId of this.#nodes.keys()) this.#port.send(rayletOf(nodeId), { type: "jobEnded", jobId });
    this.actors.jobEnded(jobId);
  }

  #leaseGranted(message: MessageBody<"leaseGranted">): void {
    this.scheduler.granted(message.leaseId);
    if (this.lineage.leaseGranted(message.leaseId, message.worker)) return;
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

  #isAlive(process: ProcessRef): boolean {
    return this.#processes.has(process.processId);
  }

  #answer(from: ProcessRef, { query, about, subject }: MessageBody<"query">): void {
    const answer = (json: string) => this.#port.send(from, { type: "answer", query, json });
    if (about === "nodes") return answer(JSON.stringify(nodesView(this.scheduler.nodes(), this.#dead.all())));
    const nodes = [...this.#nodes.keys()];
    const own = about === "trace" ? [this.traceOf(subject)] : [];
    if (about === "memory")
      own.push(JSON.stringify(tableReport(this.objects, (process) => this.#processes.get(process)?.ref.nodeId)));
    const answerAll = (answers: readonly string[]) => answer(`[${answers.join(",")}]`);
    const number = this.#collector.ask(nodes, own, answerAll, COLLECT_FROM_NODES_MS);
    for (const nodeId of nodes) {
      const asked = about === "trace" ? subject : `#${about}${subject}`;
      this.#port.send(rayletOf(nodeId), { type: "collect", query: number, subject: asked });
    }
  }

  #stop(): void {
    for (const { info } of this.#nodes.values()) {
      if (!info.isHead) this.#port.send(rayletOf(info.nodeId), { type: "stopNode", reason: "the cluster was stopped" });
    }
    this.#port.stop("the cluster was stopped");
  }
}
