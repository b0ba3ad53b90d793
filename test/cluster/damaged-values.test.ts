// A value whose bytes are damaged fails those who decode it, each with a typed error, and nobody else; its block is let go.
// Method: damaged bytes are put as they are; the owner, a task and who reads it in the store try to decode them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { refOf } from "../../src/api/object-ref.js";
import { currentLineage, requireRuntime } from "../../src/api/runtime.js";
import { encodeValue, type ValueHooks } from "../../src/io/values/index.js";
import { fetchBytes } from "../../src/process/captured-data.js";
import { EncodedBytes } from "../../src/process/encoded-bytes.js";
import { waitForCondition } from "../../src/testing/index.js";
import { collectGarbage } from "../support/garbage.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

before(async () => {
  await ray.init({ numCpus: 1, objectStoreMemory: 64 * 1024 * 1024 });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

/** A worker that has mapped something collects garbage within a hundredth of its time. */
async function becomesEmpty(): Promise<void> {
  await waitForCondition(
    async () => {
      collectGarbage();
      return (await usedBytes()) === 0;
    },
    { timeoutMs: 20_000 },
  );
}

const NO_HOOKS: ValueHooks = {
  describe: () => undefined,
  revive: () => assert.fail("nothing is named"),
  classId: () => assert.fail("nothing has a class"),
  privateMemberOf: () => undefined,
  classById: () => assert.fail("nothing has a class"),
};

/** An array that is mapped before the damage is found. */
function withMoreBehindIt(): Uint8Array {
  return Buffer.concat([...encodeValue([new Float64Array(50_000), 1], NO_HOOKS, "value").pieces(), Buffer.alloc(1)]);
}

/** It says that it names classes, and has no list of them. */
function withoutTrailer(): Uint8Array {
  return Buffer.alloc(200_000, 0xff);
}

function putDamaged(bytes: Uint8Array): ray.ObjectRef<unknown> {
  const runtime = requireRuntime("this test");
  return refOf(runtime.core.putEncoded(new EncodedBytes(Buffer.from(bytes)), currentLineage(runtime)));
}

const MALFORMED = { code: "PROTOCOL", message: /malformed/ };
const take = ray.remote((value: unknown) => typeof value);

for (const [what, make] of [
  ["bytes behind its end", withMoreBehindIt],
  ["no list of its classes", withoutTrailer],
] as const) {
  test(`a value with ${what} fails its owner, a task that takes it and who reads it in the store`, async () => {
    const ref = putDamaged(make());
    await assert.rejects(ray.get(ref), MALFORMED);
    await assert.rejects(ray.get(take.remote(ref)), MALFORMED);
    await assert.rejects(ray.get(ref), MALFORMED);
    assert.equal(await ray.get(take.remote(1)), "number", "everybody goes on");
    ref[Symbol.dispose]();
    await becomesEmpty();
  });
}

test("captured data that is damaged fails the function that it belongs to", async () => {
  const runtime = requireRuntime("this test");
  const ref = putDamaged(Buffer.alloc(200_000, 0x7f));
  await assert.rejects(ray.get(take.remote(ref)), MALFORMED); // it lies in the store now
  runtime.hold(); // as those who wait for something do
  await assert.rejects(fetchBytes(runtime.core, ref.id as Parameters<typeof fetchBytes>[1]), MALFORMED);
  runtime.release();
  ref[Symbol.dispose]();
  await becomesEmpty();
});
