// The bytes: small values are small, large data is neither copied nor misaligned, and frames and files get it in pieces.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ObjectTooLargeError } from "../../src/errors.js";
import {
  decodeValue,
  encodeInto,
  encodeValue,
  MAX_VALUE_BYTES,
  OUT_OF_BAND_FROM,
  STORE_HEAD_BYTES,
  ValueWriter,
} from "../../src/io/values/index.js";
import { assertSame } from "./support/same.js";
import { encode, hooksFor, NO_CLASSES, Ref } from "./support/world.js";

const LARGE = 100_000;
const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7);

test("small values are small", () => {
  const sizes: [value: unknown, bytes: number][] = [
    [undefined, 1],
    [null, 1],
    [true, 1],
    [0, 1],
    [31, 1],
    [32, 2],
    [-1, 2],
    [1_000, 3],
    [100_000, 5],
    [0.5, 9],
    ["", 1],
    ["hello", 6],
    ["é".repeat(31), 32],
    ["☃", 4],
    [[], 2],
    [{}, 2],
    [{ a: 1 }, 5],
    [[42, "hello", { a: 1 }], 15],
    [1n, 9],
  ];
  for (const [value, bytes] of sizes) assert.equal(encode(value).length, bytes, String(value));
});

test("keys of equal objects are written once", () => {
  const records = Array.from({ length: 1_000 }, (_, i) => ({ identifier: i % 30, description: "x", price: 1 }));
  assert.ok(encode(records).length < 1_000 * 8);
});

test("large data is listed with its place and not copied", () => {
  const data = bytesOf(LARGE);
  const writer = new ValueWriter();
  encodeInto(writer, ["before", data, new Uint8Array(10), data.buffer], NO_CLASSES, "value");
  assert.equal(writer.outOfBand.length, 2);
  assert.equal(writer.outOfBand[0]?.bytes, data);
  assert.equal(writer.outOfBand[1]?.bytes.buffer, data.buffer);
  assert.ok(writer.position < 2 * 4_096 + 400);
  assert.equal(writer.size, writer.position + 2 * LARGE);
  assertSame(decodeValue(Buffer.concat(writer.pieces()), NO_CLASSES), [
    "before",
    data,
    new Uint8Array(10),
    data.buffer,
  ]);
});

test("data goes out of band from 64 KiB on, or where the writer says", () => {
  const listed = (writer: ValueWriter, size: number) => {
    encodeInto(writer, new Uint8Array(size), NO_CLASSES, "value");
    return writer.outOfBand.length;
  };
  assert.deepEqual(
    [listed(new ValueWriter(), OUT_OF_BAND_FROM - 1), listed(new ValueWriter(), OUT_OF_BAND_FROM)],
    [0, 1],
  );
  assert.deepEqual([listed(new ValueWriter(10), 10), listed(new ValueWriter(Number.POSITIVE_INFINITY), LARGE)], [1, 0]);
});

test("large data begins at a multiple of 64, counted from the value", () => {
  const writer = new ValueWriter();
  for (const before of ["", "a", "ab".repeat(40)]) {
    const start = writer.size;
    const pieceStart = writer.outOfBand.length;
    encodeInto(writer, [before, new Float64Array(LARGE), before, bytesOf(LARGE)], NO_CLASSES, "value");
    let earlier = writer.outOfBand.slice(0, pieceStart).reduce((sum, { bytes }) => sum + bytes.length, 0);
    for (const { at, bytes } of writer.outOfBand.slice(pieceStart)) {
      assert.equal((at + earlier - start) % 64, 0);
      earlier += bytes.length;
    }
  }
});

test("the pieces of an encoded value are small parts and the user's own buffers", () => {
  const data = bytesOf(LARGE);
  const value = { data, tail: ["x", new Ref("r")] };
  const encoded = encodeValue(value, NO_CLASSES, "value");
  const pieces = encoded.pieces();
  assert.equal(pieces.length, 3);
  assert.equal(pieces[1], data);
  assert.equal(
    pieces.reduce((sum, piece) => sum + piece.length, 0),
    encoded.sizeBytes,
  );
});

test("an encoded value keeps its bytes when others are encoded after it", () => {
  const values = Array.from({ length: 2_000 }, (_, i) => ({ i, text: "x".repeat(i % 90) }));
  values.push({ i: -1, text: "y".repeat(200_000) }, { i: -2, text: "z" });
  const encoded = values.map((value) => encodeValue(value, NO_CLASSES, "value"));
  encoded.forEach((each, i) => {
    const bytes = Buffer.alloc(each.sizeBytes + 1, 0xee);
    each.writeTo(bytes);
    assert.equal(bytes.at(-1), 0xee);
    assertSame(decodeValue(bytes.subarray(0, -1), NO_CLASSES), values[i]);
  });
});

test("values of any length are read where they stand, in a view of a larger buffer", () => {
  const value = ["☃", new Float64Array(9_000).fill(0.1), 1n, new Ref("a")];
  const bytes = encode(value);
  const frame = new Uint8Array(bytes.length + 13);
  frame.set(bytes, 9);
  const [text, floats] = decodeValue(frame.subarray(9, 9 + bytes.length), NO_CLASSES) as typeof value;
  assertSame([text, floats], value.slice(0, 2));
});

// ── Sharing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("with share, large arrays are views of the input; small ones are copies", () => {
  const bytes = encode([
    new Float64Array(LARGE).fill(1),
    new Uint8Array(8),
    Buffer.alloc(LARGE),
    new DataView(new ArrayBuffer(LARGE)),
  ]);
  const memory = new ArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  const [floats, small, buffer, view] = decodeValue(new Uint8Array(memory), NO_CLASSES, {
    share: true,
  }) as ArrayBufferView[];
  for (const shared of [floats, buffer, view]) assert.equal(shared?.buffer, memory);
  assert.notEqual(small?.buffer, memory);
  assertSame([...(floats as Float64Array).subarray(0, 3)], [1, 1, 1]);
});

test("with share, an array whose place is not aligned is copied", () => {
  const bytes = encode(new Float64Array(LARGE).fill(0.5));
  const frame = Buffer.alloc(bytes.length + 1);
  bytes.copy(frame, 1);
  assertSame(decodeValue(frame.subarray(1), NO_CLASSES, { share: true }), new Float64Array(LARGE).fill(0.5));
});

test("a function as share maps each array to a buffer of its own, or leaves it to be copied", () => {
  const value = [new Float64Array(LARGE).fill(2), bytesOf(LARGE).buffer, bytesOf(LARGE)];
  const bytes = encode(value);
  const mapped: ArrayBuffer[] = [];
  const share = (at: number, length: number): ArrayBuffer | undefined => {
    assert.equal((STORE_HEAD_BYTES + at) % 4_096, 0); // on a page, when the value lies in a store
    if (mapped.length === 2) return undefined;
    const memory = new ArrayBuffer(length);
    new Uint8Array(memory).set(bytes.subarray(at, at + length));
    return mapped[mapped.push(memory) - 1];
  };
  const copy = decodeValue(bytes, NO_CLASSES, { share }) as [Float64Array, ArrayBuffer, Uint8Array];
  assertSame(copy, value);
  assert.deepEqual([copy[0].buffer, copy[1]], mapped);
});

// ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────

// Buffers of this size are zero pages that nobody touches: they cost nothing.
test("values above the limit are refused with path, sizes and a hint", () => {
  const tooLarge: [value: unknown, path: string][] = [
    [new ArrayBuffer(5 * 2 ** 30), "args[0]"],
    [{ a: [new Float64Array(new ArrayBuffer(5 * 2 ** 30))] }, "args[0].a[0]"],
    [{ a: new ArrayBuffer(3 * 2 ** 30), b: new ArrayBuffer(3 * 2 ** 30) }, "args[0].b"],
    [new DataView(new ArrayBuffer(5 * 2 ** 30)), "args[0]"],
  ];
  for (const [value, path] of tooLarge) {
    assert.throws(
      () => encodeValue(value, NO_CLASSES, "args[0]"),
      (error) => {
        assert.ok(error instanceof ObjectTooLargeError);
        assert.ok(error.message.startsWith(`${path} needs at least `), error.message);
        assert.match(error.message, /and a value may have 4,294,901,760 \(hint: split it, and put\(\) the parts/);
        return true;
      },
    );
  }
});

test("a value just below the limit is listed, not copied", () => {
  const encoded = encodeValue(new ArrayBuffer(MAX_VALUE_BYTES - 4_096), NO_CLASSES, "value");
  assert.ok(encoded.sizeBytes <= MAX_VALUE_BYTES);
  assert.equal(encoded.pieces().length, 2);
});

test("the buffer of a writer is refused growth above the limit", () => {
  const writer = new ValueWriter(Number.POSITIVE_INFINITY);
  assert.throws(() => encodeInto(writer, new ArrayBuffer(MAX_VALUE_BYTES), hooksFor(), "value"), ObjectTooLargeError);
  assert.equal(writer.position, 0);
});
