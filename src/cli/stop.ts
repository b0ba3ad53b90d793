/** `mobula stop`: the clusters of this user on this host, and its nodes of clusters elsewhere. */
import { readFileSync } from "node:fs";
import { loadSecret } from "../io/secret.js";
import { sweepSessions } from "../io/session.js";
import { ClusterTool } from "../process/cluster-tool.js";
import { liveNodes, type NodeRecord } from "../process/node-record.js";
import { print } from "./text.js";

/** A node that was asked has this long to end by itself, and again after SIGTERM. */
const STOP_TIMEOUT_MS = 5_000;
const POLL_MS = 20;

export async function stop(): Promise<void> {
  const nodes = liveNodes()
    .map(({ record }) => record)
    .filter(({ pid }) => isAlive(pid));
  if (nodes.length === 0) print("nothing to stop: no node of this user runs on this host");
  await Promise.all(nodes.filter(({ isHead }) => isHead).map((head) => stopCluster(head, nodes)));
  await Promise.all(nodes.filter(({ pid }) => isAlive(pid)).map(stopNode));
  sweepSessions();
}

/** Its nodes on this host end with it. What does not, the caller ends by its pid. */
async function stopCluster(head: NodeRecord, all: readonly NodeRecord[]): Promise<void> {
  const { clusterAddress, clusterId, nodeId, pid } = head;
  const nodes = all.filter((node) => node.clusterId === clusterId);
  try {
    const tool = await ClusterTool.connect(clusterAddress, loadSecret());
    tool.stopCluster();
    const ended = await allEnded(nodes);
    tool.close();
    if (!ended) return;
  } catch {
    return; // it was started with another secret, or hangs
  }
  const others = nodes.length > 1 ? ` and ${nodes.length - 1} more of its nodes on this host` : "";
  print(`stopped the cluster at ${clusterAddress} (head node ${nodeId}, pid ${pid})${others}`);
}

async function stopNode(node: NodeRecord): Promise<void> {
  const { nodeId, pid, clusterAddress } = node;
  const what = `node ${nodeId} (pid ${pid}) of the cluster at ${clusterAddress}`;
  signalTo(pid, "SIGTERM");
  if (await allEnded([node])) return print(`stopped ${what}`);
  signalTo(pid, "SIGKILL");
  await allEnded([node]);
  print(`killed ${what}: it did not answer`);
}

async function allEnded(nodes: readonly NodeRecord[]): Promise<boolean> {
  const deadline = performance.now() + STOP_TIMEOUT_MS;
  while (nodes.some(({ pid }) => isAlive(pid))) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it has just ended
  }
}

/** A process that has ended and that nobody has waited for counts as ended. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return true; // no /proc here
  }
}
