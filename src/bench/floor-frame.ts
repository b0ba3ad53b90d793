/**
 * The frames that the two processes of the floor exchange: 64 bytes each, decoded field by field and encoded anew at
 * both ends, as any task protocol has to.
 *
 *   0 u32 bytes that follow (60)   8 u32 id of the call          20 f64 argument or result
 *   4 u8  type                    12 u32 function               28 36 bytes that nobody reads
 *   5 u8  flags · 6 u16 arguments  16 u32 counter of the caller
 */
import type { Socket } from "node:net";

const FRAME_BYTES = 64;
const LENGTH_BYTES = 4;
/** More than are ever in flight, so a turn's frames always fit in one buffer. */
const MAX_FRAMES_PER_WRITE = 2_048;

export const CALL = 1;
export const REPLY = 2;
/** Asks the server for the CPU time it has used; answered with it in microseconds. */
export const CPU_REQUEST = 3;
export const CPU_REPLY = 4;

export type FrameHandler = (type: number, id: number, functionId: number, counter: number, value: number) => void;

/** Cuts what arrives into frames. A frame may be spread over several chunks. */
export class FrameReader {
  readonly #handle: FrameHandler;
  #rest: Uint8Array | undefined;

  constructor(handle: FrameHandler) {
    this.#handle = handle;
  }

  push(chunk: Uint8Array): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    for (; at + FRAME_BYTES <= bytes.byteLength; at += FRAME_BYTES) this.#decode(view, at);
    this.#rest = at < bytes.byteLength ? bytes.subarray(at) : undefined;
  }

  #decode(view: DataView, at: number): void {
    const length = view.getUint32(at, true);
    if (length !== FRAME_BYTES - LENGTH_BYTES) throw new RangeError(`a frame of the floor says it has ${length} bytes`);
    const argumentCount = view.getUint16(at + 6, true);
    if (argumentCount !== 1) throw new RangeError(`a frame of the floor says it has ${argumentCount} arguments`);
    this.#handle(
      view.getUint8(at + 4),
      view.getUint32(at + 8, true),
      view.getUint32(at + 12, true),
      view.getUint32(at + 16, true),
      view.getFloat64(at + 20, true),
    );
  }
}

/** Collects the frames of one turn of the event loop and sends them with one write. */
export class FrameWriter {
  readonly #socket: Socket;
  #view = newBuffer();
  #length = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  add(type: number, id: number, functionId: number, counter: number, value: number): void {
    const at = this.#length;
    this.#length = at + FRAME_BYTES;
    const view = this.#view;
    view.setUint32(at, FRAME_BYTES - LENGTH_BYTES, true);
    view.setUint8(at + 4, type);
    view.setUint8(at + 5, 0);
    view.setUint16(at + 6, 1, true);
    view.setUint32(at + 8, id, true);
    view.setUint32(at + 12, functionId, true);
    view.setUint32(at + 16, counter, true);
    view.setFloat64(at + 20, value, true);
    if (this.#length === MAX_FRAMES_PER_WRITE * FRAME_BYTES) this.flush();
  }

  flush(): void {
    if (this.#length === 0) return;
    this.#socket.write(new Uint8Array(this.#view.buffer, 0, this.#length));
    this.#length = 0;
    // What the kernel took at once may be written over; what it did not is still read from this buffer.
    if (this.#socket.writableLength > 0) this.#view = newBuffer();
  }
}

function newBuffer(): DataView<ArrayBuffer> {
  return new DataView(new ArrayBuffer(MAX_FRAMES_PER_WRITE * FRAME_BYTES));
}
