/**
 * Runs that this owner has given up, because the connection to their worker was lost: they may still go on there. Of tasks
 * they are known by their lease, of calls by their connection.
 *
 * What such a run seals before its worker reads that it is nobody's is held in the owner's name, perhaps long after the
 * task has come to another end. So the tasks are kept here until the worker's raylet says that this is over; only then is
 * letting go of their results the last word. A task that still runs elsewhere has the same done at its end, because it has
 * run more than once.
 *
 * Invariant: I-05 what nobody uses is let go.
 */
import { type NodeId, type ProcessRef, rayletOf } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import type { Task } from "./records.js";

export interface GivenUpRunsPort {
  send(to: ProcessRef, message: Message): void;
  endedLate(task: Task): void;
}

interface GivenUp {
  readonly worker: ProcessRef;
  readonly tasks: readonly Task[];
}

export class GivenUpRuns<Id> {
  readonly #port: GivenUpRunsPort;
  readonly #runs = new Map<Id, GivenUp>();

  constructor(port: GivenUpRunsPort) {
    this.#port = port;
  }

  /** All that is in flight there. The worker's raylet is told; `over` follows, or the end of its node. */
  add(id: Id, worker: ProcessRef, inFlight: readonly Task[], word: Message): void {
    this.#runs.set(id, { worker, tasks: [...(this.#runs.get(id)?.tasks ?? []), ...inFlight] });
    this.#port.send(rayletOf(worker.nodeId), word);
  }

  /** Nothing more will be sealed there in this owner's name. */
  over(id: Id): void {
    const tasks = this.#runs.get(id)?.tasks ?? [];
    this.#runs.delete(id);
    for (const task of tasks) if (task.state === "done") this.#port.endedLate(task);
  }

  nodeLost(nodeId: NodeId): void {
    for (const [id, { worker }] of [...this.#runs]) if (worker.nodeId === nodeId) this.over(id);
  }
}
