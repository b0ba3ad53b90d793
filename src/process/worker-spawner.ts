/** The worker processes of a node as children: their start, their output, their end. */
import type { Socket } from "node:net";
import { cutText } from "../base/bytes.js";
import type { ProcessId, ProcessRef } from "../base/ids.js";
import { MAX_QUOTED_LINE } from "../base/limits.js";
import { sendSocket } from "../io/pass-socket.js";
import type { Child, Exit } from "../io/spawn.js";
import type { Failure, OutputLine } from "../protocol/messages.js";
import type { NodeConfig, NodePlaces } from "./config.js";
import { RecallDesk } from "./recall-desk.js";
import { FIRST_PLACE, WorkerChild } from "./worker-child.js";

export interface WorkerEvents {
  exited(worker: ProcessRef, reason: Failure): void;
  output(worker: ProcessRef, line: OutputLine): void;
}

export class WorkerSpawner {
  readonly #config: NodeConfig;
  readonly #places: NodePlaces;
  #early: WorkerChild | undefined;
  readonly #events: WorkerEvents;
  readonly #children = new Map<ProcessId, Child>();
  readonly #recalls: RecallDesk;
  /** Why we ended a worker: what its owner is told instead of a bare signal. */
  readonly #reasons = new Map<ProcessId, string>();

  constructor(config: NodeConfig, places: NodePlaces, events: WorkerEvents) {
    this.#config = config;
    this.#places = places;
    this.#events = events;
    this.#recalls = new RecallDesk(places.claimsPath);
  }

  /** A worker that was started before this process had loaded the rest of its code: `start` finds it running. */
  expect(early: WorkerChild): void {
    this.#early = early;
  }

  start(worker: ProcessRef): void {
    const { processId } = worker;
    const early = this.#early?.ref.processId === processId ? this.#early : undefined;
    if (early !== undefined) this.#early = undefined;
    const place = early === undefined ? this.#recalls.place() : FIRST_PLACE;
    const started = early ?? new WorkerChild(this.#config, this.#places, worker, place);
    const { child } = started;
    started.listen((line) => this.#events.output(worker, line));
    this.#children.set(processId, child);
    this.#recalls.started(processId, place, child);
    child.exited.then((exit) => {
      this.#children.delete(processId);
      this.#recalls.ended(processId);
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

  /** Lines that these workers have begun and not ended are delivered as they are. */
  endLines(of: (worker: ProcessId) => boolean): void {
    for (const [processId, child] of this.#children) if (of(processId)) child.endLines();
  }

  /** Take back what the worker has not started of a lease; see `RecallDesk`. */
  recall(processId: ProcessId, claim: number, upTo: number, done: (started: number) => void): void {
    this.#recalls.recall(processId, claim, upTo, done);
  }

  killAll(): void {
    this.#early?.child.kill("SIGKILL");
    for (const child of this.#children.values()) child.kill("SIGKILL");
    this.#recalls.close();
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
  const tail =
    exit.stderrTail.length === 0
      ? ""
      : `; its last words on stderr:\n${exit.stderrTail.map((line) => cutText(line, MAX_QUOTED_LINE)).join("\n")}`;
  const where = `worker ${worker.processId} (pid ${pid ?? "none"}) on node ${worker.nodeId}`;
  const started =
    exit.error === undefined ? `${where} ${ended}` : `${where} could not be started: ${exit.error.message}`;
  const outOfMemory = exit.stderrTail.some((line) => line.includes("JavaScript heap out of memory"));
  return { code: outOfMemory ? "OUT_OF_MEMORY" : "WORKER_CRASHED", message: `${started}${tail}` };
}
