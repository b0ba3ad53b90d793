// Every byte of an object is asked for once at a time until it has arrived, whatever sources do.
// Method: play sources by hand; then at random, against books of what has arrived.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MIN_TAKE_OVER_BYTES, TRANSFER_RANGE_BYTES } from "../../base/limits.js";
import { Prng } from "../../base/prng.js";
import { type Assignment, RangePlan } from "./range-plan.js";

const RANGE = TRANSFER_RANGE_BYTES;

/** What is begun now, in words: source, from, end. */
function begun(plan: RangePlan): string[] {
  const lines: string[] = [];
  for (let next = plan.next(); next !== undefined; next = plan.next()) lines.push(words(next));
  plan.check();
  return lines;
}

const words = ({ source, from, end, replaces }: Assignment) =>
  `${source}: ${from / RANGE}-${end / RANGE}${replaces === undefined ? "" : ` for ${replaces}`}`;

test("one source gives everything in one range", () => {
  const plan = new RangePlan(3 * RANGE + 1, 1, 4);
  assert.equal(plan.next()?.end, 3 * RANGE + 1);
  assert.equal(plan.isDone, false);
  plan.arrived(0, 3 * RANGE + 1);
  plan.completed(0);
  assert.equal(plan.isDone, true);
});

test("several give ranges at the same time; who is done takes the next", () => {
  const plan = new RangePlan(4 * RANGE, 3, 2);
  assert.deepEqual(begun(plan), ["0: 0-1", "1: 1-2"]);
  plan.arrived(1, RANGE);
  plan.completed(1);
  assert.deepEqual(begun(plan), ["1: 2-3"]);
  plan.arrived(1, RANGE);
  plan.completed(1);
  assert.deepEqual(begun(plan), ["1: 3-4"]);
});

test("another goes on at the byte where a source failed; without another the plan is stuck", () => {
  const plan = new RangePlan(2 * RANGE, 2, 1);
  assert.deepEqual(begun(plan), ["0: 0-2"]);
  assert.equal(plan.hasReserve, true);
  plan.arrived(0, RANGE / 2);
  plan.failed(0);
  assert.equal(plan.hasReserve, false);
  assert.deepEqual(begun(plan), ["1: 0.5-2"]);
  plan.arrived(1, RANGE / 4);
  assert.equal(plan.isStuck, false);
  plan.failed(1);
  assert.deepEqual(begun(plan), []);
  assert.deepEqual([plan.isStuck, plan.isDone], [true, false]);
});

test("an empty object is asked for, too", () => {
  const plan = new RangePlan(0, 2, 1);
  assert.deepEqual(begun(plan), ["0: 0-0"]);
  plan.failed(0);
  assert.deepEqual(begun(plan), ["1: 0-0"]);
  plan.completed(1);
  assert.equal(plan.isDone, true);
});

test("who is much slower than another loses the rest to it", () => {
  const plan = new RangePlan(2 * RANGE, 2, 2);
  assert.deepEqual(begun(plan), ["0: 0-1", "1: 1-2"]);
  plan.arrived(0, RANGE / 8);
  plan.arrived(1, RANGE);
  plan.completed(1);
  assert.deepEqual(begun(plan), ["1: 0.125-1 for 0"]);
  plan.arrived(1, RANGE - RANGE / 8);
  plan.completed(1);
  assert.equal(plan.isDone, true);
});

test("who is nearly done, or nearly as fast, keeps its range", () => {
  const fast = new RangePlan(2 * RANGE, 2, 2);
  begun(fast);
  fast.arrived(0, RANGE / 2);
  fast.arrived(1, RANGE);
  fast.completed(1);
  assert.deepEqual(begun(fast), []);
  const small = new RangePlan(RANGE + MIN_TAKE_OVER_BYTES - 1, 2, 2);
  begun(small);
  small.arrived(0, RANGE);
  small.completed(0);
  assert.deepEqual(begun(small), []);
});

test("at random: every byte arrives exactly once as long as one source is left", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const prng = new Prng(seed);
    const sizeBytes = prng.below(10 * RANGE);
    const sources = 1 + prng.below(5);
    const plan = new RangePlan(sizeBytes, sources, 1 + prng.below(4));
    const asked = new Map<number, { at: number; end: number }>();
    const arrived: [number, number][] = [];
    let living = sources;
    while (!plan.isDone && !plan.isStuck) {
      for (let next = plan.next(); next !== undefined; next = plan.next()) {
        if (next.replaces !== undefined && asked.delete(next.replaces)) living--;
        asked.set(next.source, { at: next.from, end: next.end });
      }
      plan.check();
      const [source, range] = [...asked][prng.below(asked.size)] as [number, { at: number; end: number }];
      const bytes = Math.min(range.end - range.at, prng.below(RANGE));
      if (bytes > 0) arrived.push([range.at, range.at + bytes]);
      plan.arrived(source, bytes);
      range.at += bytes;
      if (range.at === range.end && prng.chance(0.9)) {
        plan.completed(source);
        asked.delete(source);
      } else if (living > 1 && prng.chance(0.05)) {
        plan.failed(source);
        asked.delete(source);
        living--;
      }
    }
    assert.equal(plan.isStuck, false, `seed ${seed}`);
    let end = 0;
    for (const [from, to] of arrived.sort((a, b) => a[0] - b[0])) {
      assert.equal(from, end, `seed ${seed}`);
      end = to;
    }
    assert.equal(end, sizeBytes, `seed ${seed}`);
  }
});
