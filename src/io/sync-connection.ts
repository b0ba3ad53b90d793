/**
 * An authenticated connection that is read and written without the event loop: synchronous code asks a question and
 * waits for the answer. The same preamble, handshake and frames as everywhere, on the socket's own descriptor.
 *
 * The socket is connected by Node, which does that at once for a Unix socket, and is paused for ever: nobody but this
 * page reads from it.
 */
import { readSync, writeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { HANDSHAKE_TIMEOUT_MS, MAX_FRAME_BYTES, MAX_HANDSHAKE_FRAME_BYTES } from "../base/limits.js";
import { ConnectionError } from "../errors.js";
import { FrameSplitter } from "../protocol/frames.js";
import { ClientHandshake, type ClientIdentity, type Purpose } from "../protocol/handshake.js";
import { encodePreamble, PREAMBLE_BYTES, parsePreamble } from "../protocol/preamble.js";
import { handshakeCrypto } from "./crypto.js";

export interface SyncDialOptions {
  readonly identity: ClientIdentity;
  readonly secret: Uint8Array;
  readonly purpose: Purpose;
  /** Block this thread until the descriptor can be read or the time is over; absent: look again and again. */
  readonly waitReadable?: ((fd: number, timeoutMs: number) => unknown) | undefined;
}

export interface SyncFrame {
  readonly type: number;
  readonly body: Uint8Array;
}

const READ_BYTES = 64 * 1024;
/** Between two looks at a descriptor that is not ready: from here, doubled up to there. */
const FIRST_PAUSE_MS = 0.02;
const MAX_PAUSE_MS = 1;

export class SyncConnection {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #path: string;
  readonly #waitReadable: SyncDialOptions["waitReadable"];
  readonly #splitter: FrameSplitter;
  readonly #frames: SyncFrame[] = [];
  readonly #chunk = new Uint8Array(READ_BYTES);

  private constructor(path: string, waitReadable: SyncDialOptions["waitReadable"]) {
    this.#path = path;
    this.#waitReadable = waitReadable;
    this.#socket = connect({ path }).on("error", () => {});
    this.#socket.pause().unref();
    this.#fd = descriptorOf(this.#socket);
    this.#splitter = new FrameSplitter(MAX_HANDSHAKE_FRAME_BYTES, (type, bytes, start, end) =>
      this.#frames.push({ type, body: bytes.slice(start, end) }),
    );
    if (this.#fd < 0) throw this.#lost("it cannot be reached");
  }

  /**
   * Connect and authenticate, in this turn.
   *
   * @throws ConnectionError when nobody is there, AuthenticationError when either end does not know the other's secret,
   *   VersionMismatchError, and ProtocolError when the server is not one of ours.
   */
  static dial(path: string, { identity, secret, purpose, waitReadable }: SyncDialOptions): SyncConnection {
    const connection = new SyncConnection(path, waitReadable);
    try {
      connection.#shakeHands(new ClientHandshake(handshakeCrypto, secret, identity, purpose));
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Send whole frames. Waits for the peer to take them. @throws ConnectionError when that takes longer. */
  send(frames: Uint8Array, timeoutMs: number): void {
    const untilMs = performance.now() + timeoutMs;
    let pauseMs = FIRST_PAUSE_MS;
    for (let at = 0; at < frames.length; ) {
      const sent = this.#try(() => writeSync(this.#fd, frames, at));
      if (sent !== undefined) {
        at += sent;
        pauseMs = FIRST_PAUSE_MS;
        continue;
      }
      if (performance.now() > untilMs) throw this.#lost(`it did not read within ${timeoutMs} ms`);
      sleep(pauseMs);
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }

  /** The next frame; undefined when none came in time. @throws ConnectionError when the connection has ended. */
  receive(timeoutMs: number): SyncFrame | undefined {
    const untilMs = performance.now() + timeoutMs;
    while (this.#frames.length === 0) {
      const chunk = this.#read(untilMs);
      if (chunk === undefined) return undefined;
      this.#splitter.push(chunk);
    }
    return this.#frames.shift();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #shakeHands(handshake: ClientHandshake): void {
    this.send(encodePreamble(), HANDSHAKE_TIMEOUT_MS);
    this.#readPreamble();
    for (;;) {
      const frame = this.receive(HANDSHAKE_TIMEOUT_MS);
      if (frame === undefined) throw this.#lost(`no answer within ${HANDSHAKE_TIMEOUT_MS} ms`);
      const step = handshake.receive(frame.type, frame.body, 0, frame.body.length);
      if (!(step instanceof Uint8Array)) break;
      this.send(step, HANDSHAKE_TIMEOUT_MS);
    }
    this.#splitter.limitBytes = MAX_FRAME_BYTES;
  }

  #readPreamble(): void {
    const untilMs = performance.now() + HANDSHAKE_TIMEOUT_MS;
    let have: Uint8Array = new Uint8Array(0);
    while (have.length < PREAMBLE_BYTES) {
      const chunk = this.#read(untilMs);
      if (chunk === undefined) throw this.#lost(`no answer within ${HANDSHAKE_TIMEOUT_MS} ms`);
      have = Uint8Array.of(...have, ...chunk);
    }
    parsePreamble(have.subarray(0, PREAMBLE_BYTES));
    this.#splitter.push(have.subarray(PREAMBLE_BYTES));
  }

  /** What has arrived; undefined when the time is over. */
  #read(untilMs: number): Uint8Array | undefined {
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      const got = this.#try(() => readSync(this.#fd, this.#chunk));
      if (got === 0) throw this.#lost("it closed the connection");
      if (got !== undefined) return this.#chunk.subarray(0, got);
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return undefined;
      if (this.#waitReadable !== undefined) this.#waitReadable(this.#fd, Math.ceil(leftMs));
      else sleep(Math.min(pauseMs, leftMs));
      pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    }
  }

  /** Undefined when the socket is not ready. */
  #try(action: () => number): number | undefined {
    try {
      return action();
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN" || code === "EINTR") return undefined;
      throw this.#lost(message);
    }
  }

  #lost(why: string): ConnectionError {
    return new ConnectionError(`the connection to the raylet at ${this.#path} was lost: ${why}`);
  }
}

const cell = new Int32Array(new SharedArrayBuffer(4));

function sleep(durationMs: number): void {
  Atomics.wait(cell, 0, 0, durationMs);
}

/** The descriptor of a socket, which Node keeps in its handle; -1 without one. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  const fd: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  return typeof fd === "number" ? fd : -1;
}
