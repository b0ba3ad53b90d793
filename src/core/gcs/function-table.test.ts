// A function reaches every process that asks for it, once, whether it asks before or after the registration.
// Method: drive the table by hand and read what it sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../../test/support/messages.js";
import { func, process } from "../../../test/support/names.js";
import { MAX_FUNCTIONS } from "../../base/limits.js";
import { FunctionTable, type FunctionTablePort } from "./function-table.js";

function world(maxFunctions = MAX_FUNCTIONS) {
  const lines = new Lines();
  const functionFound: FunctionTablePort["functionFound"] = (to, functionId, payload) =>
    lines.add(`${to.processId}: ${functionId} = ${payload.join()}`);
  const table = new FunctionTable({ functionFound }, maxFunctions);
  const asked = () => {
    table.check();
    return lines.take();
  };
  return { table, asked };
}

test("a registered function is found at once; registering it again changes nothing", () => {
  const { table, asked } = world();
  table.register(func("add"), Uint8Array.of(1));
  table.register(func("add"), Uint8Array.of(2));
  table.fetch(process("w1"), func("add"));
  assert.deepEqual(asked(), ["w1: add = 1"]);
});

test("a call may overtake its function: who asked before is told when it is registered, once", () => {
  const { table, asked } = world();
  table.fetch(process("w1"), func("add"));
  table.fetch(process("w1"), func("add"));
  table.fetch(process("w2"), func("add"));
  assert.deepEqual(asked(), []);
  table.register(func("add"), Uint8Array.of(1));
  table.register(func("add"), Uint8Array.of(1));
  assert.deepEqual(asked(), ["w1: add = 1", "w2: add = 1"]);
});

test("a process that died waits for nothing any more", () => {
  const { table, asked } = world();
  table.fetch(process("w1"), func("add"));
  table.forgetProcess(process("w1"));
  table.forgetProcess(process("w1"));
  table.register(func("add"), Uint8Array.of(1));
  assert.deepEqual(asked(), []);
});

test("beyond the limit the oldest function goes, and who asks for it is not left waiting", () => {
  const { table, asked } = world(1);
  table.register(func("old"), Uint8Array.of(1));
  table.register(func("new"), Uint8Array.of(2));
  table.fetch(process("w1"), func("old"));
  table.fetch(process("w1"), func("new"));
  assert.deepEqual(asked(), ["w1: old = ", "w1: new = 2"]);
  table.register(func("old"), Uint8Array.of(1));
  table.fetch(process("w1"), func("old"));
  assert.deepEqual(asked(), ["w1: old = 1"]);
});
