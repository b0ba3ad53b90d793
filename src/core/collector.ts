/**
 * Gathers answers to one question from many processes (`mobula trace`): asked once, finished when all have answered,
 * died, or had their time.
 */
import { assert } from "../base/assert.js";

/** How long a raylet waits for slow or busy processes. */
const COLLECT_TIMEOUT_MS = 2_000;
/** How long the GCS waits for raylets, which have waited for their processes before. */
export const COLLECT_FROM_NODES_MS = 2 * COLLECT_TIMEOUT_MS;
const MAX_QUESTIONS = 1_024;

interface Question {
  readonly waitingFor: Set<string>;
  readonly answers: string[];
  readonly deadlineMs: number;
  readonly finish: (answers: readonly string[]) => void;
}

export class Collector {
  readonly #questions = new Map<number, Question>();
  #next = 1;

  /** The number to put into the question; `finish` is called once, never within this call unless nobody is asked. */
  ask(
    nowMs: number,
    whom: Iterable<string>,
    own: readonly string[],
    finish: (answers: readonly string[]) => void,
    timeoutMs = COLLECT_TIMEOUT_MS,
  ): number {
    assert(this.#questions.size < MAX_QUESTIONS, "questions under way are bounded");
    const query = this.#next++;
    const waitingFor = new Set(whom);
    if (waitingFor.size === 0) finish(own);
    else this.#questions.set(query, { waitingFor, answers: [...own], deadlineMs: nowMs + timeoutMs, finish });
    return query;
  }

  answered(query: number, who: string, json: string, last: boolean): void {
    const question = this.#questions.get(query);
    if (question === undefined) return; // too late, or answered twice
    question.answers.push(json);
    if (last && question.waitingFor.delete(who)) this.#finishIfDone(query, question);
  }

  died(who: string): void {
    for (const [query, question] of [...this.#questions]) {
      if (question.waitingFor.delete(who)) this.#finishIfDone(query, question);
    }
  }

  tick(nowMs: number): void {
    for (const [query, question] of [...this.#questions]) {
      if (nowMs < question.deadlineMs) continue;
      question.waitingFor.clear();
      this.#finishIfDone(query, question);
    }
  }

  #finishIfDone(query: number, question: Question): void {
    if (question.waitingFor.size > 0) return;
    this.#questions.delete(query);
    question.finish(question.answers);
  }
}
