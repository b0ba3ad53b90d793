/** One worker process as a child: how it is started, and its output from the first line on. */
import type { ProcessRef } from "../base/ids.js";
import { type Child, spawnNode } from "../io/spawn.js";
import { configEnvironment, type NodeConfig, type NodePlaces } from "./config.js";

type OnLine = (stream: "stdout" | "stderr", line: string) => void;

export class WorkerChild {
  readonly ref: ProcessRef;
  readonly child: Child;
  /** What it said before anybody listened. */
  #early: Parameters<OnLine>[] | undefined = [];
  #onLine: OnLine = (...line) => void this.#early?.push(line);

  constructor(config: NodeConfig, places: NodePlaces, ref: ProcessRef) {
    const { clusterId, secretHex, workerEntry, execArgv, objectStoreBytes } = config;
    const { rayletPath, arenaPath, fallbackPath, socketsDirectory } = places;
    const socketPath = `${socketsDirectory}/w-${ref.processId}.sock`;
    const where = { rayletPath, socketPath, arenaPath, fallbackPath, arenaBytes: objectStoreBytes };
    this.ref = ref;
    this.child = spawnNode(workerEntry, {
      execArgv: [...execArgv, "--disable-warning=ExperimentalWarning"],
      env: { ...process.env, ...configEnvironment({ ...ref, clusterId, secretHex, ...where }) },
      onLine: (stream, line) => this.#onLine(stream, line),
    });
  }

  listen(onLine: OnLine): void {
    this.#onLine = onLine;
    for (const line of this.#early ?? []) onLine(...line);
    this.#early = undefined;
  }
}
