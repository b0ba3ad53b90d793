/** `mobula/testing`: clusters of real processes on this machine, each node with a store of its own. */
import { checkOptions } from "../api/options.js";
import { loadSecret } from "../io/secret.js";
import { sweepSessions } from "../io/session.js";
import { ClusterTool } from "../process/cluster-tool.js";
import { type StartedNode, startNode } from "../process/start-node.js";

export { Barrier, Semaphore, Signal } from "../api/index.js";

export interface NodeOptions {
  readonly numCpus?: number;
  readonly numGpus?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly resources?: Readonly<Record<string, number>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Bytes. */
  readonly objectStoreMemory?: number;
  /** Where the node's spilled objects go. */
  readonly spillDirectory?: string;
}

export interface ClusterOptions {
  /** The first is the head. */
  readonly nodes?: readonly NodeOptions[];
  /** Where the head keeps its tables: nothing else yet. */
  readonly storage?: "memory";
}

export interface TestNode {
  readonly nodeId: string;
  readonly pid: number;
  workerPids(): Promise<number[]>;
  /** End the node's raylet with a signal, SIGKILL by default; resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Let running tasks finish, then end. */
  remove(): Promise<void>;
}

/** How long a node may take to end by itself when the cluster stops. */
const STOP_TIMEOUT_MS = 5_000;

/** Nodes share nothing, as if each were a machine of its own. */
const LIKE_MACHINES = { endsWithParent: true, sameHost: false };

export class TestCluster implements AsyncDisposable {
  /** For `init({ address })`. */
  readonly address: string;
  readonly #secret: Uint8Array;
  readonly #clusterId: string;
  readonly #nodes: Node[] = [];
  #tool: ClusterTool | undefined;

  /** Start a cluster; the first node is the head. */
  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    checkOptions("cluster", options);
    const [head = {}, ...others] = options.nodes ?? [{}];
    for (const node of [head, ...others]) checkOptions("node", node);
    const secret = loadSecret();
    const started = await startNode({ ...head, secretHex: hexOf(secret), ...LIKE_MACHINES });
    const cluster = new TestCluster(started, secret);
    try {
      for (const node of others) await cluster.addNode(node);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  private constructor(head: StartedNode, secret: Uint8Array) {
    this.address = head.address;
    this.#clusterId = head.clusterId;
    this.#secret = secret;
    this.#nodes.push(new Node(head, this));
  }

  get nodes(): readonly TestNode[] {
    return this.#nodes;
  }

  /** Resolves when the head knows the node. */
  async addNode(options: NodeOptions = {}): Promise<TestNode> {
    checkOptions("node", options);
    const head = { address: this.address, clusterId: this.#clusterId };
    const started = await startNode({ ...options, head, secretHex: hexOf(this.#secret), ...LIKE_MACHINES });
    const node = new Node(started, this);
    this.#nodes.push(node);
    await waitForCondition(async () => (await (await this.tool()).nodeIds()).includes(node.nodeId));
    return node;
  }

  async stop(): Promise<void> {
    this.#tool?.close();
    this.#tool = undefined;
    // The head last: the others would stop by themselves without it, but not in order.
    for (const node of [...this.#nodes].reverse()) await node.stop();
    this.#nodes.length = 0;
    sweepSessions();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** A connection that asks and tells the cluster what a driver may not. */
  async tool(): Promise<ClusterTool> {
    this.#tool ??= await ClusterTool.connect(this.address, this.#secret);
    return this.#tool;
  }

  forget(node: TestNode): void {
    const at = this.#nodes.indexOf(node as Node);
    if (at >= 0) this.#nodes.splice(at, 1);
  }
}

class Node implements TestNode {
  readonly nodeId: string;
  readonly pid: number;
  readonly #started: StartedNode;
  readonly #cluster: TestCluster;

  constructor(started: StartedNode, cluster: TestCluster) {
    this.nodeId = started.nodeId;
    this.pid = started.child.pid ?? 0;
    this.#started = started;
    this.#cluster = cluster;
  }

  async workerPids(): Promise<number[]> {
    const workers = await (await this.#cluster.tool()).workers();
    return workers.filter((worker) => worker.nodeId === this.nodeId && worker.pid > 0).map((worker) => worker.pid);
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#cluster.forget(this);
    this.#started.child.kill(signal);
    await this.#started.child.exited;
  }

  async remove(): Promise<void> {
    (await this.#cluster.tool()).drain(this.nodeId);
    this.#cluster.forget(this);
    await this.#started.child.exited;
  }

  async stop(): Promise<void> {
    const { child } = this.#started;
    child.kill("SIGTERM");
    const impatience = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await child.exited;
    clearTimeout(impatience);
  }
}

const POLL_MS = 10;
const CONDITION_TIMEOUT_MS = 10_000;

/** Resolves once `condition` holds. Rejects after `timeoutMs` (10 s by default). */
export async function waitForCondition(
  condition: () => boolean | Promise<boolean>,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  const timeoutMs = options.timeoutMs ?? CONDITION_TIMEOUT_MS;
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline)
      throw new Error(`the condition did not hold within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function hexOf(secret: Uint8Array): string {
  return Buffer.from(secret).toString("hex");
}
