// A driver whose raylet has gone is told so by whatever it asks for, and may join another cluster.
// Method: a cluster of real nodes; the raylet of the driver is killed while calls wait, and in the middle of synchronous code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { Signal, TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, init, put, remote, wait } = ray;

let cluster: TestCluster;

afterEach(async () => {
  await ray.shutdown();
  await cluster.stop();
  await nothingLeftBehind();
});

async function start(): Promise<number> {
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }] });
  await init({ address: cluster.address });
  return cluster.nodes[0]?.pid as number;
}

const isLost = (error: unknown) =>
  error instanceof ray.ConnectionError && /shutdown\(\), then init\(\)/.test(error.message);

test("calls that wait are told, and so is whatever is asked for later; values that are here can be read", async () => {
  const pid = await start();
  const add = remote((a: number, b: number) => a + b);
  class Counter {
    next(by: number) {
      return by + 1;
    }
  }
  const ActorOfCounter = remote(Counter);
  const counter = ActorOfCounter.remote();
  const here = put("here");
  assert.equal(await get(add.remote(1, 2)), 3);
  assert.equal(await get(counter.next.remote(1)), 2);
  const gate = Signal.remote();
  const gated = gate.wait.remote();
  const waiting = get(gated);
  process.kill(pid, "SIGKILL");
  await assert.rejects(waiting, isLost);

  await assert.rejects(get(gated), isLost);
  const [one, other] = await Promise.allSettled([get(gated), get(gated)]);
  assert.notEqual(Reflect.get(one, "reason"), Reflect.get(other, "reason"));
  await assert.rejects(wait([gated]), isLost);
  assert.throws(() => add.remote(1, 2), isLost);
  assert.throws(() => counter.next.remote(1), isLost);
  assert.throws(() => ActorOfCounter.remote(), isLost);
  assert.throws(() => put(new Uint8Array(1_000_000)), isLost);
  await assert.rejects(ray.nodes(), isLost);
  assert.equal(await get(here), "here");
});

test("a put in synchronous code that cannot hear of it says that nobody is there", async () => {
  const pid = await start();
  process.kill(pid, "SIGKILL");
  while (!isZombie(pid)); // in this turn: the driver's event loop must not see the connection end, nor the child
  const large = new Uint8Array(200_000_000);
  assert.throws(
    () => put(large),
    (error) => error instanceof ray.ConnectionError && /raylet/.test(error.message),
  );
});

function isZombie(pid: number): boolean {
  return / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

test("after that a driver joins another cluster", async () => {
  const first = await start();
  const lost = cluster;
  const { address } = cluster;
  process.kill(first, "SIGKILL");
  await waitForCondition(async () => ray.nodes().then(() => false, isLost));
  await ray.shutdown();
  await lost.stop();
  await start();
  assert.notEqual(cluster.address, address);
  assert.equal(await get(remote(() => 1).remote()), 1);
});
