/** The transfer of one object from all that have it: what the plan of its ranges says, done on connections. */
import { MULTI_SOURCE_BYTES, REPLACED_STALL_MS, TRANSFER_STALL_MS } from "../base/limits.js";
import { RangePlan } from "../core/transfer/range-plan.js";
import { ConnectionError, ObjectLostError } from "../errors.js";
import type { Address } from "./address.js";
import type { Arena } from "./arena.js";
import type { Order } from "./pull-connection.js";

/** An object to pull. */
export interface PullJob {
  readonly objectId: string;
  readonly sizeBytes: number;
  /** Nodes that have it, the best first. */
  readonly sources: readonly Address[];
  /** How many of them give at the same time, if the object is large. The others take over from those that fail. */
  readonly width: number;
  /** Where it goes: a block that is the caller's alone until the pull has ended. */
  readonly arena: Arena;
  readonly offset: number;
  /** Bytes of it are in their place, and right. */
  readonly arrived?: (from: number, end: number) => void;
  /** A node has failed that gives nothing for this long; shorter where another can take over. For tests. */
  readonly stallMs?: number;
}

/** One range under way. Cancelled, it writes nothing any more; the end is told in either case. */
export interface RangePull {
  readonly ended: Promise<void>;
  cancel(): void;
}

export class ObjectPull {
  readonly #job: PullJob;
  readonly #begin: (address: Address, order: Order) => RangePull;
  readonly #plan: RangePlan;
  readonly #running = new Map<number, RangePull>();
  /** Why there is no whole object. */
  #error: Error | undefined;
  #settle: (error?: Error) => void = () => {};

  constructor(job: PullJob, begin: (address: Address, order: Order) => RangePull) {
    this.#job = job;
    this.#begin = begin;
    const width = job.sizeBytes > MULTI_SOURCE_BYTES ? job.width : 1;
    this.#plan = new RangePlan(job.sizeBytes, job.sources.length, width);
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error));
      this.#advance();
    });
  }

  #advance(): void {
    for (let next = this.#plan.next(); next !== undefined; next = this.#plan.next()) {
      if (next.replaces !== undefined) this.#cancel(next.replaces);
      this.#start(next.source, next.from, next.end);
    }
    if (this.#plan.isDone) this.#settle();
    else if (this.#plan.isStuck) this.#settle(this.#error);
  }

  #start(source: number, from: number, end: number): void {
    const { objectId, sizeBytes, sources, arena, offset, stallMs, arrived } = this.#job;
    let at = from;
    const running = this.#begin(sources[source] as Address, {
      objectId,
      sizeBytes,
      from,
      end,
      arena,
      offset,
      stallMs: stallMs ?? (this.#plan.hasReserve ? REPLACED_STALL_MS : TRANSFER_STALL_MS),
      arrived: (bytes) => {
        this.#plan.arrived(source, bytes);
        arrived?.(at, at + bytes);
        at += bytes;
      },
    });
    this.#running.set(source, running);
    const ended = (error?: Error) => {
      if (this.#running.get(source) !== running) return; // another has its range
      this.#running.delete(source);
      if (error === undefined) this.#plan.completed(source);
      else this.#fail(source, error);
      this.#advance();
    };
    running.ended.then(
      () => ended(),
      (error: unknown) => ended(error instanceof Error ? error : new ConnectionError(String(error))),
    );
  }

  #cancel(source: number): void {
    const running = this.#running.get(source);
    this.#running.delete(source);
    running?.cancel();
  }

  /** That a node does not have it says less than that one could not be asked. */
  #fail(source: number, error: Error): void {
    this.#plan.failed(source);
    if (this.#error === undefined || !(error instanceof ObjectLostError)) this.#error = error;
  }
}
