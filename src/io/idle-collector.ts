/**
 * Garbage collection on behalf of the store. A mapped array that user code has dropped keeps its block until V8 happens
 * to collect, and in an idle worker V8 never does: another's gigabyte would stay. So while there are mappings, garbage is
 * collected now and then: soon and only among the young after new mappings, later and rarely in full, and never for more
 * than about a hundredth of the time.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { processorMs } from "./processor-time.js";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** A collection is followed by this many times the processor time that it took of peace. */
const PEACE_FACTOR = 100;

/** Options by name are taken for `true` by the V8 of Node 20. */
type CollectGarbage = (onlyYoung?: boolean) => void;

let collect: CollectGarbage | undefined;

/** V8's own function, which it shows only to contexts that are made under this flag. */
function garbageCollector(): CollectGarbage {
  setFlagsFromString("--expose-gc");
  try {
    return runInNewContext("gc") as CollectGarbage;
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}

export class IdleCollector {
  readonly #isNeeded: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  /** Collections since the last new mapping. */
  #rounds = 0;
  #peaceUntilMs = 0;

  constructor(isNeeded: () => boolean) {
    this.#isNeeded = isNeeded;
  }

  /** Something new is mapped. */
  noteMapping(): void {
    if (this.#timer !== undefined && this.#rounds === 0) return;
    this.#rounds = 0;
    clearTimeout(this.#timer);
    this.#schedule();
  }

  #schedule(): void {
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** this.#rounds, LONGEST_DELAY_MS);
    const untilPeaceEndsMs = this.#peaceUntilMs - performance.now();
    this.#timer = setTimeout(() => this.#run(), Math.max(delayMs, untilPeaceEndsMs)).unref();
  }

  #run(): void {
    this.#timer = undefined;
    if (!this.#isNeeded()) return;
    collect ??= garbageCollector();
    const isFirst = this.#rounds === 0;
    // Not by the clock: where others keep the processors busy, a collection of 10 ms may take a second, and peace minutes.
    const costMs = processorMs(() => (isFirst ? collect?.(true) : collect?.()));
    this.#peaceUntilMs = performance.now() + PEACE_FACTOR * costMs;
    this.#rounds++;
    this.#schedule();
  }
}
