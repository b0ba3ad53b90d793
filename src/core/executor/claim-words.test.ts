// A task that was recalled is never started, whatever raylet and worker do at the same time.
// Method: the rules one by one; then two threads on the same words, one starting tasks of two leases, one recalling.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  CLAIM_BYTES,
  CLAIM_PLACES,
  CLAIM_WORDS,
  type Claimed,
  placeOf,
  RayletClaims,
  UNCLAIMED,
  WorkerClaims,
} from "./claim-words.js";

/** What the claim words are used with. */
const NAMES = ["load", "store", "exchange", "compareExchange"] as const;
type Name = (typeof NAMES)[number];

function pair() {
  const words = new Int32Array(new SharedArrayBuffer(CLAIM_BYTES));
  const leases = [1, 2].map((claim): Claimed => ({ ...UNCLAIMED, claim }));
  const worker = new WorkerClaims(words);
  for (const lease of leases) worker.open(lease);
  return { raylet: new RayletClaims(words), worker, first: leases[0] as Claimed, second: leases[1] as Claimed, words };
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

test("the first task of a lease has number 0, and it can be recalled, or what is behind it", () => {
  const { raylet, worker, first, second } = pair();
  assert.equal(worker.mayStart(first, 0), true);
  assert.equal(raylet.recall(1, 3), 0);
  assert.equal(worker.mayStart(first, 1), false);
  assert.equal(raylet.recall(2, 3), -1); // not even that one has been started
  assert.equal(worker.mayStart(second, 0), false);
  assert.equal(worker.mayStart(second, 4), true);
});

test("a lease is recalled also while the worker is at another", () => {
  const { raylet, worker, first, second } = pair();
  worker.mayStart(first, 0);
  worker.mayStart(second, 0);
  assert.equal(raylet.recall(1, 3), 0);
  assert.equal(worker.mayStart(second, 1), true);
  assert.equal(worker.mayStart(first, 1), false);
  assert.equal(worker.mayStart(first, 4), true);
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

test("a recall that comes again, or late, takes nothing back", () => {
  const { raylet, worker, first } = pair();
  worker.mayStart(first, 0);
  assert.equal(raylet.recall(1, 9), 0);
  assert.equal(raylet.recall(1, 9), 0);
  assert.equal(raylet.recall(1, 3), 0);
  assert.equal(worker.mayStart(first, 5), false);
  assert.equal(worker.mayStart(first, 10), true);
});

test("of a lease that the worker has not heard of, or that has lost its place to another, nothing is recalled", () => {
  const { raylet, worker, first } = pair();
  assert.equal(raylet.recall(3, 9), undefined);
  worker.mayStart(first, 7);
  assert.equal(raylet.recall(1, 9), 7);
  const next: Claimed = { ...UNCLAIMED, claim: first.claim + CLAIM_PLACES };
  assert.equal(placeOf(next.claim), placeOf(first.claim));
  assert.equal(raylet.recall(next.claim, 3), undefined);
  worker.open(next);
  assert.equal(raylet.recall(first.claim, 9), undefined);
  assert.equal(worker.mayStart(next, 0), true);
  assert.equal(raylet.recall(next.claim, 3), 0);
});

test("a new worker in the place of an old one knows nothing of its recalls", () => {
  const { raylet, worker, first, words } = pair();
  worker.mayStart(first, 0);
  raylet.recall(1, 3);
  raylet.reset();
  const other = new WorkerClaims(words);
  assert.equal(raylet.recall(1, 3), undefined);
  const lease: Claimed = { ...UNCLAIMED, claim: 1 };
  other.open(lease);
  assert.equal(other.mayStart(lease, 2), true);
});

/**
 * From now on this thread hesitates before each operation on shared memory, for a moment of random length: gaps of a few
 * nanoseconds become wide. Returns what ends that. The other thread gets the text of it.
 */
function hesitate(): () => void {
  const real = { ...Object.fromEntries(NAMES.map((name) => [name, Atomics[name]])) } as Pick<typeof Atomics, Name>;
  let chance = 4711;
  const wait = () => {
    chance = (Math.imul(chance, 1103515245) + 12345) & 0x7fffffff;
    for (let left = (chance >>> 8) & ((chance >>> 4) % 8 === 0 ? 1023 : 31); left > 0; left--);
  };
  const slow =
    (name: Name) =>
    (...args: never[]) => {
      wait();
      return (real[name] as (...args: never[]) => number)(...args);
    };
  Object.assign(Atomics, Object.fromEntries(NAMES.map((name) => [name, slow(name)])));
  return () => void Object.assign(Atomics, real);
}

/** Starts tasks of two leases in turns of random length; each lease's in order, and several wait behind each. */
const STARTER = `
const { workerData, parentPort } = require("node:worker_threads");
const NAMES = workerData.names;
${hesitate}
if (workerData.hesitates) hesitate();
import(workerData.module).then(({ WorkerClaims }) => {
  const claims = new WorkerClaims(new Int32Array(workerData.words));
  const leases = [1, 2].map((claim) => ({ claim, started: -2, recalledUpTo: -1 }));
  for (const lease of leases) claims.open(lease);
  const started = workerData.started.map((bytes) => new Uint8Array(bytes));
  const pushed = new Int32Array(workerData.pushed);
  const next = [0, 0];
  let work = 0;
  let chance = 12345;
  const draw = (below) => ((chance = (Math.imul(chance, 1103515245) + 12345) & 0x7fffffff) >>> 8) % below;
  Atomics.wait(pushed, 2, 0); // until the other thread recalls
  while (Math.max(...next) < workerData.count && Atomics.load(pushed, 2) === 1) {
    const lease = draw(2);
    for (let left = draw(workerData.turn); left >= 0; left--) {
      const sequence = next[lease]++;
      Atomics.store(pushed, lease, sequence + workerData.ahead); // so many are under way behind it
      if (claims.mayStart(leases[lease], sequence)) started[lease][sequence] = 1;
      for (let spin = draw(200); spin > 0; spin--) work++;
    }
  }
  parentPort.postMessage("done");
});
`;

for (const [how, turn, hesitates] of [
  ["goes back and forth between two leases", 3, false],
  ["changes between two leases now and then", 300, false],
  ["goes back and forth, and both hesitate", 3, true],
] as const) {
  test(`two threads: no task is both recalled and started when the worker ${how}`, async () => {
    const count = 20_000_000;
    const wanted = 5_000;
    const ahead = 50;
    const deadlineMs = performance.now() + 10_000;
    const words = new SharedArrayBuffer(CLAIM_BYTES);
    const started = [0, 1].map(() => new SharedArrayBuffer(count + turn + ahead));
    const pushed = new SharedArrayBuffer(12);
    const module = new URL("./claim-words.js", import.meta.url).href;
    const workerData = { words, started, pushed, module, count, turn, ahead, hesitates, names: NAMES };
    const starter = new Worker(STARTER, { eval: true, workerData });
    const done = once(starter, "message");
    const raylet = new RayletClaims(new Int32Array(words));
    const state = new Int32Array(pushed);
    const recalled = started.map((bytes) => new Uint8Array(bytes.byteLength));
    await once(starter, "online");
    Atomics.store(state, 2, 1);
    Atomics.notify(state, 2);
    const resume = hesitates ? hesitate() : () => {};
    const last = [0, 0];
    const rounds = [0, 0];
    for (let lease = 0; Math.min(...rounds) < wanted; lease = 1 - lease) {
      const upTo = Atomics.load(state, lease);
      if (upTo >= count || performance.now() > deadlineMs) break;
      const at = upTo === last[lease] ? undefined : raylet.recall(lease + 1, upTo);
      if (at === undefined) continue;
      last[lease] = upTo;
      (rounds[lease] as number)++;
      for (let sequence = at + 1; sequence <= upTo; sequence++) (recalled[lease] as Uint8Array)[sequence] = 1;
    }
    resume();
    Atomics.store(state, 2, 2);
    await done;
    for (const [lease, taken] of recalled.entries()) {
      const ran = new Uint8Array(started[lease] as SharedArrayBuffer);
      const both = taken.findIndex((is, sequence) => is === 1 && ran[sequence] === 1);
      assert.equal(both, -1, `lease ${lease + 1}: task ${both} was recalled and ran`);
      assert.ok(taken.includes(1), "some were recalled");
    }
  });
}

/** One lease after the other in the same place, a few tasks of each. */
const SUCCESSOR = `
const { workerData, parentPort } = require("node:worker_threads");
const NAMES = workerData.names;
${hesitate}
hesitate();
import(workerData.module).then(({ WorkerClaims }) => {
  const claims = new WorkerClaims(new Int32Array(workerData.words));
  const started = new Uint8Array(workerData.started);
  const state = new Int32Array(workerData.state);
  for (let number = 0; number < workerData.leases && Atomics.load(state, 1) === 0; number++) {
    const lease = { claim: 1 + number * workerData.places, started: -2, recalledUpTo: -1 };
    claims.open(lease);
    Atomics.store(state, 0, number);
    for (let sequence = 0; sequence < workerData.tasks; sequence++) {
      if (claims.mayStart(lease, sequence)) started[number * workerData.tasks + sequence] = 1;
    }
  }
  parentPort.postMessage("done");
});
`;

test("two threads: no task is both recalled and started when leases have a place one after the other", async () => {
  const leases = 1_000_000;
  const tasks = 6;
  const wanted = 20_000;
  const deadlineMs = performance.now() + 10_000;
  const words = new SharedArrayBuffer(CLAIM_BYTES);
  const started = new SharedArrayBuffer(leases * tasks);
  const shared = new SharedArrayBuffer(8);
  const module = new URL("./claim-words.js", import.meta.url).href;
  const workerData = { words, started, state: shared, module, leases, tasks, places: CLAIM_PLACES, names: NAMES };
  const starter = new Worker(SUCCESSOR, { eval: true, workerData });
  const done = once(starter, "message");
  await once(starter, "online");
  const raylet = new RayletClaims(new Int32Array(words));
  const state = new Int32Array(shared);
  const recalled = new Uint8Array(leases * tasks);
  const resume = hesitate();
  let count = 0;
  while (count < wanted && Atomics.load(state, 0) < leases - 1 && performance.now() < deadlineMs) {
    const number = Atomics.load(state, 0);
    const at = raylet.recall(1 + number * CLAIM_PLACES, tasks - 1);
    if (at === undefined) continue;
    for (let sequence = at + 1; sequence < tasks; sequence++) recalled[number * tasks + sequence] = 1;
    count++;
  }
  resume();
  Atomics.store(state, 1, 1);
  await done;
  const ran = new Uint8Array(started);
  const both = recalled.findIndex((is, index) => is === 1 && ran[index] === 1);
  assert.equal(both, -1, `task ${both % tasks} of lease ${Math.floor(both / tasks)} was recalled and ran`);
  assert.ok(recalled.includes(1), "some were recalled");
});

test("the words of one worker fill whole cache lines, and each lease has a place of its own", () => {
  assert.equal(CLAIM_WORDS * 4, CLAIM_BYTES);
  assert.equal(CLAIM_BYTES % 64, 0);
  assert.equal(new Set(Array.from({ length: CLAIM_PLACES }, (_, claim) => placeOf(claim))).size, CLAIM_PLACES);
});
