/**
 * One connection of the pulling side to a peer's store. It reads frames by itself instead of through a splitter, which
 * would have to put each piece together in memory before anybody could write it to the arena.
 */
import { ByteWriter } from "../base/bytes.js";
import { TRANSFER_CHUNK_BYTES, TRANSFER_IDLE_MS, TRANSFER_STALL_MS } from "../base/limits.js";
import { ConnectionError, ObjectLostError, ProtocolError } from "../errors.js";
import { beginFrame, endFrame, FRAME_HEADER_BYTES } from "../protocol/frames.js";
import type { Arena } from "./arena.js";
import type { Crc32 } from "./crc32.js";
import { deadline } from "./deadline.js";
import { DATA, FOUND, MISSING, PULL } from "./transfer-frames.js";
import type { Wire } from "./wire.js";

/** One object to pull: where its bytes go. */
export interface Order {
  readonly objectId: string;
  readonly size: number;
  readonly arena: Arena;
  readonly offset: number;
}

/** How many bytes follow the header of each frame before its payload. */
const FIXED_BYTES: Readonly<Record<number, number>> = { [FOUND]: 8, [MISSING]: 0, [DATA]: 4 };
const LONGEST_HEAD_BYTES = FRAME_HEADER_BYTES + 8;

export class PullConnection {
  /** Whether the peer has answered the present pull at all. */
  hasAnswered = false;
  readonly #wire: Wire;
  readonly #peer: string;
  readonly #crc32: Crc32;
  /** The header of the frame that comes in, and its fixed fields. */
  readonly #head = new Uint8Array(LONGEST_HEAD_BYTES);
  readonly #view = new DataView(this.#head.buffer);
  #headHave = 0;
  /** The piece that comes in: bytes to come, its checksum so far and as announced. */
  #pieceLeft = 0;
  #crc = 0;
  #crcAnnounced = 0;
  #order: Order | undefined;
  #received = 0;
  #settle: ((error?: Error) => void) | undefined;
  #onGone: (() => void) | undefined;
  #gone: Error | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(wire: Wire, peer: string, crc32: Crc32) {
    this.#wire = wire;
    this.#peer = peer;
    this.#crc32 = crc32;
    wire.receive = (chunk) => this.#receive(chunk);
    wire.socket.on("error", (cause) => this.destroy(this.#lost(cause.message, cause)));
    wire.socket.on("close", () => this.destroy(this.#lost("the peer closed it")));
    wire.socket.resume();
  }

  pull(order: Order): Promise<void> {
    clearTimeout(this.#idleTimer);
    this.#onGone = undefined;
    if (this.#gone !== undefined) return Promise.reject(this.#gone);
    this.#order = order;
    this.#received = 0;
    this.hasAnswered = false;
    const writer = new ByteWriter();
    const at = beginFrame(writer, PULL);
    writer.text(order.objectId);
    writer.f64(0);
    endFrame(writer, at);
    this.#wire.socket.write(writer.written());
    return new Promise((resolve, reject) => {
      const lift = this.#watchForStall();
      this.#settle = (error) => {
        lift();
        this.#settle = undefined;
        this.#order = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  /** Wait for the next pull, for a while. */
  rest(onGone: () => void): void {
    this.#onGone = onGone;
    this.#idleTimer = setTimeout(() => this.destroy(), TRANSFER_IDLE_MS).unref();
  }

  destroy(error?: Error): void {
    this.#gone ??= error ?? this.#lost("it was closed");
    clearTimeout(this.#idleTimer);
    this.#wire.release().destroy();
    this.#settle?.(this.#gone);
    this.#onGone?.();
  }

  #lost(why: string, cause?: Error): ConnectionError {
    return new ConnectionError(`the transfer connection to ${this.#peer} was lost: ${why}`, { cause });
  }

  /** Fail when the peer has sent nothing for a whole period. */
  #watchForStall(): () => void {
    let lift = () => {};
    let seen = -1;
    const watch = () => {
      if (this.#received === seen) return this.destroy(this.#lost(`nothing came for ${TRANSFER_STALL_MS} ms`));
      seen = this.#received;
      lift = deadline(TRANSFER_STALL_MS, watch);
    };
    watch();
    return () => lift();
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (let at = 0; at < chunk.length && this.#gone === undefined; ) {
        at += this.#pieceLeft > 0 ? this.#takePiece(chunk, at) : this.#takeHead(chunk, at);
      }
    } catch (error) {
      this.destroy(error instanceof Error ? error : new ConnectionError(String(error)));
    }
  }

  /** Gather a frame's header, then its fixed fields; returns how many bytes of the chunk it took. */
  #takeHead(chunk: Uint8Array, at: number): number {
    const order = this.#order;
    if (order === undefined) throw new ProtocolError(`${this.#peer} sent bytes that nobody asked for`);
    const fixed = this.#headHave < FRAME_HEADER_BYTES ? 0 : this.#fixedBytes();
    const taken = Math.min(FRAME_HEADER_BYTES + fixed - this.#headHave, chunk.length - at);
    this.#head.set(chunk.subarray(at, at + taken), this.#headHave);
    this.#headHave += taken;
    if (this.#headHave >= FRAME_HEADER_BYTES && this.#headHave === FRAME_HEADER_BYTES + this.#fixedBytes()) {
      this.#headHave = 0;
      this.hasAnswered = true;
      this.#takeFrame(order);
    }
    return taken;
  }

  get #type(): number {
    return this.#head[FRAME_HEADER_BYTES - 1] as number;
  }

  /** How much of the frame, whose header is there, comes before its payload. */
  #fixedBytes(): number {
    const fixed = FIXED_BYTES[this.#type];
    if (fixed !== undefined && this.#view.getUint32(0, true) >= 1 + fixed) return fixed;
    throw new ProtocolError(`${this.#peer} sent a frame of type ${this.#type} that is none of a transfer`);
  }

  /** A frame's header and fixed fields are complete. */
  #takeFrame(order: Order): void {
    const type = this.#type;
    const payload = this.#view.getUint32(0, true) - 1 - this.#fixedBytes();
    if (type === DATA) {
      if (payload < 1 || payload > TRANSFER_CHUNK_BYTES || this.#received + payload > order.size) {
        throw new ProtocolError(`${this.#peer} sent a piece of ${payload} bytes in a transfer of ${order.size}`);
      }
      this.#pieceLeft = payload;
      this.#crc = 0;
      this.#crcAnnounced = this.#view.getUint32(FRAME_HEADER_BYTES, true);
      return;
    }
    if (payload !== 0) throw new ProtocolError(`${this.#peer} sent frame ${type} of a wrong length`);
    if (type === MISSING) {
      this.#settle?.(new ObjectLostError(`the node at ${this.#peer} does not hold object ${order.objectId}`));
      return;
    }
    const size = this.#view.getFloat64(FRAME_HEADER_BYTES, true);
    if (size !== order.size) {
      throw new ObjectLostError(`object ${order.objectId} has ${size} bytes at ${this.#peer}, not ${order.size}`);
    }
    if (size === 0) this.#settle?.();
  }

  /** Bytes of a piece, straight to their place. */
  #takePiece(chunk: Uint8Array, at: number): number {
    const { arena, offset, size } = this.#order as Order;
    const bytes = chunk.subarray(at, Math.min(chunk.length, at + this.#pieceLeft));
    arena.write(offset + this.#received, [bytes]);
    this.#crc = this.#crc32(bytes, this.#crc);
    this.#received += bytes.length;
    this.#pieceLeft -= bytes.length;
    if (this.#pieceLeft === 0) {
      if (this.#crc !== this.#crcAnnounced) throw this.#lost(`bytes before ${this.#received} arrived damaged`);
      if (this.#received === size) this.#settle?.();
    }
    return bytes.length;
  }
}
