// Instances of shipped classes, classes that say how they are copied, and handles.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { SerializationError } from "../../src/errors.js";
import { classIdsOf, decodeValue, encodeValue, handlesOf, type ValueHooks } from "../../src/io/values/index.js";
import { assertSame } from "./support/same.js";
import { encode, hooksFor, NO_CLASSES, named, Ref, roundTrip } from "./support/world.js";

class Point {
  x: number;
  y: number;

  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }

  get norm(): number {
    return Math.hypot(this.x, this.y);
  }
}

test("an instance keeps its class and its fields, and no constructor runs", () => {
  let constructed = 0;
  class Counted {
    value = ++constructed;
  }
  const value = [new Point(3, 4), new Point(0, -0), new Counted()];
  const copy = roundTrip(value, hooksFor(Point, Counted));
  assertSame(copy, value);
  assert.equal((copy[0] as Point).norm, 5);
  assert.equal(constructed, 1);
});

test("fields that setters and inherited names would catch are defined, not assigned", () => {
  class Guarded {
    set size(_: number) {
      assert.fail("the setter ran");
    }
  }
  const guarded = Object.defineProperty(new Guarded(), "size", {
    value: 1,
    enumerable: true,
    writable: true,
    configurable: true,
  });
  assertSame(roundTrip(guarded, hooksFor(Guarded)), guarded);
});

test("subclasses of built-in classes keep contents, class and fields", () => {
  class Registry extends Map<string, unknown> {
    label = "r";
    override entries(): never {
      assert.fail("an override ran");
    }
    override [Symbol.iterator](): never {
      assert.fail("an override ran");
    }
  }
  class Tags extends Set<string> {}
  class Stack extends Array<unknown> {
    limit = 5;
  }
  class Samples extends Float64Array {}
  class Day extends Date {}
  class Link extends URL {}
  const registry = new Registry();
  registry.set("self", registry);
  const value = [registry, new Tags(["a"]), Stack.of(1, 2), new Samples([1.5]), new Day(5), new Link("http://a/b")];
  const copy = roundTrip(value, hooksFor(Registry, Tags, Stack, Samples, Day, Link));
  assert.equal(Map.prototype.get.call(copy[0], "self"), copy[0]);
  assert.deepEqual([(copy[0] as Registry).label, (copy[2] as Stack).limit], ["r", 5]);
  assertSame(copy.slice(1), value.slice(1));
  assert.equal(Object.getPrototypeOf(copy[0]), Registry.prototype);
});

test("instances in an error whose class is given up are named again", () => {
  class Unshippable extends Error {
    point = new Point(1, 2);
  }
  const { error, point } = roundTrip({ error: new Unshippable("u"), point: new Point(3, 4) }, hooksFor(Point));
  assertSame([error.point, point], [new Point(1, 2), new Point(3, 4)]);
});

test("an EventEmitter's local symbols stay behind", () => {
  class Bus extends EventEmitter {
    topic = "t";
  }
  const copy = roundTrip(new Bus(), hooksFor(Bus));
  let heard = 0;
  copy.on("x", () => heard++).emit("x");
  assert.deepEqual([copy.topic, heard], ["t", 1]);
});

test("a class is named once in the trailer, and can be read without decoding the value", () => {
  const hooks = hooksFor(Point);
  const bytes = encode([new Point(1, 2), new Point(3, 4), { p: new Point(5, 6) }], hooks);
  const id = hooks.classId(Point, () => "");
  assert.deepEqual(classIdsOf(bytes), [id]);
  assert.deepEqual(encodeValue(new Point(1, 2), hooks, "value").classIds, [id]);
  assert.deepEqual(classIdsOf(encode([1, 2])), []);
});

// ── mobula.serialize ────────────────────────────────────────────────────────────────────────────────────────────────

class Money {
  readonly #cents: bigint;

  constructor(cents: bigint) {
    this.#cents = cents;
  }

  get cents(): bigint {
    return this.#cents;
  }

  [Symbol.for("mobula.serialize")](): unknown[] {
    return [Money, this.#cents];
  }
}

test("a class that says how it is copied is revived with new, from its arguments", () => {
  const purse = new Money(5n);
  const copy = roundTrip({ purse, same: purse, list: [new Money(6n)] }, hooksFor(Money));
  assert.deepEqual([copy.purse.cents, copy.list[0]?.cents], [5n, 6n]);
  assert.ok(copy.purse instanceof Money);
  assert.equal(copy.same, copy.purse);
});

test("a function revives by being called; classes of the language are constructed", () => {
  const open = (url: URL, options: object): object => ({ opened: url.href, ...options });
  class Connection {
    [Symbol.for("mobula.serialize")](): unknown[] {
      return [open, new URL("tcp://host"), { tls: true }];
    }
  }
  assertSame(roundTrip<unknown>(new Connection(), hooksFor(open)), { opened: "tcp://host", tls: true });
  const own = { [Symbol.for("mobula.serialize")]: () => [Map, [[1, 2]]] };
  assertSame(roundTrip<unknown>(own, hooksFor(Map)), new Map([[1, 2]]));
});

test("mobula.serialize that goes wrong is reported with its path", () => {
  const failing = (serialize: () => unknown) => () =>
    encode({ a: [{ [Symbol.for("mobula.serialize")]: serialize }] }, hooksFor(Money));
  const at = "value.a[0][Symbol(mobula.serialize)]";
  const boom = new Error("boom");
  assert.throws(
    failing(() => {
      throw boom;
    }),
    { path: at, cause: boom },
  );
  assert.throws(
    failing(() => "text"),
    { path: at, message: /did not return \[reviver, \.\.\.args\]/, hint: /function or class/ },
  );
  assert.throws(
    failing(() => []),
    { path: at },
  );
  assert.throws(
    failing(() => [Money, [() => 1]]),
    { path: `${at}[1][0]` },
  );
  const self = { [Symbol.for("mobula.serialize")]: (): unknown[] => [Money, { self }] };
  assert.throws(() => encode(self, hooksFor(Money)), { message: /contained in what its own mobula\.serialize/ });
});

test("a reviver that throws is a SerializationError with the cause", () => {
  const cause = new Error("no server");
  const reviver = () => {
    throw cause;
  };
  const bytes = encode({ [Symbol.for("mobula.serialize")]: () => [reviver] }, hooksFor(reviver));
  assert.throws(
    () => decodeValue(bytes, hooksFor(reviver)),
    (error) => {
      assert.ok(error instanceof SerializationError);
      assert.equal(error.cause, cause);
      return true;
    },
  );
});

test("whatever a reviver throws, the error is ours", () => {
  const reviver = () => {
    throw Object.create(null);
  };
  const bytes = encode({ [Symbol.for("mobula.serialize")]: () => [reviver] }, hooksFor(reviver));
  assert.throws(() => decodeValue(bytes, hooksFor(reviver)), SerializationError);
});

test("a class that is not here, or is none, is a SerializationError", () => {
  const bytes = encode(new Point(1, 2), hooksFor(Point));
  assert.throws(() => decodeValue(bytes, NO_CLASSES), SerializationError);
  for (const answer of [undefined, {}, () => 1]) {
    const hooks: ValueHooks = { ...NO_CLASSES, classById: () => answer as never };
    assert.throws(() => decodeValue(bytes, hooks), SerializationError);
  }
});

// ── Handles ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("handles are carried by name, keep their identity, and are listed in order", () => {
  const [a, b] = [new Ref("a"), new Ref("b")];
  const call = named("call", () => 1);
  const value = { list: [b, a, b], map: new Map<unknown, unknown>([[a, call]]) };
  const encoded = encodeValue(value, NO_CLASSES, "value");
  assert.deepEqual(
    encoded.handles.map(({ data }) => Buffer.from(data).toString()),
    ["b", "a", "call"],
  );

  const bytes = encode(value);
  assert.deepEqual(
    handlesOf(bytes),
    encoded.handles.map(({ kind, data }) => ({ kind, data: Uint8Array.from(data) })),
  );
  const copy = decodeValue(bytes, NO_CLASSES) as typeof value;
  assert.deepEqual(
    copy.list.map(({ id }) => id),
    ["b", "a", "b"],
  );
  assert.equal(copy.list[0], copy.list[2]);
  assert.equal([...copy.map.keys()][0], copy.list[1]);
});

test("handles outlive the bytes that they came in", () => {
  const bytes = encode([new Ref("abc")]);
  const [handle] = handlesOf(bytes);
  bytes.fill(0);
  assert.equal(Buffer.from(handle?.data ?? []).toString(), "abc");
});

test("handles that were given up with a failed attempt are not listed", () => {
  class Unshippable extends Error {
    ref = new Ref("in the error");
  }
  const encoded = encodeValue({ error: new Unshippable("u"), after: new Ref("after") }, NO_CLASSES, "value");
  assert.deepEqual(
    encoded.handles.map(({ data }) => Buffer.from(data).toString()),
    ["in the error", "after"],
  );
});
