/** The program of a worker: the executor below, the API for user code above. */
import "./index.js";
import { takeConfig, type WorkerConfig } from "../process/config.js";
import { WorkerProcess } from "../process/worker-process.js";
import { ProcessRuntime } from "./driver-runtime.js";
import { handleHooks } from "./handles.js";
import { setRuntime } from "./runtime.js";

async function main(): Promise<void> {
  // Of user code only. With the option of the command line, Node would first read the maps of mobula's own files.
  process.setSourceMapsEnabled(true);
  const worker = await WorkerProcess.start(takeConfig<WorkerConfig>(), handleHooks, (core) => {
    setRuntime(
      new ProcessRuntime({
        core,
        role: "worker",
        address: "its raylet",
        onMessage: () => {},
        shutdown: () => Promise.resolve(),
      }),
    );
  });
  process.on("SIGUSR2", () => console.error(worker.describe()));
  // Ctrl-C at the driver's terminal is the driver's business.
  process.on("SIGINT", () => {});
}

main().catch((error: unknown) => {
  console.error(`mobula worker: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
});
