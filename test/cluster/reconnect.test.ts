// Refs and handles of an earlier connection mean nothing in the next one, whose ids are the same.
// Method: one process connects twice; each kind of ref from the first connection is used in the second.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, put, remote } = ray;

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

const Echo = remote(
  class Echo {
    say(text: string): string {
      return text;
    }
  },
);
const echo = remote((value: unknown) => value);

async function madeInOneConnection() {
  const actor = Echo.remote();
  const refs = [put("small"), put(new Float64Array(50_000)), echo.remote(1), actor.say.remote("a")] as const;
  await get(refs);
  return { actor, say: actor.say, refs };
}

test("who connects while another call does shares its cluster, if that is asked for; shutdown() ends it in any case", async () => {
  const first = ray.init({ numCpus: 1 });
  const [one, two] = await Promise.all([first, ray.init({ ignoreReinitError: true })]);
  assert.equal(one.nodeId, two.nodeId);
  const inWorker = await get(remote(async () => (await ray.init()).address).remote());
  assert.equal(inWorker, one.address);
  await ray.shutdown();
  const late = ray.init({ numCpus: 1 });
  await assert.rejects(ray.init(), ray.AlreadyInitializedError);
  await ray.shutdown();
  await late;
  assert.throws(() => ray.context(), ray.NotInitializedError);
});

test("what an earlier connection made is refused with ReferenceReleasedError", async () => {
  await ray.init({ numCpus: 1 });
  const { actor, say, refs } = await madeInOneConnection();
  await ray.shutdown();
  await ray.init({ numCpus: 1 });
  const now = await madeInOneConnection();
  for (const ref of refs) {
    await assert.rejects(get(ref as ray.ObjectRef<unknown>), ray.ReferenceReleasedError);
    await assert.rejects(ray.wait([ref as ray.ObjectRef<unknown>]), ray.ReferenceReleasedError);
    assert.throws(() => echo.remote(ref), ray.ReferenceReleasedError);
    assert.throws(() => put([ref]), ray.ReferenceReleasedError);
    ref[Symbol.dispose]();
  }
  assert.throws(() => say.remote("b"), ray.ReferenceReleasedError);
  assert.throws(() => put({ actor }), ray.ReferenceReleasedError);
  await assert.rejects(ray.kill(actor), ray.ReferenceReleasedError);
  actor[Symbol.dispose]();
  // Nothing of the new connection has been let go instead.
  assert.deepEqual(await get([now.refs[0], now.refs[2], now.say.remote("c")]), ["small", 1, "c"]);
  assert.equal((await get(now.refs[1])).length, 50_000);
});
