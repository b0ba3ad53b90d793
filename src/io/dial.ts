/**
 * Dialling: from an address to an authenticated connection, or to an error that says what stands in the way.
 */
import { HANDSHAKE_TIMEOUT_MS, MAX_HANDSHAKE_FRAME_BYTES } from "../base/limits.js";
import { ConnectionError, errorFromCode, MobulaError, ProtocolError } from "../errors.js";
import { FrameSplitter } from "../protocol/frames.js";
import { ClientHandshake, type ClientIdentity, type Purpose, type ServerIdentity } from "../protocol/handshake.js";
import { encodePreamble, mayBePreamble, PREAMBLE_BYTES, parsePreamble } from "../protocol/preamble.js";
import { type Address, formatAddress } from "./address.js";
import { type AuthenticatedWire, Connection, describePeer } from "./connection.js";
import { handshakeCrypto } from "./crypto.js";
import { deadline } from "./deadline.js";
import { Wire } from "./wire.js";

export interface DialOptions {
  readonly identity: ClientIdentity;
  readonly secret: Uint8Array;
  /** The process that is meant, when the address is that of its node. */
  readonly target?: string;
  readonly purpose?: Purpose;
  /** Who must answer. An address may have passed to somebody else since it was learned. */
  readonly expect?: Partial<ServerIdentity>;
  readonly timeoutMs?: number;
  /** The wire's `place` says where reads go, once there is one; else they go into the buffer shared by all. */
  readonly readsInPlace?: boolean;
}

/**
 * Connect and authenticate.
 *
 * @throws ConnectionError when nobody (or somebody else) is there, AuthenticationError when either end does not know
 *   the other's secret, VersionMismatchError, and ProtocolError when the server is not one of ours.
 */
export async function dial(address: Address, options: DialOptions): Promise<Connection> {
  return new Connection(await dialWire(address, options));
}

/** As `dial`, for those who read the bytes themselves. */
export function dialWire(address: Address, options: DialOptions): Promise<AuthenticatedWire> {
  return new Promise((resolve, reject) => new Dialling(address, options, resolve, reject));
}

class Dialling {
  readonly #address: Address;
  readonly #options: DialOptions;
  readonly #resolve: (wire: AuthenticatedWire) => void;
  readonly #reject: (error: Error) => void;
  readonly #wire: Wire;
  readonly #startedAt = performance.now();
  readonly #handshake: ClientHandshake;
  readonly #splitter: FrameSplitter;
  readonly #preamble = new Uint8Array(PREAMBLE_BYTES);
  #preambleHave = 0;
  #server: ServerIdentity | undefined;
  readonly #liftDeadline: () => void;

  constructor(
    address: Address,
    options: DialOptions,
    resolve: (wire: AuthenticatedWire) => void,
    reject: (error: Error) => void,
  ) {
    this.#address = address;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#handshake = new ClientHandshake(
      handshakeCrypto,
      options.secret,
      options.identity,
      options.purpose ?? "messages",
    );
    this.#splitter = new FrameSplitter(MAX_HANDSHAKE_FRAME_BYTES, (...frame) => this.#onFrame(...frame));

    const timeoutMs = options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    this.#liftDeadline = deadline(timeoutMs, () => this.#fail(this.#unreachable(`no answer within ${timeoutMs} ms`)));
    this.#wire = Wire.dialled(address, options.readsInPlace);
    this.#wire.receive = (chunk) => this.#receive(chunk);
    this.#wire.socket
      .on("error", (error: NodeJS.ErrnoException) => {
        this.#fail(this.#unreachable(EXPLAINED[error.code ?? ""] ?? error.message, error));
      })
      .on("close", () => {
        const whom = options.target === undefined ? "the peer" : `process ${options.target}, or its node,`;
        this.#fail(this.#unreachable(`${whom} closed the connection during the handshake`));
      })
      .write(encodePreamble(options.target));
  }

  #receive(chunk: Uint8Array): void {
    try {
      const rest = this.#takePreamble(chunk);
      if (rest.length === 0) return;
      const used = this.#splitter.push(rest);
      if (this.#server !== undefined) this.#done(this.#server, rest.slice(used));
    } catch (error) {
      if (!(error instanceof MobulaError)) throw error;
      this.#fail(errorFromCode(error.code, `${formatAddress(this.#address)}: ${error.message}`));
    }
  }

  /** Gather the server's preamble; gives what follows it. */
  #takePreamble(chunk: Uint8Array): Uint8Array {
    if (this.#preambleHave === PREAMBLE_BYTES) return chunk;
    const taken = Math.min(PREAMBLE_BYTES - this.#preambleHave, chunk.length);
    this.#preamble.set(chunk.subarray(0, taken), this.#preambleHave);
    this.#preambleHave += taken;
    const have = this.#preamble.subarray(0, this.#preambleHave);
    if (!mayBePreamble(have)) throw new ProtocolError("what answers there is no mobula node");
    if (have.length === PREAMBLE_BYTES) parsePreamble(have);
    return chunk.subarray(taken);
  }

  #onFrame(type: number, bytes: Uint8Array, start: number, end: number): void {
    const step = this.#handshake.receive(type, bytes, start, end);
    if (step instanceof Uint8Array) {
      this.#wire.socket.write(step);
      return;
    }
    this.#expect(step);
    this.#server = step;
    this.#splitter.stop();
  }

  /** The server has proved who it is: is it whom we meant? */
  #expect(server: ServerIdentity): void {
    const { expect, target } = this.#options;
    const wanted: Partial<ServerIdentity> = target === undefined ? { ...expect } : { processId: target, ...expect };
    for (const key of ["role", "clusterId", "nodeId", "processId"] as const) {
      if (wanted[key] === undefined || wanted[key] === server[key]) continue;
      throw new ConnectionError(
        `${describePeer(server)} answers there; its ${key} is ${server[key] ?? "not given"}, not ${wanted[key]}`,
      );
    }
  }

  #done(peer: ServerIdentity, early: Uint8Array): void {
    this.#liftDeadline();
    this.#wire.hold();
    const { id } = this.#handshake;
    this.#resolve({ wire: this.#wire, peer, purpose: this.#options.purpose ?? "messages", id, early });
  }

  #fail(error: Error): void {
    this.#liftDeadline();
    this.#wire.release().destroy();
    this.#reject(error); // a second call changes nothing
  }

  #unreachable(why: string, cause?: Error): ConnectionError {
    const elapsed = Math.round(performance.now() - this.#startedAt);
    return new ConnectionError(`cannot connect to ${formatAddress(this.#address)}: ${why} (after ${elapsed} ms)`, {
      cause,
    });
  }
}

const EXPLAINED: Readonly<Record<string, string>> = {
  ECONNREFUSED: "ECONNREFUSED, nobody listens there",
  ENOENT: "ENOENT, the socket does not exist",
  EHOSTUNREACH: "EHOSTUNREACH, the host cannot be reached",
  ENOTFOUND: "ENOTFOUND, the host name is not known",
  EACCES: "EACCES, the socket belongs to another user",
};
