/**
 * A growable byte buffer, reused from one encoding to the next.
 *
 * Large binary data is not copied into it. It is listed in `outOfBand` with the place where it belongs, and whoever
 * sends or stores the value writes it from the user's memory straight to its destination.
 */
import { assert } from "../../base/assert.js";
import { ObjectTooLargeError } from "../../errors.js";
import { MAX_BUFFER_BYTES, MAX_VALUE_BYTES, OUT_OF_BAND_FROM, paddingAt } from "./limits.js";

export interface OutOfBand {
  /** Position in the writer's own bytes in front of which the data belongs. */
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A place to return to when what was written after it turns out not to be encodable. */
export interface WriterMark {
  readonly position: number;
  readonly pieces: number;
  readonly outOfBandBytes: number;
}

const INITIAL_BYTES = 8 * 1024;
/** What a buffer must still have room for to be worth going on with. */
const ROOM_BYTES = 256;
/** A buffer that grew beyond this is not kept for the next encoding. */
const KEEP_BYTES = 1024 * 1024;

export class ValueWriter {
  /** Only the first `position` bytes mean anything. Replaced when it grows: do not keep it across an `ensure`. */
  buffer: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  /** The same bytes: V8 writes a number through a DataView in 2 ns, Node's Buffer methods take 19 ns. */
  view = new DataView(this.buffer.buffer);
  position = 0;
  /** Large data in order, still in the user's memory. */
  outOfBand: OutOfBand[] = [];
  /** Data of at least this many bytes goes out of band; Infinity keeps everything in the buffer. */
  readonly outOfBandFrom: number;
  #outOfBandBytes = 0;
  /** Where the value that is being written began, counted like `size`. */
  #start = 0;
  #busy = false;

  constructor(outOfBandFrom: number = OUT_OF_BAND_FROM) {
    this.outOfBandFrom = outOfBandFrom;
  }

  /** Bytes written so far, those out of band included. */
  get size(): number {
    return this.position + this.#outOfBandBytes;
  }

  /** True while a value is being encoded. User code that runs meanwhile (getters) must not write here. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Begin a value. Returns where, to go back there if it cannot be encoded. */
  begin(): WriterMark {
    assert(!this.#busy, "user code that runs while a value is encoded does not write to the same writer");
    this.#busy = true;
    this.#start = this.size;
    return this.mark();
  }

  end(): void {
    this.#busy = false;
  }

  /** Make room for `count` more bytes in the buffer. */
  ensure(count: number): void {
    if (this.position + count > this.buffer.length) this.#grow(count);
  }

  byte(value: number): void {
    this.ensure(1);
    this.buffer[this.position++] = value;
  }

  /** LEB128. Bit operations up to 31 bits, arithmetic above. */
  varint(value: number): void {
    this.ensure(8);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.position++] = (rest & 0x7f) | 0x80;
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.buffer[this.position++] = rest;
  }

  /** Copy bytes, or list them if they are many. */
  append(bytes: Uint8Array): void {
    if (bytes.length >= this.outOfBandFrom) {
      this.refuseMore(bytes.length);
      this.outOfBand.push({ at: this.position, bytes });
      this.#outOfBandBytes += bytes.length;
      return;
    }
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** @throws ObjectTooLargeError if that many more bytes of one value are above the limit. */
  refuseMore(count: number): void {
    const size = this.size - this.#start + count;
    if (size <= MAX_VALUE_BYTES) return;
    const [needed, limit] = [size, MAX_VALUE_BYTES].map((bytes) => bytes.toLocaleString("en-US"));
    throw new ObjectTooLargeError(`needs at least ${needed} bytes, and a value may have ${limit}`);
  }

  /** Zeros up to a multiple of ALIGNMENT, counted from the head that the value has in a store. */
  align(): void {
    const count = paddingAt(this.size - this.#start);
    this.ensure(count);
    this.buffer.fill(0, this.position, this.position + count);
    this.position += count;
  }

  /** Everything written, in order. Stretches of the buffer are valid until the writer is used again. */
  pieces(): Uint8Array[] {
    return piecesOf(this.buffer, 0, this.position, this.outOfBand);
  }

  mark(): WriterMark {
    return { position: this.position, pieces: this.outOfBand.length, outOfBandBytes: this.#outOfBandBytes };
  }

  rollBack(mark: WriterMark): void {
    this.position = mark.position;
    if (this.outOfBand.length > mark.pieces) this.outOfBand.length = mark.pieces;
    this.#outOfBandBytes = mark.outOfBandBytes;
  }

  /** Begin anew. Lets go of the user's buffers and of an unusually large buffer of its own. */
  reset(): void {
    assert(!this.#busy, "a writer is not reset while it encodes");
    this.position = 0;
    // Setting the length of an array takes 40 ns, also if it is 0 already.
    if (this.outOfBand.length > 0) this.outOfBand.length = 0;
    this.#outOfBandBytes = 0;
    if (this.buffer.length > KEEP_BYTES) this.#use(Buffer.allocUnsafeSlow(INITIAL_BYTES));
  }

  /**
   * Begin a new value, and never touch again what has been written: its bytes now belong to an encoded value.
   * Small values follow one another in one buffer, so that encoding one allocates no memory for its bytes.
   */
  handOver(): void {
    assert(!this.#busy, "a writer is not handed over while it encodes");
    if (this.outOfBand.length > 0) this.outOfBand = [];
    this.#outOfBandBytes = 0;
    const isUsedUp = this.buffer.length > INITIAL_BYTES || this.position > INITIAL_BYTES - ROOM_BYTES;
    if (!isUsedUp) return;
    this.position = 0;
    this.#use(Buffer.allocUnsafeSlow(INITIAL_BYTES));
  }

  #grow(count: number): void {
    this.refuseMore(count);
    const needed = this.position + count;
    const grown =
      needed > MAX_BUFFER_BYTES
        ? undefined
        : tryToAllocate(Math.min(Math.max(2 * this.buffer.length, needed), MAX_BUFFER_BYTES));
    if (grown === undefined)
      throw new ObjectTooLargeError(`needs a buffer of ${needed.toLocaleString("en-US")} bytes, which cannot be had`);
    grown.set(this.buffer.subarray(0, this.position));
    this.#use(grown);
  }

  #use(buffer: Buffer): void {
    this.buffer = buffer;
    this.view = new DataView(buffer.buffer);
  }
}

function tryToAllocate(size: number): Buffer | undefined {
  try {
    return Buffer.allocUnsafeSlow(size);
  } catch {
    return undefined; // the system has no such memory
  }
}

/** The bytes of [start, end) in order: stretches of the buffer and the data that belongs between them, uncopied. */
export function piecesOf(buffer: Buffer, start: number, end: number, outOfBand: readonly OutOfBand[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let from = start;
  for (const { at, bytes } of outOfBand) {
    if (at > from) pieces.push(buffer.subarray(from, at));
    pieces.push(bytes);
    from = at;
  }
  if (end > from) pieces.push(buffer.subarray(from, end));
  return pieces;
}
