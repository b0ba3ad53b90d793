/**
 * Ladders of processes that have ended: kept beside the raylet's own for a while, so that `mobula trace` can show what
 * a finished driver did.
 *
 * Invariant: I-07 what is kept is bounded, in bytes and in time; the oldest goes first.
 */
import { assert } from "../../base/assert.js";
import type { JobId, ProcessId } from "../../base/ids.js";
import { KEPT_LADDERS_MS, MAX_KEPT_LADDERS_BYTES } from "../../base/limits.js";
import type { JourneyRecord } from "../journey.js";

interface Kept {
  /** Arrays of journey records, separated by commas, as their processes wrote them: nobody reads most of them. */
  readonly json: string;
  readonly sinceMs: number;
}

export class KeptLadders {
  /** By whose they are, a driver's process or the workers of a job; oldest first. What is said twice replaces itself. */
  readonly #kept = new Map<ProcessId | JobId, Kept>();
  #bytes = 0;

  keep(whose: ProcessId | JobId, json: string, nowMs: number): void {
    this.#drop(whose);
    if (json.length > MAX_KEPT_LADDERS_BYTES) return;
    this.#kept.set(whose, { json, sinceMs: nowMs });
    this.#bytes += json.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_KEPT_LADDERS_BYTES) return;
      this.#drop(oldest);
    }
  }

  /** Those about a subject, as JSON arrays. */
  about(subject: string): string[] {
    if (subject.startsWith("#")) return []; // a question that is not about journeys
    const all = [...this.#kept.values()];
    if (subject === "") return all.map(({ json }) => json);
    return all.map(({ json }) => {
      const records = (JSON.parse(`[${json}]`) as JourneyRecord[][]).flat();
      return JSON.stringify(records.filter((record) => record.subject.startsWith(subject)));
    });
  }

  tick(nowMs: number): void {
    for (const [whose, { sinceMs }] of this.#kept) {
      if (nowMs - sinceMs < KEPT_LADDERS_MS) return;
      this.#drop(whose);
    }
  }

  check(): void {
    assert(this.#bytes <= MAX_KEPT_LADDERS_BYTES, "kept ladders are bounded");
  }

  #drop(whose: ProcessId | JobId): void {
    this.#bytes -= this.#kept.get(whose)?.json.length ?? 0;
    this.#kept.delete(whose);
  }
}
