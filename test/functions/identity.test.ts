// Hashes and identities: equal functions have equal hashes in every process; a class is one class on a worker,
// whichever payload it came with, and on the way back it is the class that was sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CapturedFunction,
  type CaptureHooks,
  capture,
  type External,
  hashOf,
  Reviver,
} from "../../src/functions/index.js";
import { captureFixture, compiled, reviveFixture, source, TSX } from "./support/cases.js";

const hooks: CaptureHooks = { describe: () => undefined, warn: () => undefined };
const reviver = () => new Reviver({ revive: () => undefined });

async function revived<T extends CallableFunction>({ hash, payload }: CapturedFunction): Promise<T> {
  return (await reviver().revive(hash, payload)) as T;
}

test("51 a hash is equal in two processes", async () => {
  const [first, second] = await Promise.all([
    captureFixture(compiled("fixtures/common.js")),
    captureFixture(compiled("fixtures/common.js")),
  ]);
  const hashes = first.captured.map(({ name, hash }) => [name, hash]);
  assert.deepEqual(
    hashes,
    second.captured.map(({ name, hash }) => [name, hash]),
  );
  assert.ok(hashes.every(([, hash]) => /^[0-9a-f]{32}$/.test(hash ?? "")));
});

test("a hash changes with what is captured", () => {
  const make = (n: number) => () => n;
  assert.equal(capture(make(1), hooks).hash, capture(make(1), hooks).hash);
  assert.notEqual(capture(make(1), hooks).hash, capture(make(2), hooks).hash);
});

test("66 instanceof holds across two tasks on one worker", async () => {
  const results = await reviveFixture(await captureFixture(compiled("fixtures/classes.js")));
  assert.deepEqual(
    results.map(({ name, result, error }) => [name, error ?? result]),
    [
      ["make", "undefined"],
      ["check", "[ true, true, true, false ]"],
      ["state", "3"],
      ["other place", "false"],
    ],
  );
});

test("a class that comes back is the class that was sent", async () => {
  class Failure extends Error {
    static made = 0;
    readonly reason: string;
    constructor(reason: string) {
      super(reason);
      this.reason = reason;
      Failure.made++;
    }
  }
  const fail = (reason: string) => new Failure(reason);
  const first = await revived<typeof fail>(capture(fail, hooks));
  assert.ok(first("a") instanceof Failure);
  Failure.made = 100; // what has changed since the first capture does not make another class of it
  const second = await revived<() => Failure>(capture(() => fail("b"), hooks));
  assert.ok(second() instanceof Failure);
});

test("two classes of one text are two classes", async () => {
  const make = () => class Same {};
  const [A, B] = [make(), make()];
  const check = () => [new A() instanceof A, new A() instanceof B, A === B];
  assert.deepEqual((await revived<typeof check>(capture(check, hooks)))(), [true, false, false]);
});

test("a revived function knows its hash", async () => {
  const offset = 1;
  const captured = capture((n: number) => n + offset, hooks);
  const fn = await revived<(n: number) => number>(captured);
  assert.equal(hashOf(fn), captured.hash);
  assert.equal(
    hashOf((n: number) => n),
    undefined,
  );
});

test("a reviver gives the same function again, also while it is being revived", async () => {
  const { hash, payload } = capture(() => source, hooks);
  const one = reviver();
  assert.equal(one.get(hash), undefined);
  const [a, b] = await Promise.all([one.revive(hash, payload), one.revive(hash, payload)]);
  assert.equal(a, b);
  assert.equal(one.get(hash), a);
});

test("a payload that is cut short is refused with the function's hash", async () => {
  const { hash, payload } = capture(() => TSX, hooks);
  for (const length of [0, 3, 10, payload.length - 1]) {
    await assert.rejects(reviver().revive(hash, payload.slice(0, length)), (error) => String(error).includes(hash));
  }
});

test("52 recursion through a remote handle", async () => {
  const handle = { remote: (n: number): number => n };
  const factorial = (n: number): number => (n < 2 ? 1 : n * handle.remote(n - 1));
  const describe = (value: object): External | undefined =>
    value === handle ? { kind: "self", data: { a: 1 } } : undefined;
  const captured = capture(factorial, { ...hooks, describe });
  assert.deepEqual(captured.externals, [{ kind: "self", data: { a: 1 } }]);
  const seen: External[] = [];
  const fn = (await new Reviver({
    revive: (external) => {
      seen.push(external);
      return { remote: (n: number) => (fn as (n: number) => number)(n) };
    },
  }).revive(captured.hash, captured.payload)) as (n: number) => number;
  assert.equal(fn(5), 120);
  assert.deepEqual(seen, [{ kind: "self", data: { a: 1 } }]);
});
