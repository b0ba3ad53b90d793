// Whatever API.md says of values holds for arguments, results and put alike, and what cannot be copied is refused at
// the call, with its path, while the process lives on.
// Method: random values (fast-check) and one of each refusal through one real cluster.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { anyValue } from "../values/support/arbitrary.js";
import { assertSame } from "../values/support/same.js";

const { get, put, remote } = ray;
const echo = remote((value: unknown) => value);

before(async () => {
  await ray.init({ numCpus: 1, objectStoreMemory: 128 * 1024 * 1024 });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

test("any value arrives as it was, as argument, result and stored object", async () => {
  await fc.assert(
    fc.asyncProperty(anyValue, async (value) => {
      const [there, stored, passed] = await get([echo.remote(value), put(value), echo.remote(put(value))]);
      assertSame(there, value);
      assertSame(stored, value);
      assertSame(passed, value);
    }),
    { numRuns: 150 },
  );
});

test("large typed arrays and buffers, alone and among others", async () => {
  const floats = new Float64Array(200_000).map((_, i) => i / 3);
  const value = { floats, bytes: Buffer.alloc(300_000, 9), again: floats, more: [new Uint8Array([1]).buffer, -0] };
  const results = await get([echo.remote(value), put(value), echo.remote(put(value))]);
  for (const result of results as (typeof value)[]) {
    assertSame(result, value);
    assert.equal(result.floats, result.again);
  }
});

class Secretive {
  static #made = 0;
  readonly open = 1;
  #secret = 1;
  get secret() {
    return [this.#secret, Secretive.#made];
  }
}
class Inherits extends Secretive {}
class Counted {
  static #made = 0;
  readonly number = ++Counted.#made;
}

test("what cannot be copied is refused at the call, with path and hint; the process lives", async () => {
  const deep = Array.from({ length: 10_000 }).reduce<unknown>((inner) => ({ inner }), 0);
  const refused: [value: unknown, path: RegExp, hint: RegExp][] = [
    [{ db: { socket: Promise.resolve() } }, /^\w+(\[0\])?\.db\.socket is a Promise/, /await/],
    [{ list: [1, () => 1] }, /\.list\[1\] is a function/, /remote\(\)/],
    [deep, /\.inner.* is nested deeper than 1,000 levels/, /flat form/],
    [
      {
        get boom() {
          throw new Error("bang");
        },
      },
      /\.boom threw while it was read: bang/,
      /plain copy/,
    ],
    [new Map([["key", Symbol("local")]]), /\.get\("key"\) is the local symbol/, /Symbol\.for/],
  ];
  for (const [value, message, hint] of refused) {
    const check = (error: unknown): boolean => {
      assert.ok(error instanceof ray.SerializationError, String(error));
      assert.match(error.message, message);
      assert.match(error.hint ?? "", hint);
      return error.message.includes(`(hint: ${error.hint})`);
    };
    assert.throws(() => put(value), check);
    assert.throws(() => echo.remote(value), check);
  }
  const results: [fn: () => unknown, message: RegExp][] = [
    [() => ({ deep: { promise: Promise.resolve() } }), /result\.deep\.promise is a Promise/],
    [() => Array.from({ length: 10_000 }).reduce<unknown>((inner) => [inner], 0), /nested deeper than 1,000 levels/],
  ];
  for (const [fn, message] of results) {
    await assert.rejects(get(remote(fn).remote()), (error) => {
      assert.ok(error instanceof ray.SerializationError, String(error));
      return message.test(error.message);
    });
  }
  assert.equal(await get(echo.remote(1)), 1);
});

test("5 GiB are refused with the path and the limit", () => {
  const part = new Uint8Array(1024 ** 3); // untouched memory takes no room
  const value = { parts: Array.from({ length: 5 }, () => new Uint8Array(part.buffer)) };
  assert.throws(
    () => put(value),
    (error) =>
      error instanceof ray.ObjectTooLargeError && /value\.parts\[\d\] needs at least [\d,]+ bytes/.test(error.message),
  );
});

test("what a value says about prototypes does not reach those of others", async () => {
  const evil = JSON.parse(
    '{ "__proto__": { "polluted": 1 }, "constructor": { "prototype": { "polluted": 1 } } }',
  ) as object;
  const result = (await get(echo.remote(evil))) as object;
  assert.deepEqual(Object.keys(result), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(result), Object.prototype);
  assert.equal("polluted" in {}, false);
});

test("an instance with private fields is refused, unless its class says how it travels", async () => {
  for (const value of [new Secretive(), new Inherits()]) {
    assert.throws(
      () => put({ list: [value] }),
      (error) => {
        assert.ok(error instanceof ray.SerializationError);
        assert.equal(error.path, "value.list[0]");
        assert.match(
          error.message,
          /is an instance of \w+ with the private member #secret, which only the class itself/,
        );
        return /mobula\.serialize/.test(error.hint ?? "");
      },
    );
  }
  const counted = (await get(echo.remote(new Counted()))) as Counted;
  assert.ok(counted instanceof Counted && counted.number === 1, "static privates are the class's own business");
});

test("52 a remote function that names itself", async () => {
  const fib: ray.RemoteFunction<(n: number) => Promise<number>> = remote(async (n: number): Promise<number> => {
    if (n < 2) return n;
    const [a, b] = await get([fib.remote(n - 1), fib.remote(n - 2)]);
    return a + b;
  });
  assert.equal(await get(fib.remote(8)), 21);
});
