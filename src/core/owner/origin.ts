/**
 * From which line of user code an object comes.
 *
 * A stack costs more than a small task, so it is looked at only where it pays: for what goes to the store. Nobody knows
 * beforehand whether a call's result will; so the first calls of each remote function are looked at, and all further
 * ones once a large result of it has gone to the store. What lies between has the line that was seen last.
 */
import type { ObjectId } from "../../base/ids.js";
import { MAX_INLINE_BYTES, MAX_KEPT_ORIGINS, MAX_SITES_SEEN_FIRST } from "../../base/limits.js";

/** A position in the code as it runs: source maps are read when somebody asks. Lines and columns from one. */
export interface Site {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Origin {
  /** `put()`, or the call whose result it is, such as `resize.remote()`. */
  readonly call: string;
  readonly site: Site;
  /** False: the line is another one of the same remote function's, the last that was looked at. */
  readonly exact: boolean;
}

/** An object, as far as its origin goes. */
interface Made {
  origin: Origin | undefined;
}

/** The origins of what one remote function or method makes, with the same options. */
export class CallOrigins {
  readonly call: string;
  readonly #siteNow: () => Site | undefined;
  #last: Site | undefined;
  /** Calls that will still be looked at. */
  left: number;

  constructor(call: string, siteNow: () => Site | undefined, always: boolean) {
    this.call = call;
    this.#siteNow = siteNow;
    this.left = always ? Number.POSITIVE_INFINITY : MAX_SITES_SEEN_FIRST;
  }

  /** A call is made now. Asked only while `left` is above zero: the caller's hot path. */
  note(results: readonly Made[]): void {
    this.left--;
    const site = this.#siteNow();
    if (site === undefined) return;
    this.#last = site;
    const origin = { call: this.call, site, exact: true };
    for (const entry of results) entry.origin = origin;
  }

  /** A result is in the store because it is large: from now on every call is looked at. */
  wasStored(entry: Made, sizeBytes: number): void {
    if (sizeBytes > MAX_INLINE_BYTES) this.left = Number.POSITIVE_INFINITY;
    this.guess(entry);
  }

  /** An object whose line was not looked at goes to the store, small as it may be: its ref leaves, or its owner is busy. */
  guess(entry: Made): void {
    if (entry.origin !== undefined || this.#last === undefined) return;
    entry.origin = { call: this.call, site: this.#last, exact: false };
  }
}

/**
 * Origins of objects that this process has let go: others may still hold them, and only their owner knows the line.
 * Invariant: I-07 bounded; the oldest is forgotten.
 */
export class KeptOrigins {
  readonly #origins = new Map<ObjectId, Origin>();

  keep(id: ObjectId, origin: Origin): void {
    this.#origins.set(id, origin);
    if (this.#origins.size <= MAX_KEPT_ORIGINS) return;
    const [oldest] = this.#origins.keys();
    if (oldest !== undefined) this.#origins.delete(oldest);
  }

  all(): IterableIterator<[ObjectId, Origin]> {
    return this.#origins.entries();
  }
}
