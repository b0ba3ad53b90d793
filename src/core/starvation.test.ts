// Garbage is asked for after a second without resources, then ever more rarely, and anew after there were some.
// Method: tell it the time by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GARBAGE_WANTED_AFTER_MS as AFTER_MS, MAX_GARBAGE_WANTED_EVERY_MS } from "../base/limits.js";
import { Starvation } from "./starvation.js";

function askedDuring(starvation: Starvation, fromMs: number, untilMs: number): number[] {
  const asked: number[] = [];
  for (let nowMs = fromMs; nowMs <= untilMs; nowMs += AFTER_MS / 2)
    if (starvation.isDue(nowMs, true)) asked.push(nowMs);
  return asked;
}

test("the pauses double up to a limit", () => {
  const asked = askedDuring(new Starvation(), 0, 200 * AFTER_MS);
  assert.deepEqual(
    asked.slice(0, 4),
    [1, 3, 7, 15].map((times) => times * AFTER_MS),
  );
  const pauses = asked.slice(1).map((ms, i) => ms - (asked[i] as number));
  assert.equal(Math.max(...pauses), MAX_GARBAGE_WANTED_EVERY_MS);
});

test("who is short only for a moment asks for nothing, and the next shortage begins anew", () => {
  const starvation = new Starvation();
  assert.equal(starvation.isDue(0, true), false);
  assert.equal(starvation.isDue(AFTER_MS - 1, false), false);
  assert.equal(starvation.isDue(AFTER_MS, true), false);
  assert.deepEqual(askedDuring(starvation, AFTER_MS, 3 * AFTER_MS), [2 * AFTER_MS]);
  starvation.isDue(4 * AFTER_MS, false);
  assert.deepEqual(askedDuring(starvation, 5 * AFTER_MS, 6 * AFTER_MS), [6 * AFTER_MS]);
});
