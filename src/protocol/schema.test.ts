// A value that decodes is valid: every limit, form and choice is checked on arrival, before memory is spent on it.
// Method: for each kind of field, the values at its edges, and the bytes just beyond them.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { valuesOf } from "../../test/support/generated.js";
import { ByteReader, ByteWriter, MalformedBytes } from "../base/bytes.js";
import {
  blob,
  type Field,
  f64,
  flag,
  i32,
  id,
  list,
  map,
  oneOf,
  optional,
  size,
  struct,
  text,
  u8,
  u16,
  u32,
  union,
  words,
} from "./schema.js";

function encode<T>(field: Field<T>, value: T): Uint8Array {
  const writer = new ByteWriter();
  field.write(writer, value);
  return writer.copy();
}

function decode<T>(field: Field<T>, bytes: Uint8Array): T {
  const reader = new ByteReader(bytes);
  const value = field.read(reader);
  reader.finish();
  return value;
}

/** Bytes written by another field than the one that reads them: what a faulty or hostile peer may send. */
function refused<A, B>(reader: Field<A>, writer: Field<B>, value: B): void {
  assert.throws(() => decode(reader, encode(writer, value)), MalformedBytes, JSON.stringify(value));
}

const person = struct({ name: text(10), age: u8 });
const shape = union({ circle: struct({ radius: size }), point: struct({}) });

test("every kind of field brings its values back", () => {
  const fields: readonly Field<unknown>[] = [
    ...[u8, u16, u32, i32, f64, size, flag, text(), id(), blob(100), oneOf("a", "b"), optional(u8), list(text(), 9)],
    ...[map(size, 9), person, shape, list(optional(shape), 9)],
  ];
  for (const field of fields) {
    fc.assert(
      fc.property(valuesOf(field.form), (value) => assert.deepEqual(decode(field, encode(field, value)), value)),
    );
  }
});

test("a size is a whole number, not negative, exact", () => {
  for (const value of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) refused(size, f64, value);
  assert.equal(decode(size, encode(size, Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER);
});

test("flags and choices are nothing but what is listed", () => {
  refused(flag, u8, 2);
  refused(oneOf("a", "b"), u8, 2);
  refused(optional(u8), u16, 2);
  refused(shape, u8, 2);
  assert.throws(() => decode(oneOf("a", "b"), encode(oneOf("a", "b"), "c" as "a")), MalformedBytes);
});

test("an id is lower-case hex, perhaps with dots, of at most 64 bytes", () => {
  for (const value of ["", ".", ".a", "A", "g", "a b", "a\n", "0".repeat(65), "é"]) refused(id(), text(), value);
  for (const value of ["0", "d1.1f", "0".repeat(64)]) assert.equal(decode(id(), encode(text(), value)), value);
});

test("texts and bytes have their limits, counted in bytes", () => {
  assert.equal(decode(text(4), encode(text(), "éé")), "éé");
  refused(text(4), text(), "ééé");
  refused(blob(4), blob(9), new Uint8Array(5));
});

test("a list has its limit, and none is longer than the bytes that are there", () => {
  assert.deepEqual(decode(list(u8, 2), encode(list(u8, 9), [1, 2])), [1, 2]);
  refused(list(u8, 2), list(u8, 9), [1, 2, 3]);
  refused(
    map(u8, 1),
    map(u8, 9),
    new Map([
      ["a", 1],
      ["b", 2],
    ]),
  );
  const claimed = new ByteWriter();
  claimed.u32(0xffffffff);
  assert.throws(() => decode(list(u8, 0xffffffff), claimed.copy()), /a list of 4294967295 items/);
});

test("a name that is a prototype's is a name like any other", () => {
  const value = new Map([
    ["__proto__", 1],
    ["constructor", 2],
  ]);
  assert.deepEqual(decode(map(u8, 9), encode(map(u8, 9), value)), value);
});

test("a field describes itself as it decodes", () => {
  assert.deepEqual(list(shape, 7).form, {
    kind: "list",
    maxItems: 7,
    of: {
      kind: "union",
      parts: { circle: { kind: "struct", parts: { radius: { kind: "size" } } }, point: { kind: "struct", parts: {} } },
    },
  });
});

test("words that are too long are cut by who writes them; longer ones on the wire are refused", () => {
  assert.equal(decode(words(10), encode(words(10), "x".repeat(11))), `${"x".repeat(7)}…`);
  refused(words(10), text(11), "x".repeat(11));
});
