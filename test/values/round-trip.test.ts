// Whatever can be copied arrives as it was: kinds, contents, order, prototypes, holes, cycles and shared references.
// Method: random graphs of every kind of object (fast-check), compared by structure, `Object.is` and sharing.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeRange, encodeInto, encodeValue, ValueWriter } from "../../src/io/values/index.js";
import { anyValue, CLASSES, graph } from "./support/arbitrary.js";
import { assertSame } from "./support/same.js";
import { encode, hooksFor, roundTrip } from "./support/world.js";

const hooks = hooksFor(...CLASSES);

test("any value arrives as it was", () => {
  fc.assert(
    fc.property(anyValue, (value) => assertSame(roundTrip(value, hooks), value)),
    { numRuns: 2_500 },
  );
});

test("graphs with cycles and shared references arrive with the same shape", () => {
  fc.assert(
    fc.property(graph, (value) => assertSame(roundTrip(value, hooks), value)),
    { numRuns: 2_500 },
  );
});

test("encoding is a function of the value", () => {
  fc.assert(
    fc.property(graph, (value) => assert.deepEqual(encode(value, hooks), encode(value, hooks))),
    { numRuns: 500 },
  );
});

test("a value that has arrived can be sent on", () => {
  fc.assert(
    fc.property(graph, (value) => assertSame(roundTrip(roundTrip(value, hooks), hooks), value)),
    { numRuns: 500 },
  );
});

test("the pieces of a value, end to end, are the value", () => {
  fc.assert(
    fc.property(graph, fc.nat(200_000), (value, size) => {
      const whole = [value, new Uint8Array(size).fill(7), value];
      assert.deepEqual(Buffer.concat(encodeValue(whole, hooks, "value").pieces()), encode(whole, hooks));
    }),
    { numRuns: 100 },
  );
});

test("values written one after another into a frame are read from their places", () => {
  fc.assert(
    fc.property(fc.array(anyValue, { maxLength: 8 }), (values) => {
      const writer = new ValueWriter(Number.POSITIVE_INFINITY);
      const ends = values.map((value) => {
        encodeInto(writer, value, hooks, "value");
        return writer.position;
      });
      values.forEach((value, i) => {
        assertSame(decodeRange(writer.buffer, ends[i - 1] ?? 0, ends[i] as number, hooks), value);
      });
    }),
    { numRuns: 500 },
  );
});
