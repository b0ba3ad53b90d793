// A broadcast over links with bandwidth costs little more than two transfers, however many nodes want the object.
// Method: the real object table, links of virtual bandwidth, seeds for the order of what happens at the same time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { simulateBroadcast } from "../../sim/broadcast.js";
import { MAX_PULLERS_PER_COPY } from "../../src/base/limits.js";

const SIZE_BYTES = 256_000_000;

for (const [receivers, bar] of [
  [8, 0.35],
  [64, 0.06],
] as const) {
  test(`to ${receivers} nodes: at most ${bar} of as many transfers, and nobody sends many copies`, () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { togetherMs, separateMs, mostSent } = simulateBroadcast(seed, SIZE_BYTES, receivers);
      const words = `seed ${seed}: ${togetherMs.toFixed(1)} ms, separate ${separateMs.toFixed(1)} ms, ${mostSent} copies`;
      assert.ok(togetherMs <= bar * separateMs, words);
      assert.ok(mostSent <= MAX_PULLERS_PER_COPY, words);
    }
  });
}
