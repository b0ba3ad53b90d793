/** Built-in objects, bigints and symbols: how each is written. decode-builtins.ts reads them in the same order. */
import { types } from "node:util";
import type { Encoding } from "./encoding.js";
import { MAX_STACK_CHARACTERS } from "./limits.js";
import { LOCAL_SYMBOL_HINT, Obstacle } from "./obstacles.js";
import { EntryKey } from "./paths.js";
import { writeString } from "./primitives.js";
import { wellKnownName } from "./symbols.js";
import * as tags from "./tags.js";
import { VIEW_KINDS, viewKind } from "./views.js";

export function writeBigInt(encoding: Encoding, value: bigint): void {
  const { writer } = encoding;
  if (BigInt.asIntN(64, value) === value) {
    writer.byte(tags.BIGINT64);
    writer.ensure(8);
    writer.view.setBigInt64(writer.position, value, true);
    writer.position += 8;
    return;
  }
  // Hexadecimal, because V8 converts to and from a power of two in linear time.
  const hex = (value < 0n ? -value : value).toString(16);
  const magnitude = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  writer.byte(tags.BIGINT);
  writer.byte(value < 0n ? 1 : 0);
  writer.varint(magnitude.length);
  writer.append(magnitude);
}

export function writeSymbol(encoding: Encoding, value: symbol): void {
  const key = Symbol.keyFor(value);
  const name = key ?? wellKnownName(value);
  if (name === undefined) {
    throw new Obstacle(`is the local symbol ${String(value)}, which exists only in this process`, LOCAL_SYMBOL_HINT);
  }
  encoding.writer.byte(key === undefined ? tags.SYMBOL_WELL_KNOWN : tags.SYMBOL_FOR);
  writeString(encoding.writer, name);
}

// Read through the functions of the language itself: a subclass may have replaced them by its own.
const mapEntries = Map.prototype.entries;
const setValues = Set.prototype.values;
const getTime = Date.prototype.getTime;

function writeMap(encoding: Encoding, value: Map<unknown, unknown>): void {
  const entry = new EntryKey();
  encoding.writer.byte(tags.MAP);
  const level = encoding.path.enter();
  for (const [key, held] of mapEntries.call(value) as IterableIterator<[unknown, unknown]>) {
    encoding.path.keys[level] = entry.toKey(key);
    encoding.writeHeld(key);
    encoding.path.keys[level] = entry.toValue();
    encoding.writeHeld(held);
  }
  encoding.path.leave();
  encoding.writer.byte(tags.END);
}

function writeSet(encoding: Encoding, value: Set<unknown>): void {
  const entry = new EntryKey();
  encoding.writer.byte(tags.SET);
  const level = encoding.path.enter();
  for (const held of setValues.call(value) as IterableIterator<unknown>) {
    encoding.path.keys[level] = entry.toElement();
    encoding.writeHeld(held);
  }
  encoding.path.leave();
  encoding.writer.byte(tags.END);
}

function writeDate(encoding: Encoding, value: Date): void {
  const { writer } = encoding;
  writer.byte(tags.DATE);
  writer.ensure(8);
  writer.view.setFloat64(writer.position, getTime.call(value), true);
  writer.position += 8;
}

function writeRegExp(encoding: Encoding, value: RegExp): void {
  encoding.writer.byte(tags.REGEXP);
  writeString(encoding.writer, value.source);
  writeString(encoding.writer, value.flags);
  encoding.write(value.lastIndex);
}

function writeBoxed(encoding: Encoding, value: object): void {
  encoding.writer.byte(tags.BOXED);
  if (types.isNumberObject(value)) encoding.write(Number.prototype.valueOf.call(value));
  else if (types.isStringObject(value)) encoding.write(String.prototype.valueOf.call(value));
  else if (types.isBooleanObject(value)) encoding.write(Boolean.prototype.valueOf.call(value));
  else if (types.isBigIntObject(value)) encoding.write(BigInt.prototype.valueOf.call(value));
  else encoding.write(Symbol.prototype.valueOf.call(value));
}

/** A SharedArrayBuffer is copied and arrives as an ArrayBuffer: two processes cannot share one. */
function writeArrayBuffer(encoding: Encoding, value: ArrayBufferLike): void {
  refuseDetached(value, value.byteLength);
  encoding.writer.refuseMore(value.byteLength);
  encoding.writer.byte(tags.ARRAY_BUFFER);
  encoding.writeBinary(new Uint8Array(value));
}

/** A view carries only the bytes that it shows, not the whole of its buffer. */
function writeView(encoding: Encoding, value: ArrayBufferView): void {
  const { byteLength } = value;
  if (byteLength === 0) refuseDetached(value.buffer, byteLength);
  encoding.writer.refuseMore(byteLength);
  encoding.writer.byte(tags.VIEW);
  encoding.writer.byte(viewKind(value));
  // V8 makes the buffer of a small array an object, for good, when it is asked for it.
  const isBytes = value instanceof Uint8Array;
  encoding.writeBinary(isBytes ? value : new Uint8Array(value.buffer, value.byteOffset, byteLength));
}

/** A buffer that was transferred to another thread looks empty; its data would be lost in silence. */
function refuseDetached(buffer: ArrayBufferLike, byteLength: number): void {
  if (byteLength > 0) return;
  try {
    new Uint8Array(buffer);
  } catch {
    throw new Obstacle("is a detached ArrayBuffer", "it has been transferred: pass a copy made before the transfer");
  }
}

function writeUrl(encoding: Encoding, value: URL): void {
  encoding.writer.byte(tags.URL_OBJECT);
  writeString(encoding.writer, value.href);
}

function writeUrlSearchParams(encoding: Encoding, value: URLSearchParams): void {
  encoding.writer.byte(tags.URL_SEARCH_PARAMS);
  writeString(encoding.writer, value.toString());
}

/** The text of a stack is made when it is first read, by user code if there is an `Error.prepareStackTrace`. */
export function writeStack(encoding: Encoding, error: object): void {
  encoding.attempt(() => {
    const stack: unknown = Reflect.get(error, "stack");
    encoding.write(typeof stack === "string" ? stack.slice(0, MAX_STACK_CHARACTERS) : stack);
  });
}

/** What an aborted signal throws. Its class keeps name and message to itself, so that it is no ordinary error. */
function writeDomException(encoding: Encoding, value: DOMException): void {
  encoding.writer.byte(tags.DOM_EXCEPTION);
  writeString(encoding.writer, value.name);
  writeString(encoding.writer, value.message);
  writeStack(encoding, value);
  encoding.errorDepth++;
  const level = encoding.path.enter();
  encoding.writeProperty(value, "cause", level);
  encoding.path.leave();
  encoding.errorDepth--;
}

/** A kind of object with contents that are no properties. */
export interface Builtin {
  /** By what the object is inside, not by its prototype: true for subclasses and for objects of another realm. */
  is(value: object): boolean;
  write(encoding: Encoding, value: object): void;
  /** Its own enumerable keys are more than its contents: not so for typed arrays and strings, whose indices are keys. */
  readonly hasProperties: boolean;
}

function builtin<T extends object>(
  is: (value: object) => value is T,
  write: (encoding: Encoding, value: T) => void,
  hasProperties = true,
): Builtin {
  return { is, write: (encoding, value) => write(encoding, value as T), hasProperties };
}

const isUrl = (value: object): value is URL => value instanceof URL;
const isUrlSearchParams = (value: object): value is URLSearchParams => value instanceof URLSearchParams;
const isDomException = (value: object): value is DOMException => value instanceof DOMException;
const isBoxed = (value: object): value is object => types.isBoxedPrimitive(value);

const ARRAY = builtin(Array.isArray, (encoding, value: unknown[]) => encoding.writeArray(value));
const VIEW = builtin(ArrayBuffer.isView, writeView, false);
const BUFFER = builtin(types.isAnyArrayBuffer, writeArrayBuffer);
const BOXED = builtin(isBoxed, writeBoxed, false);
const BY_CLASS: readonly (readonly [type: { readonly prototype: object }, builtin: Builtin])[] = [
  [Array, ARRAY],
  [Map, builtin(types.isMap, writeMap)],
  [Set, builtin(types.isSet, writeSet)],
  [Date, builtin(types.isDate, writeDate)],
  [RegExp, builtin(types.isRegExp, writeRegExp)],
  [ArrayBuffer, BUFFER],
  [SharedArrayBuffer, BUFFER],
  ...VIEW_KINDS.flatMap((kind) => (kind === undefined ? [] : [[kind.type, VIEW] as const])),
  ...[Number, String, Boolean, BigInt, Symbol].map((type) => [type, BOXED] as const),
  [URL, builtin(isUrl, writeUrl)],
  [URLSearchParams, builtin(isUrlSearchParams, writeUrlSearchParams)],
  [DOMException, builtin(isDomException, writeDomException, false)],
];
const BY_PROTOTYPE: ReadonlyMap<object, Builtin> = new Map(BY_CLASS.map(([type, each]) => [type.prototype, each]));

/** The kind of a built-in object with its ordinary prototype. */
export function builtinOf(value: object, prototype: object): Builtin | undefined {
  const found = BY_PROTOTYPE.get(prototype);
  return found?.is(value) ? found : undefined;
}

/** What an object of any prototype is inside. */
export function innerBuiltinOf(value: object): Builtin | undefined {
  return BY_CLASS.find(([, each]) => each.is(value))?.[1];
}

/** A prototype that a user's class may extend: the contents of its instances are known here. */
export function isBuiltinPrototype(prototype: object): boolean {
  return prototype !== DOMException.prototype && BY_PROTOTYPE.has(prototype);
}
