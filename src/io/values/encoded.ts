/** A value that has been encoded on its own, and its way to where it is to be. */
import type { Handle } from "./hooks.js";
import { type OutOfBand, piecesOf, type ValueWriter } from "./writer.js";

/** What an encoding names; the lists are empty for nearly every value. */
export interface Named {
  /** In order of appearance, for reference counting. */
  readonly handles: readonly Handle[];
  readonly classIds: readonly string[];
}

export interface EncodedValue extends Named {
  readonly sizeBytes: number;
  /** Write the whole value, out-of-band data included, into the first `sizeBytes` of the target. */
  writeTo(target: Uint8Array): void;
  /** All of it in one stretch that is never written to again; undefined when some of it is still the user's memory. */
  whole(): Buffer | undefined;
  /** The pieces in order, for one gathering write: small parts and the user's own buffers, uncopied. */
  pieces(): readonly Uint8Array[];
}

/** Up to here a loop copies faster than a native call, which takes about 100 ns. */
const LOOP_BYTES = 64;

export class Encoded implements EncodedValue {
  readonly sizeBytes: number;
  readonly handles: readonly Handle[];
  readonly classIds: readonly string[];
  readonly #buffer: Buffer;
  readonly #start: number;
  readonly #end: number;
  readonly #outOfBand: readonly OutOfBand[];

  /** What a writer holds from `start` on. */
  constructor(writer: ValueWriter, start: number, named: Named) {
    this.sizeBytes = writer.size - start;
    this.handles = named.handles;
    this.classIds = named.classIds;
    this.#buffer = writer.buffer;
    this.#start = start;
    this.#end = writer.position;
    this.#outOfBand = writer.outOfBand;
  }

  writeTo(target: Uint8Array): void {
    const size = this.sizeBytes;
    if (size <= LOOP_BYTES) {
      for (let i = 0; i < size; i++) target[i] = this.#buffer[this.#start + i] as number;
      return;
    }
    let at = 0;
    for (const piece of this.pieces()) {
      target.set(piece, at);
      at += piece.length;
    }
  }

  whole(): Buffer | undefined {
    return this.#outOfBand.length > 0 ? undefined : this.#buffer.subarray(this.#start, this.#end);
  }

  pieces(): readonly Uint8Array[] {
    return piecesOf(this.#buffer, this.#start, this.#end, this.#outOfBand);
  }
}
