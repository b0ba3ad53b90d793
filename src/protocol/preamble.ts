/**
 * The preamble: the first 32 bytes of each direction of a connection, in the clear.
 *
 *     magic (8) | u16 version | 6 zeros | target (16)
 *
 * The target says which process of the node is meant: zeros for the node itself, else a worker's id in its first six
 * bytes. One port serves a whole node this way: the raylet reads the preamble and passes the socket on, handshake and
 * all. The version stands outside every encryption, so that peers of different versions can name each other.
 */
import { assert } from "../base/assert.js";
import { isHexId } from "../base/ids.js";
import { ProtocolError, VersionMismatchError } from "../errors.js";
import { PROTOCOL_VERSION } from "./version.js";

export const PREAMBLE_BYTES = 32;
/** `\0mobula\n`: neither text nor the beginning of HTTP or TLS. */
const MAGIC: readonly number[] = [0x00, 0x6d, 0x6f, 0x62, 0x75, 0x6c, 0x61, 0x0a];
const VERSION_AT = 8;
const TARGET_AT = 16;
/** A process id is 12 hex digits. */
const TARGET_DIGITS = 12;
const NODE_ITSELF = "0".repeat(TARGET_DIGITS);

export interface Preamble {
  /** The process that is meant; undefined is the node itself. */
  readonly target: string | undefined;
}

export function encodePreamble(target?: string): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES);
  bytes.set(MAGIC);
  bytes[VERSION_AT] = PROTOCOL_VERSION & 0xff;
  bytes[VERSION_AT + 1] = PROTOCOL_VERSION >> 8;
  if (target !== undefined) {
    assert(isHexId(target, TARGET_DIGITS) && target !== NODE_ITSELF, "a target is a process id");
    for (let i = 0; i < TARGET_DIGITS / 2; i++) {
      bytes[TARGET_AT + i] = Number.parseInt(target.slice(2 * i, 2 * i + 2), 16);
    }
  }
  return bytes;
}

/** Whether these bytes, however few, can still become a preamble. Strangers are refused at their first wrong byte. */
export function mayBePreamble(bytes: Uint8Array): boolean {
  const length = Math.min(bytes.length, MAGIC.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== MAGIC[i]) return false;
  return true;
}

/**
 * Read the preamble at the beginning of `bytes`, of which at least 32 are there.
 *
 * @throws ProtocolError when the peer is not one of ours, VersionMismatchError when it is one of another version.
 */
export function parsePreamble(bytes: Uint8Array): Preamble {
  assert(bytes.length >= PREAMBLE_BYTES, "a preamble is complete before it is read");
  if (!mayBePreamble(bytes)) throw new ProtocolError("the peer does not speak the mobula protocol");
  const version = (bytes[VERSION_AT] ?? 0) | ((bytes[VERSION_AT + 1] ?? 0) << 8);
  if (version !== PROTOCOL_VERSION) {
    throw new VersionMismatchError(
      `the peer speaks version ${version} of the mobula protocol, this process version ${PROTOCOL_VERSION}; ` +
        `upgrade the ${version < PROTOCOL_VERSION ? "peer" : "package of this process"}`,
    );
  }
  const padded = [
    ...bytes.subarray(VERSION_AT + 2, TARGET_AT),
    ...bytes.subarray(TARGET_AT + TARGET_DIGITS / 2, PREAMBLE_BYTES),
  ];
  if (padded.some((byte) => byte !== 0)) throw new ProtocolError("the preamble has bytes set that must be zero");
  let target = "";
  for (let i = 0; i < TARGET_DIGITS / 2; i++) target += (bytes[TARGET_AT + i] ?? 0).toString(16).padStart(2, "0");
  return { target: target === NODE_ITSELF ? undefined : target };
}
