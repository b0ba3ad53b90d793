/**
 * The plan of one object's transfer: which bytes are fetched from which replica.
 *
 *     open ──▶ under way at a source ──▶ arrived
 *       ▲               │
 *       └───────────────┘  its source failed, or is much slower than another: the rest is open again
 *
 * A large object comes in ranges from several replicas at the same time; whoever is done with a range takes the next, so
 * that a fast replica gives more. A replica that fails is asked no more, and another goes on at the byte where it stopped.
 *
 * Decides: who gives which range, and who is too slow.
 * Does not know: bytes, sockets, time. Slow is who gave less than a part of what another gave meanwhile.
 */
import { assert } from "../../base/assert.js";
import { MIN_TAKE_OVER_BYTES, SLOW_REPLICA_FACTOR, TRANSFER_RANGE_BYTES } from "../../base/limits.js";

export interface Assignment {
  /** The source's place in the list. */
  readonly source: number;
  readonly from: number;
  readonly end: number;
  /** The source whose rest this is; it is asked no more, and nothing that it still sends counts. */
  readonly replaces: number | undefined;
}

interface Range {
  readonly from: number;
  readonly end: number;
}

interface Source {
  state: "idle" | "busy" | "gone";
  /** What it is giving: arrived up to `at`. */
  from: number;
  at: number;
  end: number;
  /** All that it has given. */
  total: number;
  /** What others, busy then, had given when its last range began. */
  readonly marks: Map<Source, number>;
}

export class RangePlan {
  readonly #sizeBytes: number;
  readonly #width: number;
  readonly #sources: Source[];
  readonly #open: Range[];
  #arrivedBytes = 0;

  /** `width` sources at most give at the same time, the first in the list first; the others are there in reserve. */
  constructor(sizeBytes: number, sources: number, width: number) {
    assert(sources > 0 && width > 0, "a transfer has a source");
    this.#sizeBytes = sizeBytes;
    this.#width = width;
    this.#sources = Array.from({ length: sources }, () => newSource());
    this.#open = [{ from: 0, end: sizeBytes }];
  }

  /** Something to fetch now, or undefined when nothing is to be begun. */
  next(): Assignment | undefined {
    const open = this.#open[0];
    if (open === undefined) return this.#takeOver();
    const idle = this.#sources.find((source) => source.state === "idle");
    if (idle === undefined || this.#count("busy") >= this.#width) return undefined;
    this.#open.shift();
    const isAlone = this.#width === 1 || this.#count("gone") === this.#sources.length - 1;
    const end = isAlone ? open.end : Math.min(open.end, open.from + TRANSFER_RANGE_BYTES);
    if (end < open.end) this.#open.unshift({ from: end, end: open.end });
    return this.#assign(idle, { from: open.from, end }, undefined);
  }

  /** So many bytes of what this source gives have come, and are right. */
  arrived(source: number, bytes: number): void {
    const it = this.#busy(source);
    it.at += bytes;
    it.total += bytes;
    this.#arrivedBytes += bytes;
    assert(it.at <= it.end, "a source gives what it was asked for");
  }

  /** It has given all that it was asked for. */
  completed(source: number): void {
    const it = this.#busy(source);
    assert(it.at === it.end, "a range is complete when its bytes are there");
    it.state = "idle";
  }

  /** It gives nothing any more; the bytes that have arrived stay. */
  failed(source: number): void {
    this.#giveUp(this.#busy(source));
  }

  get isDone(): boolean {
    return this.#open.length === 0 && this.#count("busy") === 0;
  }

  /** Something is missing, and nobody is left to give it. */
  get isStuck(): boolean {
    return this.#open.length > 0 && this.#count("gone") === this.#sources.length;
  }

  /** Whether another source could take over from one that gives nothing. */
  get hasReserve(): boolean {
    return this.#sources.length - this.#count("gone") > 1;
  }

  check(): void {
    const ranges = [...this.#open];
    for (const { state, at, end } of this.#sources) if (state === "busy") ranges.push({ from: at, end });
    ranges.sort((a, b) => a.from - b.from || a.end - b.end);
    let last = 0;
    let missing = 0;
    for (const { from, end } of ranges) {
      assert(from >= last && end >= from, "no byte is fetched twice");
      last = end;
      missing += end - from;
    }
    assert(missing + this.#arrivedBytes === this.#sizeBytes, "every byte has arrived, is under way or open");
    assert(this.#count("busy") <= this.#width, "only so many sources give at the same time");
  }

  /** Nothing is open: an idle source helps out one that is much slower. */
  #takeOver(): Assignment | undefined {
    for (const idle of this.#sources) {
      if (idle.state !== "idle") continue;
      const gave = idle.end - idle.from;
      for (const [slow, mark] of idle.marks) {
        const isSlow = (slow.total - mark) * SLOW_REPLICA_FACTOR < gave;
        if (slow.state !== "busy" || !isSlow || slow.end - slow.at < MIN_TAKE_OVER_BYTES) continue;
        const rest = { from: slow.at, end: slow.end };
        slow.state = "gone";
        return this.#assign(idle, rest, this.#sources.indexOf(slow));
      }
    }
    return undefined;
  }

  #assign(source: Source, { from, end }: Range, replaces: number | undefined): Assignment {
    source.state = "busy";
    source.from = from;
    source.at = from;
    source.end = end;
    source.marks.clear();
    for (const other of this.#sources) {
      if (other !== source && other.state === "busy") source.marks.set(other, other.total);
    }
    return { source: this.#sources.indexOf(source), from, end, replaces };
  }

  #giveUp(source: Source): void {
    source.state = "gone";
    const isRest = source.at < source.end || this.#sizeBytes === 0;
    if (isRest) this.#open.unshift({ from: source.at, end: source.end });
  }

  #busy(source: number): Source {
    const it = this.#sources[source];
    assert(it !== undefined && it.state === "busy", "only a source that was asked gives");
    return it;
  }

  #count(state: Source["state"]): number {
    return this.#sources.filter((source) => source.state === state).length;
  }
}

function newSource(): Source {
  return { state: "idle", from: 0, at: 0, end: 0, total: 0, marks: new Map() };
}
