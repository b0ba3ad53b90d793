/**
 * When the GCS is told how the results of this process's tasks are made again.
 *
 * A result can be lost as soon as it is in the object table, and be asked for by whoever has its ref. So the spec goes
 * there with the answer, before our own ref of the result can leave; and if a ref left while there was no value, before
 * that: those who have it may see the result come and go while we are busy, or dead, and never hear of the answer. A task
 * whose refs stay here, and whose results are small, costs nothing.
 *
 * Invariant: I-02. While we have the task run, nobody else does: the GCS knows how often it has been tried.
 */
import type { Task } from "./records.js";

export interface LineagePort {
  /** Hand the task's spec to the GCS, beside the entries of its results: what is lost of them it makes again. */
  registerLineage(task: Task): void;
  /** Tell the GCS how a task fares whose spec it has been handed. */
  updateLineage(task: Task): void;
}

export class LineageKeeper {
  readonly #port: LineagePort;

  constructor(port: LineagePort) {
    this.#port = port;
  }

  /** The ref of a result has left, or leaves now, and the task with all its arguments has, or is about to. */
  handOver(task: Task): void {
    if (task.lineage !== "untold" || !canRunAgain(task)) return;
    task.lineage = "running";
    this.#port.registerLineage(task);
  }

  /** Its worker was lost, and it is tried again. */
  runsAgain(task: Task): void {
    if (task.lineage === "running") this.#port.updateLineage(task);
  }

  /** Before its arguments are let go, whose own specs live as long as this one needs them. */
  ended(task: Task, hasValue: boolean): void {
    const isTold = task.lineage === "running";
    if (isTold || hasValue) task.lineage = hasValue ? "done" : "void";
    if (isTold) this.#port.updateLineage(task);
    else if (hasValue && canRunAgain(task) && isAnyHeld(task)) this.#port.registerLineage(task);
  }
}

/** Hot path. */
function isAnyHeld({ returns }: Task): boolean {
  for (const { hold } of returns) if (hold === "held") return true;
  return false;
}

/** Calls of actors are not made again. */
function canRunAgain({ template }: Task): boolean {
  return template.maxRetries !== 0 && template.method === "";
}
