// What cannot be shipped is refused at once, with the path to it, what it is, and what to do instead.
// Method: capture functions that reach such things, and read the error.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SerializationError } from "../../src/errors.js";
import { type CaptureHooks, capture, inspectCapture } from "../../src/functions/index.js";
import { cases } from "./fixtures/refused.js";

const hooks: CaptureHooks = { describe: () => undefined, warn: () => undefined };

function refusal(fn: CallableFunction): SerializationError {
  try {
    capture(fn, hooks);
  } catch (error) {
    assert.ok(error instanceof SerializationError, String(error));
    return error;
  }
  return assert.fail("nothing was refused");
}

for (const [name, { fn, expect }] of Object.entries(cases)) {
  test(name, () => {
    const [path, what, hint] = expect as [string, string, string];
    const error = refusal(fn as CallableFunction);
    assert.equal(error.path, path);
    assert.ok(error.message.includes(`to a worker: ${path} ${what}`), error.message);
    assert.ok(error.hint?.includes(hint), error.hint);
    assert.ok(error.message.includes(`(hint: ${error.hint})`), error.message);
    assert.match(error.message, /is defined at file:.*fixtures\/refused\.ts:\d+:\d+$/);
  });
}

test("63 a variable that is not initialised yet", () => {
  const early = () => value;
  if (Number(process.versions.node.split(".")[0]) < 22) {
    assert.doesNotThrow(() => capture(early, hooks)); // Node 20's inspector cannot tell it from undefined
  } else {
    const error = refusal(early);
    assert.equal(error.path, 'early → variable "value"');
    assert.match(error.message, /is not initialised yet/);
    assert.match(error.hint ?? "", /call \.remote\(\) after the variable's declaration has run/);
  }
  const value = 1;
});

test("a global added at run time is not shipped, with a warning", () => {
  const warnings: string[] = [];
  Object.assign(globalThis, { addedLater: () => 1 });
  const uses = new Function("return addedLater()") as CallableFunction;
  capture(uses, { ...hooks, warn: (message) => warnings.push(message) });
  assert.match(warnings[0] ?? "", /the global "addedLater"/);
});

test("a report lists all obstacles and the sizes of what is captured", () => {
  const table = new Uint8Array(5_000);
  const both = { first: Promise.resolve(1), second: [new WeakRef({})], fine: "fine" };
  const uses = () => [table.length, both];
  const { obstacles, variables, bytes } = inspectCapture(uses, hooks);
  assert.deepEqual(
    obstacles.map(({ path }) => path),
    ['uses → variable "both" → .first', 'uses → variable "both" → .second → [0]'],
  );
  assert.deepEqual(
    variables.map(({ name }) => name),
    ["table", "both"],
  );
  assert.ok((variables[0]?.bytes ?? 0) > 5_000 && bytes > 5_000);
  assert.deepEqual(inspectCapture(() => 1, hooks).obstacles, []);
});

test("a reviver that needs the very object it makes is refused", () => {
  class Node {
    readonly self: Node = this;
    [Symbol.for("mobula.serialize")]() {
      return [(node: Node) => node, { again: this }];
    }
  }
  const node = new Node();
  const error = refusal(() => node.self);
  assert.match(error.message, /variable "node" is needed to make itself again/);
});
