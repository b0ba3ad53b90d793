/**
 * The global scheduler: which node gets a task or an actor that a raylet could not place alone.
 *
 * Lecture: steps `lookUpObjects`, `placeTask`; `leaseActorWorker` for actors.
 *
 * Decides: the node. Prefers the one that holds most of the argument bytes, then fills nodes up to half (packing keeps
 * work together), then spreads. Its news of free resources may be stale; a raylet's word on its own is final, and it
 * gives back what it cannot take.
 * Does not know: queues inside raylets, workers.
 *
 * Invariant: I-07 the queue of unplaced requests is bounded.
 */
import { assert } from "../../base/assert.js";
import type { LeaseId, NodeId, ObjectId, ProcessRef } from "../../base/ids.js";
import { MAX_CLOSED_LEASES, MAX_GARBAGE_ROUNDS, MAX_QUEUED_LEASES } from "../../base/limits.js";
import type { Failure, LeaseRequest, NodeInfo } from "../../protocol/messages.js";
import { isActorLease, isRebuild } from "../actor-lease.js";
import { Recent } from "../recent.js";
import { type Amounts, fits, shortage, utilization } from "../resources.js";
import { Starvation } from "../starvation.js";
import type { ObjectTable } from "./object-table.js";

/**
 * How long a task waits for the node that holds most of its argument bytes, when that node is busy now. Moving megabytes
 * costs more than this; and the node is often held by no more than an idle lease that is on its way back.
 */
const LOCALITY_WAIT_MS = 50;

/** Below this utilization nodes are filled one after the other; above it the emptiest is taken. */
const PACK_UNTIL = 0.5;
/** Nodes that a message for people speaks of by name. */
const MAX_NAMED_NODES = 8;

export interface GlobalSchedulerPort {
  queueLease(node: NodeId, request: LeaseRequest): void;
  /** `reason` is empty when a node has come that can take it, though not now. */
  leaseInfeasible(owner: ProcessRef, leaseId: LeaseId, reason: string): void;
  leaseRefused(owner: ProcessRef, leaseId: LeaseId, code: string, message: string): void;
  leaseCancelled(owner: ProcessRef, leaseId: LeaseId): void;
  /** The node where a task was to run again is dead, and nobody knows whether it had begun. */
  rebuildLost(leaseId: LeaseId, reason: Failure): void;
  /** Call `tick` after this time. */
  wakeUpAfter(delayMs: number): void;
  /** Somebody waits for resources that idle leases may hold. */
  leasesWanted(node: NodeId): void;
  /** The same has lasted: what holds them may be held by garbage. */
  garbageWanted(node: NodeId): void;
  /** Lecture, `lookUpObjects`: recorded for the task's journey. */
  recordLookUp(request: LeaseRequest): void;
  /** Lecture, `placeTask`. */
  recordPlacement(request: LeaseRequest, node: NodeId): void;
}

interface NodeView {
  readonly info: NodeInfo;
  available: Amounts;
  draining: boolean;
}

interface Placed {
  readonly node: NodeId;
  readonly request: LeaseRequest;
  /** Its cancellation is under way to the node, which may give the request back or die before it answers. */
  cancelled: boolean;
}

export class GlobalScheduler {
  readonly #port: GlobalSchedulerPort;
  readonly #maxQueued: number;
  readonly #objects: ObjectTable;
  readonly #nodes = new Map<NodeId, NodeView>();
  /** Requests that no node can take now, oldest first. */
  readonly #waiting = new Map<LeaseId, LeaseRequest>();
  readonly #infeasible = new Set<LeaseId>();
  /** Until when a waiting request insists on the node with its arguments. */
  readonly #insistUntilMs = new Map<LeaseId, number>();
  /** Where requests went: a cancellation follows them, and they come back when the node dies. */
  readonly #placed = new Map<LeaseId, Placed>();
  /** Requests that were granted, cancelled or refused lately: one that comes again must not be placed again. */
  readonly #settled = new Recent<LeaseId>(MAX_CLOSED_LEASES);
  readonly #starvation = new Starvation();
  #garbageRounds = 0;
  #spreadFrom = 0;
  #nowMs = 0;

  constructor(port: GlobalSchedulerPort, objects: ObjectTable, maxQueued = MAX_QUEUED_LEASES) {
    this.#port = port;
    this.#maxQueued = maxQueued;
    this.#objects = objects;
  }

  addNode(info: NodeInfo): void {
    this.#nodes.set(info.nodeId, { info, available: info.total, draining: false });
    this.#placeWaiting();
    this.#judgeAgain();
  }

  /** Running work goes on; nothing new is placed there. */
  drainNode(nodeId: NodeId): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) node.draining = true;
  }

  /** Requests that the node had not granted are placed elsewhere. */
  removeNode(nodeId: NodeId): void {
    this.#nodes.delete(nodeId);
    const waiting = [...this.#waiting.values()];
    for (const placed of [...this.#placed.values()]) if (placed.node === nodeId) this.#placeAgain(placed, true);
    for (const request of waiting) {
      this.#waiting.delete(request.leaseId);
      this.placeTask(request);
    }
  }

  /** A raylet says what it has free. Requests that wait are tried again. */
  reportResources(nodeId: NodeId, available: Amounts): void {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return;
    node.available = available;
    this.#placeWaiting();
  }

  /** Lecture, `placeTask`. Idempotent: a request that was placed, or waits, or has ended already, is left alone. */
  placeTask(request: LeaseRequest): void {
    const { leaseId } = request;
    if (this.#placed.has(leaseId) || this.#waiting.has(leaseId) || this.#settled.has(leaseId)) return;
    if (this.#waiting.size + this.#placed.size >= this.#maxQueued) return this.#refuseMore(request);
    const choice = this.#choose(request);
    if (choice === "refuse") {
      const node = request.strategy.kind === "node" ? request.strategy.nodeId : "";
      this.#port.leaseRefused(
        request.owner,
        request.leaseId,
        "TASK_UNSCHEDULABLE",
        `${request.name} asks for node ${node}, which is not in the cluster (nodes: ${inWords([...this.#nodes.keys()], ", ")}). Use { soft: true } to allow others`,
      );
      return;
    }
    if (choice === "wait") {
      this.#wait(request);
      return;
    }
    this.#waiting.delete(request.leaseId);
    this.#infeasible.delete(request.leaseId);
    this.#insistUntilMs.delete(request.leaseId);
    this.#placed.set(request.leaseId, { node: choice.info.nodeId, request, cancelled: false });
    choice.available = less(choice.available, request.demand);
    this.#port.recordPlacement(request, choice.info.nodeId);
    this.#port.queueLease(choice.info.nodeId, request);
  }

  /** Requests that have insisted on a node long enough go elsewhere. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#garbageRounds = 0;
    if (this.#insistUntilMs.size > 0) {
      this.#beginToInsist();
      this.#placeWaiting();
    }
    const isStarving = this.#waiting.size > this.#infeasible.size;
    if (this.#starvation.isDue(nowMs, isStarving)) this.wantGarbage();
  }

  #beginToInsist(): void {
    for (const [leaseId, untilMs] of this.#insistUntilMs) {
      if (untilMs !== Number.POSITIVE_INFINITY) continue;
      this.#insistUntilMs.set(leaseId, this.#nowMs + LOCALITY_WAIT_MS);
      this.#port.wakeUpAfter(LOCALITY_WAIT_MS);
    }
  }

  /** All processes of the cluster are asked, unless they have been too often lately. */
  wantGarbage(): void {
    if (++this.#garbageRounds > MAX_GARBAGE_ROUNDS) return;
    for (const nodeId of this.#nodes.keys()) this.#port.garbageWanted(nodeId);
  }

  /** A raylet could not take what we placed there: our news was stale. */
  spilled(nodeId: NodeId, request: LeaseRequest, available: Amounts): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) node.available = available;
    const placed = this.#placed.get(request.leaseId);
    if (placed?.node === nodeId) this.#placeAgain(placed); // else placed elsewhere since
  }

  /** The raylet has granted it: from here on the lease is a matter between owner and raylet. */
  granted(leaseId: LeaseId): void {
    this.ended(leaseId);
  }

  /** The raylet has cancelled or refused it, and told the owner. */
  ended(leaseId: LeaseId): void {
    this.#placed.delete(leaseId);
    this.#settled.add(leaseId);
  }

  /**
   * The node that must hear of the cancellation too; undefined when it ends here. A placed request is remembered until
   * the node's word of its end, because the owner must have an answer also when that word never comes.
   */
  cancel(leaseId: LeaseId): NodeId | undefined {
    const waiting = this.#waiting.get(leaseId);
    this.#waiting.delete(leaseId);
    this.#infeasible.delete(leaseId);
    this.#insistUntilMs.delete(leaseId);
    if (waiting !== undefined) {
      this.#settled.add(leaseId);
      this.#port.leaseCancelled(waiting.owner, leaseId);
    }
    const placed = this.#placed.get(leaseId);
    if (placed !== undefined) placed.cancelled = true;
    return placed?.node;
  }

  /** Nobody waits for its tasks any more. Its actors live as long as somebody holds them. */
  ownerDied(owner: ProcessRef): void {
    const isOver = (request: LeaseRequest) => request.owner.processId === owner.processId && !isActorLease(request);
    for (const request of [...this.#waiting.values()].filter(isOver)) {
      this.#waiting.delete(request.leaseId);
      this.#infeasible.delete(request.leaseId);
      this.#insistUntilMs.delete(request.leaseId);
    }
    for (const [leaseId, { request }] of [...this.#placed]) if (isOver(request)) this.#placed.delete(leaseId);
  }

  nodes(): readonly { readonly info: NodeInfo; readonly available: Amounts }[] {
    return [...this.#nodes.values()];
  }

  has(nodeId: NodeId): boolean {
    return this.#nodes.has(nodeId);
  }

  /** The state in words, for people who ask why something waits. */
  describe(): string {
    const waiting = [...this.#waiting.values()].map(({ leaseId, name }) => `${leaseId} (${name}) waits for a node`);
    const placed = [...this.#placed].map(([leaseId, { node }]) => `${leaseId} is placed on ${node}, not granted`);
    const free = [...this.#nodes].map(([id, { available }]) => `node ${id} free: ${[...available].join(" ")}`);
    return [...free, ...waiting, ...placed].join("\n");
  }

  check(): void {
    assert(this.#waiting.size + this.#placed.size <= this.#maxQueued, "the queue of requests is bounded");
    for (const leaseId of this.#waiting.keys()) {
      assert(!this.#placed.has(leaseId), "a request waits or is placed, never both");
    }
  }

  /**
   * Its node did not take it, or died. A node that died may have granted it, and its word of that may have reached the
   * owner only: then nobody wants the second lease, and its task must not be dispatched with it.
   */
  #placeAgain({ request, cancelled }: Placed, nodeDied = false): void {
    this.#placed.delete(request.leaseId);
    if (nodeDied && isRebuild(request)) {
      this.#settled.add(request.leaseId);
      const message = `its node died before it was known to run`;
      return this.#port.rebuildLost(request.leaseId, { code: "NODE_DIED", message });
    }
    if (!cancelled) return this.placeTask(nodeDied ? { ...request, task: undefined } : request);
    this.#settled.add(request.leaseId);
    this.#port.leaseCancelled(request.owner, request.leaseId);
  }

  #refuseMore({ owner, leaseId, name }: LeaseRequest): void {
    const message = `${name}: the cluster has ${this.#maxQueued} requests for workers waiting, which is the limit. get() some results before more is submitted`;
    this.#settled.add(leaseId);
    this.#port.leaseRefused(owner, leaseId, "PENDING_CALLS_LIMIT", message);
  }

  #placeWaiting(): void {
    for (const request of [...this.#waiting.values()]) {
      if (this.#free(request).length === 0) continue;
      this.#waiting.delete(request.leaseId);
      this.placeTask(request);
    }
  }

  /** A node has come: what was without hope may only have to wait. */
  #judgeAgain(): void {
    for (const leaseId of [...this.#infeasible]) {
      const request = this.#waiting.get(leaseId);
      if (request === undefined || this.#feasible(request).length === 0) continue;
      this.#infeasible.delete(leaseId);
      this.#port.leaseInfeasible(request.owner, leaseId, "");
    }
  }

  #feasible(request: LeaseRequest): NodeView[] {
    return this.#candidates(request).filter((node) => fits(request.demand, node.info.total));
  }

  #wait(request: LeaseRequest): void {
    this.#waiting.set(request.leaseId, request);
    const feasible = this.#feasible(request);
    for (const node of feasible) this.#port.leasesWanted(node.info.nodeId);
    if (feasible.length > 0) return;
    this.#infeasible.add(request.leaseId);
    const reasons = this.#candidates(request).map(
      (node) => `node ${node.info.nodeId}: ${shortage(request.demand, node.info.total)}`,
    );
    this.#port.leaseInfeasible(request.owner, request.leaseId, inWords(reasons, "; ") || "the cluster has no nodes");
  }

  #choose(request: LeaseRequest): NodeView | "wait" | "refuse" {
    const { strategy } = request;
    if (strategy.kind === "node" && !strategy.soft && !this.#nodes.has(strategy.nodeId as NodeId)) return "refuse";
    const free = this.#free(request);
    if (strategy.kind === "spread" && free.length > 0) return free[this.#spreadFrom++ % free.length] ?? "wait";
    const heldBytes = this.#lookUpObjects(request);
    if (this.#insistsOnAnother(request, heldBytes, free)) return "wait";
    return this.#best(request, free, heldBytes) ?? "wait";
  }

  /** The node with most of the argument bytes is busy now: wait for it a little. */
  #insistsOnAnother(request: LeaseRequest, heldBytes: ReadonlyMap<NodeId, number>, free: readonly NodeView[]): boolean {
    const most = Math.max(0, ...heldBytes.values());
    if (most === 0 || free.some((node) => heldBytes.get(node.info.nodeId) === most)) return false;
    const wanted = this.#candidates(request).find((node) => heldBytes.get(node.info.nodeId) === most);
    if (wanted === undefined || wanted.draining || !fits(request.demand, wanted.info.total)) return false;
    const untilMs = this.#insistUntilMs.get(request.leaseId);
    if (untilMs !== undefined) return this.#nowMs < untilMs;
    // The time was last told up to a heartbeat ago: it is asked for, and the wait begins then.
    this.#insistUntilMs.set(request.leaseId, Number.POSITIVE_INFINITY);
    this.#port.leasesWanted(wanted.info.nodeId);
    this.#port.wakeUpAfter(0);
    return true;
  }

  #free(request: LeaseRequest): NodeView[] {
    return this.#candidates(request).filter((node) => fits(request.demand, node.available));
  }

  #candidates(request: LeaseRequest): NodeView[] {
    const { strategy } = request;
    const nodes = [...this.#nodes.values()].filter((node) => !node.draining);
    if (strategy.kind !== "node") return nodes;
    const wanted = nodes.filter((node) => node.info.nodeId === strategy.nodeId);
    return wanted.length > 0 || !strategy.soft ? wanted : nodes;
  }

  /** Most argument bytes first; among equals pack until half full, then spread; the home node breaks ties. */
  #best(
    request: LeaseRequest,
    nodes: readonly NodeView[],
    heldBytes: ReadonlyMap<NodeId, number>,
  ): NodeView | undefined {
    let best: NodeView | undefined;
    let bestScore = Number.NEGATIVE_INFINITY;
    for (const node of nodes) {
      const used = utilization(node.info.total, node.available);
      const load = used < PACK_UNTIL ? used : -used - 1;
      const home = node.info.nodeId === request.owner.nodeId ? 1e-3 : 0;
      const score = (heldBytes.get(node.info.nodeId) ?? 0) * 1e3 + load + home;
      if (score > bestScore) {
        best = node;
        bestScore = score;
      }
    }
    return best;
  }

  /** Lecture, `lookUpObjects`: argument bytes by node. */
  #lookUpObjects(request: LeaseRequest): ReadonlyMap<NodeId, number> {
    const bytes = new Map<NodeId, number>();
    if (request.arguments.length === 0) return bytes;
    this.#port.recordLookUp(request);
    for (const { objectId, sizeBytes } of request.arguments) {
      for (const node of this.#objects.lookUp(objectId as ObjectId)?.locations ?? []) {
        bytes.set(node, (bytes.get(node) ?? 0) + sizeBytes);
      }
    }
    return bytes;
  }
}

/** A cluster may have thousands of nodes; a sentence may not. */
function inWords(parts: readonly string[], separator: string): string {
  const named = parts.slice(0, MAX_NAMED_NODES).join(separator);
  const others = parts.length - MAX_NAMED_NODES;
  return others > 0 ? `${named}${separator}and ${others} more` : named;
}

function less(available: Amounts, demand: Amounts): Amounts {
  const result = new Map(available);
  for (const [name, amount] of demand) result.set(name, Math.max(0, (result.get(name) ?? 0) - amount));
  return result;
}
