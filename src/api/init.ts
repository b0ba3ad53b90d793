/** `init` and `shutdown`: this process's way into a cluster and out of it. */
import { randomBytes } from "node:crypto";
import { GCS } from "../base/ids.js";
import { AlreadyInitializedError, ConnectionError } from "../errors.js";
import { nativeProblem } from "../io/native.js";
import { loadSecret } from "../io/secret.js";
import { removeSession, runningClusters, sessionAt } from "../io/session.js";
import type { NodeRecord } from "../process/node-record.js";
import { nodeRecords } from "../process/node-record.js";
import { type StartedNode, startNode } from "../process/start-node.js";
import { ProcessRuntime } from "./driver-runtime.js";
import { handleHooks } from "./handles.js";
import { checkOptions } from "./options.js";
import { referenceModules } from "./reference-modules.js";
import { type Runtime, runtimeOrNothing, setRuntime } from "./runtime.js";
import type { Cluster, InitOptions } from "./types.js";
import { OutputWindow } from "./worker-output.js";

/** How long a cluster of our own may take to end before it is killed. */
const STOP_TIMEOUT_MS = 4_000;

/** An `init` under way. */
let connecting: Promise<Runtime> | undefined;

/**
 * Connect this process to a cluster, or start one of its own.
 *
 * @throws (rejects) AlreadyInitializedError, ConnectionError, AuthenticationError, InvalidOptionError.
 */
export async function init(options: InitOptions = {}): Promise<Cluster> {
  checkOptions("init", options);
  const known = runtimeOrNothing();
  if (known?.role === "worker") return clusterOf(known);
  if (options.ignoreReinitError === true && connecting !== undefined) return clusterOf(await connecting);
  if (options.ignoreReinitError === true && known !== undefined) return clusterOf(known);
  if (known !== undefined || connecting !== undefined) {
    throw new AlreadyInitializedError(
      `init() was called before${known === undefined ? "" : `: this process is connected to ${known.address}`}. Call shutdown() first, or pass ignoreReinitError`,
    );
  }
  referenceModules(options.runtimeEnv); // before a cluster is started for nothing
  connecting = connect(options);
  try {
    return clusterOf(await connecting);
  } finally {
    connecting = undefined;
  }
}

/** Leave the cluster; one that `init()` started ends. Idempotent. */
export async function shutdown(): Promise<void> {
  await connecting?.catch(() => {}); // whoever called init() is told of its failure
  const runtime = runtimeOrNothing();
  if (runtime === undefined || runtime.role === "worker") return;
  await runtime.shutdown();
}

async function connect(options: InitOptions): Promise<Runtime> {
  const secret = loadSecret({ token: options.authToken });
  const address = resolveAddress(options.address ?? process.env["MOBULA_ADDRESS"]);
  const nodeStarts = address === undefined ? startNode(ownNode(options, secret)) : undefined;
  // Most of what a driver consists of is loaded while the cluster starts.
  const loading = import("../process/driver-process.js");
  const own = await nodeStarts;
  for (const warning of own?.warnings ?? []) console.warn(`mobula: ${warning}`);
  try {
    const { findRaylet } = await loading;
    const record = own === undefined ? await findRaylet(address ?? "", secret) : recordOf(own);
    return await attach(record, options, secret, own);
  } catch (error) {
    own?.child.kill("SIGTERM");
    throw error;
  }
}

function ownNode(options: InitOptions, secret: Uint8Array): Parameters<typeof startNode>[0] {
  const { numCpus, numGpus, memory, resources, labels, objectStoreMemory, spillDirectory } = options;
  const secretHex = Buffer.from(secret).toString("hex");
  const amounts = { numCpus, numGpus, memory, resources, labels, objectStoreMemory };
  return { ...amounts, spillDirectory, secretHex, endsWithParent: true };
}

/** `auto` is the newest running cluster of this user; absent means a cluster of our own. */
function resolveAddress(address: string | undefined): string | undefined {
  if (address === undefined || address === "") return undefined;
  if (address !== "auto") return address;
  const running = runningClusters()[0];
  if (running !== undefined) return running.address;
  throw new ConnectionError(
    'address "auto": no cluster of this user runs on this host. Start one with "mobula start --head", or call init() without an address',
  );
}

function recordOf(own: StartedNode): NodeRecord {
  const record = nodeRecords(own.clusterId)[0];
  if (record === undefined) throw new ConnectionError("the node that was just started has left no record of itself");
  return record;
}

async function attach(
  record: NodeRecord,
  options: InitOptions,
  secret: Uint8Array,
  own: StartedNode | undefined,
): Promise<Runtime> {
  const byReference = referenceModules(options.runtimeEnv);
  const namespace = options.namespace ?? randomBytes(8).toString("hex");
  const warn = (text: string) => console.warn(`mobula: ${text}`);
  warnWithoutNative(warn);
  const { attachDriver } = await import("../process/driver-process.js");
  const showsOutput = options.logToDriver !== false;
  const core = await attachDriver(record, { secret, namespace, handles: handleHooks, warn, showsOutput });
  core.functions.shipByReference(byReference);
  const output = showsOutput ? new OutputWindow(core) : undefined;
  const runtime = new ProcessRuntime({
    core,
    role: "driver",
    address: () => record.clusterAddress,
    onMessage: (message) => output?.receive(message),
    shutdown: async () => {
      process.off("beforeExit", onDrained);
      await output?.close(runtime);
      if (own === undefined) {
        core.keepLadders();
        core.keepArrays();
      } else await stopOwn(runtime, own);
      core.close();
      setRuntime(undefined);
    },
  });
  own?.child.unref();
  setRuntime(runtime);
  process.once("beforeExit", onDrained);
  if (process.env["MOBULA_DEBUG"] !== undefined) process.on("SIGUSR2", () => console.error(core.owner.describe()));
  return runtime;
}

let hasWarned = false;

/** Everything works without the addon, but large arrays are copied: worth one line, unless the user wants it so. */
function warnWithoutNative(warn: (text: string) => void): void {
  const problem = nativeProblem();
  if (problem === undefined || hasWarned) return;
  hasWarned = true;
  warn(`large arrays are copied instead of mapped, because the addon cannot be used (${problem})`);
}

/** The event loop has drained: nothing of the user's waits any more. */
function onDrained(): void {
  void shutdown();
}

async function stopOwn(runtime: Runtime, own: StartedNode): Promise<void> {
  own.child.process.ref();
  runtime.core.raylet.send(GCS, { type: "stopCluster" });
  runtime.core.raylet.flush();
  const patience = setTimeout(() => own.child.kill("SIGTERM"), STOP_TIMEOUT_MS / 2);
  const end = setTimeout(() => own.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  const exit = await own.child.exited;
  clearTimeout(patience);
  clearTimeout(end);
  if (exit.signal === "SIGKILL") sweepAfter(runtime);
}

/** A head that had to be killed could not clear up after itself. */
function sweepAfter(runtime: Runtime): void {
  for (const record of nodeRecords(runtime.core.self.nodeId)) {
    removeSession(sessionAt(record.rayletPath.replace(/\/sockets\/[^/]*$/, "")));
  }
}

function clusterOf(runtime: Runtime): Cluster {
  return {
    address: runtime.address,
    nodeId: runtime.core.self.nodeId,
    [Symbol.asyncDispose]: () => (runtime.role === "worker" ? Promise.resolve() : shutdown()),
  };
}
