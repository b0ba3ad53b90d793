/**
 * Reads bytes that a peer sent, and trusts none of them: every count is checked against the bytes that are left
 * before anything is allocated for it, so that time and memory are bounded by the size of the input.
 */
import { ProtocolError } from "../../errors.js";
import { readFloat64, readLatin1 } from "./primitives.js";

const EMPTY = Buffer.alloc(0);

export class Reader {
  bytes: Buffer = EMPTY;
  start = 0;
  position = 0;
  end = 0;

  open(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.position = start;
    this.end = end;
  }

  close(): void {
    this.bytes = EMPTY;
  }

  malformed(what: string): never {
    throw new ProtocolError(
      `malformed value: ${what} at byte ${this.position - this.start} of ${this.end - this.start}`,
    );
  }

  byte(): number {
    if (this.position >= this.end) this.malformed("it ends too early");
    return this.bytes[this.position++] as number;
  }

  /** Step over bytes; returns where they begin. */
  take(count: number): number {
    const at = this.position;
    if (count > this.end - at) this.malformed("it ends too early");
    this.position = at + count;
    return at;
  }

  varint(): number {
    const first = this.byte();
    if (first < 0x80) return first;
    let value = first - 0x80;
    for (let scale = 0x80; scale <= 2 ** 49; scale *= 0x80) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) return value <= Number.MAX_SAFE_INTEGER ? value : this.malformed("a number above 2^53");
    }
    return this.malformed("an endless number");
  }

  /** A count of things of at least `bytesEach`. */
  count(bytesEach: number): number {
    const count = this.varint();
    if (count * bytesEach > this.end - this.position)
      this.malformed(`a count of ${count}, for which bytes are missing`);
    return count;
  }

  float64(): number {
    return readFloat64(this.bytes, this.take(8));
  }

  latin1(length: number): string {
    return readLatin1(this.bytes, this.take(length), length);
  }

  utf16(size: number): string {
    if (size % 2 !== 0) this.malformed("half a UTF-16 unit");
    const at = this.take(size);
    return this.bytes.toString("utf16le", at, at + size);
  }
}
