// inspectSerializability names everything that cannot be shipped, with the way to it, and says what the rest weighs.
// Method: functions, classes and values with several obstacles each, in a process that has no cluster.
import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { inspectSerializability, remote } from "../../src/api/index.js";

function pathsOf(value: unknown): string[] {
  return inspectSerializability(value).obstacles.map(({ path }) => path);
}

const promise = Promise.resolve(1);

test("of a function: every obstacle in what it captures, and the size of each variable", () => {
  const table = new Uint8Array(5_000);
  const both = { first: promise, second: [new WeakRef({})], fine: "fine" };
  const third = new Map([["timer", new AbortController()]]);
  const count = 3;
  const uses = () => [table.length, both, third, count];
  const report = inspectSerializability(uses);
  assert.equal(report.ok, false);
  assert.equal(report.name, "uses");
  assert.deepEqual(
    report.obstacles.map(({ path }) => path),
    [
      'uses → variable "both" → .first',
      'uses → variable "third" → .get("timer")',
      'uses → variable "both" → .second → [0]',
    ],
  );
  assert.match(report.obstacles[0]?.reason ?? "", /^is a Promise, which cannot be copied/);
  assert.match(report.obstacles[0]?.hint ?? "", /await it first/);
  assert.deepEqual(
    report.captured.map(({ path, kind }) => `${path} ${kind}`),
    ["table Uint8Array", "both Object", "third Map", "count number"],
  );
  assert.ok((report.captured[0]?.sizeBytes ?? 0) > 5_000 && report.sizeBytes > 5_000);
});

test("what can be shipped is ok, functions, classes and values alike", () => {
  const base = 2;
  const plain = inspectSerializability((a: number) => a + base);
  assert.equal(plain.ok, true);
  assert.ok(plain.sizeBytes > 0);
  class Fine {
    readonly made = base;
  }
  for (const value of [Fine, new Fine(), remote(Fine), remote(() => base), 1, "text", undefined, null, [new Map()]]) {
    assert.deepEqual(pathsOf(value), [], String(value));
  }
});

test("of a value: every obstacle, not only the first, and the size of each part", () => {
  const value = {
    db: { socket: new Socket(), name: "main" },
    list: [1, promise, () => 1, Symbol("local")],
    map: new Map<unknown, unknown>([["k", new WeakMap()]]),
    bytes: new Uint8Array(10_000),
    get broken(): never {
      throw new Error("not now");
    },
  };
  const report = inspectSerializability(value);
  assert.deepEqual(
    report.obstacles.map(({ path }) => path),
    ["value.db.socket", "value.list[1]", "value.list[2]", "value.list[3]", 'value.map.get("k")', "value.broken"],
  );
  assert.match(report.obstacles[0]?.reason ?? "", /^is a Socket, which cannot be copied to another process$/);
  assert.match(report.obstacles[0]?.hint ?? "", /inside the task or actor/);
  assert.match(report.obstacles[5]?.reason ?? "", /threw while it was read: not now/);
  const sizes = Object.fromEntries(report.captured.map(({ path, sizeBytes }) => [path, sizeBytes]));
  assert.deepEqual(Object.keys(sizes), ["value.db", "value.list", "value.map", "value.bytes"]);
  assert.ok((sizes["value.bytes"] ?? 0) >= 10_000 && report.sizeBytes >= 10_000);
  assert.deepEqual(pathsOf(promise), ["value"]);
});

test("the classes of instances, and the code behind remote functions, are looked at too", () => {
  class Holder {
    readonly own = promise;
    use() {
      return promise;
    }
  }
  assert.deepEqual(pathsOf([new Holder(), new Holder()]).sort(), [
    'value[0] → Holder → variable "promise"',
    "value[0].own",
    "value[1].own",
  ]);
  const inner = remote(function inner() {
    return promise;
  });
  const outer = () => inner.remote();
  assert.deepEqual(pathsOf(outer), ['inner → variable "promise"']);
  assert.deepEqual(pathsOf({ inner }), ['inner → variable "promise"']);
  assert.deepEqual(pathsOf(inner), ['inner → variable "promise"']);
  assert.deepEqual(pathsOf(remote(Holder)), ['Holder → variable "promise"']);
});

test("an obstacle of a function itself does not hide those in its variables", () => {
  class Outer {
    readonly socket = new Socket();
    method() {
      const other = promise;
      return () => [this.socket, other];
    }
  }
  const paths = pathsOf(new Outer().method());
  assert.ok(paths.includes("anonymous") && paths.includes('anonymous → variable "other"'), paths.join("\n"));
});

test("captured data that is too large is an obstacle among others", () => {
  const huge = new Uint8Array(101 * 1024 * 1024);
  const uses = () => [huge, promise];
  const report = inspectSerializability(uses);
  assert.deepEqual(report.obstacles.map(({ path }) => path).sort(), [
    'uses → variable "huge"',
    'uses → variable "promise"',
  ]);
});

test("nothing makes it throw, and its list is bounded", () => {
  const throwing = new Proxy(
    {},
    {
      get: () => {
        throw new Error("a trap");
      },
      getPrototypeOf: () => {
        throw new Error("a trap");
      },
    },
  );
  const cyclic: { self?: unknown; bad: unknown } = { bad: promise };
  cyclic.self = cyclic;
  let deep: unknown = promise;
  for (let i = 0; i < 5_000; i++) deep = [deep];
  const hostile = [throwing, deep, Math.max, new Function("return super_"), Object.create({ odd: 1 }), Symbol("s")];
  for (const value of hostile) {
    const report = inspectSerializability(value);
    assert.equal(typeof report.toString(), "string");
  }
  assert.deepEqual(pathsOf(cyclic), ["value.bad"]);
  assert.equal(inspectSerializability(throwing).ok, false);
  assert.equal(pathsOf(Array.from({ length: 5_000 }, () => promise)).length, 1_000);
});

test("the report can be read", () => {
  const uses = () => promise;
  assert.deepEqual(
    inspectSerializability(uses)
      .toString()
      .replaceAll(/\d+ bytes/g, "N bytes")
      .split("\n"),
    [
      "uses cannot be shipped: 1 obstacle (N bytes)",
      '  uses → variable "promise" is a Promise, which cannot be copied to another process',
      "    hint: await it first and capture the result, or create it inside the task",
      "captured:",
      "  promise: Promise, N bytes",
    ],
  );
  assert.match(
    String(inspectSerializability(1)),
    /^value can be shipped \(\d+ bytes\)\ncaptured:\n {2}value: number, /,
  );
});
