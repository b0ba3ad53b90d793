// The same seed gives the same numbers for ever; other seeds give others, spread over the whole range.
// Method: known values and simple counts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "./prng.js";

test("a seed fixes every number, so a failing simulation can be run again", () => {
  const numbers = (seed: number) => {
    const random = new Prng(seed);
    return Array.from({ length: 100 }, () => random.next());
  };
  assert.deepEqual(numbers(1), numbers(1));
  assert.notDeepEqual(numbers(1), numbers(2));
  assert.equal(new Set(numbers(0x9e3779b9)).size, 100); // the seed that would leave the generator at zero
});

test("numbers stay in their range and reach all of it", () => {
  const random = new Prng(42);
  const counts = new Array<number>(10).fill(0);
  for (let n = 0; n < 10_000; n++) {
    const number = random.below(10);
    counts[number] = (counts[number] ?? 0) + 1;
  }
  for (const count of counts) assert.ok(count > 850 && count < 1_150, counts.join());
});

test("chances come as often as they say, 0 never and 1 always", () => {
  const random = new Prng(7);
  const often = (probability: number) =>
    Array.from({ length: 10_000 }, () => random.chance(probability)).filter(Boolean).length;
  assert.equal(often(0), 0);
  assert.equal(often(1), 10_000);
  assert.ok(Math.abs(often(0.3) - 3_000) < 200);
});

test("a choice is one of the items, or nothing of nothing", () => {
  const random = new Prng(7);
  const seen = new Set(Array.from({ length: 100 }, () => random.pick(["a", "b", "c"])));
  assert.deepEqual([...seen].sort(), ["a", "b", "c"]);
  assert.equal(random.pick([]), undefined);
});
