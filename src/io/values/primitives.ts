/**
 * Primitives, both ways. Task frames use these functions directly for small arguments and results.
 *
 * Short strings are written and read unit by unit, because a call into Node's native string functions costs 70 to
 * 130 ns: a loop writes 5 units in 18 ns, `fromCharCode` with four arguments at a time reads 12 in 26 ns.
 */

import { MAX_DIRECT_STRING } from "./limits.js";
import * as tags from "./tags.js";
import type { ValueWriter } from "./writer.js";

const SHORT = 32;
/** Up to here a loop writes a string faster than a native call. */
const LOOP_UNITS = 24;
/** V8 answers at once for a string that it stores with one byte per unit (16 ns for 100,000 units). */
const WIDE_UNIT = /[^\0-\xff]/;

/** `decodePrimitive` met something else. */
export const NOT_PRIMITIVE: unique symbol = Symbol("not a primitive");

/** Write a number, boolean, null, undefined or a string of up to 1,024 units; false (and nothing written) for the rest. */
export function tryEncodePrimitive(writer: ValueWriter, value: unknown): boolean {
  switch (typeof value) {
    case "number":
      writeNumber(writer, value);
      return true;
    case "string":
      if (value.length > MAX_DIRECT_STRING) return false;
      writeString(writer, value);
      return true;
    case "boolean":
      writer.byte(value ? tags.TRUE : tags.FALSE);
      return true;
    case "undefined":
      writer.byte(tags.UNDEFINED);
      return true;
    default:
      if (value !== null) return false;
      writer.byte(tags.NULL);
      return true;
  }
}

/**
 * Read what `tryEncodePrimitive` wrote into [start, end). NOT_PRIMITIVE for any other value, malformed ones included:
 * `decodeValue` knows what to say about those.
 */
export function decodePrimitive(bytes: Buffer, start: number, end: number): unknown {
  const tag = end > start ? (bytes[start] as number) : tags.END;
  const at = start + 1;
  const size = end - at;
  if (tag >= tags.SHORT_STRING) {
    if (tag >= tags.HAS_TRAILER) return NOT_PRIMITIVE;
    if (tag >= tags.SMALL_INT) return size === 0 ? tag - tags.SMALL_INT : NOT_PRIMITIVE;
    return size === tag - tags.SHORT_STRING ? readLatin1(bytes, at, size) : NOT_PRIMITIVE;
  }
  if (size === 0) {
    if (tag === tags.UNDEFINED) return undefined;
    if (tag === tags.NULL) return null;
    if (tag === tags.TRUE || tag === tags.FALSE) return tag === tags.TRUE;
  } else if (tag === tags.FLOAT64 && size === 8) {
    return readFloat64(bytes, at);
  } else if (tag === tags.INT32 && size === 4) {
    return readInt32(bytes, at);
  } else if (tag === tags.INT16 && size === 2) {
    return readInt16(bytes, at);
  } else if (tag === tags.INT8 && size === 1) {
    return readInt8(bytes, at);
  } else if (tag === tags.LATIN1 || tag === tags.UTF16) {
    return decodeDirectString(bytes, tag, at, end);
  }
  return NOT_PRIMITIVE;
}

/** A string of up to 1,024 units has a length of one or two varint bytes. */
function decodeDirectString(bytes: Buffer, tag: number, at: number, end: number): unknown {
  const low = bytes[at] as number;
  const from = low < 0x80 ? at + 1 : at + 2;
  const size = low < 0x80 ? low : (low & 0x7f) + 0x80 * (bytes[at + 1] ?? 0);
  if (from + size !== end) return NOT_PRIMITIVE;
  if (tag === tags.LATIN1) return readLatin1(bytes, from, size);
  return size % 2 === 0 ? bytes.toString("utf16le", from, end) : NOT_PRIMITIVE;
}

export function writeNumber(writer: ValueWriter, value: number): void {
  writer.ensure(9);
  const { view, position } = writer;
  const int = value | 0;
  if (int !== value || (int === 0 && Object.is(value, -0))) {
    view.setUint8(position, tags.FLOAT64);
    view.setFloat64(position + 1, value, true);
    writer.position = position + 9;
  } else if (int >= 0 && int < 32) {
    view.setUint8(position, tags.SMALL_INT + int);
    writer.position = position + 1;
  } else if (int >= -0x80 && int < 0x80) {
    view.setUint8(position, tags.INT8);
    view.setInt8(position + 1, int);
    writer.position = position + 2;
  } else if (int >= -0x8000 && int < 0x8000) {
    view.setUint8(position, tags.INT16);
    view.setInt16(position + 1, int, true);
    writer.position = position + 3;
  } else {
    view.setUint8(position, tags.INT32);
    view.setInt32(position + 1, int, true);
    writer.position = position + 5;
  }
}

export function writeString(writer: ValueWriter, value: string): void {
  const length = value.length;
  if (length > LOOP_UNITS || !tryWriteShort(writer, value, length)) writeLongString(writer, value, length);
}

/** Write a string of at most LOOP_UNITS units, unless it has a unit above 255. */
function tryWriteShort(writer: ValueWriter, value: string, length: number): boolean {
  writer.ensure(length + 1);
  const { buffer, position } = writer;
  for (let i = 0; i < length; i++) {
    const unit = value.charCodeAt(i);
    if (unit > 0xff) return false;
    buffer[position + 1 + i] = unit;
  }
  buffer[position] = tags.SHORT_STRING + length;
  writer.position = position + 1 + length;
  return true;
}

function writeLongString(writer: ValueWriter, value: string, length: number): void {
  const wide = WIDE_UNIT.test(value);
  const size = wide ? 2 * length : length;
  if (!wide && length < SHORT) {
    writer.byte(tags.SHORT_STRING + length);
  } else {
    writer.byte(wide ? tags.UTF16 : tags.LATIN1);
    writer.varint(size);
  }
  writer.ensure(size);
  writer.buffer.write(value, writer.position, size, wide ? "utf16le" : "latin1");
  writer.position += size;
}

// Node's Buffer methods take 18 ns for each number and a DataView costs 100 ns to make: these take about 4 ns.
const float = new Float64Array(1);
const floatBytes = new Uint8Array(float.buffer);

export function readFloat64(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < 8; i++) floatBytes[i] = bytes[at + i] as number;
  return float[0] as number;
}

export function readInt32(bytes: Uint8Array, at: number): number {
  return readInt16(bytes, at + 2) * 0x10000 + ((bytes[at + 1] as number) << 8) + (bytes[at] as number);
}

export function readInt16(bytes: Uint8Array, at: number): number {
  return readInt8(bytes, at + 1) * 0x100 + (bytes[at] as number);
}

export function readInt8(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) >> 24;
}

export function readLatin1(bytes: Buffer, at: number, length: number): string {
  if (length > 12) return bytes.toString("latin1", at, at + length);
  let text = "";
  const end = at + length;
  // Strings of up to 12 units are flat in V8: appending to them makes no tree that would have to be flattened later.
  for (; at + 4 <= end; at += 4) {
    text += String.fromCharCode(
      bytes[at] as number,
      bytes[at + 1] as number,
      bytes[at + 2] as number,
      bytes[at + 3] as number,
    );
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}
