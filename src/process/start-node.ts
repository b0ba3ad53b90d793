/** Starting a node as a child process, and waiting until it is ready. */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ConnectionError, errorFromCode, InvalidOptionError } from "../errors.js";
import { usableCpus, usableMemoryBytes } from "../io/container-limits.js";
import { type Child, spawnNode } from "../io/spawn.js";
import { configEnvironment, type NodeConfig, type NodeFailed, type NodeReady } from "./config.js";
import { defaultStoreBytes, roomHere } from "./store-size.js";

// Both paths hold in the compiled tree and in the bundle, wherever in it this file's code lands.
const NODE_ENTRY = fileURLToPath(new URL("../process/node-main.js", import.meta.url));
const WORKER_ENTRY = fileURLToPath(new URL("../api/worker-main.js", import.meta.url));
const START_TIMEOUT_MS = 30_000;

/** What users say about a node (API.md `NodeOptions`). */
export interface NodeRequest {
  readonly numCpus?: number | undefined;
  readonly numGpus?: number | undefined;
  readonly memory?: number | undefined;
  readonly resources?: Readonly<Record<string, number>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly objectStoreMemory?: number | undefined;
  /** Where spilled objects go. Default: the node's session directory. */
  readonly spillDirectory?: string | undefined;
}

export interface NodeStart extends NodeRequest {
  readonly secretHex: string;
  /** Absent: this node is the head of a new cluster. */
  readonly head?: { readonly address: string; readonly clusterId: string };
  readonly host?: string;
  readonly port?: number;
  readonly endsWithParent: boolean;
  /** Nodes on one host map each other's arenas: false for those that stand for separate machines. Default: true. */
  readonly sameHost?: boolean;
  /** An open file for what the process prints: for a node that is to live on without us. */
  readonly outputFd?: number;
}

export interface StartedNode {
  readonly child: Child;
  readonly address: string;
  readonly nodeId: string;
  readonly clusterId: string;
  /** What its user should know. */
  readonly warnings: readonly string[];
}

/** @throws (rejects) with the reason why the node could not start. */
export async function startNode(start: NodeStart): Promise<StartedNode> {
  const config = configOf(start);
  let answer: (message: NodeReady | NodeFailed) => void = () => {};
  const answered = new Promise<NodeReady | NodeFailed>((resolve) => {
    answer = resolve;
  });
  const lines: string[] = [];
  const child = spawnNode(NODE_ENTRY, {
    dieWithParent: false,
    env: { ...process.env, ...configEnvironment(config) },
    ...(start.outputFd === undefined ? {} : { outputFd: start.outputFd }),
    onMessage: (message) => {
      if (isNodeMessage(message)) answer(message);
    },
    onLine: (_stream, line) => {
      if (lines.push(line) > 20) lines.shift();
    },
  });
  child.exited.then(({ code, signal, error }) =>
    answer({
      type: "mobula.failed",
      code: ConnectionError.code,
      message: `the node process ended at its start (${error?.message ?? signal ?? `exit code ${code}`}): ${lines.join("\n")}`,
    }),
  );
  const timer = setTimeout(() => {
    answer({
      type: "mobula.failed",
      code: ConnectionError.code,
      message: `the node was not ready within ${START_TIMEOUT_MS} ms`,
    });
  }, START_TIMEOUT_MS);
  const message = await answered;
  clearTimeout(timer);
  if (message.type === "mobula.failed") {
    child.kill("SIGKILL");
    throw errorFromCode(message.code, message.message);
  }
  const { address, warnings } = message;
  return { child, address, nodeId: config.nodeId, clusterId: config.clusterId, warnings };
}

function configOf(start: NodeStart): NodeConfig {
  const { numCpus, numGpus = 0, memory, resources = {}, labels = {}, objectStoreMemory, head } = start;
  return {
    nodeId: randomBytes(6).toString("hex"),
    clusterId: head?.clusterId ?? randomBytes(6).toString("hex"),
    isHead: head === undefined,
    host: start.host ?? "127.0.0.1",
    port: start.port ?? 0,
    headAddress: head?.address ?? "",
    secretHex: start.secretHex,
    resources: {
      CPU: numCpus ?? usableCpus(),
      GPU: numGpus,
      memory: memory ?? Math.floor(usableMemoryBytes() * 0.7),
      ...resources,
    },
    labels,
    objectStoreBytes: Math.floor(objectStoreMemory ?? defaultStoreBytes(roomHere())),
    sameHost: mapsOthers(start.sameHost ?? true),
    workerEntry: WORKER_ENTRY,
    execArgv: [],
    endsWithParent: start.endsWithParent,
    spillDirectory: start.spillDirectory === undefined ? "" : resolve(start.spillDirectory),
    spillBytes: spillLimit(),
  };
}

/** `MOBULA_SAME_HOST`: 0 and 1 say whether nodes of one host map each other's arenas. */
function mapsOthers(byDefault: boolean): boolean {
  const text = process.env["MOBULA_SAME_HOST"] ?? "";
  if (text === "") return byDefault;
  if (text === "0" || text === "1") return text === "1";
  throw new InvalidOptionError(`MOBULA_SAME_HOST must be 0 or 1, got ${JSON.stringify(text)}`);
}

/** `MOBULA_SPILL_BYTES`: the most that the spill files of one node may take. Without it, what the disk has. */
function spillLimit(): number {
  const text = process.env["MOBULA_SPILL_BYTES"];
  if (text === undefined || text === "") return Number.MAX_SAFE_INTEGER;
  const bytes = Number(text);
  if (Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
  throw new InvalidOptionError(`MOBULA_SPILL_BYTES must be a whole number of bytes, got ${JSON.stringify(text)}`);
}

function isNodeMessage(message: unknown): message is NodeReady | NodeFailed {
  const type: unknown = typeof message === "object" && message !== null ? Reflect.get(message, "type") : undefined;
  return type === "mobula.ready" || type === "mobula.failed";
}
