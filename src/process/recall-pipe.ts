/**
 * The pipe by which a raylet asks the second thread of a worker to recall pushes, where they share no memory. Requests and
 * answers of fixed size, one answer for each request, in order.
 *
 *     request   u32 lease, by its number in the claim words · u32 up to which push
 *     answer    i32 the number that may have been started last; -1: nothing is known
 */
import type { Duplex } from "node:stream";
import { MAX_RECALLS_PER_WORKER } from "../base/limits.js";

/** Where the child finds its end, behind stdin, stdout, stderr and the IPC channel. */
export const RECALL_FD = 4;
const REQUEST_BYTES = 8;
const ANSWER_BYTES = 4;

export interface RecallThreadData {
  readonly words: SharedArrayBuffer;
  readonly fd: number;
}

/** Cuts a stream into pieces of one size; a piece may come in several chunks. */
class Pieces {
  readonly #bytes: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  push(chunk: Uint8Array, take: (piece: Buffer) => void): void {
    let rest = Buffer.concat([this.#rest, chunk]);
    for (; rest.length >= this.#bytes; rest = rest.subarray(this.#bytes)) take(rest);
    this.#rest = rest;
  }
}

/** The thread's side. */
export class RecallRequests {
  readonly #pieces = new Pieces(REQUEST_BYTES);
  readonly #handle: (claim: number, upTo: number) => void;

  constructor(handle: (claim: number, upTo: number) => void) {
    this.#handle = handle;
  }

  push(chunk: Uint8Array): void {
    this.#pieces.push(chunk, (piece) => this.#handle(piece.readUInt32LE(0), piece.readUInt32LE(4)));
  }
}

export function recallAnswer(started: number | undefined): Uint8Array {
  const bytes = Buffer.alloc(ANSWER_BYTES);
  bytes.writeInt32LE(started ?? -1);
  return bytes;
}

/** The raylet's side. */
export class RecallPipe {
  readonly #pipe: Duplex;
  readonly #pieces = new Pieces(ANSWER_BYTES);
  readonly #asked: ((started: number | undefined) => void)[] = [];

  constructor(pipe: Duplex) {
    this.#pipe = pipe;
    pipe.on("data", (chunk: Uint8Array) =>
      this.#pieces.push(chunk, (piece) => {
        const started = piece.readInt32LE(0);
        this.#asked.shift()?.(started < 0 ? undefined : started);
      }),
    );
    pipe.on("error", () => pipe.destroy()); // the worker is gone: its exit says so
  }

  /** `done` is called later; not at all when the worker ends, or when too much has been asked already. */
  recall(claim: number, upTo: number, done: (started: number | undefined) => void): void {
    if (this.#asked.length >= MAX_RECALLS_PER_WORKER || this.#pipe.destroyed) return;
    this.#asked.push(done);
    const bytes = Buffer.alloc(REQUEST_BYTES);
    bytes.writeUInt32LE(claim, 0);
    bytes.writeUInt32LE(upTo, 4);
    this.#pipe.write(bytes);
  }
}
