/**
 * Values as processes keep them: a primitive as it is, everything else encoded, so that each `get` gives a fresh copy
 * and nobody's later change is seen. What the machines call opaque.
 */
import { ByteReader, ByteWriter, cutText } from "../base/bytes.js";
import { MAX_TEXT_BYTES } from "../base/limits.js";
import { ObjectLostError } from "../errors.js";
import type { Arena } from "../io/arena.js";
import {
  decodePrimitive,
  type EncodedValue,
  NOT_PRIMITIVE,
  STORE_HEAD_BYTES,
  tryEncodePrimitive,
  ValueWriter,
} from "../io/values/index.js";
import type { Failure } from "../protocol/messages.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { StoredBytes } from "./stored-bytes.js";

/** What the store has in place of a value when the task threw. */
export class StoredError {
  readonly error: EncodedBytes;

  constructor(error: EncodedBytes) {
    this.error = error;
  }
}

export type StoredValue = EncodedBytes | number | string | boolean | null | undefined;

/** A task failed without a word from user code. */
export class StoredFailure {
  readonly failure: Failure;

  constructor(failure: Failure) {
    this.failure = failure;
  }
}

/** What a reader finds in the store. */
export type StoredObject = EncodedBytes | StoredError | StoredFailure;

// In the store an object begins with a byte that tells a value from an error. The value follows at `STORE_HEAD_BYTES`.
const VALUE_BYTE = 0;
const ERROR_BYTE = 1;
const FAILURE_BYTE = 2;
const VALUE_HEADER = new Uint8Array(STORE_HEAD_BYTES);

/** A value that has just been encoded, as the store has it, in pieces. */
export function encodedPieces(encoded: EncodedValue): readonly Uint8Array[] {
  return [VALUE_HEADER, ...encoded.pieces()];
}

/** The bytes of an object in the store, in pieces. */
export function storedPieces(value: StoredValue, isError: boolean): readonly Uint8Array[] {
  const header = Buffer.alloc(STORE_HEAD_BYTES);
  header[0] = isError ? ERROR_BYTE : VALUE_BYTE;
  return [header, value instanceof EncodedBytes ? value.bytes : encodedPrimitive(value)];
}

export function failurePieces(failure: Failure): readonly Uint8Array[] {
  const header = Buffer.alloc(STORE_HEAD_BYTES);
  header[0] = FAILURE_BYTE;
  const words = new ByteWriter();
  words.text(failure.code);
  words.text(cutText(failure.message, MAX_TEXT_BYTES));
  return [header, words.copy()];
}

/**
 * The inverse of the two. A value is read where it lies: the caller `release`s it, and `onReleased` says when the block
 * is not needed any more. Errors are copied out, and the block is released at once, as is one that cannot be read.
 */
export function readStored(arena: Arena, offset: number, sizeBytes: number, onReleased: () => void): StoredObject {
  let kind: number | undefined;
  let bytes: Uint8Array;
  try {
    kind = arena.read(offset, 1)[0];
    if (kind === VALUE_BYTE) return StoredBytes.at(arena, offset, sizeBytes, onReleased);
    bytes = arena.read(offset + STORE_HEAD_BYTES, sizeBytes - STORE_HEAD_BYTES);
  } catch (error) {
    onReleased();
    if (!(error instanceof ObjectLostError)) throw error;
    return new StoredFailure({ code: error.code, message: error.message });
  }
  onReleased();
  if (kind === ERROR_BYTE) return new StoredError(new EncodedBytes(Buffer.from(bytes.buffer)));
  const reader = new ByteReader(bytes);
  return new StoredFailure({ code: reader.text(MAX_TEXT_BYTES), message: reader.text(MAX_TEXT_BYTES) });
}

function encodedPrimitive(value: Exclude<StoredValue, EncodedBytes>): Uint8Array {
  const writer = new ValueWriter();
  tryEncodePrimitive(writer, value);
  return writer.buffer.subarray(0, writer.position);
}

/** The value in [start, end) of a frame. Copied out, since the frame's bytes are gone after this turn. */
export function takeValue(bytes: Buffer, start: number, end: number): StoredValue {
  const primitive = decodePrimitive(bytes, start, end);
  if (primitive !== NOT_PRIMITIVE) return primitive as StoredValue;
  const copy = Buffer.allocUnsafeSlow(end - start);
  bytes.copy(copy, 0, start, end);
  return new EncodedBytes(copy);
}
