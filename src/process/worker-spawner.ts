/** The worker processes of a node as children: their start, their output, their end. */
import type { Socket } from "node:net";
import type { ProcessId, ProcessRef } from "../base/ids.js";
import type { Logger } from "../io/log.js";
import { sendSocket } from "../io/pass-socket.js";
import { type Child, type Exit, spawnNode } from "../io/spawn.js";
import type { Failure } from "../protocol/messages.js";
import { configEnvironment, type NodeConfig, type NodePlaces } from "./config.js";

export interface WorkerEvents {
  exited(worker: ProcessRef, reason: Failure): void;
  output(worker: ProcessRef, stream: "stdout" | "stderr", line: string): void;
}

export class WorkerSpawner {
  readonly #config: NodeConfig;
  readonly #places: NodePlaces;
  readonly #log: Logger;
  readonly #events: WorkerEvents;
  readonly #children = new Map<ProcessId, Child>();
  /** Why we ended a worker: what its owner is told instead of a bare signal. */
  readonly #reasons = new Map<ProcessId, string>();

  constructor(config: NodeConfig, places: NodePlaces, log: Logger, events: WorkerEvents) {
    this.#config = config;
    this.#places = places;
    this.#log = log;
    this.#events = events;
  }

  /** Whatever can be looked up before the first worker is wanted. */
  prepare(): void {
    this.#log.info(`workers run ${this.#config.workerEntry}`);
  }

  start(worker: ProcessRef): void {
    const { nodeId, processId } = worker;
    const { clusterId, secretHex, workerEntry, execArgv, objectStoreBytes } = this.#config;
    const { rayletPath, arenaPath, socketsDirectory } = this.#places;
    const socketPath = `${socketsDirectory}/w-${processId}.sock`;
    const places = { rayletPath, socketPath, arenaPath, arenaBytes: objectStoreBytes };
    const environment = configEnvironment({ nodeId, processId, clusterId, secretHex, ...places });
    const child = spawnNode(workerEntry, {
      execArgv: [...execArgv, "--disable-warning=ExperimentalWarning"],
      env: { ...process.env, ...environment },
      onLine: (stream, line) => this.#events.output(worker, stream, line),
    });
    this.#children.set(processId, child);
    child.exited.then((exit) => {
      this.#children.delete(processId);
      const reason = this.#reasons.get(processId);
      this.#reasons.delete(processId);
      this.#events.exited(worker, exitReason(worker, child.pid, exit, reason));
    });
  }

  /** True when there was such a worker: its exit will be reported. */
  kill(processId: ProcessId, why?: string): boolean {
    const child = this.#children.get(processId);
    if (child === undefined) return false;
    if (why !== undefined) this.#reasons.set(processId, why);
    child.kill("SIGKILL");
    return true;
  }

  killAll(): void {
    for (const child of this.#children.values()) child.kill("SIGKILL");
  }

  /** A connection for a worker that came in at the node's port. */
  passSocket(target: ProcessId, socket: Socket, bytes: Uint8Array): boolean {
    const child = this.#children.get(target);
    if (child === undefined) return false;
    sendSocket(child.process, socket, bytes);
    return true;
  }
}

function exitReason(worker: ProcessRef, pid: number | undefined, exit: Exit, reason: string | undefined): Failure {
  const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
  const ended = reason === undefined ? `ended with ${how}` : `was ended (${how}): ${reason}`;
  const tail = exit.stderrTail.length === 0 ? "" : `; its last words on stderr:\n${exit.stderrTail.join("\n")}`;
  const where = `worker ${worker.processId} (pid ${pid ?? "none"}) on node ${worker.nodeId}`;
  const started =
    exit.error === undefined ? `${where} ${ended}` : `${where} could not be started: ${exit.error.message}`;
  const outOfMemory = exit.stderrTail.some((line) => line.includes("JavaScript heap out of memory"));
  return { code: outOfMemory ? "OUT_OF_MEMORY" : "WORKER_CRASHED", message: `${started}${tail}` };
}
