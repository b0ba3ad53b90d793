/**
 * The handshake: both ends prove that they know the cluster's secret, and say who they are. The secret itself never
 * crosses the wire.
 *
 *     client                              server
 *       preamble                  ──▶
 *                                 ◀──      preamble, CHALLENGE { server nonce }
 *       ANSWER { client nonce,
 *         identity, purpose, proof } ──▶   checks the proof
 *                                 ◀──      WELCOME { identity, proof }  or  REFUSAL
 *       checks the proof
 *
 * A proof is an HMAC-SHA256 under the secret over a label, the version, the identities and both nonces. The labels
 * differ by direction, so that a proof cannot be sent back to its maker; the nonces are fresh, so that none can be
 * replayed. Every failed check gives the same REFUSAL. The client's nonce also names the connection, so that others can be
 * told of it when it is lost.
 *
 * Pure: cryptography comes in through a port, bytes in and out as values. Whoever drives a handshake splits frames
 * with `MAX_HANDSHAKE_FRAME_BYTES`, keeps the deadline, and closes the connection when a call throws.
 */
import { assert } from "../base/assert.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import type { ConnectionId } from "../base/ids.js";
import { MAX_HANDSHAKE_FRAME_BYTES, MAX_ID_BYTES } from "../base/limits.js";
import { AuthenticationError, ProtocolError } from "../errors.js";
import { beginFrame, endFrame, FRAME_HEADER_BYTES } from "./frames.js";
import { encodePreamble } from "./preamble.js";
import { PROTOCOL_VERSION } from "./version.js";

export type ClientRole = "driver" | "worker" | "raylet" | "tool";
export type ServerRole = "head" | "raylet" | "worker" | "driver";

/** Who dials. */
export interface ClientIdentity {
  readonly role: ClientRole;
  readonly nodeId: string;
  readonly processId: string;
}

/** Who listens. */
export interface ServerIdentity {
  readonly role: ServerRole;
  readonly nodeId: string;
  readonly processId: string;
  readonly clusterId?: string;
}

/** What a connection is for: messages between processes, the bytes of objects, or questions of synchronous code. */
export type Purpose = "messages" | "objects" | "store";

/** Who is at the other end, proved. */
export type PeerIdentity = ClientIdentity | ServerIdentity;

export interface HandshakeCrypto {
  /** 32 fresh random bytes. */
  nonce(): Uint8Array;
  /** HMAC-SHA256: 32 bytes. */
  hmac(secret: Uint8Array, data: Uint8Array): Uint8Array;
  /** Compare two arrays of 32 bytes in a time that does not depend on their content. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}

const CHALLENGE = 1;
const ANSWER = 2;
const WELCOME = 3;
const REFUSAL = 4;

const NONCE_BYTES = 32;
const PROOF_BYTES = 32;
/** Enough that no two connections ever have one name. */
const CONNECTION_ID_BYTES = 16;
const CLIENT_ROLES: readonly ClientRole[] = ["driver", "worker", "raylet", "tool"];
const SERVER_ROLES: readonly ServerRole[] = ["head", "raylet", "worker", "driver"];
const PURPOSES: readonly Purpose[] = ["messages", "objects", "store"];

/** What the server sends for any failed check, and no more: a stranger learns nothing from it. */
export const REFUSAL_FRAME: Uint8Array = frame(REFUSAL, () => {});

/** What both proofs cover besides their label. */
interface Transcript {
  readonly client: ClientIdentity;
  readonly purpose: Purpose;
  readonly serverNonce: Uint8Array;
  readonly clientNonce: Uint8Array;
}

/** What an accepted answer gives: bytes to send, and who the client is. */
export interface Accepted {
  readonly reply: Uint8Array;
  readonly client: ClientIdentity;
  readonly purpose: Purpose;
  readonly id: ConnectionId;
}

/** The listening end. Call `challenge()` once the preamble has come, then `answer()` with the first frame. */
export class ServerHandshake {
  readonly #crypto: HandshakeCrypto;
  readonly #secret: Uint8Array;
  readonly #identity: ServerIdentity;
  readonly #nonce: Uint8Array;
  #answered = false;

  constructor(crypto: HandshakeCrypto, secret: Uint8Array, identity: ServerIdentity) {
    this.#crypto = crypto;
    this.#secret = secret;
    this.#identity = identity;
    this.#nonce = crypto.nonce();
    assert(this.#nonce.length === NONCE_BYTES, "a nonce has 32 bytes");
  }

  /** The first bytes to the client: this end's preamble and the challenge. */
  challenge(): Uint8Array {
    const challenge = frame(CHALLENGE, (writer) => writer.raw(this.#nonce));
    const writer = new ByteWriter();
    writer.raw(encodePreamble());
    writer.raw(challenge);
    return writer.written();
  }

  /**
   * Check the client's answer.
   *
   * @throws AuthenticationError whatever is wrong with it; send `REFUSAL_FRAME` and close.
   */
  answer(type: number, bytes: Uint8Array, start: number, end: number): Accepted {
    if (type !== ANSWER || this.#answered)
      throw new AuthenticationError("the client sent something else than its answer");
    this.#answered = true;
    const [transcript, proof] = refusing(() => readAnswer(new ByteReader(bytes, start, end), this.#nonce));
    const expected = this.#crypto.hmac(this.#secret, clientProof(transcript));
    if (!this.#crypto.equal(expected, proof))
      throw new AuthenticationError("the client does not know the cluster's secret");

    const own = this.#crypto.hmac(this.#secret, serverProof(transcript, this.#identity));
    const reply = frame(WELCOME, (writer) => {
      writeServerIdentity(writer, this.#identity);
      writer.raw(own);
    });
    const { client, purpose, clientNonce } = transcript;
    return { reply, client, purpose, id: connectionId(clientNonce) };
  }
}

/** The dialling end. Send `preamble()`, then feed each frame to `receive()` until it gives the server's identity. */
export class ClientHandshake {
  readonly #crypto: HandshakeCrypto;
  readonly #secret: Uint8Array;
  readonly #identity: ClientIdentity;
  readonly #purpose: Purpose;
  /** Known once the server's challenge has come. */
  #transcript: Transcript | undefined;

  constructor(crypto: HandshakeCrypto, secret: Uint8Array, identity: ClientIdentity, purpose: Purpose) {
    this.#crypto = crypto;
    this.#secret = secret;
    this.#identity = identity;
    this.#purpose = purpose;
  }

  /** Known once the server has been answered. */
  get id(): ConnectionId {
    assert(this.#transcript !== undefined, "a connection has a name once the server was answered");
    return connectionId(this.#transcript.clientNonce);
  }

  /**
   * Take a frame of the server: gives the answer to send, or, at the end, the server's proved identity.
   *
   * @throws AuthenticationError when the server refuses us or cannot prove itself, ProtocolError when it does not
   *   keep to the handshake.
   */
  receive(type: number, bytes: Uint8Array, start: number, end: number): Uint8Array | ServerIdentity {
    if (type === REFUSAL) {
      throw new AuthenticationError("the peer refused this process: they do not share the cluster's secret");
    }
    const reader = new ByteReader(bytes, start, end);
    if (type === CHALLENGE && this.#transcript === undefined) return malformed(() => this.#answer(reader));
    if (type === WELCOME && this.#transcript !== undefined) {
      const transcript = this.#transcript;
      return malformed(() => this.#checkWelcome(reader, transcript));
    }
    throw new ProtocolError(`the peer sent frame ${type} out of turn in the handshake`);
  }

  #answer(reader: ByteReader): Uint8Array {
    const serverNonce = new Uint8Array(reader.raw(NONCE_BYTES)); // a copy: it is kept beyond the call
    reader.finish();
    const clientNonce = this.#crypto.nonce();
    assert(clientNonce.length === NONCE_BYTES, "a nonce has 32 bytes");
    const transcript = { client: this.#identity, purpose: this.#purpose, serverNonce, clientNonce };
    this.#transcript = transcript;
    const proof = this.#crypto.hmac(this.#secret, clientProof(transcript));
    return frame(ANSWER, (writer) => {
      writer.raw(clientNonce);
      writeClient(writer, transcript);
      writer.raw(proof);
    });
  }

  #checkWelcome(reader: ByteReader, transcript: Transcript): ServerIdentity {
    const identity = readServerIdentity(reader);
    const proof = reader.raw(PROOF_BYTES);
    reader.finish();
    const expected = this.#crypto.hmac(this.#secret, serverProof(transcript, identity));
    if (!this.#crypto.equal(expected, proof)) {
      throw new AuthenticationError("the peer cannot prove that it knows the cluster's secret");
    }
    return identity;
  }
}

// ── Proofs: every field has a length of its own or is preceded by one, so two transcripts never give the same bytes ──

function clientProof(transcript: Transcript): Uint8Array {
  return proof("client", transcript, () => {});
}

function serverProof(transcript: Transcript, server: ServerIdentity): Uint8Array {
  return proof("server", transcript, (writer) => writeServerIdentity(writer, server));
}

function proof(label: string, transcript: Transcript, more: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  writer.text(label);
  writer.u16(PROTOCOL_VERSION);
  writeClient(writer, transcript);
  writer.raw(transcript.serverNonce);
  writer.raw(transcript.clientNonce);
  more(writer);
  return writer.written();
}

function connectionId(clientNonce: Uint8Array): ConnectionId {
  const digits = Array.from(clientNonce.subarray(0, CONNECTION_ID_BYTES), (byte) => byte.toString(16).padStart(2, "0"));
  return digits.join("") as ConnectionId;
}

// ── Fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function readAnswer(reader: ByteReader, serverNonce: Uint8Array): [Transcript, Uint8Array] {
  const clientNonce = reader.raw(NONCE_BYTES);
  const role = readChoice(reader, CLIENT_ROLES);
  const client = { role, nodeId: readId(reader), processId: readId(reader) };
  const purpose = readChoice(reader, PURPOSES);
  const proof = reader.raw(PROOF_BYTES);
  reader.finish();
  return [{ client, purpose, serverNonce, clientNonce }, proof];
}

function writeClient(writer: ByteWriter, { client, purpose }: Transcript): void {
  writer.u8(CLIENT_ROLES.indexOf(client.role));
  writer.text(client.nodeId);
  writer.text(client.processId);
  writer.u8(PURPOSES.indexOf(purpose));
}

function readServerIdentity(reader: ByteReader): ServerIdentity {
  const role = readChoice(reader, SERVER_ROLES);
  const identity = { role, nodeId: readId(reader), processId: readId(reader) };
  const clusterId = readId(reader);
  return clusterId === "" ? identity : { ...identity, clusterId };
}

function writeServerIdentity(writer: ByteWriter, identity: ServerIdentity): void {
  writer.u8(SERVER_ROLES.indexOf(identity.role));
  writer.text(identity.nodeId);
  writer.text(identity.processId);
  writer.text(identity.clusterId ?? "");
}

function readChoice<T>(reader: ByteReader, choices: readonly T[]): T {
  const choice = choices[reader.u8()];
  if (choice === undefined) throw new MalformedBytes("an unknown choice");
  return choice;
}

/** Ids end up in log lines: letters, digits, dots and dashes only. */
function readId(reader: ByteReader): string {
  const id = reader.text(MAX_ID_BYTES);
  if (!/^[0-9A-Za-z.-]*$/.test(id)) throw new MalformedBytes("not an id");
  return id;
}

function frame(type: number, body: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  const at = beginFrame(writer, type);
  body(writer);
  endFrame(writer, at);
  assert(writer.length - FRAME_HEADER_BYTES < MAX_HANDSHAKE_FRAME_BYTES, "handshake frames are small");
  return writer.written();
}

/** The server tells a stranger nothing: malformed and wrong are the same to it. */
function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedBytes)
      throw new AuthenticationError(`the client's answer is malformed: ${error.message}`);
    throw error;
  }
}

function malformed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MalformedBytes) throw new ProtocolError(`malformed handshake: ${error.message}`);
    throw error;
  }
}
