// A task that was recalled is never started, whatever raylet and worker do at the same time.
// Method: two threads on the same words, one starting tasks, one recalling; and the rules one by one.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { CLAIM_WORDS, type Claimed, RayletClaims, WorkerClaims } from "./claim-words.js";

function pair() {
  const words = new Int32Array(new SharedArrayBuffer(CLAIM_WORDS * 4));
  const leases = [1, 2].map((claim): Claimed => ({ claim, recalledUpTo: -1 }));
  const worker = new WorkerClaims(words, (claim) => leases[claim - 1]);
  return { raylet: new RayletClaims(words), worker, first: leases[0] as Claimed, second: leases[1] as Claimed };
}

test("pushes above the one that was started are recalled; later pushes of the lease run", () => {
  const { raylet, worker, first } = pair();
  assert.equal(worker.mayStart(first, 4), true);
  assert.equal(raylet.recall(1, 9), 4);
  assert.equal(worker.mayStart(first, 5), false);
  assert.equal(worker.mayStart(first, 9), false);
  assert.equal(worker.mayStart(first, 10), true);
  assert.equal(raylet.recall(1, 12), 10);
  assert.equal(worker.mayStart(first, 11), false);
});

test("of a lease that is not the one started last nothing is recalled", () => {
  const { raylet, worker, first, second } = pair();
  assert.equal(raylet.recall(1, 3), undefined);
  worker.mayStart(first, 0);
  worker.mayStart(second, 0);
  assert.equal(raylet.recall(1, 3), undefined);
  assert.equal(worker.mayStart(first, 1), true);
});

test("a recall is remembered with its lease when the worker goes on with another", () => {
  const { raylet, worker, first, second } = pair();
  worker.mayStart(first, 0);
  assert.equal(raylet.recall(1, 3), 0);
  assert.equal(worker.mayStart(second, 0), true);
  assert.equal(raylet.recall(2, 5), 0);
  assert.equal(worker.mayStart(first, 2), false);
  assert.equal(worker.mayStart(second, 5), false);
  assert.equal(worker.mayStart(first, 4), true);
});

test("a lease that has ended is recalled in vain", () => {
  const { raylet, worker, first } = pair();
  worker.mayStart(first, 0);
  raylet.recall(1, 3);
  const words = new Int32Array(new SharedArrayBuffer(CLAIM_WORDS * 4));
  const other = new WorkerClaims(words, () => undefined);
  new RayletClaims(words).reset();
  assert.equal(other.mayStart(first, 2), true);
});

const STARTER = `
const { workerData, parentPort } = require("node:worker_threads");
import(workerData.module).then(({ WorkerClaims }) => {
  const words = new Int32Array(workerData.words);
  const lease = { claim: 1, recalledUpTo: -1 };
  const claims = new WorkerClaims(words, () => lease);
  const started = new Uint8Array(workerData.started);
  const pushed = new Int32Array(workerData.pushed);
  Atomics.wait(pushed, 2, 0); // until the other thread recalls
  for (let sequence = 0; sequence < workerData.count && Atomics.load(pushed, 2) === 1; sequence++) {
    Atomics.store(pushed, 0, sequence + 3); // three are under way behind it
    if (claims.mayStart(lease, sequence)) started[sequence] = 1;
  }
  Atomics.store(pushed, 1, 1);
  parentPort.postMessage("done");
});
`;

test("two threads: no task is both recalled and started", async () => {
  const count = 20_000_000;
  const wanted = 20_000;
  const words = new SharedArrayBuffer(CLAIM_WORDS * 4);
  const started = new SharedArrayBuffer(count + 8);
  const pushed = new SharedArrayBuffer(12);
  const module = new URL("./claim-words.js", import.meta.url).href;
  const starter = new Worker(STARTER, { eval: true, workerData: { words, started, pushed, module, count } });
  const done = once(starter, "message");
  const raylet = new RayletClaims(new Int32Array(words));
  const state = new Int32Array(pushed);
  const recalled = new Uint8Array(count + 8);
  await once(starter, "online");
  Atomics.store(state, 2, 1);
  Atomics.notify(state, 2);
  for (let rounds = 0; rounds < wanted && Atomics.load(state, 1) === 0; ) {
    const upTo = Atomics.load(state, 0);
    const at = raylet.recall(1, upTo);
    if (at === undefined) continue;
    rounds++;
    for (let sequence = at + 1; sequence <= upTo; sequence++) recalled[sequence] = 1;
  }
  Atomics.store(state, 2, 2);
  await done;
  const ran = new Uint8Array(started);
  let both = 0;
  let recalls = 0;
  for (let sequence = 0; sequence < count; sequence++) {
    if (recalled[sequence] === 1) recalls++;
    if (recalled[sequence] === 1 && ran[sequence] === 1) both++;
  }
  assert.equal(both, 0);
  assert.ok(recalls > 0, "some were recalled");
});
