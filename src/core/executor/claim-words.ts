/**
 * Claim words: how a raylet takes unstarted pushes back from a worker that is in synchronous code and reads nothing.
 *
 * Raylet and worker share a few words of memory. In one of them stands the number of the task that the worker started last.
 * The worker starts the next one by replacing that number with the next (compare and swap); the raylet recalls by putting a
 * mark in its place, and learns from what it took away which tasks have been started. Whoever comes first wins: a task is
 * started, or recalled, and never both. No lock, nothing to repair when either is killed.
 *
 * A recall names the highest number that it covers, because pushes that it covers may still lie unread in the worker's
 * socket, and later pushes of the same lease must run. The worker remembers it with the lease. Tasks of a lease start in
 * the order of their numbers.
 *
 * A *stint* is the time in which the worker starts tasks of one lease and of no other. Its number is odd while it begins:
 * then the worker takes the word over for the next lease, and sees whether the one before was recalled. The raylet touches
 * the word only in a stint of its lease, and believes what it took only if that stint has not ended meanwhile. If it has,
 * the raylet puts the number back; a worker that has met the mark refuses some tasks for nothing. So whatever a worker does
 * not start it hands back, and its owner drops what it has had back already.
 *
 * Invariant: I-02 a recalled task is not started by the worker it was recalled from.
 */
import { assert } from "../../base/assert.js";

const STINT = 0;
/** The lease of the stint, as a number that its raylet has given it; 0 is none. */
const LEASE = 1;
/** The number of the task that was started last, of that lease; or the mark of a recall that the worker has not met. */
const STARTED = 2;
const RECALLED_UP_TO = 3;
const USED_WORDS = 4;
const MARK = -1;
/** The words of two workers are a cache line apart, so that they do not slow each other. */
export const CLAIM_WORDS = 16;
export const CLAIM_BYTES = CLAIM_WORDS * Int32Array.BYTES_PER_ELEMENT;

/** What the worker remembers of each of its leases. */
export interface Claimed {
  /** The raylet's number of the lease; another lease of this worker never has it. */
  readonly claim: number;
  /** Pushes up to this number are recalled. */
  recalledUpTo: number;
}

export class WorkerClaims {
  readonly #words: Int32Array;
  #stint = 0;
  /** The lease of the stint, and what was started last of it. */
  #lease: Claimed | undefined;
  #started = 0;

  constructor(words: Int32Array) {
    assert(words.length === CLAIM_WORDS, "a worker has its claim words");
    this.#words = words;
  }

  /** Hot path, one operation on shared memory: start the task. False: it has been recalled, and must not start. */
  mayStart(lease: Claimed, sequence: number): boolean {
    if (sequence <= lease.recalledUpTo) return false;
    const started = this.#started;
    if (lease !== this.#lease) this.#beginStint(lease, sequence);
    else if (Atomics.compareExchange(this.#words, STARTED, started, sequence) !== started) {
      // First the mark goes, then it is read what it stands for: a mark that comes in between is met the next time.
      Atomics.compareExchange(this.#words, STARTED, MARK, started);
      this.#see(lease);
      return this.mayStart(lease, sequence);
    }
    this.#started = sequence;
    return true;
  }

  #beginStint(lease: Claimed, sequence: number): void {
    const words = this.#words;
    Atomics.store(words, STINT, ++this.#stint | 0);
    const before = Atomics.exchange(words, STARTED, sequence);
    if (before === MARK && this.#lease !== undefined) this.#see(this.#lease);
    // Not before: by this name the raylet knows that what it recalled of another lease has been seen.
    Atomics.store(words, LEASE, lease.claim);
    Atomics.store(words, STINT, ++this.#stint | 0);
    this.#lease = lease;
  }

  #see(lease: Claimed): void {
    lease.recalledUpTo = Math.max(lease.recalledUpTo, Atomics.load(this.#words, RECALLED_UP_TO));
  }
}

export class RayletClaims {
  readonly #words: Int32Array;
  /** The last recall that counted: its lease and stint, what it covered, and what had been started then. */
  #claim = 0;
  #stint = 0;
  #upTo = 0;
  #started = 0;

  constructor(words: Int32Array) {
    assert(words.length === CLAIM_WORDS, "a worker has its claim words");
    this.#words = words;
  }

  /** A new worker takes the place of an old one. */
  reset(): void {
    for (let word = 0; word < USED_WORDS; word++) Atomics.store(this.#words, word, 0);
  }

  /**
   * Recall what has not been started of a lease's pushes up to number `upTo`. The number of the push that was started last:
   * those above it never will be. Undefined when the worker is at another lease: nothing is known then.
   */
  recall(claim: number, upTo: number): number | undefined {
    const words = this.#words;
    const stint = Atomics.load(words, STINT);
    if (stint % 2 !== 0 || Atomics.load(words, LEASE) !== claim) return undefined;
    // The worker may not have met the last one: a late request must not take back what that has said.
    const covered = claim === this.#claim ? Math.max(this.#upTo, upTo) : upTo;
    Atomics.store(words, RECALLED_UP_TO, covered);
    const taken = Atomics.exchange(words, STARTED, MARK);
    if (Atomics.load(words, STINT) !== stint) {
      if (taken !== MARK) Atomics.compareExchange(words, STARTED, MARK, taken);
      return undefined;
    }
    if (taken !== MARK) this.#started = taken;
    else if (this.#stint !== stint) return undefined; // the mark is not ours: the worker's memory is not to be relied on
    this.#claim = claim;
    this.#stint = stint;
    this.#upTo = covered;
    return this.#started;
  }
}
