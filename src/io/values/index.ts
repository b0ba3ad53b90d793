/**
 * mobula's value encoder: what `put`, arguments and results are made of.
 *
 * Everything that API.md §3 "Values" lists arrives as it was, cycles and shared references within one value included.
 * What cannot be copied is a `SerializationError` with the path to it. Typed arrays and buffers of 64 KiB or more are
 * not copied while encoding. The format is described in tags.ts.
 */
import { newDecoding } from "./decoder.js";
import type { Decoding, Share } from "./decoding.js";
import { Encoded, type EncodedValue, type Named } from "./encoded.js";
import { Encoder } from "./encoder.js";
import type { Handle, ValueHooks } from "./hooks.js";
import { tryEncodePrimitive } from "./primitives.js";
import { readTrailer } from "./trailer.js";
import { ValueWriter } from "./writer.js";

export type { Share } from "./decoding.js";
export type { EncodedValue, Named } from "./encoded.js";
export type { AnyFunction, Handle, ValueHooks } from "./hooks.js";
export { inspectValue } from "./inspect-value.js";
export { MAX_VALUE_BYTES, OUT_OF_BAND_FROM, STORE_HEAD_BYTES } from "./limits.js";
export { decodePrimitive, NOT_PRIMITIVE, tryEncodePrimitive } from "./primitives.js";
export { ValueWriter } from "./writer.js";

const NOTHING: Named = Object.freeze({ handles: Object.freeze([]), classIds: Object.freeze([]) });

// One of each is kept between calls. An encoding that user code starts within another (in a getter) gets its own.
let idleEncoder: Encoder | undefined;
let idleDecoding: Decoding | undefined;
let idleWriter: ValueWriter | undefined;

/**
 * Append one value to a writer. Large binary data is listed in `writer.outOfBand`, with its place.
 * Runs user code (getters, `mobula.serialize` methods), which must not write to the same writer meanwhile.
 *
 * @throws SerializationError, ObjectTooLargeError; the writer is then as it was before.
 */
export function encodeInto(writer: ValueWriter, value: unknown, hooks: ValueHooks, label: string): Named {
  if (tryEncodePrimitive(writer, value)) return NOTHING;
  const encoder = idleEncoder ?? new Encoder();
  idleEncoder = undefined;
  try {
    encoder.run(writer, value, hooks, label);
    const { handles, classIds } = encoder;
    return handles.length === 0 && classIds.length === 0 ? NOTHING : { handles, classIds };
  } finally {
    encoder.clear();
    idleEncoder = encoder;
  }
}

/**
 * Encode a value on its own. Large binary data is still the user's memory: call `writeTo` or write the pieces before
 * user code runs again.
 */
export function encodeValue(value: unknown, hooks: ValueHooks, label: string): EncodedValue {
  const writer = idleWriter ?? new ValueWriter();
  idleWriter = undefined;
  const start = writer.position;
  try {
    const named = encodeInto(writer, value, hooks, label);
    return new Encoded(writer, start, named);
  } finally {
    writer.handOver();
    idleWriter = writer;
  }
}

/**
 * Decode a value. Nothing is trusted: time and memory are bounded by the number of bytes, and errors are typed.
 *
 * Binary data is copied out, each array with a buffer of its own. With `share: true`, that of 64 KiB or more becomes
 * views of the memory of `bytes`, which must belong to this value alone. A function as `share` is given the place of each
 * such array in `bytes` and may return an ArrayBuffer of exactly that memory, or undefined to have it copied.
 *
 * @throws SerializationError if a class, reviver or handle fails; ProtocolError if the bytes are malformed.
 */
export function decodeValue(bytes: Uint8Array, hooks: ValueHooks, options?: { readonly share?: Share }): unknown {
  return decodeRange(asBuffer(bytes), 0, bytes.length, hooks, options?.share);
}

/** Decode the value in [start, end) of a frame, without an object for the part. */
export function decodeRange(
  bytes: Buffer,
  start: number,
  end: number,
  hooks: ValueHooks,
  share: Share = false,
): unknown {
  const decoding = idleDecoding ?? newDecoding();
  idleDecoding = undefined;
  try {
    return decoding.run(bytes, start, end, hooks, share);
  } finally {
    decoding.clear();
    idleDecoding = decoding;
  }
}

/** The classes that must be loaded before a value is decoded. */
export function classIdsOf(bytes: Uint8Array): readonly string[] {
  return readTrailer(asBuffer(bytes), 0, bytes.length)?.classIds ?? NOTHING.classIds;
}

/** The handles in a value, without decoding it. */
export function handlesOf(bytes: Uint8Array): readonly Handle[] {
  return readTrailer(asBuffer(bytes), 0, bytes.length)?.handles ?? NOTHING.handles;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
