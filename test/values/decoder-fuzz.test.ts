// Bytes that no encoder wrote give a value or a typed error: never another error, never a hang, never memory that the
// input does not pay for.
// Method: encodings of random graphs, mutated by a seeded generator; crafted bytes for each count in the format.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.js";
import { ProtocolError, SerializationError } from "../../src/errors.js";
import { classIdsOf, decodePrimitive, decodeValue, handlesOf } from "../../src/io/values/index.js";
import * as tags from "../../src/io/values/tags.js";
import { CLASSES, graph } from "./support/arbitrary.js";
import { encode, hooksFor, NO_CLASSES, Ref } from "./support/world.js";

const reviver = (...args: unknown[]): object => ({ args });
const hooks = hooksFor(...CLASSES, reviver, Date);
const MAX_CPU_MS = 1_000; // a collection of garbage may fall into it; what is looked for takes seconds or for ever
const seed = Number(process.env["MOBULA_FUZZ_SEED"] ?? 1);

const revivable = { [Symbol.for("mobula.serialize")]: () => [reviver, { a: 1 }, [2]] };
const corpus: Buffer[] = [
  ...fc.sample(graph, { numRuns: 150, seed }).map((value) => encode(value, hooks)),
  encode([revivable, new Ref("a"), new Ref("b"), { x: revivable }], hooks),
  encode({ big: new Uint8Array(70_000), tail: ["x"] }),
  encode(Object.assign([], { 9: 1, 4294967294: { a: 1 } })),
  encode(Array.from({ length: 40 }, (_, i) => ({ id: i, name: `n${i}`, next: { id: i } }))),
];

function attempt(bytes: Buffer): void {
  const start = process.cpuUsage();
  for (const read of [() => decodeValue(bytes, hooks), () => classIdsOf(bytes), () => handlesOf(bytes)]) {
    try {
      read();
    } catch (error) {
      const isTyped = error instanceof ProtocolError || error instanceof SerializationError;
      assert.ok(isTyped, `${String(error)} for ${bytes.subarray(0, 200).toString("hex")}`);
    }
  }
  decodePrimitive(bytes, 0, bytes.length);
  const { user, system } = process.cpuUsage(start);
  assert.ok(
    user + system < 1_000 * MAX_CPU_MS,
    `${user + system} µs for ${bytes.length} bytes: ${bytes.subarray(0, 200).toString("hex")}`,
  );
}

const INTERESTING = [0, 1, 0x0f, 0x10, 0x12, 0x14, 0x1d, 0x20, 0x25, 0x40, 0x5f, 0x60, 0x7f, 0x80, 0xfe, 0xff];

/** One to four changes: a byte, a bit, a cut, a piece doubled, removed, or taken from elsewhere. */
function mutate(prng: Prng, original: Buffer): Buffer {
  let bytes = Buffer.from(original);
  for (let changes = 1 + prng.below(4); changes > 0; changes--) {
    const at = prng.below(bytes.length + 1);
    const length = prng.below(9);
    switch (prng.below(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = prng.below(256);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - length))]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      default:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.of(INTERESTING[prng.below(16)] as number),
          bytes.subarray(at),
        ]);
    }
  }
  return bytes;
}

test(`mutated values, seed ${seed}`, () => {
  const prng = new Prng(seed);
  for (let i = 0; i < 15_000; i++) attempt(mutate(prng, corpus[prng.below(corpus.length)] as Buffer));
});

test(`random bytes, seed ${seed}`, () => {
  const prng = new Prng(seed);
  for (let i = 0; i < 10_000; i++) {
    attempt(
      Buffer.from(
        Uint8Array.from({ length: prng.below(60) }, () => (prng.chance(0.5) ? prng.below(0x28) : prng.below(256))),
      ),
    );
  }
});

test("every prefix of every value of the corpus is refused", () => {
  for (const bytes of corpus.filter(({ length }) => length < 500)) {
    for (let end = 0; end < bytes.length; end++) {
      assert.throws(() => decodeValue(bytes.subarray(0, end), hooks), ProtocolError);
    }
  }
});

// ── Counts that promise more than there is ──────────────────────────────────────────────────────────────────────────

const HUGE = [0xff, 0xff, 0xff, 0xff, 0x0f]; // 4,294,967,295 as a varint

/** Memory of the process that is not garbage. */
function memory(): number {
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return heapUsed + external + arrayBuffers;
}

test("counts are checked before anything is allocated for them", () => {
  const counted = [
    tags.LATIN1,
    tags.UTF16,
    tags.ARRAY,
    tags.OBJECT_OF_NEW_SHAPE,
    tags.ARRAY_BUFFER,
    tags.OBJECT_OF_SHAPE,
    tags.BACKREF,
    tags.HANDLE,
    tags.INSTANCE,
  ];
  const crafted = [
    ...counted.map((tag) => [tag, ...HUGE]),
    ...Array.from({ length: 13 }, (_, kind) => [tags.VIEW, kind, ...HUGE]),
    [tags.BIGINT, 0, ...HUGE],
    [tags.SPARSE_ARRAY, ...HUGE, ...HUGE],
    [tags.REVIVED, 1, 0, ...HUGE],
    [tags.DRESSED, tags.ARRAY, 0, 0, ...HUGE],
    [tags.ARRAY | tags.HAS_TRAILER, 0, ...HUGE, ...HUGE],
    [tags.UNDEFINED | tags.HAS_TRAILER, ...HUGE, 5, 0, 0, 0],
    [tags.UNDEFINED | tags.HAS_TRAILER, 0xff, 0xff, 0xff, 0xff],
    [tags.LATIN1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ];
  for (const bytes of crafted) {
    const before = memory();
    assert.throws(() => decodeValue(Buffer.from(bytes), NO_CLASSES), ProtocolError, bytes.join(" "));
    assert.ok(memory() - before < 2 ** 20, bytes.join(" "));
  }
});

test("a sparse array of any length costs what its elements cost", () => {
  for (const length of [[0xff, 0xff, 0xff, 0x0f], HUGE]) {
    const before = memory();
    const array = decodeValue(Buffer.from([tags.SPARSE_ARRAY, ...length, 1, 0, tags.NULL]), NO_CLASSES) as unknown[];
    assert.ok(array.length > 30_000_000 && array[0] === null);
    assert.ok(memory() - before < 2 ** 20);
  }
});

test("nesting of any kind is limited before the stack is", () => {
  const nestings = [
    [tags.ARRAY, 1],
    [tags.MAP],
    [tags.MAP, tags.NULL],
    [tags.SET],
    [tags.OBJECT_OF_NEW_SHAPE, 1, tags.SHORT_STRING + 1, 97],
    [tags.BOXED],
    [tags.SYMBOL_FOR],
    [tags.SYMBOL_WELL_KNOWN],
    [tags.REGEXP],
    [tags.URL_OBJECT],
    [tags.NULL_PROTOTYPE],
    [tags.DRESSED],
    [tags.DRESSED, tags.ARRAY, 0, 0, 1, tags.SHORT_STRING],
    [tags.ERROR, 0, tags.SHORT_STRING, tags.HIDDEN, tags.SHORT_STRING],
    [tags.SPARSE_ARRAY, 100, 1, 1],
    [tags.DOM_EXCEPTION, tags.SHORT_STRING, tags.SHORT_STRING],
  ];
  for (const nesting of nestings) {
    const bytes = Buffer.alloc(nesting.length * 200_000, Buffer.from(nesting));
    assert.throws(() => decodeValue(bytes, NO_CLASSES), ProtocolError, nesting.join(" "));
  }
});

test("nothing refers to what does not exist yet", () => {
  const crafted = [
    [tags.BACKREF, 0],
    [tags.ARRAY, 1, tags.BACKREF, 1],
    [tags.ARRAY, 1, tags.OBJECT_OF_SHAPE, 0],
    [tags.ARRAY, 1, tags.HOLE, tags.HOLE],
    [tags.HOLE],
    [tags.END],
    [tags.DRESSED, tags.BACKREF, 0, 0, 0],
    [],
  ];
  for (const bytes of crafted)
    assert.throws(() => decodeValue(Buffer.from(bytes), NO_CLASSES), ProtocolError, bytes.join(" "));
});

test("a revived object that refers to itself is refused", () => {
  const bytes = encode({ [Symbol.for("mobula.serialize")]: () => [reviver, 1n] }, hooks);
  const at = bytes.indexOf(tags.BIGINT64); // its argument becomes a reference to the object itself
  const crafted = Buffer.concat([bytes.subarray(0, at), Buffer.of(tags.BACKREF, 0), bytes.subarray(at + 9)]);
  assert.throws(() => decodeValue(crafted, hooks), /which does not exist yet/);
});

test("crafted keys and classes do not reach a prototype", () => {
  const proto = [tags.SHORT_STRING + 9, ...Buffer.from("__proto__")];
  const polluting = [tags.OBJECT_OF_NEW_SHAPE, 1, tags.SHORT_STRING + 1, 97, tags.TRUE];
  const crafted = [
    [tags.OBJECT_OF_NEW_SHAPE, 1, ...proto, ...polluting],
    [tags.NULL_PROTOTYPE, tags.OBJECT_OF_NEW_SHAPE, 1, ...proto, ...polluting],
    [tags.DRESSED, tags.ARRAY, 0, 0, 1, ...proto, ...polluting],
    [tags.ERROR, 0, tags.SHORT_STRING, tags.ENUMERABLE, ...proto, ...polluting, tags.END],
  ];
  for (const bytes of crafted) {
    const value = decodeValue(Buffer.from(bytes), NO_CLASSES) as object;
    assert.ok(Object.hasOwn(value, "__proto__"));
    assert.equal(Reflect.get(value, "a"), undefined);
  }
  assert.equal(Reflect.get({}, "a"), undefined);
});
