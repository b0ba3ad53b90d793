/**
 * The last part of a value that names classes or handles: it can be read without decoding the value, so that classes
 * are loaded and refs registered first.
 *
 *   varint count, count × class id (16 bytes) · varint count, count × (kind, varint length, data) · u32 size of these
 */
import { assert } from "../../base/assert.js";
import type { Handle } from "./hooks.js";
import { Reader } from "./reader.js";
import * as tags from "./tags.js";
import type { ValueWriter } from "./writer.js";

const CLASS_ID_BYTES = 16;
const CLASS_ID = /^[0-9a-f]{32}$/;
const SIZE_BYTES = 4;

export interface Trailer {
  readonly classIds: readonly string[];
  readonly handles: readonly Handle[];
  /** Where the value itself ends. */
  readonly start: number;
}

export function writeTrailer(writer: ValueWriter, classIds: readonly string[], handles: readonly Handle[]): void {
  const start = writer.position;
  writer.varint(classIds.length);
  for (const id of classIds) {
    assert(CLASS_ID.test(id), "a class id has 32 hexadecimal digits");
    writer.ensure(CLASS_ID_BYTES);
    writer.position += writer.buffer.write(id, writer.position, CLASS_ID_BYTES, "hex");
  }
  writer.varint(handles.length);
  for (const { kind, data } of handles) {
    writer.byte(kind);
    writer.varint(data.length);
    writer.ensure(data.length);
    writer.buffer.set(data, writer.position);
    writer.position += data.length;
  }
  writer.ensure(SIZE_BYTES);
  writer.position = writer.buffer.writeUInt32LE(writer.position - start, writer.position);
}

/** The trailer of the value in [start, end), or undefined if it has none. @throws ProtocolError if it is malformed. */
export function readTrailer(bytes: Buffer, start: number, end: number): Trailer | undefined {
  if (end <= start || (bytes[start] as number) < tags.HAS_TRAILER) return undefined;
  const reader = new Reader();
  reader.open(bytes, start, end);
  if (end - start < 1 + SIZE_BYTES) reader.malformed("no room for a trailer");
  const size = bytes.readUInt32LE(end - SIZE_BYTES);
  reader.end = end - SIZE_BYTES;
  reader.position = reader.end - size;
  if (reader.position <= start) reader.malformed("a trailer that is larger than its value");
  const trailer = {
    start: reader.position,
    classIds: Array.from({ length: reader.count(CLASS_ID_BYTES) }, () => readClassId(reader)),
    handles: Array.from({ length: reader.count(2) }, () => readHandle(reader)),
  };
  if (reader.position !== reader.end) reader.malformed("bytes after the trailer");
  return trailer;
}

function readClassId(reader: Reader): string {
  const at = reader.take(CLASS_ID_BYTES);
  return reader.bytes.toString("hex", at, at + CLASS_ID_BYTES);
}

/** The data is copied: a handle outlives the frame that it came in. */
function readHandle(reader: Reader): Handle {
  const kind = reader.byte();
  const length = reader.count(1);
  const at = reader.take(length);
  return { kind, data: Uint8Array.from(reader.bytes.subarray(at, at + length)) };
}
