// A process in synchronous code stalls nobody: others get what it has let out of its hands, results of pushed tasks too,
// and learn of deaths that it has not heard of.
// Method: the driver (or a worker) loops without a turn of its event loop until a file shows that another process has
// the values; the loop's limit is the failure.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { busyUntil } from "../support/busy.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, remote } = ray;
const LIMIT_MS = 20_000;

const Taker = remote(
  class Taker {
    /** Make the file once every value is here; a thrown error counts as its message. */
    async take(refs: readonly ray.ObjectRef<unknown>[], file: string): Promise<readonly unknown[]> {
      const values = await Promise.all(
        refs.map((ref) => get(ref).catch((error: unknown) => (error instanceof Error ? error.message : error))),
      );
      writeFileSync(file, "");
      return values;
    }
  },
);

const later = remote(async (value: unknown, ms: number) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return value;
});
const failing = remote(async (text: string) => {
  await new Promise((resolve) => setTimeout(resolve, 200));
  throw new RangeError(text);
});
const pair = remote({ numReturns: 2 }, async () => {
  await new Promise((resolve) => setTimeout(resolve, 200));
  return ["left", "right"] as const;
});

/** Owns what it makes, until it is killed. */
const Maker = remote(
  class Maker {
    readonly #kept: ray.ObjectRef<unknown>[] = [];
    /** A task that does not end while the tests run. */
    start(): readonly ray.ObjectRef<unknown>[] {
      this.#kept.push(later.remote("never", 10 * 60_000));
      return this.#kept;
    }
    async stored(): Promise<readonly ray.ObjectRef<Uint8Array>[]> {
      const ref = ray.put(new Uint8Array(300_000).fill(7));
      this.#kept.push(ref);
      return [ref];
    }
  },
);

const loops = remote(busyUntil);

let directory = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "busy-"));
  await ray.init({ numCpus: 4 });
});

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

/** No turn of the event loop until somebody has made the file. */
function loopUntil(file: string): void {
  const end = Date.now() + LIMIT_MS;
  while (!existsSync(file)) assert.ok(Date.now() < end, `nobody made ${file} while this process was busy`);
}

async function readyTaker() {
  const taker = Taker.remote();
  await get(taker.take.remote([], join(directory, "ready")));
  return taker;
}

/** What was submitted is on its way. */
async function hasLeft(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Several turns: everything that was sent has left, and what came back at once has been read. */
async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

test("small results, several results and errors of tasks that a busy driver had pushed reach an actor", async () => {
  const taker = await readyTaker();
  await get([later.remote(0, 0), ...pair.remote()]); // their functions are known and leases are open
  await get(failing.remote("first")).catch(() => undefined);
  const small = later.remote("small", 200);
  const [left, right] = pair.remote();
  const failed = failing.remote("on purpose");
  await pause(50); // the tasks are with their workers before the refs leave
  const file = join(directory, "pushed");
  const taken = taker.take.remote([small, left, right, failed], file);
  await pause(50);
  loopUntil(file);
  assert.deepEqual(await get(taken), ["small", "left", "right", "on purpose"]);
  assert.equal(await get(small), "small");
  assert.deepEqual(await get([left, right]), ["left", "right"]);
  await assert.rejects(get(failed), RangeError);
});

test("the first task of a new function is no exception", async () => {
  const taker = await readyTaker();
  const fresh = remote(async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return "fresh";
  });
  const file = join(directory, "fresh");
  const ref = fresh.remote();
  const taken = taker.take.remote([ref], file);
  await pause(2); // hardly more than the request has left
  loopUntil(file);
  assert.deepEqual(await get(taken), ["fresh"]);
  assert.equal(await get(ref), "fresh");
});

test("calls of an actor are answered to others while their caller is busy, and so is a busy worker's child task", async () => {
  const taker = await readyTaker();
  const echo = await readyTaker();
  const file = join(directory, "call");
  const call = echo.take.remote([later.remote(7, 200)], join(directory, "inner"));
  await pause(50);
  const taken = taker.take.remote([call], file);
  await pause(50);
  loopUntil(file);
  assert.deepEqual(await get(taken), [[7]]);

  const busyWorker = remote(async (actor: typeof taker, path: string) => {
    const child = later.remote("child", 100);
    await pause(50);
    const answer = actor.take.remote([child], path);
    await pause(20);
    loopUntil(path);
    return await get(answer);
  });
  assert.deepEqual(await get(busyWorker.remote(taker, join(directory, "child"))), ["child"]);
});

test("a result whose answer its busy owner has not read is promoted by the worker", async () => {
  const taker = await readyTaker();
  const file = join(directory, "answered");
  const done = join(directory, "done");
  const quick = remote((path: string) => {
    writeFileSync(path, "");
    return "answered";
  });
  await get(quick.remote(join(directory, "warm")));
  const ref = quick.remote(done);
  await hasLeft();
  loopUntil(done); // the worker has run it; this process has not read the answer
  const taken = taker.take.remote([ref], file);
  await hasLeft();
  loopUntil(file);
  assert.deepEqual(await get(taken), ["answered"]);
  assert.equal(await get(ref), "answered");
});

test("who waits for an object of an owner that died learns of it while the driver of its job is busy", async () => {
  const [taker, maker] = [await readyTaker(), Maker.remote()];
  const [unmade] = await get(maker.start.remote());
  assert.ok(unmade !== undefined);
  const file = join(directory, "owner-died");
  const taken = taker.take.remote([unmade], file);
  await pause(50);
  await ray.kill(maker);
  loopUntil(file);
  const [reason] = await get(taken);
  assert.match(String(reason), /owned the object, died before its value existed/);
});

test("and while a worker of its job is busy; what that worker may still hold is not freed", async () => {
  const [taker, maker] = [await readyTaker(), Maker.remote()];
  const [unmade] = await get(maker.start.remote());
  const stored = await get(maker.stored.remote());
  assert.ok(unmade !== undefined);
  const [started, file] = [join(directory, "busy"), join(directory, "worker-owner-died")];
  const busy = loops.remote(started, file, LIMIT_MS);
  await waitForCondition(() => existsSync(started));
  const taken = taker.take.remote([unmade], file);
  await pause(50);
  await ray.kill(maker);
  const [reason] = await get(taken);
  assert.match(String(reason), /owned the object, died before its value existed/);
  await get(busy);
  assert.deepEqual((await get(stored[0] as ray.ObjectRef<Uint8Array>)).subarray(0, 2), Uint8Array.of(7, 7));
});
