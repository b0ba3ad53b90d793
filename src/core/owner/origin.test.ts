// Lines of user code are looked at where it pays, and remembered within bounds; tasks with refs are found while they live.
// Method: calls of a remote function by hand, with a stack that says which line is current.
import assert from "node:assert/strict";
import { test } from "node:test";
import { object } from "../../../test/support/names.js";
import { namedTask } from "../../../test/support/owner.js";
import { MAX_INLINE_BYTES, MAX_KEPT_ORIGINS, MAX_SITES_SEEN_FIRST } from "../../base/limits.js";
import { CallOrigins, KeptOrigins, type Origin } from "./origin.js";
import { TaskList } from "./task-list.js";

function calls(always = false) {
  let line = 0;
  let looked = 0;
  const origins = new CallOrigins(
    "f.remote()",
    () => {
      looked++;
      return { file: "/a.ts", line, column: 1 };
    },
    always,
  );
  return {
    looked: () => looked,
    /** As a process does: what costs nothing comes first. */
    call: (at: number) => {
      line = at;
      const result: { origin: Origin | undefined } = { origin: undefined };
      if (origins.left > 0) origins.note([result]);
      return result;
    },
    stored: (result: { origin: Origin | undefined }, sizeBytes = MAX_INLINE_BYTES + 1) => {
      origins.wasStored(result, sizeBytes);
      return `${result.origin?.site.line} ${result.origin?.exact === true ? "exactly" : "near"}`;
    },
  };
}

test("only the first calls are looked at while results stay small", () => {
  const f = calls();
  for (let i = 0; i < 1_000; i++) f.call(7);
  assert.equal(f.looked(), MAX_SITES_SEEN_FIRST);
});

test("a small result that went to the store, since its owner was busy, costs the next calls nothing", () => {
  const f = calls();
  f.stored(f.call(1), MAX_INLINE_BYTES);
  for (let i = 0; i < 1_000; i++) f.call(7);
  assert.equal(f.looked(), MAX_SITES_SEEN_FIRST);
});

test("once a large result went to the store every call is looked at; what lies between has the last line seen", () => {
  const f = calls();
  const results = Array.from({ length: MAX_SITES_SEEN_FIRST + 1 }, (_, i) => f.call(i + 1));
  const [first] = results;
  const last = results.at(-1);
  assert.ok(first !== undefined && last !== undefined);
  assert.equal(f.stored(first), "1 exactly");
  assert.equal(f.stored(last), `${MAX_SITES_SEEN_FIRST} near`);
  assert.equal(f.stored(f.call(99)), "99 exactly");
});

test("when all are wanted, all are looked at", () => {
  const f = calls(true);
  for (let i = 0; i < 100; i++) assert.equal(f.stored(f.call(i)), `${i} exactly`);
});

test("lines of objects that were let go are remembered, the latest ones", () => {
  const kept = new KeptOrigins();
  const origin = { call: "put()", site: { file: "/a.ts", line: 1, column: 1 }, exact: true };
  for (let i = 0; i < MAX_KEPT_ORIGINS + 10; i++) kept.keep(object(`o${i}`), origin);
  const ids = [...kept.all()].map(([id]) => id);
  assert.equal(ids.length, MAX_KEPT_ORIGINS);
  assert.equal(ids[0], "o10");
});

test("a list of tasks holds what was added and not removed, whatever the order", () => {
  const list = new TaskList();
  const tasks = ["a", "b", "c", "d", "e"].map((name) => namedTask(name));
  const names = () => [...list].map(({ template }) => template.name).join("");
  for (const task of tasks) list.add(task);
  assert.equal(names(), "edcba");
  for (const [at, left] of [
    [2, "edba"],
    [4, "dba"],
    [0, "db"],
    [1, "d"],
    [3, ""],
  ] as const) {
    const task = tasks[at];
    assert.ok(task !== undefined);
    list.remove(task);
    assert.equal(names(), left);
    assert.equal(task.next ?? task.previous, undefined, "what has left keeps no other alive");
  }
  for (const task of tasks) list.add(task);
  assert.equal(names(), "edcba");
});
