// Rates come from real elapsed time, windows are taken in turns, and the clock is read as seldom as the warm-up allows.
// Method: a clock that the body itself moves, so that every number can be computed by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyWorkload, measureInTurns, summarize, type Workload } from "./timing.js";

/** A workload whose body takes `callMs` of a clock of its own. */
function clocked(callMs: number, opsPerCall = 1) {
  const state = { nowMs: 0, calls: 0, clockReads: 0 };
  const workload = bodyWorkload({
    name: "clocked",
    opsPerCall,
    body: () => {
      state.nowMs += callMs;
      state.calls++;
    },
    cpuUs: () => state.calls * 3,
    nowMs: () => {
      state.clockReads++;
      return state.nowMs;
    },
  });
  return { workload, state };
}

test("after the warm-up a step is a tenth of its calls plus one, and a window ends with the step that passes its time", async () => {
  const { workload, state } = clocked(10);
  await workload.warmUp(1_000);
  assert.equal(state.calls, 100);

  state.clockReads = 0;
  const window = await workload.window(2_000); // steps of 11 calls: 19 of them are the first to pass 200 calls
  assert.deepEqual(window, { ops: 209, elapsedMs: 2_090, cpuUs: 627 });
  assert.equal(state.clockReads, 20);
});

test("a call may stand for many operations", async () => {
  const { workload } = clocked(10, 1_000);
  const { ops, elapsedMs } = await workload.window(50);
  assert.deepEqual({ ops, elapsedMs }, { ops: 5_000, elapsedMs: 50 });
});

test("a body that returns a promise is awaited before the next call", async () => {
  let running = 0;
  let nowMs = 0;
  const body = async () => {
    assert.equal(++running, 1);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    nowMs++;
  };
  const workload = bodyWorkload({ name: "async", body, cpuUs: () => 0, nowMs: () => nowMs });
  assert.equal((await workload.window(5)).ops, 5);
});

test("workloads are warmed up first and then measured window by window in turns", async () => {
  const order: string[] = [];
  const workload = (name: string): Workload => ({
    name,
    warmUp: async (atLeastMs) => void order.push(`warm ${name} ${atLeastMs}`),
    window: async (atLeastMs) => {
      order.push(`${name} ${atLeastMs}`);
      return { ops: 10, elapsedMs: 5, cpuUs: 20 };
    },
  });
  const timing = { warmUpMs: 1, windowMs: 2, windows: 2 };
  const [a, b] = await measureInTurns([workload("A"), workload("B")], timing);
  assert.deepEqual(order, ["warm A 1", "warm B 1", "A 2", "B 2", "A 2", "B 2"]);
  assert.deepEqual([a?.name, b?.name, a?.median, a?.cpuUsPerOp], ["A", "B", 2_000, 2]);
});

test("a summary has median, mean, population deviation and minimum of the windows' rates", () => {
  const windows = [2, 4, 4, 4, 5, 5, 7, 9].map((ops) => ({ ops, elapsedMs: 1_000, cpuUs: 10 }));
  assert.deepEqual(summarize("s", windows), {
    name: "s",
    rates: [2, 4, 4, 4, 5, 5, 7, 9],
    median: 4.5,
    mean: 5,
    sd: 2,
    min: 2,
    cpuUsPerOp: 2,
  });
  assert.equal(summarize("odd", windows.slice(0, 3)).median, 4);
});
