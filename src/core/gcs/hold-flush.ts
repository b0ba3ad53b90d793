/**
 * When a process dies, its holds end only after the living processes of its job have sent theirs: one of them may have
 * received a ref from the dead process whose new hold is still under way. Each is asked to flush; connections keep
 * order, so the answer comes after every hold.
 */
import type { ProcessId, ProcessRef } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";

export interface HoldFlushPort {
  flushHolds(to: ProcessRef, epoch: number): void;
  holdsEnded(process: ProcessId, reason: Failure): void;
}

interface Flush {
  readonly dead: ProcessId;
  readonly reason: Failure;
  readonly waitingFor: Set<ProcessId>;
}

export class HoldFlush {
  readonly #port: HoldFlushPort;
  readonly #flushes = new Map<number, Flush>();
  #nextEpoch = 1;

  constructor(port: HoldFlushPort) {
    this.#port = port;
  }

  begin(dead: ProcessId, reason: Failure, living: readonly ProcessRef[]): void {
    const epoch = this.#nextEpoch++;
    const waitingFor = new Set(living.map((process) => process.processId));
    this.#flushes.set(epoch, { dead, reason, waitingFor });
    for (const process of living) this.#port.flushHolds(process, epoch);
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
    this.#port.holdsEnded(flush.dead, flush.reason);
  }
}
