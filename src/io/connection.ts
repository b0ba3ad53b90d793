/**
 * A connection: one authenticated stream of frames between two processes, over a Unix or TCP socket.
 *
 * Small frames are the hot path, a million a second: they are written straight into the outgoing buffer, and all
 * frames of one turn of the event loop leave with one system call. Buffers come from a pool and go back to it once
 * the kernel has taken their bytes.
 */
import type { Socket } from "node:net";
import { assert } from "../base/assert.js";
import { ByteWriter, MalformedBytes } from "../base/bytes.js";
import type { ConnectionId } from "../base/ids.js";
import { CLOSE_TIMEOUT_MS, FLUSH_BYTES, MAX_FRAME_BYTES, MAX_SEND_QUEUE_BYTES } from "../base/limits.js";
import { ConnectionError, ProtocolError } from "../errors.js";
import { beginFrame, endFrame, FrameSplitter } from "../protocol/frames.js";
import type { PeerIdentity, Purpose } from "../protocol/handshake.js";
import type { Wire } from "./wire.js";

export interface ConnectionEvents {
  /** One frame; its body is `bytes[start, end)` and stays valid only during the call. */
  frame(type: number, bytes: Uint8Array, start: number, end: number): void;
  /** Called once, last. Without an error the peer, or this side, has closed in order. */
  closed(error: Error | undefined): void;
  /**
   * This side has given the peer up, and hears and says nothing more; `closed` follows when the peer has closed its end
   * too, or is dead. Who leaves this out closes at once, and does not know what the peer still does.
   */
  refused?(error: Error | undefined): void;
}

/** A wire whose other end is known. `early` is what the peer sent behind its handshake. */
export interface AuthenticatedWire {
  readonly wire: Wire;
  readonly peer: PeerIdentity;
  readonly purpose: Purpose;
  readonly id: ConnectionId;
  readonly early: Uint8Array;
}

/** Send buffers that no connection uses now: an idle connection owns none. */
const pool: ByteWriter[] = [];
const POOLED_WRITERS = 32;
/** Room for what triggers a flush and a small frame more; a buffer that grew far beyond is not kept. */
const WRITER_BYTES = FLUSH_BYTES + 8 * 1024;
const KEPT_WRITER_BYTES = 1024 * 1024;
const NOTHING = new Uint8Array(0);

/** What this process has sent over TCP so far, over all connections. */
export const tcpTraffic = { bytesSent: 0 };

export class Connection {
  readonly peer: PeerIdentity;
  readonly purpose: Purpose;
  /** Both ends know it by this name. */
  readonly id: ConnectionId;
  bytesReceived = 0;
  bytesSent = 0;
  readonly #socket: Socket;
  readonly #wire: Wire;
  readonly #isTcp: boolean;
  #early: Uint8Array | undefined;
  #events: ConnectionEvents | undefined;
  #splitter: FrameSplitter | undefined;
  /** Frames that wait for the flush, and where in them the unfinished frame begins, or -1. */
  #writer: ByteWriter | undefined;
  #frameAt = -1;
  #flushScheduled = false;
  #leader: Connection | undefined;
  #waitsForLeader = false;
  /** Buffers handed to the socket, oldest first: writes complete in order. */
  readonly #inFlight: ByteWriter[] = [];
  #open = true;
  #gone = false;
  #keepsOpen = false;
  #hasTold = false;
  #reason: Error | undefined;

  constructor({ wire, peer, purpose, id, early }: AuthenticatedWire) {
    this.peer = peer;
    this.purpose = purpose;
    this.id = id;
    this.#wire = wire;
    this.#early = early;
    this.#socket = wire.socket;
    this.#isTcp = wire.socket.remoteAddress !== undefined;
    this.#socket.pause();
    this.#socket.on("error", (cause) => {
      this.#reason ??= new ConnectionError(`the connection to ${describePeer(peer)} was lost: ${cause.message}`, {
        cause,
      });
    });
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#closed());
  }

  // ── Receiving ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begin to deliver frames, from the next turn on. Nothing is read from the socket before. */
  start(events: ConnectionEvents): void {
    assert(this.#events === undefined, "a connection is started once");
    this.#events = events;
    this.#splitter = new FrameSplitter(MAX_FRAME_BYTES, (type, bytes, start, end) =>
      events.frame(type, bytes, start, end),
    );
    queueMicrotask(() => {
      if (this.#gone) return events.closed(this.#reason);
      const early = this.#early as Uint8Array;
      this.#early = undefined;
      this.#wire.receive = (chunk) => this.#receive(chunk);
      if (early.length > 0) this.#receive(early);
      this.#socket.resume();
    });
  }

  #receive(chunk: Uint8Array): void {
    this.bytesReceived += chunk.length;
    try {
      this.#splitter?.push(chunk);
    } catch (error) {
      // A peer that breaks the protocol loses its connection and harms nobody else; anything else is a bug of ours.
      if (error instanceof ProtocolError) return this.refuse(error);
      if (error instanceof MalformedBytes) return this.refuse(new ProtocolError(`malformed frame: ${error.message}`));
      this.refuse(error instanceof Error ? error : undefined);
      throw error;
    }
  }

  /** Read no more for now. Frames that have been read already, the rest of a chunk, are still delivered. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  // ── Sending ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Begin a frame: write its body into the writer given here, then call `endFrame()`. The writer is the connection's
   * own; it is not the caller's after `endFrame()`. On a closed connection the frame goes nowhere.
   */
  beginFrame(type: number): ByteWriter {
    assert(this.#frameAt === -1, "one frame is written at a time");
    this.#writer ??= pool.pop() ?? new ByteWriter(WRITER_BYTES);
    this.#frameAt = beginFrame(this.#writer, type);
    return this.#writer;
  }

  endFrame(): void {
    const writer = this.#writer;
    assert(writer !== undefined && this.#frameAt >= 0, "a frame was begun");
    if (!this.#open) return this.abandonFrame();
    endFrame(writer, this.#frameAt);
    this.#frameAt = -1;
    if (writer.length >= FLUSH_BYTES) this.flush();
    else if (!this.#flushScheduled) this.#scheduleFlush();
  }

  /**
   * Complete the frame with bytes that are sent from where they lie: they must not change until `taken` is called,
   * which happens also when the connection is lost.
   */
  endFrameWith(tail: Uint8Array, taken: () => void): void {
    const writer = this.#writer;
    assert(writer !== undefined && this.#frameAt >= 0, "a frame was begun");
    if (!this.#open) {
      this.abandonFrame();
      queueMicrotask(taken);
      return;
    }
    endFrame(writer, this.#frameAt, tail.length);
    this.#frameAt = -1;
    assert(this.#leader === undefined, "what follows another connection is sent in whole frames");
    this.#socket.cork();
    this.flush();
    this.#socket.write(tail, () => taken());
    this.#socket.uncork();
    this.#count(tail.length);
    this.#checkQueue();
  }

  /** Drop the frame that was begun: its body could not be written. */
  abandonFrame(): void {
    if (this.#writer !== undefined && this.#frameAt >= 0) this.#writer.length = this.#frameAt;
    this.#frameAt = -1;
  }

  send(type: number, body: Uint8Array): void {
    this.beginFrame(type).raw(body);
    this.endFrame();
  }

  /** Neither side has ended it. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Bytes that the kernel has not taken yet. */
  get queuedBytes(): number {
    return (this.#writer?.length ?? 0) + this.#socket.writableLength;
  }

  /**
   * From here on nothing leaves here before the kernel has all that was sent on `leader` until then: whoever reads a ref
   * may rely on what has been said of it, although this process keeps its thread busy, or is killed, right after.
   */
  follow(leader: Connection): void {
    this.#leader = leader;
  }

  /**
   * Hand what has gathered to the socket. Happens by itself at the end of a turn; a caller who is about to keep the
   * thread busy may do it earlier.
   */
  flush(): void {
    this.#flushScheduled = false;
    const writer = this.#writer;
    if (writer === undefined || writer.length === 0 || !this.#open) return;
    if (this.#isAhead()) this.#checkQueue();
    else this.#write(writer);
  }

  /** Whether the leader's frames have to leave first. They do so now, or this connection is flushed when they have. */
  #isAhead(): boolean {
    const leader = this.#leader;
    if (leader === undefined || this.#waitsForLeader) return this.#waitsForLeader;
    leader.flush();
    if (!leader.#open || leader.#socket.writableLength === 0) return false;
    this.#waitsForLeader = true;
    leader.#socket.write(NOTHING, () => {
      this.#waitsForLeader = false;
      this.flush();
    });
    return true;
  }

  #write(writer: ByteWriter): void {
    assert(this.#frameAt === -1, "a flush happens between frames");
    this.#writer = undefined;
    this.#count(writer.length);
    this.#inFlight.push(writer);
    this.#socket.write(Buffer.from(writer.bytes.buffer as ArrayBuffer, 0, writer.length), this.#taken);
    this.#checkQueue();
  }

  /** Once a flush, not once a frame. A Unix socket has no remote address. */
  #count(bytes: number): void {
    this.bytesSent += bytes;
    if (this.#isTcp) tcpTraffic.bytesSent += bytes;
  }

  #checkQueue(): void {
    const waiting = this.queuedBytes;
    if (waiting <= MAX_SEND_QUEUE_BYTES) return;
    const peer = describePeer(this.peer);
    this.refuse(
      new ConnectionError(`${peer} does not read: ${waiting} bytes wait for it, the limit is ${MAX_SEND_QUEUE_BYTES}`),
    );
  }

  /**
   * One write a turn, in the check phase: after every frame of this turn's reads has been answered, and after the
   * microtasks, however deep. Microtask, `nextTick` and `setImmediate` cost the same when all answers come at one
   * depth; when they come at several, the microtask writes more often (1.17 against 0.98 µs of CPU per frame).
   */
  #scheduleFlush(): void {
    this.#flushScheduled = true;
    setImmediate(this.#flushNow);
  }

  readonly #flushNow = (): void => this.flush();

  /** The kernel has taken the oldest buffer. */
  readonly #taken = (error?: Error | null): void => {
    const writer = this.#inFlight.shift();
    if (writer === undefined || error || writer.bytes.length > KEPT_WRITER_BYTES || pool.length >= POOLED_WRITERS)
      return;
    writer.reset();
    pool.push(writer);
  };

  // ── The end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Send what has gathered, then close. Frames that still arrive are ignored. */
  close(): void {
    if (this.#keepsOpen && !this.#open) this.#socket.destroy();
    if (!this.#open) return;
    this.#leader?.flush();
    if (this.#writer !== undefined && this.#writer.length > 0) this.#write(this.#writer);
    this.#open = false;
    this.#splitter?.stop();
    this.#wire.receive = () => {};
    this.#socket.end();
    this.#socket.resume(); // to see the peer's end
    const impatience = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS).unref();
    this.#socket.once("close", () => clearTimeout(impatience));
  }

  /** Close at once; what has not left is lost. */
  destroy(error?: Error): void {
    this.#reason ??= error;
    this.#open = false;
    this.#splitter?.stop();
    this.#socket.destroy();
  }

  /**
   * Whatever the peer does, and whatever is wrong, this end stays open until `close` or the end of the process: the peer
   * takes it for a sign of life, and keeps for us what we may still write to. `closed` is called as soon as it is over.
   */
  keepOpen(): void {
    this.#keepsOpen = true;
    this.#socket.allowHalfOpen = true;
  }

  /** The peer broke the protocol, or does not read: it is heard no more. */
  refuse(error: Error | undefined): void {
    const refused = this.#events?.refused;
    if (refused === undefined && !this.#keepsOpen) return this.destroy(error);
    if (!this.#open) return;
    this.#reason ??= error;
    this.#open = false;
    this.#splitter?.stop();
    this.#wire.receive = () => {};
    this.#socket.resume(); // to see the peer's end
    if (refused !== undefined) this.#socket.end();
    queueMicrotask(() => (refused === undefined ? this.#tell() : refused(error)));
  }

  /** Whether this connection keeps the process alive. It does by default. */
  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  /** The peer sends no more, which is how it closes: it does not read any more either. */
  #ended(): void {
    if (!this.#open) return;
    this.#open = false;
    if ((this.#splitter?.pendingBytes ?? 0) > 0) {
      const message = `the connection to ${describePeer(this.peer)} ended in the middle of a frame`;
      this.#reason ??= new ConnectionError(message);
    }
    if (this.#keepsOpen) this.#tell();
  }

  #closed(): void {
    this.#open = false;
    this.#gone = true;
    this.#writer = undefined;
    this.#frameAt = -1;
    if (this.#early === undefined) this.#tell();
  }

  #tell(): void {
    if (!this.#hasTold) this.#events?.closed(this.#reason);
    this.#hasTold = true;
  }
}

export function describePeer(peer: PeerIdentity): string {
  const name = peer.processId || peer.nodeId;
  return name === "" ? peer.role : `${peer.role} ${name}`;
}
