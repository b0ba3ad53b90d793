// A time limit ends the task that outlives it, and nothing else: what was there in time is not late because its reader was
// in synchronous code.
// Method: a cluster of one CPU, where a task that waits shares its worker with others.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { context, get, remote, wait } = ray;

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

/** No turn of the event loop for so long; timers that become due meanwhile are looked at before anything is read. */
async function keepThread(durationMs: number): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  for (const end = Date.now() + durationMs; Date.now() < end; );
}

const LIMIT_MS = 1_000;
const laterThan = (value: string) => new Promise<string>((resolve) => setTimeout(resolve, LIMIT_MS / 2, value));

test("a task that ended in time has its value, and a call too, although its owner comes to read that later", async () => {
  const timely = remote({ timeoutMs: LIMIT_MS }, laterThan);
  const Timely = remote(
    class Timely {
      answer(value: string): Promise<string> {
        return laterThan(value);
      }
    },
  );
  const actor = Timely.remote();
  assert.deepEqual(await get([timely.remote("warm"), actor.answer.remote("warm")]), ["warm", "warm"]);
  const refs = [timely.remote("task"), actor.answer.options({ timeoutMs: LIMIT_MS }).remote("call")] as const;
  await new Promise((resolve) => setTimeout(resolve, LIMIT_MS / 4)); // their owner has looked at its clock
  await keepThread(LIMIT_MS * 1.5);
  assert.deepEqual(await get([...refs]), ["task", "call"]);
});

test("get and wait give what was there in time, although they come to read it later", async () => {
  const timely = remote(laterThan);
  assert.equal(await get(timely.remote("warm")), "warm");
  const ref = timely.remote("value");
  const value = get(ref, { timeoutMs: LIMIT_MS });
  const waited = wait([ref], { timeoutMs: LIMIT_MS });
  await keepThread(LIMIT_MS * 1.5);
  assert.equal(await value, "value");
  assert.equal((await waited).ready.length, 1);
});
