/**
 * Claim words: how a raylet takes unstarted pushes back from a worker that is in synchronous code and reads nothing.
 *
 * Raylet and worker share a few words of memory. For each lease of the worker there stands the number of the task that was
 * started last. The worker starts the next one by replacing that number with the next (compare and swap); the raylet recalls
 * by putting a mark in its place, and learns from what it took away which tasks have been started. Whoever comes first wins:
 * a task is started, or recalled, and never both. No lock, nothing to repair when either is killed.
 *
 * A recall names the highest number that it covers, because pushes that it covers may still lie unread in the worker's
 * socket, and later pushes of the same lease must run. The worker remembers it with the lease. Tasks of a lease start in
 * the order of their numbers.
 *
 * Every lease has words of its own, since a worker has several at a time: while a task of one keeps the thread, what was
 * pushed by another must be found, too. The words of a lease that is over are given to another. The worker writes the new
 * lease's name there when it hears of it, and has closed the old one then; the raylet believes what it took only if that is
 * still the name. If not, it puts the number back; a worker that has met the mark refuses some tasks for nothing. So
 * whatever a worker does not start it hands back, and its owner drops what it has had back already.
 *
 * Invariant: I-02 a recalled task is not started by the worker it was recalled from.
 */
import { assert } from "../../base/assert.js";

/** The lease, as a number that its raylet has given it; 0 is none. */
const LEASE = 0;
/** The number of its task that was started last; or the mark of a recall that the worker has not met. */
const STARTED = 1;
const RECALLED_UP_TO = 2;
const WORDS_PER_LEASE = 4;
const MARK = -1;
const NOTHING_STARTED = -2;
/** Leases of one worker that have words at the same time. Those beyond get one task at a time. */
export const CLAIM_PLACES = 32;
export const CLAIM_WORDS = CLAIM_PLACES * WORDS_PER_LEASE;
export const CLAIM_BYTES = CLAIM_WORDS * Int32Array.BYTES_PER_ELEMENT;

/** Where a lease has its words. No two leases that a worker has at the same time have the same place. */
export function placeOf(claim: number): number {
  return claim % CLAIM_PLACES;
}

/** What the worker remembers of each of its leases. */
export interface Claimed {
  /** The raylet's number of the lease; another lease of this worker never has it. */
  readonly claim: number;
  /** What stands in its words, unless it was recalled. */
  started: number;
  /** Pushes up to this number are recalled. */
  recalledUpTo: number;
}

/** Of a lease that has no words yet. */
export const UNCLAIMED = { claim: 0, started: NOTHING_STARTED, recalledUpTo: -1 } as const;

export class WorkerClaims {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    assert(words.length === CLAIM_WORDS, "a worker has its claim words");
    this.#words = words;
  }

  /** The worker has heard of the lease, once. The one that had the words before is closed here. */
  open({ claim, started }: Claimed): void {
    const at = wordsAt(claim);
    Atomics.store(this.#words, at + LEASE, 0); // what is begun by the old name does not count
    Atomics.store(this.#words, at + STARTED, started);
    Atomics.store(this.#words, at + RECALLED_UP_TO, -1);
    Atomics.store(this.#words, at + LEASE, claim);
  }

  /** Hot path, one operation on shared memory: start the task. False: it has been recalled, and must not start. */
  mayStart(lease: Claimed, sequence: number): boolean {
    if (sequence <= lease.recalledUpTo) return false;
    const at = wordsAt(lease.claim);
    if (Atomics.compareExchange(this.#words, at + STARTED, lease.started, sequence) === lease.started) {
      lease.started = sequence;
      return true;
    }
    // First the mark goes, then it is read what it stands for: a mark that comes in between is met the next time.
    Atomics.compareExchange(this.#words, at + STARTED, MARK, lease.started);
    lease.recalledUpTo = Math.max(lease.recalledUpTo, Atomics.load(this.#words, at + RECALLED_UP_TO));
    return this.mayStart(lease, sequence);
  }
}

export class RayletClaims {
  readonly #words: Int32Array;
  /** Of each place the lease that was recalled last, and what had been started of it then. */
  readonly #recalled = new Map<number, { readonly claim: number; readonly started: number }>();

  constructor(words: Int32Array) {
    assert(words.length === CLAIM_WORDS, "a worker has its claim words");
    this.#words = words;
  }

  /** A new worker takes the place of an old one. */
  reset(): void {
    for (let word = 0; word < CLAIM_WORDS; word++) Atomics.store(this.#words, word, 0);
  }

  /**
   * Recall what has not been started of a lease's pushes up to number `upTo`. The number of the push that was started last
   * (-1: none): those above it never will be. Undefined when the worker does not know the lease: nothing is known then.
   */
  recall(claim: number, upTo: number): number | undefined {
    const words = this.#words;
    const at = wordsAt(claim);
    if (Atomics.load(words, at + LEASE) !== claim) return undefined;
    // The worker may not have met the last one: a late request must not take back what that has said.
    Atomics.store(words, at + RECALLED_UP_TO, Math.max(Atomics.load(words, at + RECALLED_UP_TO), upTo));
    const taken = Atomics.exchange(words, at + STARTED, MARK);
    if (Atomics.load(words, at + LEASE) !== claim) {
      if (taken !== MARK) Atomics.compareExchange(words, at + STARTED, MARK, taken);
      return undefined;
    }
    const before = this.#recalled.get(placeOf(claim));
    const started = taken === MARK ? before?.started : taken;
    // The mark is not ours: the worker's memory is not to be relied on.
    if (started === undefined || (taken === MARK && before?.claim !== claim)) return undefined;
    this.#recalled.set(placeOf(claim), { claim, started });
    return Math.max(started, -1);
  }
}

function wordsAt(claim: number): number {
  return placeOf(claim) * WORDS_PER_LEASE;
}
