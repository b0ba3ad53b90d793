// A driver has one job while it lives, and its job is known by its id.
import assert from "node:assert/strict";
import { test } from "node:test";
import { processId } from "../../../test/support/names.js";
import { JobTable } from "./job-table.js";

test("a driver keeps its job when it attaches again; another has another", () => {
  const table = new JobTable();
  const first = table.attach(processId("d"), "a");
  assert.equal(table.attach(processId("d"), "a"), first);
  const second = table.attach(processId("e"), "b");
  assert.notEqual(second, first);
  assert.deepEqual([table.namespaceOf(first), table.namespaceOf(second)], ["a", "b"]);
  assert.equal(table.ofDriver(processId("e")), second);
});

test("a job ends with its driver, and its id is not used again", () => {
  const table = new JobTable();
  const first = table.attach(processId("d"), "a");
  table.end(processId("d"));
  assert.equal(table.isAlive(first), false);
  assert.equal(table.namespaceOf(first), "");
  assert.notEqual(table.attach(processId("e"), "a"), first);
});
