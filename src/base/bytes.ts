/**
 * Reading and writing binary data: the two classes under every frame and message.
 *
 * The pure folders know neither `Buffer` nor `TextEncoder`, so text goes through the two functions at the end of this
 * page. Names and ids are short; for them the loop is as fast as a call into native code.
 */
import { assert } from "./assert.js";

const FIRST_CAPACITY_BYTES = 256;

/** A growing byte buffer. Little-endian. Reused between messages: `reset()` keeps the memory. */
export class ByteWriter {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes written so far. */
  length = 0;

  constructor(capacityBytes = FIRST_CAPACITY_BYTES) {
    this.bytes = new Uint8Array(capacityBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  reset(): void {
    this.length = 0;
  }

  /** What has been written: a view, valid until the next write or reset. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  /** A copy of what has been written. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }

  /** Make room for `more` bytes beyond the current length. */
  ensure(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    this.view.setUint16(this.length, value, true);
    this.length += 2;
  }

  u32(value: number): void {
    this.ensure(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }

  i32(value: number): void {
    this.ensure(4);
    this.view.setInt32(this.length, value, true);
    this.length += 4;
  }

  f64(value: number): void {
    this.ensure(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  raw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A length (u32) and the bytes. */
  blob(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.raw(bytes);
  }

  /** A length in bytes (u32) and the text in UTF-8. */
  text(value: string): void {
    this.ensure(4 + value.length * 3);
    const at = this.length;
    const end = writeUtf8(this.bytes, at + 4, value);
    this.view.setUint32(at, end - at - 4, true);
    this.length = end;
  }
}

/** Thrown by a reader when the bytes end too early or are not what they should be. Callers turn it into their error. */
export class MalformedBytes extends Error {
  override readonly name = "MalformedBytes";
}

/** Reads what a `ByteWriter` wrote. Never reads past the end, whatever the bytes say. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  offset: number;
  readonly end: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    assert(offset <= end && end <= bytes.length, "a reader stays inside its bytes");
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.offset = offset;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  u8(): number {
    return this.view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.#take(4), true);
  }

  f64(): number {
    return this.view.getFloat64(this.#take(8), true);
  }

  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** A view of the bytes, not a copy. */
  blob(maxBytes: number): Uint8Array {
    const length = this.u32();
    if (length > maxBytes) throw new MalformedBytes(`${length} bytes where ${maxBytes} are allowed`);
    return this.raw(length);
  }

  text(maxBytes: number): string {
    const length = this.u32();
    if (length > maxBytes) throw new MalformedBytes(`a text of ${length} bytes where ${maxBytes} are allowed`);
    const at = this.#take(length);
    return readUtf8(this.bytes, at, at + length);
  }

  /** Everything must have been read: trailing bytes are a sign of a different version or an attack. */
  finish(): void {
    if (this.offset !== this.end) throw new MalformedBytes(`${this.end - this.offset} bytes too many`);
  }

  #take(length: number): number {
    const at = this.offset;
    if (length > this.end - at) throw new MalformedBytes(`ends ${length - (this.end - at)} bytes too early`);
    this.offset = at + length;
    return at;
  }
}

/** Write text at `at`; the caller has made room for three bytes a UTF-16 unit. Lone surrogates become U+FFFD. */
export function writeUtf8(target: Uint8Array, at: number, text: string): number {
  let offset = at;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      target[offset++] = code;
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = code <= 0xdbff && i + 1 < text.length ? text.charCodeAt(i + 1) : 0;
      if (low >= 0xdc00 && low <= 0xdfff) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        i++;
      } else {
        code = 0xfffd;
      }
    }
    if (code < 0x800) {
      target[offset++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        target[offset++] = 0xe0 | (code >> 12);
      } else {
        target[offset++] = 0xf0 | (code >> 18);
        target[offset++] = 0x80 | ((code >> 12) & 0x3f);
      }
      target[offset++] = 0x80 | ((code >> 6) & 0x3f);
    }
    target[offset++] = 0x80 | (code & 0x3f);
  }
  return offset;
}

/** How many bytes a text has in UTF-8, as `writeUtf8` writes it. */
export function utf8Bytes(text: string): number {
  return cutAt(text, Number.POSITIVE_INFINITY).bytes;
}

/** The text, or as much of its beginning as fits into so many bytes of UTF-8, ending in an ellipsis. */
export function cutText(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes || utf8Bytes(text) <= maxBytes) return text;
  return `${text.slice(0, cutAt(text, maxBytes - ELLIPSIS_BYTES).length)}…`;
}

const ELLIPSIS_BYTES = 3;

/** The longest beginning of a text that has at most so many bytes: whole characters, in UTF-16 units and bytes. */
function cutAt(text: string, maxBytes: number): { readonly length: number; readonly bytes: number } {
  let bytes = 0;
  let i = 0;
  while (i < text.length) {
    const code = text.codePointAt(i) ?? 0;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4;
    if (bytes + size > maxBytes) break;
    bytes += size;
    i += size === 4 ? 2 : 1;
  }
  return { length: i, bytes };
}

/** Read text; anything that is not well-formed UTF-8 is refused. */
export function readUtf8(source: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; ) {
    const first = source[i++] ?? 0;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const extra = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || i + extra > end) throw new MalformedBytes("not UTF-8");
    let code = first & (0x3f >> extra);
    for (let k = 0; k < extra; k++) {
      const next = source[i++] ?? 0;
      if ((next & 0xc0) !== 0x80) throw new MalformedBytes("not UTF-8");
      code = (code << 6) | (next & 0x3f);
    }
    const shortest = extra === 1 ? 0x80 : extra === 2 ? 0x800 : 0x10000;
    if (code < shortest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw new MalformedBytes("not UTF-8");
    text += String.fromCodePoint(code);
  }
  return text;
}
