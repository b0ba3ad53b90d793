// Ids are derived: the same place in the same attempt of a task gives the same id, any other place another one.
// Method: known values that must never change, and a search for two places with one id.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hash96 } from "./hash.js";
import {
  contextOfDriver,
  contextOfTask,
  GCS,
  isHexId,
  isRaylet,
  type JobId,
  type NodeId,
  OBJECT_ID_DIGITS,
  objectIdOf,
  rayletOf,
  TASK_ID_DIGITS,
  taskIdOf,
  taskOfObject,
} from "./ids.js";

test("the hash of a text is 24 hex digits that never change", () => {
  assert.equal(hash96(""), hash96(""));
  for (const text of ["", "a", "driver 1", "\u{1f600}"]) assert.ok(isHexId(hash96(text), 24), text);
  const seen = new Set<string>();
  for (let n = 0; n < 100_000; n++) seen.add(hash96(`task ${n}`));
  assert.equal(seen.size, 100_000);
});

test("each digit of a hash depends on each part of its text", () => {
  const lanes = (text: string) => [0, 8, 16].map((at) => hash96(text).slice(at, at + 8));
  for (const [a, b] of [
    ["a", "b"],
    ["ab", "ba"],
    ["x", "xx"],
  ] as const) {
    for (const lane of [0, 1, 2]) assert.notEqual(lanes(a)[lane], lanes(b)[lane], `${a} and ${b}`);
  }
  assert.equal(new Set(lanes("a")).size, 3);
});

test("a task that runs again in the same attempt makes the same ids; another attempt makes others", () => {
  const driver = contextOfDriver("00000001" as JobId);
  const task = taskIdOf(driver, 7);
  assert.equal(contextOfTask(task, 0), contextOfTask(task, 0));
  assert.notEqual(contextOfTask(task, 0), contextOfTask(task, 1));
  assert.notEqual(contextOfTask(task, 0), contextOfTask(taskIdOf(driver, 8), 0));
});

test("ids have their lengths, and an object names the task that makes it", () => {
  const task = taskIdOf(contextOfDriver("00000001" as JobId), 0xffffffff);
  assert.ok(isHexId(task, TASK_ID_DIGITS));
  for (const index of [0, 1, 0xffff]) {
    const object = objectIdOf(task, index);
    assert.ok(isHexId(object, OBJECT_ID_DIGITS));
    assert.equal(taskOfObject(object), task);
  }
  assert.equal(isHexId("0A", 2), false);
  assert.equal(isHexId("00", 3), false);
});

test("a raylet is known by its node; the GCS is nobody's raylet's neighbour", () => {
  const raylet = rayletOf("abc" as NodeId);
  assert.equal(isRaylet(raylet), true);
  assert.notEqual(raylet.nodeId, GCS.nodeId);
});
