// Large objects reach every node that wants them, whole, although nodes die in the middle; the maker sends few copies.
// Method: clusters of real nodes over TCP; raylets are stopped and killed while they serve.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { TestCluster } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, init, remote, wait } = ray;
const MIB = 1024 * 1024;

let cluster: TestCluster;

async function start(count: number): Promise<readonly string[]> {
  const nodes = Array.from({ length: count }, () => ({ numCpus: 1, objectStoreMemory: 512 * MIB }));
  cluster = await TestCluster.start({ nodes });
  await init({ address: cluster.address });
  return cluster.nodes.map((node) => node.nodeId);
}

afterEach(async () => {
  await ray.shutdown();
  await cluster.stop();
  await nothingLeftBehind();
});

const on = (nodeId: string) => ({ schedulingStrategy: { nodeId }, numCpus: 0 });
const make = remote((length: number) => {
  const array = new Float64Array(length);
  for (let i = 0; i < length; i++) array[i] = i % 1_000;
  return array;
});
const sumOf = (length: number) => {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += i % 1_000;
  return sum;
};
const sum = remote((array: Float64Array) => {
  let total = 0;
  for (let i = 0; i < array.length; i++) total += array[i] as number;
  return total;
});

test("a broadcast reaches every node, and nobody has sent more than three copies", async () => {
  const ids = await start(6);
  const length = (24 * MIB) / 8;
  const made = make.options(on(ids[0] as string)).remote(length);
  const sums = await get(ids.map((nodeId) => sum.options(on(nodeId)).remote(made)));
  assert.deepEqual(new Set(sums), new Set([sumOf(length)]));
  const tool = await cluster.tool();
  const { objectBytes, mostServedBytes } = await tool.traffic();
  assert.ok(objectBytes >= 5 * 24 * MIB, `${objectBytes} bytes`);
  assert.ok(mostServedBytes > 0 && mostServedBytes <= 3 * 24.1 * MIB, `${mostServedBytes} bytes`);
});

test("a node that is killed while it serves: another replica gives the rest, and the value is whole", async () => {
  const [n1, n2, n3] = (await start(3)) as [string, string, string];
  const length = (160 * MIB) / 8;
  const made = make.options(on(n2)).remote(length);
  await wait([made], { fetchLocal: false });
  assert.equal(await get(sum.options(on(n3)).remote(made)), sumOf(length));
  const serving = cluster.nodes[1];
  // It has the connection and gives nothing: what it was asked for is still missing when it dies.
  process.kill(serving?.pid ?? 0, "SIGSTOP");
  const wanted = sum.options(on(n1)).remote(made);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await serving?.kill();
  assert.equal(await get(wanted, { timeoutMs: 20_000 }), sumOf(length));
});

test("a node that is killed while it hands on what it has got: those behind it get the rest from elsewhere", async () => {
  const ids = await start(5);
  const length = (96 * MIB) / 8;
  const made = make.options(on(ids[0] as string)).remote(length);
  await wait([made], { fetchLocal: false });
  // Two nodes are sent to the maker, the others to these two, of which one dies.
  const [, first, ...others] = ids as [string, string, ...string[]];
  const doomed = sum.options({ ...on(first), maxRetries: 0 }).remote(made);
  const wanted = others.map((nodeId) => sum.options(on(nodeId)).remote(made));
  await new Promise((resolve) => setTimeout(resolve, 60));
  await cluster.nodes[1]?.kill();
  await wait([doomed], { timeoutMs: 20_000 }); // done or dead
  assert.deepEqual(new Set(await get(wanted, { timeoutMs: 20_000 })), new Set([sumOf(length)]));
});

test("nodes on one host copy from each other's arenas when they are told to", async () => {
  process.env["MOBULA_SAME_HOST"] = "1";
  try {
    const ids = await start(3);
    const length = (48 * MIB) / 8;
    const made = make.options(on(ids[0] as string)).remote(length);
    const sums = await get(ids.map((nodeId) => sum.options(on(nodeId)).remote(made)));
    assert.deepEqual(new Set(sums), new Set([sumOf(length)]));
  } finally {
    delete process.env["MOBULA_SAME_HOST"];
  }
});
