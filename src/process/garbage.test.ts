// Refs that nobody can reach any more are found in the middle of synchronous code; others are not.
// Method: make ref objects in a loop that never ends its turn, and let go of some.
import assert from "node:assert/strict";
import { test } from "node:test";
import { contextOfDriver, type JobId } from "../base/ids.js";
import { ObjectEntry } from "../core/owner/records.js";
import { WantedCollections, WeakHandles } from "./garbage.js";
import type { Tracker } from "./tracker.js";

function tracker(counter: number): Tracker {
  return { entry: new ObjectEntry(contextOfDriver("j" as JobId), counter, 0, undefined), released: false };
}

/** Every tenth ref object is kept. (What a loop touched last may live on in a register of it: the next one, too.) */
function makeHandles(handles: WeakHandles, count: number): object[] {
  const kept: object[] = [];
  for (let i = 0; i < count; i++) {
    const handle = { i };
    handles.add(tracker(i), handle);
    if (i % 10 === 0) kept.push(handle);
  }
  return kept;
}

test("within one turn, ref objects that were dropped are found and those that are kept are not", () => {
  const handles = new WeakHandles();
  const kept = makeHandles(handles, 101);
  const gone = handles.collect();
  assert.equal(gone.length, 90);
  for (const each of gone) handles.delete(each);
  assert.deepEqual(handles.collect(), []);
  assert.equal(kept.length, 11);
  kept.length = 0;
  assert.ok(handles.collect().length >= 10, "also those that an earlier look had found alive");
});

test("a microtask of the program does not run meanwhile", async () => {
  let ran = false;
  const done = Promise.resolve().then(() => {
    ran = true;
  });
  new WeakHandles().collect();
  assert.equal(ran, false);
  await done;
});

test("collections that others ask for take a small part of the time, and one that comes too early is done later", async () => {
  const startedMs: number[] = [];
  const wanted = new WantedCollections(() => {
    startedMs.push(performance.now());
    const before = process.cpuUsage(); // by the clock it might have the processor for a part of the time only
    while (process.cpuUsage(before).user < 5_000);
  });
  for (let i = 0; i < 100; i++) wanted.wanted();
  assert.equal(startedMs.length, 1);
  // Its timer keeps no process alive.
  const patience = setInterval(() => {}, 10);
  while (startedMs.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  clearInterval(patience);
  assert.ok((startedMs[1] as number) - (startedMs[0] as number) >= 11 * 5 - 2);
});
