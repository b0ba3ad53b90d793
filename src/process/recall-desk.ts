/**
 * How a node's process takes pushes back from its workers: by claim words that it has mapped together with them, or, where
 * there is no addon, by asking a second thread of the worker through a pipe.
 *
 * A place in the file is given to another worker only when the process that had it has ended.
 */
import { assert } from "../base/assert.js";
import type { ProcessId } from "../base/ids.js";
import { MAX_WORKERS_PER_NODE } from "../base/limits.js";
import { RayletClaims } from "../core/executor/claim-words.js";
import { ClaimFile } from "../io/claim-file.js";
import type { Child } from "../io/spawn.js";
import { RecallPipe } from "./recall-pipe.js";
import { FIRST_PLACE } from "./worker-child.js";

interface Hand {
  readonly place: number;
  readonly claims: RayletClaims | undefined;
  readonly pipe: RecallPipe | undefined;
}

export class RecallDesk {
  readonly #file: ClaimFile | undefined;
  readonly #hands = new Map<ProcessId, Hand>();
  readonly #freed: number[] = [];
  #places = FIRST_PLACE + 1;

  /** `path`: of the file; empty where workers are asked. */
  constructor(path: string) {
    this.#file = path === "" ? undefined : ClaimFile.create(path);
  }

  /** A place for a worker that is about to start; `started` follows. */
  place(): number {
    const place = this.#freed.pop() ?? this.#places++;
    assert(place < MAX_WORKERS_PER_NODE, "there are no more workers than places");
    return place;
  }

  started(worker: ProcessId, place: number, { pipe }: Child): void {
    const words = this.#file?.wordsOf(place);
    const claims = words && new RayletClaims(words);
    this.#hands.set(worker, { place, claims, pipe: pipe && new RecallPipe(pipe) });
  }

  /** The process has ended: nobody writes to its words any more. */
  ended(worker: ProcessId): void {
    const hand = this.#hands.get(worker);
    if (hand === undefined) return;
    this.#hands.delete(worker);
    hand.claims?.reset();
    this.#freed.push(hand.place);
  }

  /** `done` is called later with the number that may have been started last; not at all when nothing is known. */
  recall(worker: ProcessId, claim: number, upTo: number, done: (started: number) => void): void {
    const { claims, pipe } = this.#hands.get(worker) ?? {};
    const answer = (started: number | undefined) => started !== undefined && done(started);
    if (claims !== undefined) queueMicrotask(() => answer(claims.recall(claim, upTo)));
    else pipe?.recall(claim, upTo, answer);
  }

  close(): void {
    this.#file?.unlink();
  }
}
