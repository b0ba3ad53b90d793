// What cannot be copied is refused with the path to it, what it is, and what to do instead.
// Method: encode each obstacle inside a structure, and compare the path, the message and the hint.
import assert from "node:assert/strict";
import { readFile } from "node:fs";
import { Server, Socket } from "node:net";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { ProtocolError, SerializationError } from "../../src/errors.js";
import { encodeInto, ValueWriter } from "../../src/io/values/index.js";
import { encode, hooksFor, NO_CLASSES, named } from "./support/world.js";

const CANNOT = "cannot be copied to another process";

function refusal(value: unknown, hooks = NO_CLASSES): SerializationError {
  try {
    encode(value, hooks, "args[0]");
  } catch (error) {
    assert.ok(error instanceof SerializationError, String(error));
    assert.ok(error.message.startsWith(error.path ?? "no path"), error.message);
    return error;
  }
  return assert.fail("it was encoded");
}

function assertRefused(value: unknown, path: string, what: string, hint: RegExp): void {
  const error = refusal(value);
  assert.equal(error.path, path);
  assert.ok(error.message.startsWith(`${path} ${what}`), error.message);
  assert.match(error.hint ?? "", hint);
  assert.ok(error.message.endsWith(`(hint: ${error.hint})`), error.message);
}

const refused: readonly [value: unknown, what: string, hint: RegExp][] = [
  [new Socket(), `is a Socket, which ${CANNOT}`, /open it inside the task or actor/],
  [new Server(), `is a Server, which ${CANNOT}`, /open it inside/],
  [new PassThrough(), `is a PassThrough, which ${CANNOT}`, /open it inside/],
  [process.stdout, "is a ", /open it inside/],
  [Promise.resolve(1), `is a Promise, which ${CANNOT}`, /await it first/],
  [new Proxy({}, {}), `is a Proxy, which ${CANNOT}`, /plain copy/],
  [new Proxy(() => 1, {}), `is a Proxy, which ${CANNOT}`, /plain copy/],
  [new WeakMap(), `is a WeakMap, which ${CANNOT}`, /the data behind it/],
  [new WeakSet(), `is a WeakSet, which ${CANNOT}`, /the data behind it/],
  [new WeakRef({}), `is a WeakRef, which ${CANNOT}`, /the data behind it/],
  [new FinalizationRegistry(() => {}), "is a FinalizationRegistry", /the data behind it/],
  [(function* () {})(), `is a Generator, which ${CANNOT}`, /array of what it yields/],
  [(async function* () {})(), "is an AsyncGenerator", /array of what it yields/],
  [new Map().keys(), "is a Map Iterator", /array of its elements/],
  [[].values(), "is an Array Iterator whose prototype belongs to no class", /mobula.serialize/],
  [setImmediate(() => {}), "is an Immediate", /inside the task or actor/],
  [new AbortController().signal, "is an AbortSignal", /option `signal`/],
  [new EventTarget(), "is an EventTarget", /mobula.serialize/],
  [new Headers(), "is a Headers", /mobula.serialize/],
  [new (class Extended extends Headers {})(), "is a Headers", /mobula.serialize/],
  [new MessageChannel(), "is a MessageChannel", /mobula.serialize/],
  [new Intl.NumberFormat(), "is an Intl.NumberFormat", /mobula.serialize/],
  [Symbol("local"), "is the local symbol Symbol(local)", /Symbol.for/],
  [() => 1, `is a function, which ${CANNOT}`, /remote\(\)/],
  [readFile, `is a function (readFile), which ${CANNOT}`, /remote\(\)/],
  [class Car {}, `is a class (Car), which ${CANNOT}`, /remote\(\)/],
  [Object.create({ inherited: 1 }), "is an Object whose prototype belongs to no class", /mobula.serialize/],
];

for (const [value, what, hint] of refused) {
  test(`it ${what} …`, () => assertRefused({ db: { conn: [value] } }, "args[0].db.conn[0]", what, hint));
}

test("a detached buffer is refused, not sent as an empty one", () => {
  const view = new Uint8Array(8);
  structuredClone(view.buffer, { transfer: [view.buffer] });
  assertRefused([view], "args[0][0]", "is a detached ArrayBuffer", /transferred/);
  assertRefused({ buffer: view.buffer }, "args[0].buffer", "is a detached ArrayBuffer", /transferred/);
});

test("paths read like the expression that leads there", () => {
  const f = () => {};
  const paths: [value: unknown, path: string][] = [
    [f, "args[0]"],
    [{ a: { $b_1: [0, { é: f }] } }, "args[0].a.$b_1[1].é"],
    [{ "a b": { "": { "1": f } } }, 'args[0]["a b"][""]["1"]'],
    [new Map([["key", { s: f }]]), 'args[0].get("key").s'],
    [new Map([[7, f]]), "args[0].get(7)"],
    [
      new Map<object, unknown>([
        [{}, 1],
        [{}, f],
      ]),
      "args[0].values()[1]",
    ],
    [new Map([[f, 1]]), "args[0].keys()[0]"],
    [new Set([1, [f]]), "args[0].values()[1][0]"],
    [{ [Symbol.for("x")]: f }, "args[0][Symbol(x)]"],
    [Object.assign([1], { extra: f }), "args[0].extra"],
    [Object.assign(new Map(), { extra: f }), "args[0].extra"],
    [{ ["k".repeat(100)]: f }, `args[0].${"k".repeat(64)}…`],
  ];
  for (const [value, path] of paths) assert.equal(refusal(value).path, path);
});

test("a path is that of the first place where an object is met", () => {
  const bad = { socket: new Socket() };
  assert.equal(refusal({ a: [1, bad], b: bad }).path, "args[0].a[1].socket");
});

test("a getter that throws is reported with its path and the user's error", () => {
  const cause = new Error("no connection");
  const value = {
    list: [
      {
        get lazy(): never {
          throw cause;
        },
      },
    ],
  };
  const error = refusal(value);
  assert.equal(error.path, "args[0].list[0].lazy");
  assert.match(error.message, /^args\[0\]\.list\[0\]\.lazy threw while it was read: no connection/);
  assert.equal(error.cause, cause);
  assert.match(error.hint ?? "", /plain copy/);
});

test("whatever a getter throws, the error is ours", () => {
  const nasty = {
    toString() {
      throw new Error("not even this");
    },
  };
  for (const thrown of [undefined, null, "text", nasty, new ProtocolError("not ours"), Object.create(null)]) {
    const error = refusal({
      get a(): never {
        throw thrown;
      },
    });
    assert.equal(error.path, "args[0].a");
    assert.equal(error.cause, thrown);
  }
});

test("a class that cannot be shipped is refused by the hook, with the path", () => {
  class Unknown {}
  assert.equal(refusal([new Unknown()]).path, "args[0][0]");
});

test("what a hook throws reaches the user unchanged", () => {
  const own = new RangeError("released");
  const hooks = {
    ...NO_CLASSES,
    describe: (): never => {
      throw own;
    },
  };
  assert.throws(() => encode([class {}], hooks), own);
});

test("10,000 levels of any container are refused, and 1,000 are not", () => {
  const wraps: ((inner: unknown) => unknown)[] = [
    (inner) => ({ next: inner }),
    (inner) => [inner],
    (inner) => new Map([[1, inner]]),
    (inner) => new Map([[inner, 1]]),
    (inner) => new Set([inner]),
    (inner) => Object.assign(Object.create(null), { next: inner }),
    (inner) => Object.assign([0], { next: inner }),
  ];
  for (const wrap of wraps) {
    const nest = (levels: number) => Array.from({ length: levels }).reduce<unknown>((inner) => wrap(inner), "core");
    assert.doesNotThrow(() => encode(nest(1_000)));
    assert.match(refusal(nest(1_001)).message, /is nested deeper than 1,000 levels/);
    const error = refusal(nest(10_000));
    assert.match(error.path ?? "", /^args\[0\].{16,}… \(1,000 levels\)$/);
    assert.match(error.hint ?? "", /flat form/);
  }
});

test("little stack left is an error like any other", () => {
  const value = Array.from({ length: 900 }).reduce<unknown>((inner) => [inner], 0);
  const errors: unknown[] = [];
  const dig = (): void => {
    try {
      dig();
    } catch {
      try {
        encode(value, NO_CLASSES, "args[0]");
      } catch (error) {
        errors.push(error);
      }
    }
  };
  dig();
  assert.ok(errors.length > 0);
  for (const error of errors) {
    if (error instanceof RangeError) continue; // not even the first call of ours fitted
    assert.ok(error instanceof SerializationError);
    assert.match(error.message, /what is left of the stack/);
  }
});

test("a value that is refused leaves nothing behind in the writer", () => {
  const writer = new ValueWriter();
  encodeInto(writer, ["kept"], NO_CLASSES, "value");
  const before = Buffer.from(writer.buffer.subarray(0, writer.position));
  assert.throws(() => encodeInto(writer, [new Uint8Array(100_000), () => 1], NO_CLASSES, "value"), SerializationError);
  assert.deepEqual(Buffer.from(writer.buffer.subarray(0, writer.position)), before);
  assert.deepEqual(writer.outOfBand, []);
  encodeInto(writer, ["kept"], NO_CLASSES, "value");
  assert.equal(writer.position, 2 * before.length);
});

test("user code that encodes while it is read gets an encoder of its own", () => {
  const value = {
    get inner() {
      return encode({ a: [1, 2] }).toString("hex");
    },
    after: { a: 1 },
  };
  assert.doesNotThrow(() => encode([value, value.after, { a: 1 }]));
  const writer = new ValueWriter();
  const greedy = {
    get inner(): string {
      encodeInto(writer, [1], NO_CLASSES, "value");
      return "";
    },
  };
  assert.throws(() => encodeInto(writer, greedy, NO_CLASSES, "value"), /does not write to the same writer/);
  assert.equal(writer.position, 0);
});

test("a handle may be anything, a proxy too", () => {
  const handles = [named("f", () => 1), named("p", new Proxy({}, {})), named("s", new Socket())];
  assert.doesNotThrow(() => encode(handles, hooksFor()));
});
