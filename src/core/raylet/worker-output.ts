/**
 * What the workers of a node write, on its way to the drivers of their jobs.
 *
 *     written ──▶ kept for OUTPUT_DELAY_MS ──▶ under way in a batch ── outputShown ──▶ gone
 *        └──▶ dropped and counted, while too much is kept
 *
 * Decides: what is sent together, and what is dropped. One batch of a job is under way at a time, so a driver that is
 * slow costs nobody memory: neither this node nor the head. After the first dropped line of a job all are dropped until
 * what is kept has left; so the count stands where the lines are missing.
 * Does not know: how lines are shown.
 *
 * Invariant: I-07 what is kept is bounded, for each job and in all.
 */
import { assert } from "../../base/assert.js";
import { Deque } from "../../base/deque.js";
import type { JobId } from "../../base/ids.js";
import {
  MAX_OUTPUT_BATCH_BYTES,
  MAX_OUTPUT_BATCH_LINES,
  MAX_OUTPUT_BYTES,
  MAX_OUTPUT_BYTES_PER_JOB,
  OUTPUT_DELAY_MS,
} from "../../base/limits.js";
import type { OutputLine } from "../../protocol/messages.js";

export interface OutputBatch {
  readonly jobId: JobId;
  readonly sequence: number;
  readonly lines: readonly OutputLine[];
  /** Lines after these that were dropped. */
  readonly dropped: number;
}

export interface WorkerOutputPort {
  /** To the driver of the job; `shown` follows, or `jobEnded`. */
  send(batch: OutputBatch): void;
  /** Call `flush` after this time. */
  wakeUpAfter(delayMs: number): void;
}

interface JobOutput {
  readonly kept: Deque<OutputLine>;
  keptBytes: number;
  dropped: number;
  /** The batch that is under way. */
  underWay: number | undefined;
  readonly whenShown: (() => void)[];
}

/** What a line costs beside its text: an object and its place in a queue. */
const LINE_BYTES = 100;

export class WorkerOutput {
  readonly #port: WorkerOutputPort;
  readonly #jobs = new Map<JobId, JobOutput>();
  #keptBytes = 0;
  #nextSequence = 1;
  #waking = false;

  constructor(port: WorkerOutputPort) {
    this.#port = port;
  }

  /** A worker of the job wrote a line. */
  add(jobId: JobId, line: OutputLine): void {
    const job = this.#jobs.get(jobId) ?? this.#begin(jobId);
    const bytes = sizeOf(line);
    const isFull = job.keptBytes + bytes > MAX_OUTPUT_BYTES_PER_JOB || this.#keptBytes + bytes > MAX_OUTPUT_BYTES;
    if (job.dropped > 0 || isFull) job.dropped++;
    else this.#keep(job, line, bytes);
    if (this.#waking || job.underWay !== undefined) return;
    this.#waking = true;
    this.#port.wakeUpAfter(OUTPUT_DELAY_MS);
  }

  /** The batch has been shown, or nobody wants it: the next may leave. */
  shown(jobId: JobId, sequence: number): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined || job.underWay !== sequence) return;
    job.underWay = undefined;
    this.#sendNext(jobId, job);
  }

  /** What may leave now, leaves: the delay is over, or a worker ended. */
  flush(): void {
    this.#waking = false;
    for (const [jobId, job] of [...this.#jobs]) if (job.underWay === undefined) this.#sendNext(jobId, job);
  }

  /** Call back when everything that the job's workers wrote so far has been shown. */
  whenShown(jobId: JobId, done: () => void): void {
    const job = this.#jobs.get(jobId);
    if (job === undefined) return done();
    job.whenShown.push(done);
    if (job.underWay === undefined) this.#sendNext(jobId, job);
  }

  /** Nobody is there any more to be shown anything. */
  jobEnded(jobId: JobId): void {
    const job = this.#jobs.get(jobId);
    if (job !== undefined) this.#end(jobId, job);
  }

  check(): void {
    let bytes = 0;
    for (const job of this.#jobs.values()) {
      assert(job.keptBytes <= MAX_OUTPUT_BYTES_PER_JOB, "kept output of a job is bounded");
      bytes += job.keptBytes;
    }
    assert(bytes === this.#keptBytes, "bytes of kept output add up");
    assert(bytes <= MAX_OUTPUT_BYTES, "kept output is bounded");
  }

  #begin(jobId: JobId): JobOutput {
    const job: JobOutput = { kept: new Deque(), keptBytes: 0, dropped: 0, underWay: undefined, whenShown: [] };
    this.#jobs.set(jobId, job);
    return job;
  }

  #keep(job: JobOutput, line: OutputLine, bytes: number): void {
    job.kept.push(line);
    job.keptBytes += bytes;
    this.#keptBytes += bytes;
  }

  #sendNext(jobId: JobId, job: JobOutput): void {
    const lines = this.#take(job);
    const dropped = job.kept.length === 0 ? job.dropped : 0;
    if (lines.length === 0 && dropped === 0) return this.#end(jobId, job);
    job.dropped -= dropped;
    job.underWay = this.#nextSequence++;
    this.#port.send({ jobId, sequence: job.underWay, lines, dropped });
  }

  /** The first line always; more as long as there is room in a batch. */
  #take(job: JobOutput): OutputLine[] {
    const lines: OutputLine[] = [];
    let bytes = 0;
    for (let line = job.kept.peek(); line !== undefined; line = job.kept.peek()) {
      bytes += sizeOf(line);
      const isFull = bytes > MAX_OUTPUT_BATCH_BYTES || lines.length === MAX_OUTPUT_BATCH_LINES;
      if (isFull && lines.length > 0) break;
      job.kept.shift();
      lines.push(line);
      job.keptBytes -= sizeOf(line);
      this.#keptBytes -= sizeOf(line);
    }
    return lines;
  }

  #end(jobId: JobId, job: JobOutput): void {
    this.#jobs.delete(jobId);
    this.#keptBytes -= job.keptBytes;
    for (const done of job.whenShown) done();
  }
}

function sizeOf({ name, text }: OutputLine): number {
  return LINE_BYTES + 2 * (name.length + text.length);
}
