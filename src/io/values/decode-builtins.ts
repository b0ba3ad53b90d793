/** Primitives and built-in objects: how each is read, in the order in which encode-builtins.ts writes them. */
import { SerializationError } from "../../errors.js";
import type { Decoder, ReadTag } from "./decoder.js";
import { ALIGN_FROM, ALIGNMENT } from "./limits.js";
import { readInt16, readInt32, readInt8 } from "./primitives.js";
import { wellKnownSymbol } from "./symbols.js";
import * as tags from "./tags.js";
import { VIEW_KINDS } from "./views.js";

function readBigInt(decoder: Decoder): bigint {
  const isNegative = decoder.byte() === 1;
  const length = decoder.count(1);
  const at = decoder.take(length);
  const magnitude = BigInt(`0x${decoder.bytes.toString("hex", at, at + length)}`);
  return isNegative ? -magnitude : magnitude;
}

function readWellKnownSymbol(decoder: Decoder): symbol {
  const name = decoder.readString();
  const symbol = wellKnownSymbol(name);
  if (symbol === undefined) throw new SerializationError(`Symbol.${name} of a value does not exist in this version of Node`);
  return symbol;
}

function readMap(decoder: Decoder): Map<unknown, unknown> {
  const map = decoder.add(new Map<unknown, unknown>());
  decoder.enter();
  for (let tag = decoder.byte(); tag !== tags.END; tag = decoder.byte()) map.set(decoder.readTagged(tag), decoder.read());
  decoder.leave();
  return map;
}

function readSet(decoder: Decoder): Set<unknown> {
  const set = decoder.add(new Set<unknown>());
  decoder.enter();
  for (let tag = decoder.byte(); tag !== tags.END; tag = decoder.byte()) set.add(decoder.readTagged(tag));
  decoder.leave();
  return set;
}

function readRegExp(decoder: Decoder): RegExp {
  const source = decoder.readString();
  const regExp = decoder.add(new RegExp(source, decoder.readString()));
  regExp.lastIndex = Number(decoder.readPrimitive());
  return regExp;
}

function readDomException(decoder: Decoder): DOMException {
  const name = decoder.readString();
  const exception = decoder.add(new DOMException(decoder.readString(), name));
  decoder.enter();
  for (const key of ["stack", "cause"]) {
    const value = decoder.read();
    if (value !== undefined) Object.defineProperty(exception, key, { value, writable: true, configurable: true });
  }
  decoder.leave();
  return exception;
}

/** Step over padding and bytes; returns where the bytes begin. */
function takeBinary(decoder: Decoder, length: number): number {
  if (length >= ALIGN_FROM) decoder.take(-(decoder.position - decoder.start) & (ALIGNMENT - 1));
  return decoder.take(length);
}

/** The length of binary data, checked before anything is allocated. */
function readArrayBuffer(decoder: Decoder): ArrayBuffer {
  const length = decoder.varint();
  const at = takeBinary(decoder, length);
  return decoder.add(mapped(decoder, at, length) ?? copied(decoder, at, length));
}

function readView(decoder: Decoder): ArrayBufferView {
  const number = decoder.byte();
  if (number >= VIEW_KINDS.length) decoder.malformed(`the unknown kind of array ${number}`);
  const kind = VIEW_KINDS[number];
  if (kind === undefined) throw new SerializationError("a value has a Float16Array, which this version of Node does not have");
  const size = decoder.varint();
  if (size % kind.elementBytes !== 0) decoder.malformed("part of an array element");
  const at = takeBinary(decoder, size);
  const { bytes } = decoder;
  const offset = bytes.byteOffset + at;
  if (decoder.share === true && size >= ALIGN_FROM && offset % kind.elementBytes === 0) {
    return decoder.add(kind.over(bytes.buffer, offset, size / kind.elementBytes));
  }
  return decoder.add(kind.over(mapped(decoder, at, size) ?? copied(decoder, at, size), 0, size / kind.elementBytes));
}

/** Large data as the caller maps it, a buffer of its own for each array. */
function mapped(decoder: Decoder, at: number, length: number): ArrayBuffer | undefined {
  return typeof decoder.share === "function" && length >= ALIGN_FROM ? decoder.share(at, length) : undefined;
}

function copied(decoder: Decoder, at: number, length: number): ArrayBuffer {
  const { buffer, byteOffset } = decoder.bytes;
  if (buffer instanceof ArrayBuffer) return buffer.slice(byteOffset + at, byteOffset + at + length);
  const copy = new ArrayBuffer(length);
  new Uint8Array(copy).set(decoder.bytes.subarray(at, at + length));
  return copy;
}

export const BUILTIN_READERS: readonly (readonly [tag: number, read: ReadTag])[] = [
  [tags.UNDEFINED, () => undefined],
  [tags.NULL, () => null],
  [tags.FALSE, () => false],
  [tags.TRUE, () => true],
  [tags.INT8, (decoder) => readInt8(decoder.bytes, decoder.take(1))],
  [tags.INT16, (decoder) => readInt16(decoder.bytes, decoder.take(2))],
  [tags.INT32, (decoder) => readInt32(decoder.bytes, decoder.take(4))],
  [tags.FLOAT64, (decoder) => decoder.float64()],
  [tags.LATIN1, (decoder) => decoder.latin1(decoder.varint())],
  [tags.UTF16, (decoder) => decoder.utf16(decoder.varint())],
  [tags.BIGINT64, (decoder) => decoder.bytes.readBigInt64LE(decoder.take(8))],
  [tags.BIGINT, readBigInt],
  [tags.SYMBOL_FOR, (decoder) => Symbol.for(decoder.readString())],
  [tags.SYMBOL_WELL_KNOWN, readWellKnownSymbol],
  [tags.MAP, readMap],
  [tags.SET, readSet],
  [tags.DATE, (decoder) => decoder.add(new Date(decoder.float64()))],
  [tags.REGEXP, readRegExp],
  [tags.BOXED, (decoder) => decoder.add(Object(decoder.readPrimitive()))],
  [tags.DOM_EXCEPTION, readDomException],
  [tags.ARRAY_BUFFER, readArrayBuffer],
  [tags.VIEW, readView],
  [tags.URL_OBJECT, (decoder) => decoder.add(new URL(decoder.readString()))],
  [tags.URL_SEARCH_PARAMS, (decoder) => decoder.add(new URLSearchParams(decoder.readString()))],
];
