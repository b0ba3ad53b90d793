/**
 * The door of a process: what comes in is a stranger until its handshake is complete, and is kept on a short rein.
 *
 * A stranger costs at most 64 KiB, for at most 5 s, and there are at most 1,024 of them; the rest of the process does
 * not notice. What is not a mobula preamble is closed at its first wrong byte (with one line of explanation for HTTP),
 * a failed handshake hears the same refusal whatever was wrong, and the log has one line per address per minute.
 */
import type { Socket } from "node:net";
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_HANDSHAKE_FRAME_BYTES,
  MAX_UNAUTHENTICATED_BYTES,
  MAX_UNAUTHENTICATED_CONNECTIONS,
  MAX_UNAUTHENTICATED_PER_ADDRESS,
} from "../base/limits.js";
import { AuthenticationError, ProtocolError, VersionMismatchError } from "../errors.js";
import { FrameSplitter } from "../protocol/frames.js";
import { type Accepted, REFUSAL_FRAME, ServerHandshake, type ServerIdentity } from "../protocol/handshake.js";
import { encodePreamble, mayBePreamble, PREAMBLE_BYTES, parsePreamble } from "../protocol/preamble.js";
import { Connection } from "./connection.js";
import { handshakeCrypto } from "./crypto.js";
import { deadline } from "./deadline.js";
import { Wire } from "./wire.js";

export interface AcceptorOptions {
  readonly identity: ServerIdentity;
  readonly secret: Uint8Array;
  /** An authenticated peer. Call `start` on its connection, or `destroy`. */
  readonly accept: (connection: Connection) => void;
  /**
   * The preamble names another process of this node. Take over the socket, of which `bytes` have been read, and give
   * true; false when there is no such process.
   */
  readonly route?: (target: string, socket: Socket, bytes: Uint8Array) => boolean;
  readonly log?: (line: string) => void;
}

const NO_BYTES = new Uint8Array(0);

export class Acceptor {
  readonly options: AcceptorOptions;
  readonly #strangers = new Set<Stranger>();
  readonly #perAddress = new Map<string, number>();
  readonly #failures: FailureLog;
  #closed = false;

  constructor(options: AcceptorOptions) {
    this.options = options;
    this.#failures = new FailureLog(options.log ?? (() => {}));
  }

  /** Connections that have not authenticated yet. */
  get strangers(): number {
    return this.#strangers.size;
  }

  /** Let a new socket try. `bytes` were read from it already, by the process that passed it on. */
  take(socket: Socket, bytes: Uint8Array = NO_BYTES): void {
    const address = socket.remoteAddress ?? "a local socket";
    const fromAddress = this.#perAddress.get(address) ?? 0;
    if (
      this.#closed ||
      this.#strangers.size >= MAX_UNAUTHENTICATED_CONNECTIONS ||
      (fromAddress >= MAX_UNAUTHENTICATED_PER_ADDRESS && !isLocal(socket))
    ) {
      if (!this.#closed) this.#failures.add(address, "too many connections that have not authenticated");
      socket.on("error", () => {}).destroy();
      return;
    }
    const stranger = new Stranger(socket, this.options, (why) => {
      this.#strangers.delete(stranger);
      this.#leave(address);
      if (why !== undefined) this.#failures.add(address, why);
    });
    this.#strangers.add(stranger);
    this.#perAddress.set(address, fromAddress + 1);
    stranger.begin(bytes);
  }

  /** Let nobody in any more. Connections that have been accepted are not ours and stay. */
  close(): void {
    this.#closed = true;
    for (const stranger of [...this.#strangers]) stranger.dismiss();
  }

  #leave(address: string): void {
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}

/** A connection between its first byte and the end of its handshake. */
class Stranger {
  readonly #options: AcceptorOptions;
  readonly #wire: Wire;
  /** Called once, when it is no stranger any more: accepted, passed on, or closed for the reason given. */
  readonly #leave: (why?: string) => void;
  readonly #liftDeadline: () => void;
  readonly #splitter: FrameSplitter;
  #received = 0;
  /** The beginning of the preamble. */
  #first: Uint8Array = NO_BYTES;
  /** What came behind the handshake. */
  #early: Uint8Array = NO_BYTES;
  #handshake: ServerHandshake | undefined;
  #accepted: Accepted | undefined;
  #gone = false;

  constructor(socket: Socket, options: AcceptorOptions, leave: (why?: string) => void) {
    this.#options = options;
    this.#leave = leave;
    this.#splitter = new FrameSplitter(MAX_HANDSHAKE_FRAME_BYTES, (...frame) => this.#answer(...frame));
    this.#wire = Wire.accepted(socket);
    this.#wire.receive = (chunk) => this.#receive(chunk);
    socket.on("error", () => this.#close("the connection was lost during the handshake"));
    socket.on("close", () => this.#close(this.#received > 0 ? "closed during the handshake" : undefined));
    this.#liftDeadline = deadline(HANDSHAKE_TIMEOUT_MS, () =>
      this.#close(`no handshake within ${HANDSHAKE_TIMEOUT_MS} ms`),
    );
  }

  begin(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#receive(bytes);
  }

  dismiss(): void {
    this.#close();
  }

  #receive(chunk: Uint8Array): void {
    this.#received += chunk.length;
    try {
      if (this.#received > MAX_UNAUTHENTICATED_BYTES) throw new ProtocolError("too many bytes before the handshake");
      const rest = this.#handshake === undefined ? this.#takePreamble(chunk) : chunk;
      if (rest.length === 0) return;
      const used = this.#splitter.push(rest);
      if (this.#accepted !== undefined) this.#early = rest.slice(used);
    } catch (error) {
      return this.#refuse(error);
    }
    if (this.#accepted !== undefined) this.#letIn(this.#accepted);
  }

  /** Gather the preamble; gives what follows it, once a handshake has begun. */
  #takePreamble(chunk: Uint8Array): Uint8Array {
    const bytes = this.#first.length === 0 ? chunk : new Uint8Array(Buffer.concat([this.#first, chunk]));
    if (!mayBePreamble(bytes)) return this.#notOurs(bytes);
    if (bytes.length < PREAMBLE_BYTES) {
      this.#first = bytes.slice();
      return NO_BYTES;
    }
    const { target } = parsePreamble(bytes);
    const { identity, secret, route } = this.#options;
    if (target !== undefined && target !== identity.processId) {
      const socket = this.#passOn();
      if (route?.(target, socket, bytes.slice()) !== true) socket.destroy();
      return NO_BYTES;
    }
    this.#handshake = new ServerHandshake(handshakeCrypto, secret, identity);
    this.#wire.socket.write(this.#handshake.challenge());
    return bytes.subarray(PREAMBLE_BYTES);
  }

  #answer(type: number, bytes: Uint8Array, start: number, end: number): void {
    this.#accepted = this.#handshake?.answer(type, bytes, start, end);
    this.#splitter.stop();
  }

  #letIn({ client, purpose, id, reply }: Accepted): void {
    this.#depart();
    this.#wire.hold();
    this.#wire.socket.write(reply);
    this.#options.accept(new Connection({ wire: this.#wire, peer: client, purpose, id, early: this.#early }));
  }

  /** What each failed check is answered with. Nothing of it depends on what exactly was wrong. */
  #refuse(error: unknown): void {
    if (error instanceof AuthenticationError) this.#close(error.message, REFUSAL_FRAME);
    else if (error instanceof VersionMismatchError) this.#close(error.message, encodePreamble());
    else if (error instanceof ProtocolError) this.#close(error.message);
    else throw error;
  }

  /** Text in capitals may be HTTP: somebody pointed a browser here, or a scanner. They get one line, and no more. */
  #notOurs(bytes: Uint8Array): Uint8Array {
    const text = String.fromCharCode(...bytes.subarray(0, 8));
    if (bytes.length < 4 && /^[A-Z]+$/.test(text)) this.#first = bytes.slice();
    else if (/^[A-Z]{3,7}( |$)/.test(text)) this.#close("HTTP on the cluster's port", HTTP_ANSWER);
    else throw new ProtocolError("the peer does not speak the mobula protocol");
    return NO_BYTES;
  }

  #passOn(): Socket {
    this.#depart();
    return this.#wire.release();
  }

  #close(why?: string, lastWords?: Uint8Array): void {
    if (this.#gone) return;
    this.#depart(why);
    const socket = this.#wire.release();
    if (lastWords === undefined) socket.destroy();
    else socket.end(lastWords, () => socket.destroy());
  }

  /** No stranger any more, one way or another. */
  #depart(why?: string): void {
    this.#gone = true;
    this.#liftDeadline();
    this.#leave(why);
  }
}

/** One line per address per minute, so that a scanner cannot fill the disk. */
class FailureLog {
  readonly #log: (line: string) => void;
  #minute = 0;
  readonly #logged = new Set<string>();

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  add(address: string, why: string): void {
    const minute = Math.floor(performance.now() / 60_000);
    if (minute !== this.#minute) this.#logged.clear();
    this.#minute = minute;
    if (this.#logged.has(address) || this.#logged.size >= MAX_UNAUTHENTICATED_CONNECTIONS) return;
    this.#logged.add(address);
    this.#log(`refused a connection from ${address}: ${why}`);
  }
}

function isLocal(socket: Socket): boolean {
  const address = socket.remoteAddress;
  return address === undefined || address === "::1" || /^(::ffff:)?127\./.test(address);
}

const HTTP_ANSWER = Buffer.from(
  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\nthis is a mobula port, not HTTP\n",
);
