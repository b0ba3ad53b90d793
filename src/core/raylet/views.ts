/** What a raylet tells of its node, as messages and JSON carry it. */
import type { NodeId } from "../../base/ids.js";
import type { Message, NodeInfo } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import { nodeReport } from "../memory/table-report.js";
import { sum } from "../resources.js";
import type { NodeStore } from "./node-store.js";
import type { ObjectManager } from "./object-manager.js";
import type { FetchSources, Sources } from "./pull.js";
import type { WorkerPool } from "./worker-pool.js";

/** What owners need to know of the cluster: how many leases of one demand it could hold. */
export function totalsOf(nodes: readonly NodeInfo[]): Message {
  const total = nodes.map((node) => node.total).reduce(sum, new Map());
  const largest = new Map<string, number>();
  for (const node of nodes) {
    for (const [name, amount] of node.total) largest.set(name, Math.max(largest.get(name) ?? 0, amount));
  }
  return { type: "clusterTotals", nodes: nodes.length, total, largest };
}

export function workersView(nodeId: NodeId, pool: WorkerPool): string {
  const workers = [...pool.all()].map(({ ref, pid, state, leases }) => ({
    nodeId,
    workerId: ref.processId,
    pid,
    state,
    leases: leases.size,
  }));
  return JSON.stringify(workers);
}

/** What the raylet itself answers to a question that its processes are asked too. */
export function ownView(subject: string, nodeId: NodeId, store: NodeStore, journey: Journey): string {
  if (subject === "#traffic") return trafficView(store.objects);
  return subject === "#memory" ? JSON.stringify(nodeReport(nodeId, store)) : journeyView(journey, subject);
}

/** What the node's objects take, of memory and of disk. */
export function storeView(nodeId: NodeId, { index, spilling, room }: NodeStore): string {
  const view = {
    nodeId,
    capacityBytes: index.capacityBytes,
    usedBytes: index.usedBytes,
    spilledBytes: spilling.spilledBytes,
    fallbackBytes: index.fallbackBytes,
    waiting: room.waiting,
  };
  return JSON.stringify([view]);
}

/** Where to dial: a node that this one has not heard of yet cannot be, so that its fetch fails and is tried again. */
export function withAddresses(
  { locations, width }: Sources,
  cluster: ReadonlyMap<NodeId, NodeInfo>,
  self: NodeInfo,
): FetchSources {
  const nodes = locations.map((nodeId) => cluster.get(nodeId) ?? { ...self, nodeId, host: "", port: 0 });
  return { nodes, width };
}

/** Data plane: object bytes that came from other stores. Bytes of calls are known to the processes that sent them. */
function trafficView(objects: ObjectManager): string {
  return JSON.stringify([{ objectBytes: objects.fetchedBytes, callBytes: 0, mostServedBytes: objects.servedBytes }]);
}

function journeyView(journey: Journey, subject: string): string {
  return JSON.stringify([...journey.records()].filter((record) => record.subject.startsWith(subject)));
}
