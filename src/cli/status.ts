/** `mobula status`. */
import type { ClusterTool, StoreState, WorkerState } from "../process/cluster-tool.js";
import { type NodeView, nameOf, nodesOf } from "./cluster-view.js";
import { addressOf, withCluster } from "./connect.js";
import { bytes, print, printJson, table } from "./text.js";

const SHOWN = ["CPU", "GPU", "memory", "objectStoreMemory"];

interface Status {
  readonly address: string;
  readonly clusterId: string;
  readonly nodes: readonly (NodeView & {
    readonly workers: readonly WorkerState[];
    /** Absent for a node that has just gone. */
    readonly store: StoreState | undefined;
  })[];
}

export async function status(options: { readonly address?: string; readonly json?: boolean }): Promise<void> {
  const address = addressOf(options.address);
  const found = await withCluster(address, (tool) => statusOf(address, tool));
  if (options.json === true) printJson(found);
  else print(inWords(found));
}

async function statusOf(address: string, tool: ClusterTool): Promise<Status> {
  const [nodes, workers, stores] = await Promise.all([nodesOf(tool), tool.workers(), tool.stores()]);
  return {
    address,
    clusterId: tool.clusterId,
    nodes: nodes.map((node) => ({
      ...node,
      workers: workers.filter(({ nodeId }) => nodeId === node.nodeId),
      store: stores.find(({ nodeId }) => nodeId === node.nodeId),
    })),
  };
}

function inWords({ address, clusterId, nodes }: Status): string {
  const head = [
    "node",
    "",
    "address",
    " CPU",
    " GPU",
    " memory",
    " object store",
    " spilled",
    " workers",
    "other resources",
    "labels",
  ];
  const rows = nodes.map((node, index) => [
    `${nameOf(index)} ${node.nodeId}`,
    node.isHead ? "head" : "",
    node.address,
    used(node, "CPU"),
    used(node, "GPU"),
    used(node, "memory", bytes),
    used(node, "objectStoreMemory", bytes),
    bytes((node.store?.spilledBytes ?? 0) + (node.store?.fallbackBytes ?? 0)),
    workersInWords(node.workers),
    othersOf(node),
    Object.entries(node.labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  ]);
  return `cluster ${clusterId} at ${address}; resources as used/total\n\n${table(head, rows)}`;
}

function used(node: NodeView, name: string, show: (amount: number) => string = String): string {
  const total = node.resources[name] ?? 0;
  // Amounts are multiples of 1/10,000; their difference as floating-point numbers may not be.
  const inUse = Math.round((total - (node.available[name] ?? total)) * 10_000) / 10_000;
  return `${show(inUse)}/${show(total)}`;
}

function othersOf(node: NodeView): string {
  const names = Object.keys(node.resources).filter((name) => !SHOWN.includes(name));
  return names.map((name) => `${name} ${used(node, name)}`).join(", ");
}

function workersInWords(workers: readonly WorkerState[]): string {
  const busy = workers.filter(({ leases }) => leases > 0).length;
  const starting = workers.filter(({ state }) => state === "starting").length;
  const idle = workers.length - busy - starting;
  const parts = [`${busy} leased`, `${idle} idle`, ...(starting > 0 ? [`${starting} starting`] : [])];
  return parts.join(", ");
}
