// Bugs that the simulator found stay found.
// Method: for each, the shortest sequence of calls that showed it, on the machine that had it; the seed stands beside it.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  actorSpec,
  Lines,
  leaseGranted,
  leaseRequest,
  line,
  nodeInfo,
  sealObject,
} from "../../test/support/messages.js";
import { context, failure, job, kib, lease, node, object, process } from "../../test/support/names.js";
import { NO_DISK } from "../../test/support/no-disk.js";
import { namedTask } from "../../test/support/owner.js";
import { GCS, type ProcessRef, rayletOf } from "../base/ids.js";
import type { Message } from "../protocol/messages.js";
import { Gcs } from "./gcs/gcs.js";
import { Journey } from "./journey.js";
import { LeasePool } from "./owner/lease-pool.js";
import { ReferenceTable } from "./owner/reference-table.js";
import { Raylet } from "./raylet/raylet.js";
import { WorkerPool } from "./raylet/worker-pool.js";

const N1 = rayletOf(node("N1"));
const N2 = rayletOf(node("N2"));
const D = process("d", "N1");
const W = process("w", "N2");
const CRASHED = failure("WORKER_CRASHED");

function gcsWorld() {
  const lines = new Lines();
  const port = {
    send: (to: ProcessRef, message: Message) => lines.add(`${to.processId}: ${line(message)}`),
    wakeUpAfter: () => {},
    stop: () => {},
  };
  const gcs = new Gcs(port, new Journey("N1", () => 0));
  for (const name of ["N1", "N2"]) gcs.receive(rayletOf(node(name)), { ...nodeInfo(name), type: "registerNode" });
  gcs.receive(D, { type: "attachDriver", namespace: "", showsOutput: true });
  gcs.receive(N2, { type: "processJoined", process: W, jobId: job("00000001") });
  lines.take();
  return {
    gcs,
    asked: () => lines.take().filter((said) => !said.includes("clusterView") && !said.includes("flushHolds")),
  };
}

function rayletWorld() {
  const lines = new Lines();
  const sent: Message[] = [];
  const raylet = new Raylet(
    nodeInfo("N1", 1),
    kib(64),
    0,
    {
      send: (_, message) => void sent.push(message),
      startWorker: () => lines.add("start"),
      killWorker: (_, why) => lines.add(`kill: ${why}`),
      fetchObject: () => {},
      recallPushes: () => {},
      refuse: () => {},
      disk: NO_DISK,
      stop: () => {},
    },
    new Journey("N1", () => 0),
  );
  raylet.processConnected(D, "driver");
  return { raylet, sent, asked: () => lines.take() };
}

test("a grant of an actor's lease that is told twice is not given back: the actor lives on it (seeds 23, 98)", () => {
  const { gcs, asked } = gcsWorld();
  gcs.receive(D, { ...actorSpec("A".repeat(32)), type: "registerActor" });
  const granted = leaseGranted(`${"A".repeat(32)}.0`, W, { dispatched: false });
  gcs.receive(N2, granted);
  asked();
  gcs.receive(N2, granted);
  assert.deepEqual(asked(), []);
});

test("a worker's death is told to the other nodes, where it may own leases (seeds 48, 161)", () => {
  const { gcs, asked } = gcsWorld();
  gcs.receive(N2, { type: "processDied", process: W, reason: CRASHED });
  assert.ok(asked().some((said) => said.startsWith("N1: processDied")));
});

test("what a process says after its death makes no actor (seed 749)", () => {
  const { gcs, asked } = gcsWorld();
  gcs.receive(N2, { type: "processDied", process: W, reason: CRASHED });
  asked();
  gcs.receive(W, { ...actorSpec("A", { owner: W }), type: "registerActor" });
  assert.deepEqual(asked(), []);
  assert.equal(gcs.objects.size, 0);
});

test("a request whose node died may have been granted: it is placed again without its task (seed 637)", () => {
  const placed: Message[] = [];
  const port = {
    send: (_: ProcessRef, message: Message) => void placed.push(message),
    wakeUpAfter: () => {},
    stop: () => {},
  };
  const gcs = new Gcs(port, new Journey("N1", () => 0));
  for (const name of ["N1", "N2"]) gcs.receive(rayletOf(node(name)), { ...nodeInfo(name), type: "registerNode" });
  gcs.receive(N1, {
    ...leaseRequest("L1", { strategy: { kind: "node", nodeId: "N2", soft: true } }),
    type: "placeLease",
  });
  gcs.nodeDied(node("N2"), "its connection ended");
  const requests = placed.filter((message) => message.type === "queueLease");
  assert.deepEqual(
    requests.map(({ task }) => task !== undefined),
    [true, false],
  );
});

test("an object that is sealed twice is registered once: its holder may have let go in between (seed 123)", () => {
  const { raylet, sent } = rayletWorld();
  raylet.receive(D, { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  for (let i = 0; i < 2; i++) raylet.receive(D, sealObject("c"));
  assert.equal(sent.filter(({ type }) => type === "registerObject").length, 1);
});

/** Two of an object reach one raylet at once; nobody holds the first, as `holder` says. */
function outlives(holder: ProcessRef | undefined): void {
  const { raylet, sent } = rayletWorld();
  raylet.receive(D, { type: "leaseExtent", request: 1, minBytes: kib(8), last: false, letGo: false });
  raylet.receive(D, sealObject("c", { holder }));
  raylet.receive(D, sealObject("c", { attempt: 1, offset: kib(4) }));
  raylet.receive(GCS, { type: "freeObject", objectId: object("c") }); // nobody holds it
  raylet.receive(GCS, { type: "objectRegistered", objectId: object("c") });
  const registered = sent.filter((message) => message.type === "registerObject");
  assert.deepEqual(
    registered.map(({ attempt, holder }) => [attempt, holder?.processId]),
    [
      [0, holder?.processId],
      [1, "d"],
    ],
  );
  raylet.receive(GCS, { type: "objectRegistered", objectId: object("c") });
  assert.equal(sent.filter(({ type }) => type === "objectSealed").length, 2);
}

test("the result of a run that its owner waits for outlives that of one which he gave up (seed 972, busy)", () => {
  outlives(undefined);
});

test("what an owner hands out outlives the same result of a rebuild, which nobody wanted (seed 56588)", () => {
  outlives(GCS);
});

test("the last words of a process that has died are not acted upon (seeds 749, 1236, 1263, 2187)", () => {
  const { raylet, sent, asked } = rayletWorld();
  raylet.processDied(D, failure("CONNECTION"));
  sent.length = 0;
  raylet.receive(D, { ...leaseRequest("L1", { owner: D }), type: "requestLease" });
  raylet.receive(GCS, { ...leaseRequest("L2", { owner: D }), type: "queueLease" }); // seeds 1360, 1476, 3298
  assert.deepEqual(asked(), []);
  assert.equal(raylet.scheduler.isIdle, true);
  assert.deepEqual(
    sent.filter(({ type }) => type !== "reportResources"),
    [],
  );
});

test("a request that is told again after its lease has ended is not granted again (seeds 9, 124)", () => {
  const { raylet } = rayletWorld();
  const request = { ...leaseRequest("L1", { owner: D }), type: "requestLease" } as const;
  raylet.receive(D, request);
  raylet.receive(D, { type: "cancelLease", leaseId: lease("L1") });
  raylet.receive(D, request);
  assert.equal(raylet.scheduler.isIdle, true);
});

test("an actor gets a fresh process: one that has run tasks may own objects that others wait for (seed 2542)", () => {
  const pool = new WorkerPool(node("N1"), 1, { send: () => {}, startWorker: () => {}, killWorker: () => {} });
  pool.prestart(1);
  const [slot] = pool.all();
  assert.ok(slot !== undefined);
  pool.ready(slot.ref, 1, "w.sock");
  const need = { leaseId: lease("L1"), jobId: job("j1"), exclusive: true };
  assert.equal(pool.take(need), slot);
  pool.giveBack(slot.ref.processId, lease("L1"));
  assert.equal(pool.take({ ...need, leaseId: lease("A.0") }, true), undefined);
  assert.equal(pool.take({ ...need, leaseId: lease("L2") }), slot);
});

function referenceWorld() {
  const sent: Message[] = [];
  const references = new ReferenceTable({
    sendToRaylet: () => {},
    sendToGcs: (message) => void sent.push(message),
    storeValue: () => {},
    announceLocal: () => {},
    readLocal: () => undefined,
    readPinned: () => undefined,
    doneReadingHere: () => {},
    freeLocal: () => {},
    readObject: () => undefined,
    doneReading: () => {},
    track: () => {},
    dependencyReady: () => {},
    runnerOf: () => undefined,
    resultEscapes: () => {},
    keepOrigin: () => {},
    wakeUp: () => {},
  });
  const released = () => {
    references.flush();
    return sent.splice(0).flatMap((message) => (message.type === "releaseHolds" ? message.objects : []));
  };
  return { references, released };
}

test("a hold that a lost attempt took in its owner's name is let go, unless the owner takes it itself (seed 999)", () => {
  const { references, released } = referenceWorld();
  const [lost, escaped] = [0, 1].map((counter) => references.create(context("c"), counter, 0, undefined));
  assert.ok(lost !== undefined && escaped !== undefined);
  references.releaseStray(lost);
  references.releaseStray(escaped);
  references.escape(escaped);
  assert.deepEqual(released(), [lost.id]);
});

test("a stray hold is the owner's own when a ref of the object has come back from another process", () => {
  const { references, released } = referenceWorld();
  const entry = references.create(context("c"), 0, 0, undefined);
  references.resolveStored(entry, "N2", 1);
  references.addRef(entry);
  references.dropRef(entry);
  assert.deepEqual(released(), [entry.id]);
  references.addRef(references.borrow(entry.id));
  references.flush();
  references.releaseStray(entry);
  assert.deepEqual(released(), []);
});

test("a bystander of a forced kill loses no attempt, but its children get new names (seed 759)", () => {
  const pool = new LeasePool(process("d"), {
    sendToRaylet: () => {},
    send: () => {},
    leaseRequest: (leaseId) => leaseRequest(leaseId),
    connect: () => {},
    push: () => {},
    disconnect: () => {},
    taskForwarded: () => {},
    runsAt: () => {},
    runsAgain: () => {},
    finished: () => assert.fail("it is tried again"),
    endedLate: () => {},
  });
  const task = namedTask("t", { maxRetries: 1 });
  task.attempt = 1;
  pool.submit(task);
  pool.leaseGranted(leaseGranted("d.1", process("w1")));
  pool.leaseLost(lease("d.1"), CRASHED, true);
  assert.deepEqual([task.attempt, task.run], [1, 1]);
});
