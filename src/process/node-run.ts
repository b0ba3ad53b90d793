/** A node from its first breath to its last: its process, its records for others, what ends it. */
import { join } from "node:path";
import { formatAddress } from "../io/address.js";
import { openLog } from "../io/log.js";
import { removeSession, type Session, writeClusterRecord } from "../io/session.js";
import type { NodeConfig, NodePlaces, NodeReady } from "./config.js";
import { NodeProcess } from "./node-process.js";
import { writeNodeRecord } from "./node-record.js";
import type { WorkerChild } from "./worker-child.js";

/** A cluster that `init()` started ends when its driver has not come by then. */
const DRIVER_TIMEOUT_MS = 30_000;

/** Resolves when the node is ready; the process then lives until something stops it. */
export async function runNode(
  config: NodeConfig,
  session: Session,
  places: NodePlaces,
  first: WorkerChild,
  warnings: readonly string[],
): Promise<NodeReady> {
  const log = openLog(join(session.logs, `${config.isHead ? "head" : "raylet"}.log`));
  for (const warning of warnings) log.warn(warning);
  const stop = (reason: string) => {
    log.info(`node ${config.nodeId} stops: ${reason}`);
    node.stop();
    removeSession(session);
    process.exit(0);
  };
  const node = new NodeProcess(config, places, first, log, stop);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  process.on("SIGUSR2", () => log.info(node.describe()));
  process.on("uncaughtException", (error) => {
    log.error(`a bug of ours: ${error.stack ?? error.message}`);
    stop("an uncaught exception");
  });
  const address = formatAddress(await node.start());
  tellOthers(config, session, places, address);
  if (config.endsWithParent) endWithParent(node, config.isHead, stop);
  return { type: "mobula.ready", address, nodeId: config.nodeId, warnings };
}

/** Drivers and commands of this user find the node by its records. */
function tellOthers(config: NodeConfig, session: Session, places: NodePlaces, address: string): void {
  const { nodeId, clusterId, isHead, headAddress, objectStoreBytes: arenaBytes } = config;
  const clusterAddress = isHead ? address : headAddress;
  const { pid } = process;
  writeNodeRecord(session, { nodeId, pid, clusterId, clusterAddress, isHead, ...places, arenaBytes });
  if (isHead) writeClusterRecord(session, { address, pid, nodeId, startedAt: new Date().toISOString() });
}

/** The parent's end closes the IPC channel; a driver that leaves in order says so before. */
function endWithParent(node: NodeProcess, isHead: boolean, stop: (reason: string) => void): void {
  if (!process.connected) return stop("the process that started it is gone");
  process.on("disconnect", () => stop("the process that started it is gone"));
  if (!isHead) return;
  const impatience = setTimeout(() => {
    if (!node.hasDrivers && process.channel === undefined) stop("no driver came");
  }, DRIVER_TIMEOUT_MS);
  impatience.unref();
}
