/** Primitives and built-in objects: how each is read, in the order in which encode-builtins.ts writes them. */
import { SerializationError } from "../../errors.js";
import type { Decoding, ReadTag } from "./decoding.js";
import { ALIGN_FROM, paddingAt } from "./limits.js";
import { readInt8, readInt16, readInt32 } from "./primitives.js";
import { wellKnownSymbol } from "./symbols.js";
import * as tags from "./tags.js";
import { BYTES, VIEW_KINDS } from "./views.js";

function readBigInt(decoding: Decoding): bigint {
  const isNegative = decoding.byte() === 1;
  const length = decoding.count(1);
  const at = decoding.take(length);
  const magnitude = BigInt(`0x${decoding.bytes.toString("hex", at, at + length)}`);
  return isNegative ? -magnitude : magnitude;
}

function readWellKnownSymbol(decoding: Decoding): symbol {
  const name = decoding.readString();
  const symbol = wellKnownSymbol(name);
  if (symbol === undefined)
    throw new SerializationError(`Symbol.${name} of a value does not exist in this version of Node`);
  return symbol;
}

function readMap(decoding: Decoding): Map<unknown, unknown> {
  const map = decoding.add(new Map<unknown, unknown>());
  decoding.enter();
  for (let tag = decoding.byte(); tag !== tags.END; tag = decoding.byte())
    map.set(decoding.readTagged(tag), decoding.read());
  decoding.leave();
  return map;
}

function readSet(decoding: Decoding): Set<unknown> {
  const set = decoding.add(new Set<unknown>());
  decoding.enter();
  for (let tag = decoding.byte(); tag !== tags.END; tag = decoding.byte()) set.add(decoding.readTagged(tag));
  decoding.leave();
  return set;
}

function readRegExp(decoding: Decoding): RegExp {
  const source = decoding.readString();
  const regExp = decoding.add(new RegExp(source, decoding.readString()));
  regExp.lastIndex = Number(decoding.readPrimitive());
  return regExp;
}

function readDomException(decoding: Decoding): DOMException {
  const name = decoding.readString();
  const exception = decoding.add(new DOMException(decoding.readString(), name));
  decoding.enter();
  for (const key of ["stack", "cause"]) {
    const value = decoding.read();
    if (value !== undefined) Object.defineProperty(exception, key, { value, writable: true, configurable: true });
  }
  decoding.leave();
  return exception;
}

/** Step over padding and bytes; returns where the bytes begin. */
function takeBinary(decoding: Decoding, length: number): number {
  if (length >= ALIGN_FROM) decoding.take(paddingAt(decoding.position - decoding.start));
  return decoding.take(length);
}

/** The length of binary data, checked before anything is allocated. */
function readArrayBuffer(decoding: Decoding): ArrayBuffer {
  const length = decoding.varint();
  const at = takeBinary(decoding, length);
  return decoding.add(mapped(decoding, at, length) ?? copied(decoding, at, length));
}

function readView(decoding: Decoding): ArrayBufferView {
  const number = decoding.byte();
  if (number >= VIEW_KINDS.length) decoding.malformed(`the unknown kind of array ${number}`);
  const kind = VIEW_KINDS[number];
  if (kind === undefined)
    throw new SerializationError("a value has a Float16Array, which this version of Node does not have");
  const size = decoding.varint();
  if (size % kind.elementBytes !== 0) decoding.malformed("part of an array element");
  const at = takeBinary(decoding, size);
  const { bytes } = decoding;
  const offset = bytes.byteOffset + at;
  // A quarter of what getting 1 KB costs: the copy itself is the array, and its buffer never becomes an object.
  if (kind === BYTES && size < ALIGN_FROM)
    return decoding.add(new Uint8Array(new Uint8Array(bytes.buffer, offset, size)));
  if (decoding.share === true && size >= ALIGN_FROM && offset % kind.elementBytes === 0) {
    return decoding.add(kind.over(bytes.buffer, offset, size / kind.elementBytes));
  }
  return decoding.add(kind.over(mapped(decoding, at, size) ?? copied(decoding, at, size), 0, size / kind.elementBytes));
}

/** Large data as the caller maps it, a buffer of its own for each array. */
function mapped(decoding: Decoding, at: number, length: number): ArrayBuffer | undefined {
  return typeof decoding.share === "function" && length >= ALIGN_FROM ? decoding.share(at, length) : undefined;
}

function copied(decoding: Decoding, at: number, length: number): ArrayBuffer {
  const { buffer, byteOffset } = decoding.bytes;
  // An array made of an array: half the price of `ArrayBuffer.prototype.slice` for a small one (0.8 against 1.7 µs).
  return new Uint8Array(new Uint8Array(buffer, byteOffset + at, length)).buffer;
}

export const BUILTIN_READERS: readonly (readonly [tag: number, read: ReadTag])[] = [
  [tags.UNDEFINED, () => undefined],
  [tags.NULL, () => null],
  [tags.FALSE, () => false],
  [tags.TRUE, () => true],
  [tags.INT8, (decoding) => readInt8(decoding.bytes, decoding.take(1))],
  [tags.INT16, (decoding) => readInt16(decoding.bytes, decoding.take(2))],
  [tags.INT32, (decoding) => readInt32(decoding.bytes, decoding.take(4))],
  [tags.FLOAT64, (decoding) => decoding.float64()],
  [tags.LATIN1, (decoding) => decoding.latin1(decoding.varint())],
  [tags.UTF16, (decoding) => decoding.utf16(decoding.varint())],
  [tags.BIGINT64, (decoding) => decoding.bytes.readBigInt64LE(decoding.take(8))],
  [tags.BIGINT, readBigInt],
  [tags.SYMBOL_FOR, (decoding) => Symbol.for(decoding.readString())],
  [tags.SYMBOL_WELL_KNOWN, readWellKnownSymbol],
  [tags.MAP, readMap],
  [tags.SET, readSet],
  [tags.DATE, (decoding) => decoding.add(new Date(decoding.float64()))],
  [tags.REGEXP, readRegExp],
  [tags.BOXED, (decoding) => decoding.add(Object(decoding.readPrimitive()))],
  [tags.DOM_EXCEPTION, readDomException],
  [tags.ARRAY_BUFFER, readArrayBuffer],
  [tags.VIEW, readView],
  [tags.URL_OBJECT, (decoding) => decoding.add(new URL(decoding.readString()))],
  [tags.URL_SEARCH_PARAMS, (decoding) => decoding.add(new URLSearchParams(decoding.readString()))],
];
