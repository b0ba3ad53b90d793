/**
 * Property names that were read lately, found by their bytes.
 *
 * Making a string of bytes and then making it unique, as V8 does with every key, takes 150 ns; comparing the bytes
 * with a string that is unique already takes about 20 ns. The table is small and holds only short names.
 */
import { readLatin1 } from "./primitives.js";

const SLOTS = 1_024;
const recent: (string | undefined)[] = new Array(SLOTS).fill(undefined);

export function internedKey(bytes: Buffer, at: number, length: number): string {
  const last = at + length - 1;
  const hash = length * 37 + (bytes[at] ?? 0) * 7 + (bytes[at + (length >> 1)] ?? 0) * 131 + (bytes[last] ?? 0) * 17;
  const slot = hash & (SLOTS - 1);
  const known = recent[slot];
  if (known !== undefined && equals(known, bytes, at, length)) return known;
  const [key] = Object.keys({ [readLatin1(bytes, at, length)]: 0 }) as [string];
  recent[slot] = key;
  return key;
}

function equals(text: string, bytes: Buffer, at: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}
