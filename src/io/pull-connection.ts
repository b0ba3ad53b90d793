/**
 * One connection of the pulling side to a peer's store. It reads frames by itself instead of through a splitter, and
 * says before each read where the bytes go: a frame's head to a few bytes of its own, a piece of the object straight to
 * its place in the mapped arena.
 */
import { ByteWriter } from "../base/bytes.js";
import { MAX_PEER_PATH_BYTES, SAME_HOST_COPY_BYTES, TRANSFER_CHUNK_BYTES, TRANSFER_IDLE_MS } from "../base/limits.js";
import { ConnectionError, ObjectLostError, ProtocolError } from "../errors.js";
import { beginFrame, endFrame, FRAME_HEADER_BYTES } from "../protocol/frames.js";
import type { Arena } from "./arena.js";
import type { Checksum, Checksums } from "./checksum.js";
import { deadline } from "./deadline.js";
import { type HostPlace, openPeer } from "./same-host.js";
import { DATA, FOUND, HERE, MISSING, PULL, STILL } from "./transfer-frames.js";
import type { Wire } from "./wire.js";

/** A range of an object to pull, and where the object's bytes go. */
export interface Order {
  readonly objectId: string;
  readonly sizeBytes: number;
  readonly from: number;
  readonly end: number;
  readonly arena: Arena;
  readonly offset: number;
  /** The peer has failed when nothing came for this long. */
  readonly stallMs: number;
  /** The next so many bytes are in their place, and right. */
  arrived(bytes: number): void;
}

const HERE_BYTES = 4 * 8 + MAX_PEER_PATH_BYTES;
/** How many bytes follow the header of each frame before its payload. */
const FIXED_BYTES: Readonly<Record<number, number>> = {
  [FOUND]: 9,
  [MISSING]: 0,
  [DATA]: 4,
  [HERE]: HERE_BYTES,
  [STILL]: 0,
};
const LONGEST_HEAD_BYTES = FRAME_HEADER_BYTES + HERE_BYTES;
/** What is read while it is not known which frame comes: the head of a piece, and no byte of it. */
const DATA_HEAD_BYTES = FRAME_HEADER_BYTES + 4;

export class PullConnection {
  /** Whether the peer has answered the present pull at all. */
  hasAnswered = false;
  readonly #wire: Wire;
  readonly #peer: string;
  readonly #checksums: Checksums;
  /** The header of the frame that comes in, and its fixed fields. */
  readonly #head = new Uint8Array(LONGEST_HEAD_BYTES);
  readonly #view = new DataView(this.#head.buffer);
  #headHave = 0;
  /** Where heads are read to. */
  readonly #scratch = new Uint8Array(LONGEST_HEAD_BYTES);
  /** The piece that comes in: its place, how much of it is there, its checksum so far and as announced. */
  #piece: Uint8Array | undefined;
  #pieceHave = 0;
  #isMapped = false;
  #sum = 0;
  #sumAnnounced = 0;
  /** The next read goes to the piece's own place. */
  #readsInPlace = false;
  /** Memory for pieces whose place is not mapped. */
  #memory: Uint8Array | undefined;
  #checksum: Checksum | undefined;
  /** Our `hostIdentity`, while nodes of this host may be copied from. */
  #host: string;
  /** The peer's arena, on the same host. */
  #peerArena: Arena | undefined;
  /** What is copied from there, and how far it has been without the peer's word that it was right. */
  #place: HostPlace | undefined;
  #copied = 0;
  #order: Order | undefined;
  /** The pieces before this byte of the object are there. */
  #at = 0;
  #settle: ((error?: Error) => void) | undefined;
  #onGone: (() => void) | undefined;
  #gone: Error | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(wire: Wire, peer: string, checksums: Checksums, host = "") {
    this.#wire = wire;
    this.#host = host;
    this.#peer = peer;
    this.#checksums = checksums;
    wire.place = () => this.#nextPlace();
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
    this.#at = order.from;
    this.#checksum = undefined;
    this.#place = undefined;
    this.hasAnswered = false;
    this.#ask(order);
    return new Promise((resolve, reject) => {
      const lift = this.#watchForStall(order.stallMs);
      this.#settle = (error) => {
        lift();
        this.#settle = undefined;
        this.#order = undefined;
        this.#memory = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  }

  #ask(order: Order): void {
    this.#send(PULL, (writer) => {
      writer.text(order.objectId);
      writer.f64(order.from);
      writer.f64(order.end);
      writer.u8(this.#checksums.offer);
      writer.text(this.#host);
    });
  }

  #send(type: number, write: (writer: ByteWriter) => void): void {
    const writer = new ByteWriter();
    const at = beginFrame(writer, type);
    write(writer);
    endFrame(writer, at);
    this.#wire.socket.write(writer.written());
  }

  /** Wait for the next pull, for a while. */
  rest(onGone: () => void): void {
    this.#onGone = onGone;
    this.#idleTimer = setTimeout(() => this.destroy(), TRANSFER_IDLE_MS).unref();
  }

  /** From here on nothing is read any more: the place of its bytes may be another's. */
  destroy(error?: Error): void {
    this.#gone ??= error ?? this.#lost("it was closed");
    clearTimeout(this.#idleTimer);
    this.#wire.release().destroy();
    this.#peerArena?.close();
    this.#peerArena = undefined;
    this.#settle?.(this.#gone);
    this.#onGone?.();
  }

  #lost(why: string, cause?: Error): ConnectionError {
    return new ConnectionError(`the transfer connection to ${this.#peer} was lost: ${why}`, { cause });
  }

  /** Fail when the peer has sent nothing for a whole period. */
  #watchForStall(stallMs: number): () => void {
    let lift = () => {};
    let seen = -1;
    const watch = () => {
      const received = this.#at + this.#pieceHave;
      if (received === seen) return this.destroy(this.#lost(`nothing came for ${stallMs} ms`));
      seen = received;
      lift = deadline(stallMs, watch);
    };
    watch();
    return () => lift();
  }

  /** Where the next read goes: never an empty place. */
  #nextPlace(): Uint8Array {
    this.#readsInPlace = this.#piece !== undefined;
    if (this.#piece !== undefined) return this.#piece.subarray(this.#pieceHave);
    const isKnown = this.#headHave >= FRAME_HEADER_BYTES;
    const wanted = isKnown ? FRAME_HEADER_BYTES + (FIXED_BYTES[this.#type] ?? 0) : DATA_HEAD_BYTES;
    return this.#scratch.subarray(0, Math.max(1, wanted - this.#headHave));
  }

  #receive(chunk: Uint8Array): void {
    try {
      for (let at = 0; at < chunk.length && this.#gone === undefined; ) {
        at += this.#piece !== undefined ? this.#takePiece(this.#piece, chunk, at) : this.#takeHead(chunk, at);
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
    if (type === DATA) return this.#beginPiece(order, payload);
    if (payload !== 0) throw new ProtocolError(`${this.#peer} sent frame ${type} of a wrong length`);
    if (type === MISSING) {
      this.#settle?.(new ObjectLostError(`the node at ${this.#peer} does not hold object ${order.objectId}`));
      return;
    }
    if (type === STILL) return this.#stillThere(order);
    const size = this.#view.getFloat64(FRAME_HEADER_BYTES, true);
    if (size !== order.sizeBytes) {
      throw new ObjectLostError(`object ${order.objectId} has ${size} bytes at ${this.#peer}, not ${order.sizeBytes}`);
    }
    if (type === HERE) return this.#takePlace(order);
    this.#checksum = this.#checksums.get(this.#head[FRAME_HEADER_BYTES + 8] as number);
    if (order.from === order.end) this.#settle?.();
  }

  // ── On the same host ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The peer keeps the object in its place until we say that we are done. */
  #takePlace(order: Order): void {
    const number = (index: number) => this.#view.getFloat64(FRAME_HEADER_BYTES + 8 * index, true);
    const bytes = this.#head.subarray(FRAME_HEADER_BYTES + 4 * 8, FRAME_HEADER_BYTES + HERE_BYTES);
    const path = Buffer.from(bytes.subarray(0, bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0))).toString();
    const place = { path, offset: number(1), capacity: number(2), inode: number(3) };
    this.#peerArena ??= openPeer(place);
    this.#place = this.#canCopy(order, place) ? place : undefined;
    this.#copied = order.from;
    if (this.#place === undefined) this.#askStill(true);
    else this.#copy(order, place);
  }

  #canCopy(order: Order, place: HostPlace): boolean {
    const isValid = place.offset >= 0 && place.offset + order.sizeBytes <= place.capacity;
    if (!isValid || this.#peerArena?.path !== place.path || this.#peerArena.capacity !== place.capacity) return false;
    const from = this.#peerArena.readable(place.offset, order.sizeBytes);
    return from !== undefined && order.arena.writable(order.offset, 1) !== undefined;
  }

  /** So much that the event loop goes on turning; then the peer is asked. */
  #copy(order: Order, place: HostPlace): void {
    const length = Math.min(SAME_HOST_COPY_BYTES, order.end - this.#copied);
    const from = this.#peerArena?.readable(place.offset + this.#copied, length);
    const to = order.arena.writable(order.offset + this.#copied, length);
    if (from === undefined || to === undefined) throw this.#lost("its arena cannot be mapped any more");
    to.set(from);
    this.#copied += length;
    this.#askStill(this.#copied === order.end);
  }

  #askStill(isLast: boolean): void {
    this.#send(STILL, (writer) => {
      writer.f64(this.#copied);
      writer.u8(isLast ? 1 : 0);
    });
  }

  /** What we have copied until we asked is right. */
  #stillThere(order: Order): void {
    if (this.#place === undefined) {
      this.#host = ""; // its arena cannot be mapped here: it is to send the bytes
      return this.#ask(order);
    }
    const copied = this.#copied - this.#at;
    this.#at = this.#copied;
    if (copied > 0) order.arrived(copied);
    if (this.#at === order.end) this.#settle?.();
    else this.#copy(order, this.#place);
  }

  // ── Pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #beginPiece(order: Order, length: number): void {
    if (length < 1 || length > TRANSFER_CHUNK_BYTES || this.#at + length > order.end || !this.#checksum) {
      throw new ProtocolError(`${this.#peer} sent a piece of ${length} bytes after ${this.#at} of ${order.end}`);
    }
    const mapped = order.arena.writable(order.offset + this.#at, length);
    this.#isMapped = mapped !== undefined;
    if (mapped === undefined) this.#memory ??= new Uint8Array(TRANSFER_CHUNK_BYTES);
    this.#piece = mapped ?? this.#memory?.subarray(0, length);
    this.#pieceHave = 0;
    this.#sum = 0;
    this.#sumAnnounced = this.#view.getUint32(FRAME_HEADER_BYTES, true);
  }

  /** Bytes of a piece: most were read to their place, the first ones of a connection came behind a head. */
  #takePiece(piece: Uint8Array, chunk: Uint8Array, at: number): number {
    const { arena, offset, end, arrived } = this.#order as Order;
    const count = Math.min(chunk.length - at, piece.length - this.#pieceHave);
    const place = piece.subarray(this.#pieceHave, this.#pieceHave + count);
    if (!this.#readsInPlace) place.set(chunk.subarray(at, at + count));
    this.#sum = (this.#checksum as Checksum)(place, this.#sum);
    this.#pieceHave += count;
    if (this.#pieceHave < piece.length) return count;
    if (this.#sum !== this.#sumAnnounced) throw this.#lost(`the bytes after ${this.#at} arrived damaged`);
    if (!this.#isMapped) arena.write(offset + this.#at, [piece]);
    this.#piece = undefined;
    this.#pieceHave = 0;
    this.#at += piece.length;
    arrived(piece.length);
    if (this.#at === end) this.#settle?.();
    return count;
  }
}
