/** A stored value as bytes, for messages that carry small values. */
import { tryEncodePrimitive, ValueWriter } from "../io/values/index.js";
import { EncodedBytes } from "./encoded-bytes.js";
import type { StoredValue } from "./stored-value.js";

const scratch = new ValueWriter();

export function encodedValue(value: StoredValue): Uint8Array {
  if (value instanceof EncodedBytes) return value.bytes;
  scratch.position = 0;
  tryEncodePrimitive(scratch, value);
  return Uint8Array.prototype.slice.call(scratch.buffer, 0, scratch.position);
}
