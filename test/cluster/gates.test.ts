// What waits for something that another's task is to make keeps nobody waiting, least of all who lets that go on.
// Method: one CPU; the object is made by a task of an actor, which waits for a task of the driver.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, remote } = ray;

before(async () => {
  await ray.init({ numCpus: 1 });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

const gated = remote(async (gate: Awaited<ReturnType<typeof makeGate>>) => {
  await get(gate.wait.remote());
  return new Uint8Array(200_000).fill(7);
});

async function makeGate() {
  return ray.Signal.remote();
}

const Owner = remote(
  class Owner {
    readonly #made: ray.ObjectRef<Uint8Array>[] = [];
    begin(gate: Awaited<ReturnType<typeof makeGate>>): readonly ray.ObjectRef<Uint8Array>[] {
      this.#made.push(gated.remote(gate));
      return this.#made;
    }
  },
);

test("a task whose argument another's gated task makes does not keep the opener of the gate from its lease", async () => {
  const gate = await makeGate();
  const owner = Owner.remote();
  const [made] = await get(owner.begin.remote(gate));
  assert.ok(made !== undefined);
  const takers = [0, 1].map(() => remote((bytes: Uint8Array) => bytes[0]).remote(made));
  const opener = remote(async () => {
    await get(gate.send.remote());
    return "open";
  }).remote();
  assert.equal(await get(opener, { timeoutMs: 10_000 }), "open");
  assert.deepEqual(await get(takers, { timeoutMs: 10_000 }), [7, 7]);
});
