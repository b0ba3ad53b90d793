/**
 * Asks processes to send every hold that they have taken so far. When one dies, its holds end only after the living processes of its job have sent theirs: one of them may have
 * received a ref from the dead process whose new hold is still under way. Each is asked to flush; connections keep
 * order, so the answer comes after every hold.
 */
import type { ProcessId, ProcessRef } from "../../base/ids.js";

interface Flush {
  readonly ended: () => void;
  readonly waitingFor: Set<ProcessId>;
}

export class HoldFlush {
  readonly #flushHolds: (to: ProcessRef, epoch: number) => void;
  readonly #flushes = new Map<number, Flush>();
  #nextEpoch = 1;

  constructor(flushHolds: (to: ProcessRef, epoch: number) => void) {
    this.#flushHolds = flushHolds;
  }

  /** `ended` is called once, when each of the living has answered or died: within this call if there is none. */
  begin(living: readonly ProcessRef[], ended: () => void): void {
    const epoch = this.#nextEpoch++;
    const waitingFor = new Set(living.map((process) => process.processId));
    this.#flushes.set(epoch, { ended, waitingFor });
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

  #endIfDone(epoch: number): void {
    const flush = this.#flushes.get(epoch);
    if (flush === undefined || flush.waitingFor.size > 0) return;
    this.#flushes.delete(epoch);
    flush.ended();
  }
}
