/**
 * Gathers answers to one question from many processes (`mobula trace`): asked once, finished when all have answered,
 * died, or had their time.
 *
 * Invariant: I-07 questions are bounded, and so is what one is answered with: the oldest question is answered early, and
 * what would be too much of an answer is left out.
 */
import { MAX_ANSWER_CHARACTERS, MAX_QUESTIONS } from "../base/limits.js";

/** How long a raylet waits for slow or busy processes. */
const COLLECT_TIMEOUT_MS = 2_000;
/** How long the GCS waits for raylets, which have waited for their processes before. */
export const COLLECT_FROM_NODES_MS = 2 * COLLECT_TIMEOUT_MS;

interface Question {
  readonly waitingFor: Set<string>;
  readonly answers: string[];
  characters: number;
  readonly timeoutMs: number;
  /** From the first tick after it was asked on: a machine's clock stands still between ticks. */
  deadlineMs: number | undefined;
  readonly finish: (answers: readonly string[]) => void;
}

export class Collector {
  readonly #questions = new Map<number, Question>();
  #next = 1;

  /** The number to put into the question; `finish` is called once, never within this call unless nobody is asked. */
  ask(
    whom: Iterable<string>,
    own: readonly string[],
    finish: (answers: readonly string[]) => void,
    timeoutMs = COLLECT_TIMEOUT_MS,
  ): number {
    const [oldest] = this.#questions.keys();
    if (this.#questions.size >= MAX_QUESTIONS && oldest !== undefined) this.#giveUp(oldest);
    const query = this.#next++;
    const waitingFor = new Set(whom);
    const question: Question = {
      waitingFor,
      answers: [],
      characters: 0,
      timeoutMs,
      deadlineMs: undefined,
      finish,
    };
    for (const json of own) add(question, json);
    if (waitingFor.size === 0) finish(question.answers);
    else this.#questions.set(query, question);
    return query;
  }

  answered(query: number, who: string, json: string, last: boolean): void {
    const question = this.#questions.get(query);
    if (question === undefined) return; // too late, or answered twice
    add(question, json);
    if (last && question.waitingFor.delete(who)) this.#finishIfDone(query, question);
  }

  died(who: string): void {
    for (const [query, question] of [...this.#questions]) {
      if (question.waitingFor.delete(who)) this.#finishIfDone(query, question);
    }
  }

  tick(nowMs: number): void {
    for (const [query, question] of [...this.#questions]) {
      question.deadlineMs ??= nowMs + question.timeoutMs;
      if (nowMs >= question.deadlineMs) this.#giveUp(query);
    }
  }

  /** It is answered with what has come. */
  #giveUp(query: number): void {
    const question = this.#questions.get(query);
    question?.waitingFor.clear();
    if (question !== undefined) this.#finishIfDone(query, question);
  }

  #finishIfDone(query: number, question: Question): void {
    if (question.waitingFor.size > 0) return;
    this.#questions.delete(query);
    question.finish(question.answers);
  }
}

function add(question: Question, json: string): void {
  if (question.characters + json.length > MAX_ANSWER_CHARACTERS) return;
  question.answers.push(json);
  question.characters += json.length;
}
