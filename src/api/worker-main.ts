/** The program of a worker: the executor below, the API for user code above. */
import "./index.js";
import { ConnectionError } from "../errors.js";
import { takeConfig, type WorkerConfig } from "../process/config.js";
import { nodeRecords } from "../process/node-record.js";
import { WorkerProcess } from "../process/worker-process.js";
import { ProcessRuntime } from "./driver-runtime.js";
import { handleHooks } from "./handles.js";
import { setRuntime } from "./runtime.js";

async function main(): Promise<void> {
  // Of user code only. With the option of the command line, Node would first read the maps of mobula's own files.
  process.setSourceMapsEnabled(true);
  const config = takeConfig<WorkerConfig>();
  const worker = await WorkerProcess.start(config, handleHooks, (core) => {
    setRuntime(
      new ProcessRuntime({
        core,
        role: "worker",
        address: () => addressOf(config),
        onMessage: () => {},
        shutdown: () => Promise.resolve(),
      }),
    );
  });
  process.on("SIGUSR2", () => console.error(worker.describe()));
  // Ctrl-C at the driver's terminal is the driver's business.
  process.on("SIGINT", () => {});
}

/** Its node's record says it, which is there before the node takes work. */
function addressOf({ clusterId, nodeId }: WorkerConfig): string {
  const record = nodeRecords(clusterId).find((each) => each.nodeId === nodeId);
  if (record === undefined) throw new ConnectionError(`node ${nodeId} has left no record of its cluster`);
  return record.clusterAddress;
}

main().catch((error: unknown) => {
  console.error(`mobula worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
});
