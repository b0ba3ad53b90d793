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
import { MAX_QUEUED_LEASES } from "../../base/limits.js";
import type { LeaseRequest, NodeInfo } from "../../protocol/messages.js";
import { type Amounts, fits, shortage, utilization } from "../resources.js";
import type { ObjectTable } from "./object-table.js";

/** Below this utilization nodes are filled one after the other; above it the emptiest is taken. */
const PACK_UNTIL = 0.5;
/** Nodes that a message for people speaks of by name. */
const MAX_NAMED_NODES = 8;

export interface GlobalSchedulerPort {
  queueLease(node: NodeId, request: LeaseRequest): void;
  leaseInfeasible(owner: ProcessRef, leaseId: LeaseId, reason: string): void;
  leaseRefused(owner: ProcessRef, leaseId: LeaseId, code: string, message: string): void;
  leaseCancelled(owner: ProcessRef, leaseId: LeaseId): void;
  /** Somebody waits for resources that idle leases may hold. */
  leasesWanted(node: NodeId): void;
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

export class GlobalScheduler {
  readonly #port: GlobalSchedulerPort;
  readonly #objects: ObjectTable;
  readonly #nodes = new Map<NodeId, NodeView>();
  /** Requests that no node can take now, oldest first. */
  readonly #waiting = new Map<LeaseId, LeaseRequest>();
  readonly #infeasible = new Set<LeaseId>();
  /** Where requests went: a cancellation follows them, and they come back when the node dies. */
  readonly #placed = new Map<LeaseId, { readonly node: NodeId; readonly request: LeaseRequest }>();
  #spreadFrom = 0;

  constructor(port: GlobalSchedulerPort, objects: ObjectTable) {
    this.#port = port;
    this.#objects = objects;
  }

  addNode(info: NodeInfo): void {
    this.#nodes.set(info.nodeId, { info, available: info.total, draining: false });
    this.#placeWaiting();
  }

  /** Running work goes on; nothing new is placed there. */
  drainNode(nodeId: NodeId): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) node.draining = true;
  }

  /** Requests that the node had not granted are placed elsewhere. */
  removeNode(nodeId: NodeId): void {
    this.#nodes.delete(nodeId);
    const lost = [...this.#placed.values()].filter((placed) => placed.node === nodeId).map(({ request }) => request);
    for (const request of [...lost, ...this.#waiting.values()]) {
      this.#placed.delete(request.leaseId);
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

  /** Lecture, `placeTask`. Idempotent: a request that was placed or waits already is left alone. */
  placeTask(request: LeaseRequest): void {
    if (this.#placed.has(request.leaseId) || this.#waiting.has(request.leaseId)) return;
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
    this.#placed.set(request.leaseId, { node: choice.info.nodeId, request });
    choice.available = less(choice.available, request.demand);
    this.#port.recordPlacement(request, choice.info.nodeId);
    this.#port.queueLease(choice.info.nodeId, request);
  }

  /** A raylet could not take what we placed there: our news was stale. */
  spilled(nodeId: NodeId, request: LeaseRequest, available: Amounts): void {
    const node = this.#nodes.get(nodeId);
    if (node !== undefined) node.available = available;
    const placed = this.#placed.get(request.leaseId);
    if (placed?.node !== nodeId) {
      // Placed elsewhere since; or cancelled, and the cancellation found nothing at the raylet that had just given it back.
      const isCancelled = placed === undefined && !this.#waiting.has(request.leaseId);
      if (isCancelled) this.#port.leaseCancelled(request.owner, request.leaseId);
      return;
    }
    this.#placed.delete(request.leaseId);
    this.placeTask(request);
  }

  /** The raylet has granted it: from here on the lease is a matter between owner and raylet. */
  granted(leaseId: LeaseId): void {
    this.#placed.delete(leaseId);
  }

  /** The node that must hear of the cancellation too; undefined when it ends here. */
  cancel(leaseId: LeaseId): NodeId | undefined {
    const placed = this.#placed.get(leaseId);
    const waiting = this.#waiting.get(leaseId);
    this.#placed.delete(leaseId);
    this.#waiting.delete(leaseId);
    this.#infeasible.delete(leaseId);
    if (waiting !== undefined) this.#port.leaseCancelled(waiting.owner, leaseId);
    return placed?.node;
  }

  /** Nobody waits for these any more. */
  ownerDied(owner: ProcessRef): void {
    for (const request of [...this.#waiting.values()]) {
      if (request.owner.processId === owner.processId) this.#waiting.delete(request.leaseId);
    }
    for (const [leaseId, { request }] of [...this.#placed]) {
      if (request.owner.processId === owner.processId) this.#placed.delete(leaseId);
    }
  }

  nodes(): readonly { readonly info: NodeInfo; readonly available: Amounts }[] {
    return [...this.#nodes.values()];
  }

  has(nodeId: NodeId): boolean {
    return this.#nodes.has(nodeId);
  }

  check(): void {
    assert(this.#waiting.size <= MAX_QUEUED_LEASES, "the queue of unplaced requests is bounded");
    for (const leaseId of this.#waiting.keys()) {
      assert(!this.#placed.has(leaseId), "a request waits or is placed, never both");
    }
  }

  #placeWaiting(): void {
    for (const request of [...this.#waiting.values()]) {
      if (this.#free(request).length === 0) continue;
      this.#waiting.delete(request.leaseId);
      this.placeTask(request);
    }
  }

  #wait(request: LeaseRequest): void {
    assert(this.#waiting.size < MAX_QUEUED_LEASES, "the queue of unplaced requests is bounded");
    this.#waiting.set(request.leaseId, request);
    const nodes = this.#candidates(request);
    const feasible = nodes.filter((node) => fits(request.demand, node.info.total));
    for (const node of feasible) this.#port.leasesWanted(node.info.nodeId);
    if (feasible.length > 0) return;
    this.#infeasible.add(request.leaseId);
    const reasons = nodes.map((node) => `node ${node.info.nodeId}: ${shortage(request.demand, node.info.total)}`);
    this.#port.leaseInfeasible(request.owner, request.leaseId, inWords(reasons, "; ") || "the cluster has no nodes");
  }

  #choose(request: LeaseRequest): NodeView | "wait" | "refuse" {
    const { strategy } = request;
    if (strategy.kind === "node" && !strategy.soft && !this.#nodes.has(strategy.nodeId as NodeId)) return "refuse";
    const free = this.#free(request);
    if (strategy.kind === "spread" && free.length > 0) return free[this.#spreadFrom++ % free.length] ?? "wait";
    return this.#best(request, free) ?? "wait";
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
  #best(request: LeaseRequest, nodes: readonly NodeView[]): NodeView | undefined {
    if (nodes.length === 0) return undefined;
    const heldBytes = this.#lookUpObjects(request);
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
