/**
 * The unfinished tasks that take refs: an intrusive list, because a table that many tasks pass through keeps finished
 * ones alive (see `base/sequence-map.ts`), and because it costs a task two fields.
 */
import type { Task } from "./records.js";

export class TaskList {
  #first: Task | undefined;

  add(task: Task): void {
    task.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = task;
    this.#first = task;
  }

  /** A task that is in the list, once. */
  remove(task: Task): void {
    const { next, previous } = task;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next !== undefined) next.previous = previous;
    // A dead task in the old generation must not keep its successors alive.
    task.next = undefined;
    task.previous = undefined;
  }

  *[Symbol.iterator](): IterableIterator<Task> {
    for (let at = this.#first; at !== undefined; at = at.next) yield at;
  }
}
