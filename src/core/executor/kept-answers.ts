/**
 * The small results that a worker has answered lately, kept until their owner has surely read them.
 *
 * A ref may leave its owner after its task was pushed. If that owner then runs synchronous code for long, the answer
 * lies unread in its socket, while others wait for the object. The object table then asks the worker, who promotes the
 * result to its node's store: a busy process stalls nobody.
 *
 * Decides: which answers are kept, and which results go to the store because they were asked for before they existed.
 * Does not know: values, stores, who asks.
 *
 * An owner has at most `MAX_PIPELINE_DEPTH` unread answers of a lease, so a ring of more than that has every answer that
 * may be asked for. Of an actor's calls any number may be unread: the newest are kept, the others wait for their owner.
 */
import type { ContextId, TaskId } from "../../base/ids.js";
import { taskIdOf } from "../../base/ids.js";
import { MAX_KEPT_ANSWER_BYTES, MAX_KEPT_ANSWERS, MAX_PROMISED_RESULTS } from "../../base/limits.js";
import type { Outcome } from "../owner/records.js";

export class KeptAnswers {
  // Five arrays instead of one of objects: this is written once for each small task.
  readonly #contexts: (ContextId | undefined)[] = new Array(MAX_KEPT_ANSWERS).fill(undefined);
  readonly #counters: number[] = new Array(MAX_KEPT_ANSWERS).fill(0);
  readonly #attempts: number[] = new Array(MAX_KEPT_ANSWERS).fill(0);
  readonly #outcomes: (Outcome | undefined)[] = new Array(MAX_KEPT_ANSWERS).fill(undefined);
  readonly #sizes: number[] = new Array(MAX_KEPT_ANSWERS).fill(0);
  /** The oldest and the place after the newest; they count on without end. */
  #first = 0;
  #end = 0;
  #bytes = 0;
  /** Tasks whose results were asked for before they were there, oldest first. */
  readonly #promised = new Set<TaskId>();

  /** Hot path: an answer leaves. `sizeBytes` is what its value takes beyond a few words. */
  keep(context: ContextId, counter: number, attempt: number, outcome: Outcome, sizeBytes: number): void {
    if (sizeBytes > MAX_KEPT_ANSWER_BYTES) return;
    if (this.#end - this.#first === MAX_KEPT_ANSWERS) this.#dropOldest();
    this.#bytes += sizeBytes;
    while (this.#bytes > MAX_KEPT_ANSWER_BYTES) this.#dropOldest();
    const at = this.#end++ % MAX_KEPT_ANSWERS;
    this.#contexts[at] = context;
    this.#counters[at] = counter;
    this.#attempts[at] = attempt;
    this.#outcomes[at] = outcome;
    this.#sizes[at] = sizeBytes;
  }

  /** How a task was answered, and by which attempt; undefined when it was not yet, or too long ago. */
  find(task: TaskId): { readonly outcome: Outcome; readonly attempt: number } | undefined {
    for (let i = this.#end - 1; i >= this.#first; i--) {
      const at = i % MAX_KEPT_ANSWERS;
      if (taskIdOf(this.#contexts[at] as ContextId, this.#counters[at] as number) !== task) continue;
      const outcome = this.#outcomes[at];
      return outcome === undefined ? undefined : { outcome, attempt: this.#attempts[at] as number };
    }
    return undefined;
  }

  /** The results of a task go to the store when they are there, whatever their size. */
  promise(task: TaskId): void {
    this.#promised.add(task);
    if (this.#promised.size <= MAX_PROMISED_RESULTS) return;
    for (const oldest of this.#promised) {
      this.#promised.delete(oldest);
      return;
    }
  }

  /** Hot path: whether the results of a task that ends now were asked for. */
  takePromise(context: ContextId, counter: number): boolean {
    return this.#promised.size > 0 && this.#promised.delete(taskIdOf(context, counter));
  }

  #dropOldest(): void {
    const at = this.#first++ % MAX_KEPT_ANSWERS;
    this.#bytes -= this.#sizes[at] as number;
    this.#outcomes[at] = undefined;
  }
}
