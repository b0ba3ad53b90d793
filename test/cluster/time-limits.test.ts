// A time limit ends the task that outlives it, and nothing else.
// Method: a cluster of one CPU, where a task that waits shares its worker with others.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { context, get, remote } = ray;

before(async () => {
  await ray.init({ numCpus: 1, logToDriver: false });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

test("a task goes on whose child has outlived its time: its worker is not the child's", async () => {
  const endless = remote({ name: "endless", timeoutMs: 100 }, () => new Promise<number>(() => {}));
  const parent = remote({ maxRetries: 1 }, async () => {
    const before = process.pid;
    const childEnds = await get(endless.remote()).catch((error: Error) => error.name);
    await new Promise((resolve) => setTimeout(resolve, 600)); // longer than the child has before it is ended
    return [childEnds, context().attempt, process.pid === before];
  });
  assert.deepEqual(await get(parent.remote(), { timeoutMs: 15_000 }), ["TaskTimeoutError", 0, true]);
});

test("one that keeps its thread beyond its time is ended, and the CPU goes to those who wait", async () => {
  const stuck = remote({ timeoutMs: 200 }, () => {
    for (;;);
  });
  const first = stuck.remote();
  const waiting = Array.from({ length: 5 }, (_, i) => remote((n: number) => n).remote(i));
  await assert.rejects(get(first), ray.TaskTimeoutError);
  assert.deepEqual(await get(waiting, { timeoutMs: 15_000 }), [0, 1, 2, 3, 4]);
});
