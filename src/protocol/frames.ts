/**
 * Frames: how messages are cut out of a stream of bytes.
 *
 *     u32 length | u8 type | body            length counts the type and the body; little-endian
 *
 * The splitter decides where a frame begins and ends, and refuses a length before it reserves a byte for it. It does
 * not know what the types mean. Millions of small frames pass through it each second, so it hands out the place of a
 * frame inside the received chunk and makes no object per frame; only a frame that spans chunks is copied together.
 */
import { assert } from "../base/assert.js";
import type { ByteWriter } from "../base/bytes.js";
import { ProtocolError } from "../errors.js";

const LENGTH_BYTES = 4;
export const FRAME_HEADER_BYTES = LENGTH_BYTES + 1;
/** The splitter keeps this much memory between frames that span chunks; a larger one is given back after its frame. */
const KEPT_BYTES = 64 * 1024;

/** Takes one frame: its body is `bytes[start, end)`, and stays valid only during the call. */
export type FrameHandler = (type: number, bytes: Uint8Array, start: number, end: number) => void;

/** Write the header of a frame; the length follows in `endFrame`, which is given the position returned here. */
export function beginFrame(writer: ByteWriter, type: number): number {
  const at = writer.length;
  writer.ensure(FRAME_HEADER_BYTES);
  writer.bytes[at + LENGTH_BYTES] = type;
  writer.length = at + FRAME_HEADER_BYTES;
  return at;
}

/** Complete the frame that begins at `at`: its body is what was written since then, and `more` bytes sent behind it. */
export function endFrame(writer: ByteWriter, at: number, more = 0): void {
  writer.view.setUint32(at, writer.length - at - LENGTH_BYTES + more, true);
}

export class FrameSplitter {
  /** The largest frame (type and body) this side accepts now. May be changed between frames, also by the handler. */
  limitBytes: number;
  readonly #onFrame: FrameHandler;
  /** The beginning of a frame whose rest has not arrived: `#partial[0, #have)`, the length included. */
  #partial = new Uint8Array(0);
  #have = 0;
  #stopped = false;
  #delivering = false;

  constructor(limitBytes: number, onFrame: FrameHandler) {
    this.limitBytes = limitBytes;
    this.#onFrame = onFrame;
  }

  /** Bytes of an unfinished frame that wait for the rest. */
  get pendingBytes(): number {
    return this.#have;
  }

  /** Deliver no further frame, not even one of the chunk at hand: the handler has closed the connection. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Deliver every frame that this chunk completes. Returns how many bytes of it were used: all, unless the handler
   * has called `stop()`; then the bytes behind that frame are left.
   *
   * @throws ProtocolError on a forbidden length, or whatever the handler throws. The splitter is stopped then.
   */
  push(chunk: Uint8Array): number {
    assert(!this.#delivering, "a frame handler does not push into its own splitter");
    this.#delivering = true;
    try {
      return this.#split(chunk);
    } catch (error) {
      this.#stopped = true;
      throw error;
    } finally {
      this.#delivering = false;
    }
  }

  #split(chunk: Uint8Array): number {
    let at = this.#have === 0 ? 0 : this.#completePartial(chunk);
    while (chunk.length - at >= LENGTH_BYTES && !this.#stopped) {
      const end = at + LENGTH_BYTES + this.#lengthAt(chunk, at);
      if (end > chunk.length) break;
      this.#onFrame(chunk[at + LENGTH_BYTES] as number, chunk, at + FRAME_HEADER_BYTES, end);
      at = end;
    }
    if (this.#stopped) return at;
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
    return chunk.length;
  }

  /** Feed the unfinished frame from the chunk's beginning; returns how much of the chunk it took. */
  #completePartial(chunk: Uint8Array): number {
    let at = 0;
    if (this.#have < LENGTH_BYTES) {
      at = Math.min(LENGTH_BYTES - this.#have, chunk.length);
      this.#keep(chunk, 0, at);
      if (this.#have < LENGTH_BYTES) return at;
    }
    const total = LENGTH_BYTES + this.#lengthAt(this.#partial, 0);
    const until = Math.min(at + total - this.#have, chunk.length);
    this.#keep(chunk, at, until);
    if (this.#have < total) return until;

    const frame = this.#partial;
    this.#have = 0;
    if (frame.length > KEPT_BYTES) this.#partial = new Uint8Array(0);
    this.#onFrame(frame[LENGTH_BYTES] as number, frame, FRAME_HEADER_BYTES, total);
    return until;
  }

  /** Append to the unfinished frame. Memory grows with the bytes that came, never with the length a peer claims. */
  #keep(chunk: Uint8Array, start: number, end: number): void {
    const have = this.#have + end - start;
    if (have > this.#partial.length) {
      const grown = new Uint8Array(Math.max(have, this.#partial.length * 2));
      grown.set(this.#partial.subarray(0, this.#have));
      this.#partial = grown;
    }
    this.#partial.set(start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end), this.#have);
    this.#have = have;
  }

  #lengthAt(bytes: Uint8Array, at: number): number {
    const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    const length = (low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)) >>> 0;
    if (length === 0 || length > this.limitBytes) {
      throw new ProtocolError(`a frame of ${length} bytes was announced; 1 to ${this.limitBytes} are allowed here`);
    }
    return length;
  }
}
