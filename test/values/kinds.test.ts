// Every kind of value arrives as it was. The properties in test/values draw them at random; here each is named.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { assertSame } from "./support/same.js";
import { encode, roundTrip } from "./support/world.js";

function arrives(name: string, ...values: readonly unknown[]): void {
  test(name, () => {
    for (const value of values) assertSame(roundTrip(value), value);
  });
}

function holey(length: number, elements: object = {}): unknown[] {
  return Object.assign(new Array<unknown>(length), elements);
}

arrives("undefined, null and booleans", undefined, null, true, false);
arrives(
  "numbers",
  0,
  31,
  32,
  -1,
  127,
  -128,
  128,
  32_767,
  -32_768,
  32_768,
  2 ** 31 - 1,
  -(2 ** 31),
  2 ** 31,
  2 ** 53,
  0.1,
);
arrives("numbers that are not like others", -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324);
arrives("bigints", 0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 10n ** 400n, -(10n ** 401n));
arrives(
  "strings of all widths",
  "",
  "a",
  "é",
  "☃",
  "x".repeat(31),
  "x".repeat(32),
  "é".repeat(1_000),
  "☃".repeat(1_000),
);
arrives("strings with lone surrogates", "\ud800", "a\udfff", "\udc00\ud800".repeat(100), "\0");
arrives("shared symbols", Symbol.for("key"), Symbol.for(""), Symbol.iterator, Symbol.asyncIterator, Symbol.toPrimitive);
arrives("dates", new Date(0), new Date("2024-02-29T12:00:00.123Z"), new Date(Number.NaN), new Date(-8.64e15));
arrives("regular expressions", /a|b/, /(?<year>\d{4})/dgimsuy, Object.assign(/x/g, { lastIndex: 3 }), /\//, /(?:)/);
arrives("boxed primitives", Object(1), Object(-0), Object("text"), Object(false), Object(3n), Object(Symbol.for("x")));
arrives(
  "URLs",
  new URL("https://user:pw@host:8080/a%20b?c=d#e"),
  new URLSearchParams("a=1&a=2&b=%00"),
  new URLSearchParams(),
);

arrives(
  "maps and sets, in order",
  new Map<unknown, unknown>([
    [1, 2],
    [{}, []],
    [Number.NaN, -0],
    ["b", new Map()],
  ]),
  new Set([3, 1, 2]),
);
arrives("maps, sets and dates with properties", Object.assign(new Map(), { a: 1 }), Object.assign(new Set(), { b: 2 }));
arrives("plain objects", {}, { a: 1, b: undefined, "": 2, 3: 4, "odd key": null, é: "é", "☃": "☃" });
arrives("objects without prototype", Object.create(null), Object.assign(Object.create(null), { a: 1, constructor: 2 }));
arrives(
  "objects with more keys than a shape has",
  Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key ${i}`, i])),
);
arrives("properties under shared symbols", { [Symbol.for("a")]: 1, b: 2, [Symbol.toStringTag]: "Tagged" });

arrives(
  "arrays",
  [],
  [1, [2, [3]]],
  [undefined, null],
  Array.from({ length: 1_000 }, (_, i) => i / 3),
);
arrives("arrays with holes", holey(2, { 1: "a" }), holey(3, { 0: undefined }), holey(3), holey(200, { 100: "x" }));
arrives("long arrays with few holes", holey(300, { ...Array.from({ length: 150 }, String), 152: "a", 299: "b" }));
arrives(
  "arrays with properties",
  Object.assign([1, 2], { note: "x" }),
  Object.assign(new Array(100).fill(0), { "-1": 1, "007": 2 }),
  "abc".match(/b/),
);
arrives(
  "arrays that are mostly empty",
  Object.assign([], { 4294967294: "last" }),
  Object.assign([], { 70: 1, 1000000: 2, extra: 3 }),
);

test("an array of 4,294,967,295 elements costs neither end time or memory", () => {
  const sparse = Object.assign([], { 5: "a", 4294967294: "b" });
  assert.ok(encode(sparse).length < 40);
  const start = performance.now();
  assertSame(roundTrip(sparse), sparse);
  assert.ok(performance.now() - start < 200);
});

test("own __proto__ keys stay own keys, and pollute nothing", () => {
  const evil = JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":1}');
  const list = roundTrip([evil, evil, JSON.parse('{"__proto__":1,"b":2}')]);
  assertSame(list[0], evil);
  assert.equal(Object.getPrototypeOf(list[0]), Object.prototype);
  assert.deepEqual(Object.keys(list[0]), ["__proto__", "constructor", "a"]);
  assert.equal(Object.getPrototypeOf(list[2]), Object.prototype);
  assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
});

test("cycles and shared references keep their identity", () => {
  const shared = { name: "shared" };
  const value: Record<string, unknown> = { first: shared, list: [shared, shared] };
  value["self"] = value;
  (value["list"] as unknown[]).push(value["list"]);
  value["map"] = new Map<unknown, unknown>([[shared, value]]);
  assertSame(roundTrip(value), value);
});

test("hundreds of shared references are found again", () => {
  const objects = Array.from({ length: 500 }, (_, i) => ({ i }));
  assertSame(roundTrip([objects, [...objects].reverse()]), [objects, [...objects].reverse()]);
});

test("every typed array arrives, each with a buffer of its own", () => {
  const buffer = Uint8Array.from({ length: 64 }, (_, i) => i).buffer;
  const types = [
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ];
  const views = types.map((type) => new type(buffer, 8, 2));
  const copies = roundTrip(views);
  assertSame(copies, views);
  assert.equal(new Set(copies.map((copy) => copy.buffer)).size, types.length);
});

test("buffers, data views and array buffers arrive as what they are", () => {
  const bytes = Buffer.from("some bytes");
  assertSame(roundTrip([bytes, bytes.subarray(2, 4)]), [Buffer.from("some bytes"), Buffer.from("me")]);
  assert.ok(Buffer.isBuffer(roundTrip(bytes)));
  assertSame(roundTrip(new DataView(bytes.buffer, bytes.byteOffset + 1, 3)).byteLength, 3);
  assertSame(roundTrip(Uint8Array.of(1, 2).buffer), Uint8Array.of(1, 2).buffer);
  assertSame(roundTrip(new Float64Array(0)), new Float64Array(0));
});

test("shared memory arrives as a copy of its own", () => {
  const shared = new SharedArrayBuffer(4);
  new Uint8Array(shared).set([1, 2, 3, 4]);
  assertSame(roundTrip<unknown>(shared), Uint8Array.of(1, 2, 3, 4).buffer);
  assertSame(roundTrip(new Uint16Array(shared, 2, 1)), new Uint16Array(Uint8Array.of(3, 4).buffer));
});

test("accessors are read once, and arrive as values", () => {
  let reads = 0;
  const counter = {
    get reads() {
      return ++reads;
    },
  };
  assertSame(roundTrip<unknown>(counter), { reads: 1 });
  assertSame(roundTrip<unknown>(Object.defineProperty([0], 0, { get: () => "element", enumerable: true })), [
    "element",
  ]);
});

test("objects of a vm context arrive with our prototypes", () => {
  const foreign = runInNewContext(`({
    list: [1, new Map([[1, { a: 1 }]])], date: new Date(5), bytes: new Uint8Array([1, 2]), error: new RangeError("far"),
  })`) as { list: unknown[]; error: unknown };
  const { error, ...rest } = roundTrip(foreign);
  assertSame(rest, { list: [1, new Map([[1, { a: 1 }]])], date: new Date(5), bytes: Uint8Array.of(1, 2) });
  assert.ok(error instanceof RangeError);
});

test("what is added while a value is read does no harm", () => {
  const list: unknown[] = [1];
  list.push({
    get grow() {
      return list.push("later");
    },
  });
  assertSame(roundTrip(list), [1, { grow: 3 }]);
});
