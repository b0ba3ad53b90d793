/**
 * Asks processes to send every hold that they have taken so far. When one dies, its holds end only after the living
 * processes of its job have sent theirs, and the actors of other jobs that it could call: one of them may have received a
 * ref from the dead process whose new hold is still under way, or has not read the ref yet. (To whom it answered, the
 * object table holds what the result names.) When a driver dies its own job ends with it, and is not asked. Each is
 * asked to flush, and answers when it has read what had come by its other connections; connections keep order, so the
 * answer comes after every hold.
 *
 * In the same way those who hold a lost object are asked for the spec of its task, which may be under way.
 *
 * A process in synchronous code answers late, perhaps in an hour. So long holds are kept. What does not end anything
 * waits for `HOLD_FLUSH_PATIENCE_MS` and no longer: what a process says goes out before what relies on it, so a silent
 * one has said what others know of it.
 */
import type { ProcessId, ProcessRef } from "../../base/ids.js";
import { HOLD_FLUSH_PATIENCE_MS } from "../../base/limits.js";

export interface FlushEvents {
  /** Called once: when each of the living has answered or died, at the latest when those who have not are given up. */
  heard(): void;
  /** Called once, after `heard`: when each of the living has answered or died. */
  ended(): void;
}

interface Flush {
  readonly events: FlushEvents;
  readonly sinceMs: number;
  readonly waitingFor: Set<ProcessId>;
  isHeard: boolean;
}

export class HoldFlush {
  readonly #flushHolds: (to: ProcessRef, epoch: number) => void;
  readonly #flushes = new Map<number, Flush>();
  #nextEpoch = 1;
  #nowMs = 0;

  constructor(flushHolds: (to: ProcessRef, epoch: number) => void) {
    this.#flushHolds = flushHolds;
  }

  /** Without anybody to ask, both events come within this call. */
  begin(living: readonly ProcessRef[], events: FlushEvents): void {
    const epoch = this.#nextEpoch++;
    const waitingFor = new Set(living.map((process) => process.processId));
    this.#flushes.set(epoch, { events, sinceMs: this.#nowMs, waitingFor, isHeard: false });
    for (const process of living) this.#flushHolds(process, epoch);
    this.#endIfDone(epoch);
  }

  /** Idempotent: a process leaves the set once. */
  flushed(process: ProcessId, epoch: number): void {
    this.#flushes.get(epoch)?.waitingFor.delete(process);
    this.#endIfDone(epoch);
  }

  died(process: ProcessId): void {
    for (const [epoch, flush] of [...this.#flushes]) {
      flush.waitingFor.delete(process);
      this.#endIfDone(epoch);
    }
  }

  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const flush of [...this.#flushes.values()]) {
      if (nowMs - flush.sinceMs >= HOLD_FLUSH_PATIENCE_MS) hear(flush);
    }
  }

  #endIfDone(epoch: number): void {
    const flush = this.#flushes.get(epoch);
    if (flush === undefined || flush.waitingFor.size > 0) return;
    this.#flushes.delete(epoch);
    hear(flush);
    flush.events.ended();
  }
}

function hear(flush: Flush): void {
  if (flush.isHeard) return;
  flush.isHeard = true;
  flush.events.heard();
}
