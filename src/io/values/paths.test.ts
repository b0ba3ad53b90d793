// A path is written like the expression that leads to the place, and stays short however long the way is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EntryKey, Path, type PathKey, TOO_DEEP } from "./paths.js";

function pathOf(...keys: readonly PathKey[]): string {
  const path = new Path();
  path.begin("args[0]");
  for (const key of keys) path.keys[path.enter()] = key;
  return path.text();
}

test("keys are written as they would be in a program", () => {
  assert.equal(pathOf(), "args[0]");
  assert.equal(pathOf("a", 3, "$b_1", "größe"), "args[0].a[3].$b_1.größe");
  assert.equal(pathOf("odd key", "", "1", 'q"'), 'args[0]["odd key"][""]["1"]["q\\""]');
  assert.equal(pathOf(Symbol.iterator, Symbol("x")), "args[0][Symbol(Symbol.iterator)][Symbol(x)]");
});

test("entries of maps and sets are named by their key, or by their place", () => {
  const entry = new EntryKey();
  assert.equal(pathOf(entry.toKey("k")), "args[0].keys()[0]");
  assert.equal(pathOf(entry.toValue()), 'args[0].get("k")');
  assert.equal(pathOf(entry.toKey({}).toValue()), "args[0].values()[1]");
  assert.equal(pathOf(new EntryKey().toElement().toElement()), "args[0].values()[1]");
});

test("long keys and long paths are cut", () => {
  assert.equal(pathOf("k".repeat(65)), `args[0].${"k".repeat(64)}…`);
  assert.equal(pathOf(...Array.from({ length: 32 }, () => "a")), `args[0]${".a".repeat(32)}`);
  assert.equal(pathOf(...Array.from({ length: 33 }, () => "a")), `args[0]${".a".repeat(16)}… (33 levels)`);
});

test("more than 1,000 levels are too deep, and leaving one makes room for one", () => {
  const path = new Path();
  path.begin("value");
  for (let level = 0; level < 1_000; level++) assert.equal(path.enter(), level);
  assert.throws(
    () => path.enter(),
    (thrown) => thrown === TOO_DEEP,
  );
  path.leave();
  assert.equal(path.enter(), 999);
});
