/** A connection to the head that asks and orders: what the command and test clusters use. No driver, no job. */
import { randomBytes } from "node:crypto";
import { GCS, type NodeId, type ProcessId } from "../base/ids.js";
import type { MemoryReport } from "../core/memory/reports.js";
import { ConnectionError } from "../errors.js";
import { parseAddress } from "../io/address.js";
import { dial } from "../io/dial.js";
import type { Message } from "../protocol/messages.js";
import { ControlLink } from "./control-link.js";

export interface WorkerState {
  readonly nodeId: string;
  readonly workerId: string;
  readonly pid: number;
  readonly state: string;
  readonly leases: number;
}

/** What objects take of a node. */
export interface StoreState {
  readonly nodeId: string;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly spilledBytes: number;
  /** Blocks on disk for which the store had no room. */
  readonly fallbackBytes: number;
  /** Requests that wait for room. */
  readonly waiting: number;
}

export interface Traffic {
  /** From store to store. */
  readonly objectBytes: number;
  /** Calls with their small arguments, and answers with small results. */
  readonly callBytes: number;
  /** Object bytes that one node has sent to others: of the node that has sent most. */
  readonly mostServedBytes: number;
}

const NO_TRAFFIC: Traffic = { objectBytes: 0, callBytes: 0, mostServedBytes: 0 };

export class ClusterTool {
  readonly headNodeId: string;
  readonly clusterId: string;
  readonly #link: ControlLink;
  readonly #questions = new Map<number, { answered: (json: string) => void; failed: (error: Error) => void }>();
  #next = 1;
  #lost: Error | undefined;
  #onClosed: () => void = () => {};
  /** Resolves when the head has closed the connection: it has stopped. */
  readonly closed: Promise<void>;

  static async connect(address: string, secret: Uint8Array): Promise<ClusterTool> {
    const processId = randomBytes(6).toString("hex");
    const connection = await dial(parseAddress(address), { identity: { role: "tool", nodeId: "", processId }, secret });
    return new ClusterTool(address, connection, processId as ProcessId);
  }

  private constructor(address: string, connection: Awaited<ReturnType<typeof dial>>, processId: ProcessId) {
    const { peer } = connection;
    this.headNodeId = peer.nodeId;
    this.clusterId = "clusterId" in peer ? (peer.clusterId ?? "") : "";
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
    const self = { nodeId: peer.nodeId as NodeId, processId };
    this.#link = new ControlLink(connection, self, "tool", {
      message: (message) => this.#receive(message),
      closed: (error) => {
        this.#lost = new ConnectionError(
          `the head at ${address} closed the connection: ${error?.message ?? "it stopped"}`,
        );
        for (const { failed } of this.#questions.values()) failed(this.#lost);
        this.#onClosed();
      },
    });
  }

  /** Of the nodes that live. */
  async nodeIds(): Promise<string[]> {
    const nodes = JSON.parse(await this.query("nodes", "")) as { nodeId: string; alive: boolean }[];
    return nodes.filter(({ alive }) => alive).map(({ nodeId }) => nodeId);
  }

  async workers(): Promise<WorkerState[]> {
    return (JSON.parse(await this.query("workers", "")) as WorkerState[][]).flat();
  }

  async stores(): Promise<StoreState[]> {
    return (JSON.parse(await this.query("store", "")) as StoreState[][]).flat();
  }

  /** What the data plane has moved between nodes so far, as the processes that live now have counted it. */
  async traffic(): Promise<Traffic> {
    const answers = JSON.parse(await this.query("traffic", "")) as Traffic[][];
    return answers.flat(Number.POSITIVE_INFINITY).reduce<Traffic>((sum, each) => add(sum, each as Traffic), NO_TRAFFIC);
  }

  /** What the object table, the stores and the processes know of objects. Who is busy for long does not answer. */
  async memory(): Promise<MemoryReport[]> {
    return (JSON.parse(await this.query("memory", "")) as MemoryReport[][]).flat(
      Number.POSITIVE_INFINITY,
    ) as MemoryReport[];
  }

  /** Ask the GCS; the answer is JSON. */
  query(about: "nodes" | "trace" | "workers" | "traffic" | "memory" | "store", subject: string): Promise<string> {
    const query = this.#next++;
    return new Promise((answered, failed) => {
      if (this.#lost !== undefined) return failed(this.#lost);
      this.#questions.set(query, { answered, failed });
      this.#link.send(GCS, { type: "query", query, about, subject });
    });
  }

  /** The node finishes what runs there and leaves. */
  drain(nodeId: string): void {
    this.#link.send(GCS, { type: "drainNode", nodeId: nodeId as NodeId });
  }

  /** The whole cluster stops; `closed` resolves when the head has. */
  stopCluster(): void {
    this.#link.send(GCS, { type: "stopCluster" });
  }

  close(): void {
    this.#link.close();
  }

  #receive(message: Message): void {
    if (message.type !== "answer") return;
    this.#questions.get(message.query)?.answered(message.json);
    this.#questions.delete(message.query);
  }
}

function add(a: Traffic, b: Traffic): Traffic {
  return {
    objectBytes: a.objectBytes + b.objectBytes,
    callBytes: a.callBytes + b.callBytes,
    mostServedBytes: Math.max(a.mostServedBytes, b.mostServedBytes),
  };
}
