/** `mobula start`: a node that lives on without this process. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkOptions } from "../api/options.js";
import { ConnectionError, InvalidOptionError } from "../errors.js";
import { loadSecret } from "../io/secret.js";
import { sessionBase, sweepSessions } from "../io/session.js";
import { ClusterTool } from "../process/cluster-tool.js";
import { liveNodes } from "../process/node-record.js";
import { type NodeRequest, type StartedNode, startNode } from "../process/start-node.js";
import { checkedAddress, requireLoopback } from "./connect.js";
import { print } from "./text.js";

export interface StartOptions extends NodeRequest {
  readonly head?: boolean;
  readonly address?: string;
  readonly host: string;
  readonly port?: number;
  readonly block?: boolean;
}

const JOIN_TIMEOUT_MS = 10_000;
const POLL_MS = 20;
const STOPPING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export async function start(options: StartOptions): Promise<void> {
  const { head, address, host, port, block = false, ...request } = options;
  checkOptions("node", request);
  requireLoopback(host);
  if (port !== undefined && port > 65_535) throw new InvalidOptionError(`port ${port} is above 65535`);
  if (head !== true && address === undefined) {
    throw new InvalidOptionError("say --head for a new cluster, or --address HOST:PORT to join one");
  }
  const where = port === undefined ? { host } : { host, port };
  const node = { ...request, ...where, endsWithParent: block };
  const { started, logs } =
    address === undefined ? await startHead(node) : await joinHead(checkedAddress(address), node);
  for (const warning of started.warnings) console.error(`mobula: ${warning}`);
  // Whoever reads that the node runs may press Ctrl-C at once: it must be ours to handle by then.
  const ended = block ? stayWith(started) : undefined;
  print(address === undefined ? headInWords(started, logs) : memberInWords(started, address, logs));
  if (ended === undefined) started.child.release();
  await ended;
}

type NodeWish = Omit<Parameters<typeof startNode>[0], "secretHex">;
interface Ready {
  readonly started: StartedNode;
  readonly logs: string;
}

function startHead(node: NodeWish): Promise<Ready> {
  return startLogged({ ...node, secretHex: hexOf(loadSecret()) });
}

/** Returns when the head knows the node: whoever asks next sees it. */
async function joinHead(address: string, node: NodeWish): Promise<Ready> {
  const secret = loadSecret();
  const tool = await ClusterTool.connect(address, secret);
  try {
    const head = { address, clusterId: tool.clusterId };
    const ready = await startLogged({ ...node, head, secretHex: hexOf(secret) });
    const deadline = performance.now() + JOIN_TIMEOUT_MS;
    while (!(await tool.nodeIds()).includes(ready.started.nodeId)) {
      if (performance.now() > deadline) {
        ready.started.child.kill("SIGTERM");
        throw new ConnectionError(`the head at ${address} did not take the node within ${JOIN_TIMEOUT_MS} ms`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return ready;
  } finally {
    tool.close();
  }
}

/**
 * What the process prints goes to a file, which must be there before the node has a session: it moves to the session's
 * logs once there is one.
 */
async function startLogged(node: Parameters<typeof startNode>[0]): Promise<Ready> {
  mkdirSync(sessionBase(), { recursive: true, mode: 0o700 });
  const draft = join(sessionBase(), `start-${process.pid}.out`);
  const outputFd = openSync(draft, "a", 0o600);
  try {
    const started = await startNode({ ...node, outputFd });
    const logs = liveNodes().find(({ record }) => record.nodeId === started.nodeId)?.session.logs;
    if (logs === undefined) throw new ConnectionError(`node ${started.nodeId} has left no record of its session`);
    renameSync(draft, join(logs, "output.log"));
    return { started, logs };
  } catch (error) {
    const printed = readFileSync(draft, "utf8").trim();
    if (error instanceof Error && printed !== "") error.message += `; the process printed:\n${printed}`;
    sweepSessions();
    throw error;
  } finally {
    closeSync(outputFd);
    rmSync(draft, { force: true });
  }
}

async function stayWith({ child }: StartedNode): Promise<void> {
  for (const signal of STOPPING) process.on(signal, () => child.kill("SIGTERM"));
  const { code, signal } = await child.exited;
  for (const stopping of STOPPING) process.removeAllListeners(stopping);
  print("the node has ended");
  if (code !== 0) throw new ConnectionError(`the node ended with ${signal ?? `exit code ${code}`}`);
}

function headInWords({ address, nodeId, child }: StartedNode, logs: string): string {
  const commands = [
    ["mobula status", "what it has"],
    [`mobula run --address ${address} SCRIPT`, 'a driver; init({ address: "auto" }) finds it too'],
    [`mobula start --address ${address}`, "one more node"],
    ["mobula stop", "the end of all your clusters on this host"],
  ] as const;
  const width = Math.max(...commands.map(([command]) => command.length));
  return [
    `A cluster runs at ${address}`,
    `  head   node ${nodeId}, pid ${child.pid}`,
    `  logs   ${logs}`,
    "",
    "Next:",
    ...commands.map(([command, meaning]) => `  ${command.padEnd(width)}   ${meaning}`),
  ].join("\n");
}

function memberInWords({ nodeId, address, child }: StartedNode, head: string, logs: string): string {
  return [
    `Node ${nodeId} has joined the cluster at ${head}`,
    `  node   ${address}, pid ${child.pid}`,
    `  logs   ${logs}`,
  ].join("\n");
}

function hexOf(secret: Uint8Array): string {
  return Buffer.from(secret).toString("hex");
}
