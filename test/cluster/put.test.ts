// put() is synchronous, needs no turn of the event loop, and room that nobody needs any more is found.
// Method: a store of 64 MiB and loops that put several times as much; what is in use, as the GCS reports it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const MIB = 1024 * 1024;
const STORE_BYTES = 64 * MIB;
const PUTS = 24;
const BYTES = 8 * MIB; // 3 stores in all

before(async () => {
  await ray.init({ numCpus: 2, objectStoreMemory: STORE_BYTES });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** What was got may be in use until it is garbage. */
async function becomesEmpty(): Promise<void> {
  await waitForCondition(
    async () => {
      gc();
      return (await usedBytes()) === 0;
    },
    { timeoutMs: 20_000 },
  );
}

function filled(value: number, sizeBytes = BYTES): Float64Array {
  return new Float64Array(sizeBytes / 8).fill(value);
}

test("a large value is copied before put returns, and read back by its owner and by others", async () => {
  const array = filled(1);
  const ref = ray.put(array);
  array.fill(2);
  assert.equal((await ray.get(ref))[7], 1);
  const at = ray.remote((values: Float64Array, i: number) => values[i]);
  assert.equal(await ray.get(at.remote(ref, 7)), 1);
  assert.equal(await ray.get(at.remote(array, 7)), 2);
  assert.equal((await ray.get(ref))[7], 1); // from the store now
  ref[Symbol.dispose]();
  await becomesEmpty();
});

test("a synchronous loop that gives its refs back puts several stores' worth", async () => {
  const array = filled(1);
  for (let i = 0; i < PUTS; i++) ray.put(array)[Symbol.dispose]();
  await becomesEmpty();
});

test("a synchronous loop that drops its refs puts several stores' worth", async () => {
  const array = filled(1);
  for (let i = 0; i < PUTS; i++) ray.put(array);
  const last = ray.put(filled(3));
  assert.equal((await ray.get(last))[0], 3);
});

test("a synchronous loop that keeps its refs puts several stores' worth: every value reads back", async () => {
  const refs = Array.from({ length: PUTS }, (_, i) => ray.put(filled(i)));
  for (const [i, ref] of refs.splice(0).entries()) {
    assert.deepEqual(await endsOf(ref), [i, i]);
    ref[Symbol.dispose]();
  }
  await becomesEmpty();
});

async function endsOf(ref: ray.ObjectRef<Float64Array>): Promise<unknown> {
  const array = await ray.get(ref);
  return [array[0], array[array.length - 1]];
}

test("a task's synchronous loop that keeps its refs puts several stores' worth, too", async () => {
  const loop = ray.remote(async (count: number, sizeBytes: number) => {
    const refs = Array.from({ length: count }, (_, i) => ray.put(new Float64Array(sizeBytes / 8).fill(i)));
    const sums: number[] = [];
    for (const ref of refs) sums.push((await ray.get(ref))[1] as number);
    return sums;
  });
  const values = await ray.get(loop.remote(PUTS, BYTES));
  assert.deepEqual(
    values,
    Array.from({ length: PUTS }, (_, i) => i),
  );
  await becomesEmpty();
});

test("what a process does not use goes to another that needs it, at once", async () => {
  const make = ray.remote((sizeBytes: number) => new Float64Array(sizeBytes / 8).fill(5));
  await ray.get(make.remote(1_000)); // a worker is there
  ray.put(filled(1, 40 * MIB))[Symbol.dispose]();
  const result = make.remote(40 * MIB); // not both fit
  assert.equal((await ray.get(result))[3], 5);
  result[Symbol.dispose]();
  await becomesEmpty();
});

test("a task that puts in a loop does not need its event loop either", async () => {
  const loop = ray.remote((count: number, sizeBytes: number) => {
    for (let i = 0; i < count; i++) ray.put(new Float64Array(sizeBytes / 8));
    return count;
  });
  assert.equal(await ray.get(loop.remote(PUTS, BYTES)), PUTS);
});

test("what a killed worker had leased and not sealed is free again; what it had sealed is still there", async () => {
  const die = ray.remote({ maxRetries: 0 }, (sizeBytes: number) => {
    ray.put(new Float64Array(sizeBytes / 8)); // stays unknown to anybody else
    process.kill(process.pid, "SIGKILL");
  });
  const make = ray.remote((sizeBytes: number) => new Float64Array(sizeBytes / 8).fill(9));
  const result = make.remote(BYTES);
  await ray.wait([result]);
  await assert.rejects(ray.get(die.remote(BYTES)), ray.WorkerCrashedError);
  assert.equal((await ray.get(result))[0], 9);
  result[Symbol.dispose]();
  await becomesEmpty();
});

test("an argument that cannot be copied gives back what was made of those before it", async () => {
  const f = ray.remote((..._args: unknown[]) => 1);
  assert.throws(() => f.remote(filled(1), { socket: Symbol("no") }), ray.SerializationError);
  await becomesEmpty();
});

test("a store full of objects that are needed, without a disk, is an error with what to do; all of them are still there", async () => {
  await ray.shutdown();
  process.env["MOBULA_SPILL_BYTES"] = "0";
  await ray.init({ numCpus: 1, objectStoreMemory: STORE_BYTES });
  delete process.env["MOBULA_SPILL_BYTES"];
  const refs: ray.ObjectRef<Float64Array>[] = [];
  const fill = () => {
    for (let i = 0; i < PUTS; i++) refs.push(ray.put(filled(i)));
  };
  assert.throws(fill, (error: unknown) => {
    assert.ok(error instanceof ray.OutOfDiskError, String(error));
    assert.match(error.message, /does not fit.*spillDirectory, or drop refs/);
    return true;
  });
  assert.ok(refs.length >= 6, `${refs.length} objects of ${BYTES} bytes fit into ${STORE_BYTES}`);
  for (const [i, ref] of refs.splice(0).entries()) {
    assert.equal((await ray.get(ref))[1], i);
    ref[Symbol.dispose]();
  }
  await becomesEmpty();
});
