// Where a CPU is free, a task that keeps its worker's thread never keeps the task waiting that releases it, whatever the
// order of tasks, the network, and which nodes share claim words with their workers.
// Method: clusters of the real machines; programs of quick tasks, of one that keeps its thread and one that releases it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { simulateStuck } from "../../sim/stuck.js";

const SEEDS = 300;

test(`${SEEDS} seeds: every thread is released`, () => {
  let released = 0;
  let recalled = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const result = simulateStuck(seed);
      released += result.released;
      recalled += result.recalled;
    } catch (error) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
  assert.ok(released > 2 * SEEDS, `threads were kept: ${released}`);
  assert.ok(recalled > SEEDS, `pushes were recalled: ${recalled}`);
});
