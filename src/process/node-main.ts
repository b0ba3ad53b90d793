/**
 * The program of a node: `init()`, `mobula start` and TestCluster run it as a child process.
 *
 * A worker takes longest to start, so the first is on its way before this process loads the rest of its own code.
 */
import { join } from "node:path";
import { type NodeId, workerRefOf } from "../base/ids.js";
import { ConnectionError, MobulaError } from "../errors.js";
import { chooseArenaPath } from "../io/arena.js";
import { chooseClaimsPath } from "../io/claim-file.js";
import { loadNative } from "../io/native.js";
import { createSession, removeSession, sessionBase } from "../io/session.js";
import { type NodeConfig, type NodeFailed, takeConfig } from "./config.js";
import { FIRST_PLACE, WorkerChild } from "./worker-child.js";

async function main(): Promise<void> {
  const config = takeConfig<NodeConfig>();
  const session = createSession(sessionBase(), config.spillDirectory);
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const places = {
    rayletPath: join(session.sockets, "raylet.sock"),
    arenaPath: chooseArenaPath(session, config.nodeId, config.objectStoreBytes, warn),
    fallbackPath: join(session.spill, "fallback"),
    spillDirectory: session.spill,
    socketsDirectory: session.sockets,
    claimsPath: loadNative() === undefined ? "" : chooseClaimsPath(session, config.nodeId),
  };
  const first = new WorkerChild(config, places, workerRefOf(config.nodeId as NodeId, 0), FIRST_PLACE);
  try {
    const { runNode } = await import("./node-run.js");
    process.send?.(await runNode(config, session, places, first, warnings));
  } catch (error) {
    first.child.kill("SIGKILL");
    removeSession(session);
    throw error;
  }
}

main().catch((error: unknown) => {
  const code = error instanceof MobulaError ? error.code : ConnectionError.code;
  const message = error instanceof Error ? error.message : String(error);
  process.send?.({ type: "mobula.failed", code, message } satisfies NodeFailed, () => process.exit(1));
});
