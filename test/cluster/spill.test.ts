// Objects in scope are never dropped: a store that is full spills, and gives everything back as it was.
// Method: real clusters with small stores; more bytes than fit are put, shuffled, damaged on disk, and read back.
import assert from "node:assert/strict";
import { mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { afterEach, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { collectUntil } from "../support/garbage.js";
import { leftBehind, nothingLeftBehind, processes } from "../support/left-behind.js";

const { get, init, put, remote } = ray;
const MIB = 1024 * 1024;
const STORE_BYTES = 16 * MIB;
const OBJECT_BYTES = 2 * MIB;
/** Three times the store. */
const OBJECTS = (3 * STORE_BYTES) / OBJECT_BYTES;

/** In the test file's own directory, which is removed with it. */
const spillDirectory = join(process.env["MOBULA_TMPDIR"] ?? "", "disk");
mkdirSync(spillDirectory);
let cluster: TestCluster | undefined;

afterEach(async () => {
  await ray.shutdown();
  await cluster?.stop();
  cluster = undefined;
  delete process.env["MOBULA_SPILL_BYTES"];
  await nothingLeftBehind();
  assert.deepEqual(readdirSync(spillDirectory), []);
});

function make(seed: number): Uint32Array {
  const words = new Uint32Array(OBJECT_BYTES / 4);
  for (let i = 0, next = seed; i < words.length; i++) {
    next = (Math.imul(next, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = next;
  }
  return words;
}

function spillFiles(): string[] {
  const sessions = readdirSync(spillDirectory).map((name) => join(spillDirectory, name));
  return sessions.flatMap((session) =>
    readdirSync(session)
      .filter((name) => name.endsWith(".spill"))
      .map((name) => join(session, name)),
  );
}

/** What the first node says of its disk. */
async function onDisk(): Promise<number> {
  const tool = await cluster?.tool();
  return (await tool?.stores())?.[0]?.spilledBytes ?? 0;
}

async function start(...nodes: number[]): Promise<readonly string[]> {
  cluster = await TestCluster.start({
    nodes: nodes.map((numCpus) => ({ numCpus, objectStoreMemory: STORE_BYTES, spillDirectory })),
  });
  await init({ address: cluster.address });
  return cluster.nodes.map((node) => node.nodeId);
}

test("puts of three times the store: every value reads back, in any order, and the disk is empty when they are freed", async () => {
  await init({ numCpus: 1, objectStoreMemory: STORE_BYTES, spillDirectory });
  const refs = Array.from({ length: OBJECTS }, (_, seed) => put(make(seed)));
  await waitForCondition(() => spillFiles().length > 1); // blocks are asked for when this loop turns
  for (let i = 0; i < OBJECTS; i++) {
    const seed = (i * 7) % OBJECTS;
    assert.deepEqual(await get(refs[seed] as ray.ObjectRef<Uint32Array>), make(seed));
  }
  const free = (await ray.availableResources())["objectStoreMemory"] ?? 0;
  assert.ok(free >= 0 && free < STORE_BYTES);
  for (const ref of refs) ref[Symbol.dispose]();
  await waitForCondition(async () => (await ray.availableResources())["objectStoreMemory"] === STORE_BYTES);
  await waitForCondition(() => spillFiles().length === 0);
});

test("a synchronous loop over three times the store never spills when its refs are given back or dropped", async () => {
  await start(1);
  const value = make(1);
  for (let i = 0; i < OBJECTS; i++) put(value)[Symbol.dispose]();
  for (let i = 0; i < OBJECTS; i++) put(value);
  // Files are numbered from 1 on: the first one is written now, for refs that are kept.
  const refs = Array.from({ length: OBJECTS }, () => put(value));
  assert.equal(refs.length, OBJECTS);
  await waitForCondition(() => spillFiles().length > 0);
  assert.ok(
    spillFiles().some((path) => basename(path) === "1.spill"),
    String(spillFiles()),
  );
  for (const ref of refs) assert.deepEqual(await get(ref), value);
});

test("spilled objects are arguments and travel to other nodes; results of several times the store are shuffled", async () => {
  const [n1, n2] = (await start(1, 1)) as [string, string];
  const produce = remote((seed: number) => make(seed));
  const check = remote((...parts: Uint32Array[]) => parts.map((part) => part[0]));
  const on = (nodeId: string) => ({ schedulingStrategy: { nodeId } });
  const made = Array.from({ length: OBJECTS }, (_, seed) => produce.options(on(seed % 2 === 0 ? n1 : n2)).remote(seed));
  const groups = Array.from({ length: OBJECTS / 4 }, (_, group) =>
    [0, 1, 2, 3].map((i) => (group * 5 + i * 7) % OBJECTS),
  );
  const checked = groups.map((group, i) =>
    check.options(on(i % 2 === 0 ? n2 : n1)).remote(...group.map((seed) => made[seed] as ray.ObjectRef<Uint32Array>)),
  );
  const expected = groups.map((group) => group.map((seed) => make(seed)[0]));
  assert.deepEqual(await get(checked), expected);
  const [last] = await get([made[OBJECTS - 1] as ray.ObjectRef<Uint32Array>]);
  assert.deepEqual(last, make(OBJECTS - 1));
});

test("a spill file that was damaged counts as a lost copy, and the others are as they were", async () => {
  await start(1);
  const refs = Array.from({ length: OBJECTS }, (_, seed) => put(make(seed)));
  await waitForCondition(async () => (await onDisk()) > STORE_BYTES);
  const first = spillFiles().find((path) => path.endsWith("/1.spill")) as string;
  writeSync(openSync(first, "r+"), Buffer.from([1, 2, 3, 4]), 0, 4, 4_096);
  const outcomes = await Promise.allSettled(refs.map((ref) => get(ref)));
  const lost = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
  assert.equal(lost.length, 1);
  assert.ok(lost[0] instanceof ray.ObjectLostError, String(lost[0]));
  for (const [seed, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") assert.deepEqual(outcome.value, make(seed));
  }
});

test("without disk a full store says so, with the number of the disk's bytes, and works on when refs are dropped", async () => {
  process.env["MOBULA_SPILL_BYTES"] = String(2 * OBJECT_BYTES);
  await init({ numCpus: 1, objectStoreMemory: STORE_BYTES, spillDirectory });
  const produce = remote((seed: number) => make(seed));
  const results = Array.from({ length: OBJECTS }, (_, seed) => produce.remote(seed));
  const failed = await failuresOf(results);
  assert.ok(failed.length > 0 && failed.length < OBJECTS, `${failed.length} of ${OBJECTS} do not fit`);
  for (const error of failed) {
    // Where arrays are views, what this process reads cannot be spilled.
    if (error instanceof ray.ObjectStoreFullError) assert.match(error.message, /read by driver/);
    else assert.ok(error instanceof ray.OutOfDiskError, String(error));
    assert.match(error.message, /may be taken.*spillDirectory|read by driver/);
  }
  for (const ref of results) ref[Symbol.dispose]();
  await collectUntil(async () => ((await ray.availableResources())["objectStoreMemory"] ?? 0) >= 2 * OBJECT_BYTES);
  assert.deepEqual(await get(produce.remote(3)), make(3));
});

async function failuresOf(refs: readonly ray.ObjectRef<unknown>[]): Promise<unknown[]> {
  const outcomes = await Promise.allSettled(refs.map((ref) => get(ref)));
  return outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
}

test("refs that nobody can reach on one node make room in the full store of another, which has no disk", async () => {
  process.env["MOBULA_SPILL_BYTES"] = "0";
  const [, second = ""] = await start(1, 1);
  const there = { schedulingStrategy: { nodeId: second } };
  const produce = remote(there, (seed: number) => make(seed));
  for (let seed = 0; seed < OBJECTS; seed++) {
    const { ready } = await ray.wait([produce.remote(seed)], { fetchLocal: false }); // the ref is garbage here
    assert.equal(ready.length, 1);
  }
  const last = await get(produce.remote(OBJECTS));
  assert.deepEqual(last, make(OBJECTS));
});

test("an object that is larger than the store is refused at once", async () => {
  await init({ numCpus: 1, objectStoreMemory: STORE_BYTES, spillDirectory });
  const large = remote(() => new Uint8Array(20 * 1024 * 1024));
  await assert.rejects(
    get(large.remote()),
    (error) => error instanceof ray.ObjectStoreFullError && error.message.includes("whole store"),
  );
});

test("after the SIGKILL of a node the next start removes what it had spilled", async () => {
  await start(1, 1);
  const [, second] = cluster?.nodes ?? [];
  const produce = remote((seed: number) => make(seed));
  const refs = Array.from({ length: OBJECTS }, (_, seed) =>
    produce.options({ schedulingStrategy: { nodeId: second?.nodeId ?? "" } }).remote(seed),
  );
  await ray.wait(refs, { numReturns: refs.length, fetchLocal: false });
  assert.ok(spillFiles().length > 0, "the second node has spilled");
  await second?.kill();
  await waitForCondition(() => spillFiles().length === 0); // the head sweeps
  await cluster?.nodes[0]?.kill();
  await waitForCondition(() => processes().length === 0);
  await ray.shutdown();
  await cluster?.stop(); // sweeps, too
  assert.deepEqual(leftBehind(), []);
});
