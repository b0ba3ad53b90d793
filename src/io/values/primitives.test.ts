// Task frames write and read small primitives directly, in the bytes that the general encoder uses for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRange, encodeValue, type ValueHooks } from "./index.js";
import { decodePrimitive, NOT_PRIMITIVE, tryEncodePrimitive } from "./primitives.js";
import { ValueWriter } from "./writer.js";

const unused = (): never => assert.fail("a primitive needs no hooks");
const HOOKS: ValueHooks = { describe: unused, revive: unused, classId: unused, classById: unused };

test("primitives of a task frame have the same bytes as in values, and are read alike", () => {
  const values = [
    undefined,
    null,
    true,
    false,
    0,
    -0,
    31,
    32,
    -129,
    40_000,
    -40_000,
    2 ** 31,
    0.1,
    Number.NaN,
    "",
    "é☃",
    "x".repeat(1_024),
    "☃".repeat(1_024),
  ];
  for (const value of values) {
    const writer = new ValueWriter();
    assert.ok(tryEncodePrimitive(writer, value));
    const bytes = writer.buffer.subarray(0, writer.position);
    assert.ok(Object.is(decodePrimitive(writer.buffer, 0, writer.position), value));
    assert.ok(Object.is(decodeRange(writer.buffer, 0, writer.position, HOOKS), value));
    const general = encodeValue([value], HOOKS, "value").pieces();
    assert.deepEqual(Buffer.concat(general).subarray(2), bytes);
    for (let end = 0; end < bytes.length; end++) assert.equal(decodePrimitive(writer.buffer, 0, end), NOT_PRIMITIVE);
  }
});

test("what is no small primitive is left to the encoder, and nothing is written", () => {
  const writer = new ValueWriter();
  for (const value of [1n, Symbol.iterator, {}, [], "x".repeat(1_025), () => 1])
    assert.equal(tryEncodePrimitive(writer, value), false);
  assert.equal(writer.position, 0);
  for (const value of [1n, [1], {}, new Date()]) {
    const bytes = Buffer.concat(encodeValue(value, HOOKS, "value").pieces());
    assert.equal(decodePrimitive(bytes, 0, bytes.length), NOT_PRIMITIVE);
  }
});
