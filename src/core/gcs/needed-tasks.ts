/** How many specs need results of a task, whether or not its own spec is known. */
import type { TaskId } from "../../base/ids.js";

export class NeededTasks {
  readonly #counts = new Map<TaskId, number>();

  has(task: TaskId): boolean {
    return this.#counts.has(task);
  }

  add(tasks: Iterable<TaskId>): void {
    for (const task of tasks) this.#counts.set(task, (this.#counts.get(task) ?? 0) + 1);
  }

  /** One spec less needs them. Says which of them none needs any more. */
  remove(tasks: Iterable<TaskId>): readonly TaskId[] {
    return [...tasks].filter((task) => {
      const count = (this.#counts.get(task) ?? 1) - 1;
      if (count > 0) this.#counts.set(task, count);
      else this.#counts.delete(task);
      return count === 0;
    });
  }
}
