/**
 * Claim words: how a raylet takes unstarted pushes back from a worker that is in synchronous code and reads nothing.
 *
 * Raylet and worker share four words of memory. Before it starts a task the worker says which (lease and sequence
 * number), then looks whether that lease has been recalled; the raylet writes the recall, then looks what has been
 * started. Both write before they read, and atomics are sequentially consistent, so at least one sees the other: a task
 * above the number that the raylet saw is never started. (Peterson's and Dekker's argument; no lock, nothing to repair
 * when either is killed.)
 *
 * A recall names the highest number that it covers, because pushes that it covers may still lie unread in the worker's
 * socket, and later pushes of the same lease must run. The worker looks before *every* start and remembers what it saw
 * with the lease, and the raylet recalls only the lease that the worker started last: no recall is overwritten unseen.
 *
 * Invariant: I-02 a recalled task is not started by the worker it was recalled from.
 */
import { assert } from "../../base/assert.js";

/** The lease, as a number that its raylet has given it; 0 is none. */
const LEASE = 0;
/** The sequence number that was started last, of that lease. */
const STARTED = 1;
const RECALLED_LEASE = 2;
const RECALLED_UP_TO = 3;
export const CLAIM_WORDS = 4;
/** Apart by a cache line, so that workers do not slow each other. */
export const CLAIM_BYTES = 64;

/** What the worker remembers of each of its leases. */
export interface Claimed {
  /** The raylet's number of the lease. */
  readonly claim: number;
  /** Pushes up to this number are recalled. */
  recalledUpTo: number;
}

export class WorkerClaims {
  readonly #words: Int32Array;
  readonly #leaseOf: (claim: number) => Claimed | undefined;

  /** `leaseOf`: the worker's lease with a number, if it still has one. */
  constructor(words: Int32Array, leaseOf: (claim: number) => Claimed | undefined) {
    assert(words.length === CLAIM_WORDS, "a worker has four claim words");
    this.#words = words;
    this.#leaseOf = leaseOf;
  }

  /** Hot path: say that the task is being started. False: it has been recalled, and must not be. */
  mayStart(lease: Claimed, sequence: number): boolean {
    if (sequence <= lease.recalledUpTo) return false;
    const words = this.#words;
    if (words[LEASE] !== lease.claim) Atomics.store(words, LEASE, lease.claim);
    Atomics.store(words, STARTED, sequence);
    const recalled = Atomics.load(words, RECALLED_LEASE);
    if (recalled === 0) return true;
    this.#see(recalled);
    return sequence > lease.recalledUpTo;
  }

  #see(recalled: number): void {
    const lease = this.#leaseOf(recalled);
    if (lease === undefined) return;
    lease.recalledUpTo = Math.max(lease.recalledUpTo, Atomics.load(this.#words, RECALLED_UP_TO));
  }
}

export class RayletClaims {
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    assert(words.length === CLAIM_WORDS, "a worker has four claim words");
    this.#words = words;
  }

  /** A new worker takes the place of an old one. */
  reset(): void {
    for (let word = 0; word < CLAIM_WORDS; word++) Atomics.store(this.#words, word, 0);
  }

  /**
   * Recall what has not been started of a lease's pushes up to number `upTo`. The number up to which pushes may have been
   * started: those above it never will be. Undefined when the worker has started something of another lease: nothing is
   * known then.
   */
  recall(claim: number, upTo: number): number | undefined {
    const words = this.#words;
    if (Atomics.load(words, LEASE) !== claim) return undefined;
    Atomics.store(words, RECALLED_UP_TO, upTo);
    Atomics.store(words, RECALLED_LEASE, claim);
    const started = Atomics.load(words, STARTED);
    return Atomics.load(words, LEASE) === claim ? started : undefined;
  }
}
