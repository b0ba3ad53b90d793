// Large arrays got from the store are views of shared memory, and yet nobody's writes are seen by anybody else; their
// blocks stay as long as user code can reach them, and no longer.
// Method: the same program whether arrays are mapped or copied; where they are mapped, the process's own memory map says so.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { loadNative } from "../../src/io/native.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { collectUntil } from "../support/garbage.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const { get, put, remote } = ray;
const COUNT = 50_000;
const LARGE_BYTES = 8 * COUNT;
const isMapped = loadNative() !== undefined;

const Reader = remote(
  class Reader {
    #kept: Float64Array | undefined;
    keep(array: Float64Array): number {
      this.#kept = array;
      return array.length;
    }
    sum(): number {
      return this.#kept?.reduce((total, each) => total + each, 0) ?? Number.NaN;
    }
    overwrite(value: number): void {
      this.#kept?.fill(value);
    }
    drop(): void {
      this.#kept = undefined;
    }
  },
);

before(async () => {
  await ray.init({ numCpus: 2, objectStoreMemory: 64 * 1024 * 1024 });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

/** Private mappings of the arena in this process, as the kernel lists them. */
function privateMaps(): number {
  if (process.platform !== "linux") return loadNative()?.liveMaps() ?? 0;
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => / rw-p .*\/mobula-session/.test(line)).length;
}

/** An object in the store, with the owner's own copy gone. */
async function stored(value: Float64Array): Promise<ray.ObjectRef<Float64Array>> {
  const ref = put(value);
  await waitForCondition(async () => (await usedBytes()) >= value.byteLength);
  return ref;
}

test("writer and readers each have a copy of their own once they write", async () => {
  const original = new Float64Array(COUNT).fill(1);
  using ref = await stored(original);
  original.fill(5);
  const [one, other] = [Reader.remote(), Reader.remote()];
  await get([one.keep.remote(ref), other.keep.remote(ref)]);
  const mine = await get(ref);
  await get(one.overwrite.remote(2));
  mine.fill(3);
  assert.deepEqual(await get([one.sum.remote(), other.sum.remote()]), [2 * COUNT, COUNT]);
  const again = await get(ref);
  assert.equal(again[COUNT - 1], 1);
  assert.notEqual(again.buffer, mine.buffer);
  assert.equal(privateMaps() > 0, isMapped);
  one[Symbol.dispose]();
  other[Symbol.dispose]();
});

test("an array that no other process knows is a view too, and stays when its ref goes or leaves the process", async () => {
  await collectUntil(async () => (await usedBytes()) === 0);
  const mapsBefore = privateMaps();
  const ref = put(new Float64Array(COUNT).fill(1));
  const [mine, other] = [await get(ref), await get(ref)];
  assert.equal(privateMaps() - mapsBefore, isMapped ? 2 : 0);
  mine[0] = 2;
  assert.equal(other[0], 1);
  using reader = Reader.remote();
  await get(reader.keep.remote(ref)); // announced, with both readers
  ref[Symbol.dispose]();
  const others = Array.from({ length: 8 }, () => put(new Float64Array(COUNT).fill(7)));
  assert.equal(await get(reader.sum.remote()), COUNT);
  assert.deepEqual([mine[0], mine[COUNT - 1], other[COUNT - 1]], [2, 1, 1]);
  for (const each of others) each[Symbol.dispose]();
});

test("each array of a value has a buffer of its own that has its bytes and no more, whatever stands between them", async () => {
  const whole = new Float64Array(3 * COUNT).map((_, i) => i);
  const value = {
    part: whole.subarray(COUNT, 2 * COUNT),
    text: "x".repeat(10_001),
    bytes: Buffer.alloc(70_001, 7),
    small: Uint16Array.of(1, 2, 3),
    same: whole.subarray(COUNT, 2 * COUNT),
    nested: [new Map([["k", new BigInt64Array(20_000).fill(-4n)]]), new DataView(new ArrayBuffer(65_536))],
    buffer: new Uint8Array(100_000).fill(9).buffer,
  };
  using ref = put(value);
  await waitForCondition(async () => (await usedBytes()) > LARGE_BYTES);
  const got = await get(ref);
  assert.deepEqual(got, value);
  const map = got.nested[0] as Map<string, BigInt64Array>;
  const arrays = [got.part, got.bytes, got.same, map.get("k"), got.nested[1] as DataView] as ArrayBufferView[];
  assert.equal(new Set([...arrays.map(({ buffer }) => buffer), got.buffer]).size, 6);
  for (const { byteOffset, byteLength, buffer } of arrays)
    assert.deepEqual([byteOffset, buffer.byteLength], [0, byteLength]);
});

test("an array outlives its ref, and its block goes when the array is garbage", async () => {
  await collectUntil(async () => (await usedBytes()) === 0);
  const held = await holdAndDispose();
  await ray.nodes();
  if (isMapped) assert.ok((await usedBytes()) >= LARGE_BYTES);
  // Another object must not be written where this one lies.
  using other = await stored(new Float64Array(COUNT).fill(8));
  assert.equal(held.array?.[77], 4);
  assert.equal((await get(other))[77], 8);
  held.array = undefined;
  other[Symbol.dispose]();
  await collectUntil(async () => (await usedBytes()) === 0);
});

async function holdAndDispose(): Promise<{ array: Float64Array | undefined }> {
  using ref = await stored(new Float64Array(COUNT).fill(4));
  return { array: await get(ref) };
}

test("a worker that has dropped an array gives its block back, although nothing else makes it collect garbage", async () => {
  const reader = Reader.remote();
  const ref = await stored(new Float64Array(COUNT).fill(1));
  await get(reader.keep.remote(ref));
  ref[Symbol.dispose]();
  await get(reader.drop.remote());
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: 20_000 });
  assert.ok(Number.isNaN(await get(reader.sum.remote())));
});

test("values without large arrays hold no block after get", async () => {
  const ref = put("text ".repeat(100_000));
  await waitForCondition(async () => (await usedBytes()) > 0);
  const text = await get(ref);
  ref[Symbol.dispose]();
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: 5_000 });
  assert.equal(text.length, 500_000);
});

test("arrays that a driver holds stay as they are when it leaves a cluster that lives on", async () => {
  await ray.shutdown();
  await using cluster = await TestCluster.start({ nodes: [{ numCpus: 1, objectStoreMemory: 4 * 1024 * 1024 }] });
  await ray.init({ address: cluster.address });
  const ref = await stored(new Float64Array(COUNT).fill(6));
  const array = await get(ref);
  await ray.shutdown();
  await ray.init({ address: cluster.address });
  // The store is small: its whole room is written anew.
  const others = Array.from({ length: 8 }, () => put(new Float64Array(COUNT).fill(-1)));
  await get(others);
  await waitForCondition(async () => (await usedBytes()) >= 8 * LARGE_BYTES);
  assert.ok(array.every((each) => each === 6));
  await ray.shutdown();
  await cluster.stop();
  await ray.init({ numCpus: 2 });
});

test("an array that a process still has is got again without a word to the raylet, with memory of its own", async () => {
  await ray.shutdown();
  await using cluster = await TestCluster.start({ nodes: [{ numCpus: 1, objectStoreMemory: 4 * 1024 * 1024 }] });
  await ray.init({ address: cluster.address });
  using ref = remote((length: number) => new Float64Array(length).fill(7)).remote(COUNT);
  const held = await get(ref);
  held.fill(8);
  const pid = cluster.nodes[0]?.pid ?? 0;
  process.kill(pid, "SIGSTOP");
  try {
    const again = get(ref, { timeoutMs: isMapped ? 10_000 : 100 });
    if (isMapped) assert.equal((await again)[COUNT - 1], 7);
    else await assert.rejects(again, ray.GetTimeoutError);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  assert.equal((await get(ref))[0], 7);
  assert.equal(held[0], 8);
  await ray.shutdown();
});
