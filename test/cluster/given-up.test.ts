// What a run seals that its owner has given up is freed, also when its worker was in synchronous code all the while.
// Method: the connection to a worker of another node is lost while its task loops; the task has run again, and its ref is
// dropped, before the loop ends. The same with an actor, whose call has ended as unavailable meanwhile.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { busyUntil } from "../support/busy.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const LARGE_BYTES = 400_000;
const LIMIT_MS = 20_000;
const FAR = { numCpus: 1, resources: { far: 1 } };
const directory = mkdtempSync(join(tmpdir(), "given-up-"));
const sockets: Socket[] = [];
const made = (message: unknown) => void sockets.push((message as { readonly socket: Socket }).socket);
subscribe("net.client.socket", made);

after(async () => {
  unsubscribe("net.client.socket", made);
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

/** Its second run ends at once, with a small value. */
const loops = ray.remote(FAR, (started: string, go: string, limitMs: number, size: number) => {
  if (existsSync(started)) return "again";
  busyUntil(started, go, limitMs);
  return new Uint8Array(size);
});

const quick = ray.remote(FAR, () => process.pid);

/**
 * Until there is one that is used again: the first task of a lease may be answered by way of the object table before its
 * worker has been reached, but no worker has a second one before.
 */
async function openLease(): Promise<void> {
  const answered = new Set<number>();
  const isUsedAgain = async () => {
    using ref = quick.remote();
    const pid = await ray.get(ref);
    return answered.has(pid) || !answered.add(pid);
  };
  await waitForCondition(isUsedAgain, { timeoutMs: LIMIT_MS });
}

test("the result of a task in synchronous code, which ran again meanwhile, is freed", async () => {
  await using cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, { numCpus: 2, resources: { far: 2 } }] });
  await ray.init({ address: cluster.address });
  sockets.length = 0; // those to the worker come later
  const [started, go] = ["started", "go"].map((name) => join(directory, name)) as [string, string];
  await openLease();
  const ref = loops.remote(started, go, LIMIT_MS, LARGE_BYTES);
  await waitForCondition(() => existsSync(started), { timeoutMs: LIMIT_MS });
  for (const socket of sockets) socket.destroy();
  assert.equal(await ray.get(ref), "again");
  ref[Symbol.dispose]();
  writeFileSync(go, "");
  await waitForCondition(async () => (await usedBytes()) > 0, { timeoutMs: LIMIT_MS });
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: LIMIT_MS });
  await ray.shutdown();
});

const Looper = ray.remote(
  FAR,
  class Looper {
    loop(started: string, go: string, limitMs: number, size: number): Uint8Array {
      busyUntil(started, go, limitMs);
      return new Uint8Array(size);
    }
    quick(): string {
      return "quick";
    }
  },
);

test("the result of a call in synchronous code, which has ended as unavailable meanwhile, is freed", async () => {
  await using cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, { numCpus: 1, resources: { far: 1 } }] });
  await ray.init({ address: cluster.address });
  sockets.length = 0;
  const [started, go] = ["call started", "call go"].map((name) => join(directory, name)) as [string, string];
  const looper = Looper.remote();
  assert.equal(await ray.get(looper.quick.remote()), "quick");
  const ref = looper.loop.remote(started, go, LIMIT_MS, LARGE_BYTES);
  await waitForCondition(() => existsSync(started), { timeoutMs: LIMIT_MS });
  for (const socket of sockets) socket.destroy();
  await assert.rejects(ray.get(ref), ray.ActorUnavailableError);
  ref[Symbol.dispose]();
  const later = looper.quick.remote();
  writeFileSync(go, "");
  assert.equal(await ray.get(later), "quick"); // the loop has ended, and its result was sealed before
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: LIMIT_MS });
  await ray.shutdown();
});
