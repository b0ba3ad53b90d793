/**
 * The raylet: local scheduler, worker pool and object store of one node, behind one door.
 *
 * Decides: nothing itself; it takes messages to the part that they concern and deaths to all parts.
 * Does not know: object bytes, sockets, signals. User code never runs here.
 */
import {
  GCS,
  isRaylet,
  type JobId,
  type LeaseId,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ProcessRef,
} from "../../base/ids.js";
import type { Failure, LeaseRequest, Message, MessageBody, NodeInfo, Role } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import { Collector } from "../collector.js";
import type { Journey } from "../journey.js";
import { type Amounts, NodeResources } from "../resources.js";
import { Starvation } from "../starvation.js";
import type { SpillFileId } from "../store/spilling.js";
import type { StoreIndex } from "../store/store-index.js";
import { CallDesk } from "./call-desk.js";
import { KeptLadders } from "./kept-ladders.js";
import { LeaseDesk, type LeaseDeskPort } from "./lease-desk.js";
import { LocalScheduler } from "./local-scheduler.js";
import { type DiskPort, NodeStore } from "./node-store.js";
import type { FetchSources } from "./pull.js";
import { ownView, storeView, totalsOf, withAddresses, workersView } from "./views.js";
import { WorkerPool } from "./worker-pool.js";

export interface RayletPort extends LeaseDeskPort {
  readonly disk: DiskPort;
  startWorker(worker: ProcessRef): void;
  killWorker(worker: ProcessRef, why: string): void;
  /** Copy an object's bytes from other nodes, the best first, into the local block; answered with `fetched`. */
  fetchObject(object: ObjectId, from: FetchSources, offset: number, sizeBytes: number): void;
  /** A process of this node broke the protocol: its connection ends, and it is told why. */
  refuse(process: ProcessRef, why: string): void;
  /** The node is done: everything on it ends. */
  stop(reason: string): void;
}

/** How long an ended job's workers have, from the next tick on, to say what they recorded: its driver must leave nothing within 5 s. */
const LAST_WORDS_MS = 1_000;

interface Local {
  readonly ref: ProcessRef;
  readonly role: Role;
}

export class Raylet {
  readonly storage: NodeStore;
  readonly scheduler: LocalScheduler;
  readonly pool: WorkerPool;
  readonly #info: NodeInfo;
  readonly #port: RayletPort;
  readonly #journey: Journey;
  readonly #resources: NodeResources;
  readonly #desk: LeaseDesk;
  readonly #calls: CallDesk;
  /** Drivers and workers of this node. */
  readonly #locals = new Map<ProcessId, Local>();
  readonly #cluster = new Map<NodeId, NodeInfo>();
  readonly #collector = new Collector();
  readonly #kept = new KeptLadders();
  readonly #starvation = new Starvation();
  /** Jobs whose workers are being asked for their last words. */
  readonly #ending = new Set<JobId>();
  #reported = "";
  #draining = false;
  #nowMs = 0;

  constructor(info: NodeInfo, storeBytes: number, warmWorkers: number, port: RayletPort, journey: Journey) {
    this.#info = info;
    this.#port = port;
    this.#journey = journey;
    this.#resources = new NodeResources(info.total);
    this.storage = new NodeStore(info.nodeId, storeBytes, this.#storePort(), journey);
    this.pool = new WorkerPool(info.nodeId, warmWorkers, port);
    this.scheduler = new LocalScheduler(info.nodeId, this.#schedulerPort(), this.#resources, this.pool, journey);
    this.#desk = new LeaseDesk(info, this.pool, this.scheduler, port);
    this.#calls = new CallDesk(this.pool, port);
  }

  get store(): StoreIndex {
    return this.storage.index;
  }

  start(): void {
    this.#port.send(GCS, { ...this.#info, type: "registerNode" });
  }

  /** The shell has authenticated a process of this node. */
  processConnected(ref: ProcessRef, role: Role): void {
    this.#locals.set(ref.processId, { ref, role });
    if (role === "worker") this.#port.send(GCS, { type: "processJoined", process: ref, jobId: undefined });
    if (role === "worker" || role === "driver") this.#port.send(ref, this.#totals());
  }

  /**
   * Its connection ended or its process did. Both may be told; the first counts. `mayStillWrite`: nothing of what it
   * says counts any more, but it may live, and write into its extents and read its pins until this is told again.
   */
  processDied(ref: ProcessRef, reason: Failure, mayStillWrite = false): void {
    const local = this.#locals.get(ref.processId);
    const slot = this.pool.remove(ref.processId, reason);
    const isKnown = this.#locals.delete(ref.processId) || slot !== undefined;
    if (isKnown) this.#collector.died(ref.processId);
    if (mayStillWrite) this.storage.processLeft(ref.processId);
    else this.storage.processDied(ref.processId);
    if (!isKnown) return;
    this.scheduler.workerDied(ref.processId, reason);
    this.#desk.processDied(ref.processId);
    this.#calls.processDied(ref.processId);
    if (local?.role === "worker") this.scheduler.workerOwnerDied(ref.processId);
    else this.scheduler.ownerDied(ref.processId);
    if (local?.role !== "tool") this.#port.send(GCS, { type: "processDied", process: ref, reason });
    this.scheduler.dispatch();
    this.#report();
  }

  /** A message for this raylet. The shell has checked that the sender's role may send it. */
  receive(from: ProcessRef, message: Message): void {
    if (this.#isDead(from)) return;
    const isTaken = this.#receiveForLeases(from, message) || this.storage.receive(from, message);
    if (!isTaken) this.#receiveForNode(from, message);
    this.#report();
  }

  /** A transfer that `fetchObject` began has ended. */
  fetched(object: ObjectId, failure: Failure | undefined): void {
    this.storage.fetched(object, failure);
    this.#report();
  }

  /** `recallPushes` has found that the pushes above `started` and up to `upTo` will not start. */
  recalled(leaseId: LeaseId, upTo: number, started: number): void {
    this.#desk.recalled(leaseId, upTo, started);
  }

  /** `writeSpill` has ended: without a failure, the file is complete. */
  spilled(file: SpillFileId, failure: Failure | undefined): void {
    this.storage.written(file, failure);
    this.#report();
  }

  /** `restoreSpill` has ended. */
  restored(object: ObjectId, failure: Failure | undefined): void {
    this.storage.restored(object, failure);
    this.#report();
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.pool.tick(nowMs);
    this.scheduler.dispatch(); // a worker that did not start may be tried again
    this.#collector.tick(nowMs);
    this.#kept.tick(nowMs);
    this.storage.tick(nowMs);
    if (this.#starvation.isDue(nowMs, this.scheduler.isStarving)) this.#tellOwners({ type: "garbageWanted" });
    // A heartbeat, and news in case a report crossed a placement.
    this.#port.send(GCS, { type: "reportResources", available: this.#available() });
  }

  check(): void {
    this.storage.check();
    this.scheduler.check();
    this.#kept.check();
  }

  /** A process's exit may be known before its last words have been read: nobody is there to make good of them. */
  #isDead(from: ProcessRef): boolean {
    const isLocal = from.nodeId === this.#info.nodeId && !isRaylet(from);
    return isLocal && !this.#locals.has(from.processId);
  }

  #receiveForLeases(from: ProcessRef, message: Message): boolean {
    switch (message.type) {
      case "requestLease":
        this.scheduler.submitTask(message);
        return true;
      case "queueLease":
        // Its owner may have died here before the GCS knew. An actor is not its maker's.
        if (isActorLease(message) || !this.#isDead(message.owner)) this.scheduler.queueLease(message);
        return true;
      case "cancelLease":
        if (this.scheduler.cancel(message.leaseId) === "unknown" && from.nodeId === this.#info.nodeId) {
          this.#port.send(GCS, message);
        }
        return true;
      case "returnLease":
        this.scheduler.returnLease(message.leaseId);
        return true;
      case "leasesWanted":
        this.scheduler.wantLeasesBack();
        return true;
      case "killLeasedWorker":
        this.#killLeased(message);
        return true;
      case "taskBlocked":
        this.scheduler.taskBlocked(message.leaseId);
        return true;
      case "taskResumed":
        this.scheduler.taskResumed(message.leaseId);
        return true;
      case "settleActor":
        this.scheduler.settleActor(message.leaseId);
        return true;
      case "workerUse":
        this.pool.answeredUse(from, message.inUse);
        return true;
      case "workerReady":
        if (this.pool.ready(from, message.pid, message.unixPath, message.recallable)) this.scheduler.dispatch();
        this.pool.warmUp();
        return true;
      default:
        return this.#desk.receive(from, message) || this.#calls.receive(from, message);
    }
  }

  #receiveForNode(from: ProcessRef, message: Message): void {
    switch (message.type) {
      case "clusterView":
        return this.#setCluster(message.nodes);
      case "nodeLost":
        this.scheduler.ownersLost(message.nodeId);
        return this.#tellOwners(message);
      case "garbageWanted":
        return this.#tellOwners(message);
      case "jobEnded":
        this.scheduler.jobEnded(message.jobId);
        return this.#endJob(message.jobId);
      case "processDied":
        return this.scheduler.workerOwnerDied(message.process.processId);
      case "killProcess":
        return this.#killProcess(message);
      case "keepLadders":
        return this.#kept.keep(from.processId, message.json, this.#nowMs);
      case "collect":
        return this.#collect(from, message);
      case "collected":
        return this.#collector.answered(message.query, from.processId, message.json, message.last);
      case "nodeDrained":
        this.#draining = true;
        this.scheduler.drain();
        return this.#stopIfDrained();
      case "stopNode":
        return this.#port.stop(message.reason);
      default:
        return; // not for a raylet: the shell has refused it by its role table
    }
  }

  /** A job's workers end with it, and with what they recorded: each is asked for it first, a busy one in vain. */
  #endJob(jobId: JobId): void {
    const workers = [...this.pool.all()].filter((slot) => slot.jobId === jobId).map((slot) => slot.ref);
    const end = (answers: readonly string[]) => {
      if (answers.length > 0) this.#kept.keep(jobId, answers.join(","), this.#nowMs);
      this.#ending.delete(jobId);
      this.pool.jobEnded(jobId);
    };
    this.#ending.add(jobId);
    const asked = workers.map((ref) => ref.processId);
    const query = this.#collector.ask(asked, [], end, LAST_WORDS_MS);
    for (const ref of workers) this.#port.send(ref, { type: "collect", query, subject: "" });
  }

  #killProcess({ process, reason }: MessageBody<"killProcess">): void {
    const jobId = this.pool.get(process.processId)?.jobId;
    if (jobId !== undefined && this.#ending.has(jobId)) return; // it ends with its job, after its last words
    this.pool.kill(process, reason.message);
  }

  #killLeased({ leaseId, why }: MessageBody<"killLeasedWorker">): void {
    const worker = this.scheduler.doom(leaseId);
    if (worker !== undefined) this.pool.kill(worker, why);
  }

  #setCluster(nodes: readonly NodeInfo[]): void {
    this.#cluster.clear();
    for (const node of nodes) this.#cluster.set(node.nodeId, node);
    this.scheduler.setAlone(nodes.length <= 1);
    this.#tellOwners(this.#totals());
  }

  /** Drivers and workers of this node. */
  #tellOwners(message: Message): void {
    for (const { ref, role } of this.#locals.values()) if (role !== "tool") this.#port.send(ref, message);
  }

  #totals(): Message {
    return totalsOf(this.#cluster.size === 0 ? [this.#info] : [...this.#cluster.values()]);
  }

  /** A question of the GCS: about this node's workers, its traffic, or the journey of a subject. */
  #collect(from: ProcessRef, { query, subject }: MessageBody<"collect">): void {
    const answer = (answers: readonly string[]) =>
      this.#port.send(from, { type: "collected", query, json: answers.join(",") || "[]", last: true });
    if (subject === "#workers") return answer([workersView(this.#info.nodeId, this.pool)]);
    if (subject === "#store") return answer([storeView(this.#info.nodeId, this.storage)]);
    const local = [...this.#locals.values()].filter((l) => l.role !== "tool").map((l) => l.ref);
    const own = ownView(subject, this.#info.nodeId, this.storage, this.#journey);
    const asked = local.map((ref) => ref.processId);
    const number = this.#collector.ask(asked, [own, ...this.#kept.about(subject)], answer);
    for (const ref of local) this.#port.send(ref, { type: "collect", query: number, subject });
  }

  /** Tell the global scheduler what is free, when that has changed. */
  #report(): void {
    if (this.#draining) this.#stopIfDrained();
    const available = this.#available();
    const text = [...available].join();
    if (text === this.#reported) return;
    this.#reported = text;
    this.#port.send(GCS, { type: "reportResources", available });
  }

  #available(): Amounts {
    const available = new Map(this.#resources.available);
    const total = this.#info.total.get("objectStoreMemory") ?? 0;
    available.set("objectStoreMemory", Math.max(0, total - this.store.usedBytes));
    return available;
  }

  #stopIfDrained(): void {
    if (this.scheduler.isIdle) this.#port.stop("the node was removed");
  }

  #storePort(): ConstructorParameters<typeof NodeStore>[2] {
    return {
      send: (to, message) => this.#port.send(to, message),
      sendToLocal: (process, message) => this.#sendTo(process, message),
      fetchObject: (objectId, from, offset, sizeBytes) =>
        this.#port.fetchObject(objectId, withAddresses(from, this.#cluster, this.#info), offset, sizeBytes),
      wantGarbage: () => this.#tellOwners({ type: "garbageWanted" }),
      disk: this.#port.disk,
      refuse: (process, why) => this.#port.refuse(process, why),
      argumentReady: ({ leaseId }, objectId) => this.scheduler.argumentReady(leaseId, objectId),
      argumentFailed: ({ leaseId }, reason) => this.scheduler.argumentFailed(leaseId, reason),
      nameOf: (process) => this.#nameOf(process),
    };
  }

  #nameOf(process: ProcessId): string {
    if ((process as string) === this.#info.nodeId) return "a transfer between nodes";
    const role = this.#locals.get(process)?.role ?? "process";
    const tasks = this.scheduler.tasksOn(process);
    return `${role} ${process}${tasks.length === 0 ? "" : ` (${tasks.join(", ")})`}`;
  }

  #sendTo(process: ProcessId, message: Message): void {
    const local = this.#locals.get(process);
    if (local !== undefined) this.#port.send(local.ref, message);
  }

  #schedulerPort(): ConstructorParameters<typeof LocalScheduler>[1] {
    return {
      forwardToGlobal: (request) => {
        this.#port.send(request.owner, { type: "leaseForwarded", leaseId: request.leaseId });
        this.#port.send(GCS, { ...request, type: "placeLease" });
      },
      spill: (request) => this.#port.send(GCS, { type: "leaseSpilled", request, available: this.#resources.available }),
      wantArgument: (request, objectId) =>
        this.storage.objects.want(objectId, { kind: "argument", leaseId: request.leaseId, taskId: request.taskId }),
      dropArguments: (request) => {
        for (const { objectId } of request.arguments) {
          this.storage.objects.cancel(objectId, (want) => want.kind === "argument" && want.leaseId === request.leaseId);
        }
      },
      hasObject: (objectId) => this.store.has(objectId),
      grantLease: (request, slot) => this.#desk.grant(request, slot),
      closeLease: (worker, leaseId) => this.#port.send(worker, { type: "closeLease", leaseId }),
      killWorker: (worker, why) => this.pool.kill(worker, why),
      leaseCancelled: ({ owner, leaseId }, placed) => {
        const told = [...(isRebuild({ owner }) ? [] : [owner]), ...(placed ? [GCS] : [])];
        for (const to of told) this.#port.send(to, { type: "leaseCancelled", leaseId });
      },
      leaseRefused: (request, reason, placed) => {
        this.#refuse(request, { type: "leaseRefused", leaseId: request.leaseId, reason });
        if (placed) this.#port.send(GCS, { type: "leaseCancelled", leaseId: request.leaseId });
      },
      leaseLost: (request, reason, bystander) =>
        this.#refuse(request, { type: "leaseLost", leaseId: request.leaseId, reason, bystander }),
      leaseWanted: ({ owner, leaseId }) => this.#port.send(owner, { type: "leaseWanted", leaseId }),
    };
  }

  /** Bad news about a lease go to its owner, or, for an actor, to the GCS, which asked for it. */
  #refuse(
    request: LeaseRequest,
    message: Message & { readonly leaseId: LeaseRequest["leaseId"]; readonly reason: Failure },
  ): void {
    if (!isActorLease(request)) return this.#port.send(request.owner, message);
    this.#port.send(GCS, { type: "leaseLost", leaseId: message.leaseId, reason: message.reason, bystander: false });
  }
}
