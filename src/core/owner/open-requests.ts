/** The lease requests of one owner that have not been answered, and those whose task wants no answer any more. */
import { assert } from "../../base/assert.js";
import type { LeaseId } from "../../base/ids.js";
import type { KeyQueue } from "./key-queue.js";
import { hasStoredArguments, type Task } from "./records.js";

/** A request that has been answered. Empty when that was before, or nobody had asked. */
interface Answered {
  readonly queue?: KeyQueue | undefined;
  readonly task?: Task | undefined;
  /** It went with the request. */
  readonly wasSent?: boolean;
  /** Its time was over before the answer. */
  readonly late?: Task | undefined;
}

export class OpenRequests {
  /** The queue of each open request. */
  readonly #queues = new Map<LeaseId, KeyQueue>();
  /** Their tasks went with them. */
  readonly #sent = new Set<LeaseId>();
  /** The task may have begun when it was withdrawn. An answer comes all the same, and ends this. */
  readonly #withdrawn = new Map<LeaseId, Task>();

  /** `isSent`: the task goes with the request, and begins where that is granted. */
  open(leaseId: LeaseId, queue: KeyQueue, task: Task, isSent: boolean): void {
    queue.requests.set(leaseId, task);
    if (hasStoredArguments(task)) queue.requestsWithArguments.add(leaseId);
    this.#queues.set(leaseId, queue);
    if (isSent) this.#sent.add(leaseId);
  }

  /** No node can ever take the task; for an empty reason, one can. Says which task. */
  infeasible(leaseId: LeaseId, reason: string): Task | undefined {
    const task = this.taskOf(leaseId);
    if (task !== undefined) task.infeasible = reason;
    return task;
  }

  taskOf(leaseId: LeaseId): Task | undefined {
    return this.#queues.get(leaseId)?.requests.get(leaseId);
  }

  answered(leaseId: LeaseId): Answered {
    const late = this.#withdrawn.get(leaseId);
    this.#withdrawn.delete(leaseId);
    const queue = this.#queues.get(leaseId);
    const task = queue?.requests.get(leaseId);
    queue?.requests.delete(leaseId);
    queue?.requestsWithArguments.delete(leaseId);
    this.#queues.delete(leaseId);
    const wasSent = this.#sent.delete(leaseId);
    return task === undefined ? { late } : { queue, task, wasSent };
  }

  /** Nobody waits for the task any more. Says which requests are to be cancelled. */
  withdraw(task: Task, queue: KeyQueue): LeaseId[] {
    const withdrawn = [...queue.requests].flatMap(([leaseId, requested]) => (requested === task ? [leaseId] : []));
    for (const leaseId of withdrawn) {
      this.answered(leaseId);
      this.#withdrawn.set(leaseId, task);
    }
    return withdrawn;
  }

  hasOthersThan(queue: KeyQueue): boolean {
    for (const other of this.#queues.values()) if (other !== queue) return true;
    return false;
  }

  check(): void {
    for (const [id, queue] of this.#queues) assert(queue.requests.has(id), "both directions of a request agree");
  }
}
