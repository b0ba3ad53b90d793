/** The program of a node: `init()`, `mobula start` and TestCluster run it as a child process. */
import { join } from "node:path";
import { ConnectionError, MobulaError } from "../errors.js";
import { formatAddress } from "../io/address.js";
import { chooseArenaPath } from "../io/arena.js";
import { openLog } from "../io/log.js";
import { createSession, removeSession, writeClusterRecord } from "../io/session.js";
import { type NodeConfig, type NodeFailed, type NodeReady, takeConfig } from "./config.js";
import { NodeProcess } from "./node-process.js";
import { writeNodeRecord } from "./node-record.js";

/** A cluster that `init()` started ends when its driver has not come by then. */
const DRIVER_TIMEOUT_MS = 30_000;

async function main(): Promise<void> {
  const config = takeConfig<NodeConfig>();
  const session = createSession();
  const log = openLog(join(session.logs, `${config.isHead ? "head" : "raylet"}.log`));
  const places = {
    rayletPath: join(session.sockets, "raylet.sock"),
    arenaPath: chooseArenaPath(session, config.nodeId, config.objectStoreBytes, (line) => log.warn(line)),
    socketsDirectory: session.sockets,
  };
  let node: NodeProcess | undefined;
  const stop = (reason: string) => {
    log.info(`node ${config.nodeId} stops: ${reason}`);
    node?.stop();
    removeSession(session);
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  process.on("SIGUSR2", () => log.info(node?.describe() ?? "not started"));
  process.on("uncaughtException", (error) => {
    log.error(`a bug of ours: ${error.stack ?? error.message}`);
    stop("an uncaught exception");
  });
  node = new NodeProcess(config, places, log, stop);
  const address = formatAddress(await node.start());
  const { nodeId, clusterId, isHead, objectStoreBytes } = config;
  const clusterAddress = isHead ? address : config.headAddress;
  const { pid } = process;
  const arenaBytes = objectStoreBytes;
  writeNodeRecord(session, { nodeId, pid, clusterId, clusterAddress, isHead, ...places, arenaBytes });
  const startedAt = new Date().toISOString();
  if (isHead) writeClusterRecord(session, { address, pid, nodeId, startedAt });
  if (config.endsWithParent) endWithParent(node, isHead, stop);
  say({ type: "mobula.ready", address, nodeId });
}

/** The parent's end closes the IPC channel; a driver that leaves in order says so before. */
function endWithParent(node: NodeProcess, isHead: boolean, stop: (reason: string) => void): void {
  process.on("disconnect", () => stop("the process that started it is gone"));
  if (!isHead) return;
  const impatience = setTimeout(() => {
    if (!node.hasDrivers && process.channel === undefined) stop("no driver came");
  }, DRIVER_TIMEOUT_MS);
  impatience.unref();
}

function say(message: NodeReady | NodeFailed): void {
  process.send?.(message);
}

main().catch((error: unknown) => {
  const code = error instanceof MobulaError ? error.code : ConnectionError.code;
  say({ type: "mobula.failed", code, message: error instanceof Error ? error.message : String(error) });
  process.exitCode = 1;
  process.disconnect?.();
});
