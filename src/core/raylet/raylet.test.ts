// Messages reach the part of the raylet they concern; a death reaches all; the cluster hears what is free when it changes.
// Method: send the raylet what processes, the GCS and the world say, and read what it sends to whom, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseRequest, line, nodeInfo, sealObject } from "../../../test/support/messages.js";
import { connection, failure, job, kib, lease, node, object, process, task } from "../../../test/support/names.js";
import { NO_DISK } from "../../../test/support/no-disk.js";
import { GCS, type ProcessRef } from "../../base/ids.js";
import {
  GARBAGE_WANTED_AFTER_MS,
  HEARTBEAT_MS,
  MAX_FAILED_STARTS,
  MAX_WORKER_RESTART_MS,
  ROUNDS_BEFORE_REFUSAL,
} from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { amountsOf } from "../resources.js";
import type { FetchSources } from "./pull.js";
import { Raylet } from "./raylet.js";

const D = process("d");

class World {
  readonly raylet: Raylet;
  readonly journey = new Journey("N1", () => 0);
  readonly #lines = new Lines();
  readonly #workers: ProcessRef[] = [];
  /** Why the last object was refused. */
  refusal = "";

  /** Node N1 with driver d; workers are called w1, w2 … as they start. */
  constructor({ cpus = 1, storeBytes = kib(64), alone = true } = {}) {
    const say = (text: string) => this.#lines.add(this.#named(text));
    const port = {
      send: (to: ProcessRef, message: Message) => {
        if (message.type === "extentRefused") this.refusal = message.reason.message;
        if (message.type === "reportResources")
          say(`GCS: ${(message.available.get("CPU") ?? 0) / 10_000} CPUs are free`);
        else say(`${to.processId === GCS.processId ? "GCS" : to.processId}: ${line(message)}`);
      },
      startWorker: (worker: ProcessRef) => {
        this.#workers.push(worker);
        say(`start ${worker.processId}`);
      },
      killWorker: (worker: ProcessRef, why: string) => say(`kill ${worker.processId}: ${why}`),
      fetchObject: (id: string, from: FetchSources) => say(`fetch ${id} from ${from.nodes[0]?.nodeId}`),
      recallPushes: (worker: ProcessRef, leaseId: string, claim: number, upTo: number) =>
        say(`recall ${leaseId}, number ${claim}, up to ${upTo} from ${worker.processId}`),
      refuse: (process: ProcessRef, why: string) => say(`refuse ${process.processId}: ${why}`),
      disk: { ...NO_DISK, wakeUpAfter: () => {} },
      stop: (reason: string) => say(`stop: ${reason}`),
    };
    this.raylet = new Raylet(nodeInfo("N1", cpus), storeBytes, 0, port, this.journey);
    this.raylet.processConnected(D, "driver");
    const nodes = alone ? [nodeInfo("N1", cpus)] : [nodeInfo("N1", cpus), nodeInfo("N2", cpus)];
    this.send(GCS, { type: "clusterView", nodes });
    this.asked();
  }

  send(from: ProcessRef, message: Message): void {
    this.raylet.receive(from, message);
  }

  worker(number: number): ProcessRef {
    return this.#workers[number - 1] ?? process(`w${number}`);
  }

  /** Worker w1 starts, registers and runs the lease that made it necessary. */
  running(name: string): void {
    this.send(D, { ...leaseRequest(name), type: "requestLease" });
    this.raylet.processConnected(this.worker(1), "worker");
    this.send(this.worker(1), { type: "workerReady", pid: 1, unixPath: "w.sock", recallable: true });
    this.asked();
  }

  /** What was asked, without the notes on free resources unless they are wanted. */
  asked({ reports = false } = {}): string[] {
    this.raylet.check();
    return this.#lines.take().filter((said) => reports || !said.endsWith("are free"));
  }

  #named(text: string): string {
    return this.#workers.reduce((said, { processId }, i) => said.replaceAll(processId, `w${i + 1}`), text);
  }
}

// ── Leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a lease: a worker starts, registers, gets the owner's first task; the owner and the GCS hear of the grant", () => {
  const w = new World();
  w.send(D, { ...leaseRequest("L1"), type: "requestLease" });
  assert.deepEqual(w.asked(), ["start w1"]);
  w.raylet.processConnected(w.worker(1), "worker");
  assert.deepEqual(w.asked(), ["GCS: processJoined w1", "w1: clusterTotals"]);
  w.send(w.worker(1), { type: "workerReady", pid: 1, unixPath: "w.sock", recallable: true });
  assert.deepEqual(w.asked(), [
    "GCS: processJoined w1",
    "w1: openLease L1",
    "w1: dispatchTask L1",
    "d: leaseGranted L1",
    "GCS: leaseGranted L1",
  ]);
  w.send(D, { type: "returnLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["w1: closeLease L1"]);
});

test("the cluster hears of free resources when they change, and with every heartbeat", () => {
  const w = new World({ cpus: 2 });
  w.running("L1");
  w.send(D, { type: "returnLease", leaseId: lease("L1") });
  w.send(D, { type: "returnLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked({ reports: true }), ["w1: closeLease L1", "GCS: 2 CPUs are free"]);
  w.raylet.tick(HEARTBEAT_MS);
  assert.deepEqual(w.asked({ reports: true }), ["GCS: 2 CPUs are free"]);
});

test("what it cannot place alone goes to the GCS under its own message type, and the owner is told", () => {
  const w = new World({ alone: false });
  w.send(D, { ...leaseRequest("L1", { takes: ["b"] }), type: "requestLease" });
  assert.deepEqual(w.asked(), ["d: leaseForwarded L1", "GCS: placeLease L1"]);
});

test("a cancellation is answered here, or passed on to where the request went; one from the GCS goes no further", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  w.asked();
  w.send(D, { type: "cancelLease", leaseId: lease("L2") });
  assert.deepEqual(w.asked(), ["d: leaseCancelled L2"]);
  w.send(D, { type: "cancelLease", leaseId: lease("L2") });
  assert.deepEqual(w.asked(), ["GCS: cancelLease L2"]);
  w.send(GCS, { type: "cancelLease", leaseId: lease("L2") });
  assert.deepEqual(w.asked(), []);
});

test("bad news of an actor's lease goes to the GCS, which asked for it", () => {
  const w = new World();
  const actorLease = { leaseId: lease("A.0"), taskId: task("A"), exclusive: true, task: undefined };
  w.send(GCS, { ...leaseRequest("A", actorLease), type: "queueLease" });
  w.raylet.processConnected(w.worker(1), "worker");
  w.send(w.worker(1), { type: "workerReady", pid: 1, unixPath: "w.sock", recallable: true });
  assert.deepEqual(w.asked().slice(-2), ["w1: openLease A.0", "GCS: leaseGranted A.0"]);
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["GCS: leaseLost A.0 WORKER_CRASHED", "GCS: processDied w1 WORKER_CRASHED"]);
});

test("requests that wait for a worker are refused when none starts, with the last reason; later ones are tried again", () => {
  const w = new World({ cpus: 2 });
  w.send(D, { ...leaseRequest("L1"), type: "requestLease" });
  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  for (let start = 1; start <= MAX_FAILED_STARTS; start++) {
    w.raylet.tick(start * MAX_WORKER_RESTART_MS);
    for (const slot of [...w.raylet.pool.all()]) w.raylet.processDied(slot.ref, failure("WORKER_CRASHED"));
  }
  const refused = w.asked().filter((said) => said.startsWith("d: "));
  assert.deepEqual(refused, ["d: leaseRefused L1 WORKER_CRASHED", "d: leaseRefused L2 WORKER_CRASHED"]);
  w.send(D, { ...leaseRequest("L3"), type: "requestLease" });
  assert.deepEqual(w.asked(), ["d: leaseRefused L3 WORKER_CRASHED"]);
  w.raylet.tick((MAX_FAILED_STARTS + 1) * MAX_WORKER_RESTART_MS);
  w.send(D, { ...leaseRequest("L4"), type: "requestLease" });
  assert.match(w.asked().join(), /start w\d+$/);
});

test("the worker of a task that outlived its time is killed", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { type: "killLeasedWorker", leaseId: lease("L1"), why: "it outlived its time" });
  w.send(D, { type: "killLeasedWorker", leaseId: lease("unknown"), why: "" });
  assert.deepEqual(w.asked(), ["kill w1: it outlived its time"]);
});

test("an owner that gives a lease up hears when its worker has read that, or has died", () => {
  const w = new World();
  w.running("L1");
  for (let i = 0; i < 2; i++) w.send(D, { type: "giveUpLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["w1: disownLease L1", "w1: closeLease L1"]);
  for (let i = 0; i < 2; i++) w.send(w.worker(1), { type: "leaseDisowned", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["d: leaseLost L1 WORKER_CRASHED"]);
  w.send(D, { type: "giveUpLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["d: leaseLost L1 WORKER_CRASHED"], "one that is over is over at once");

  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  w.send(D, { type: "giveUpLease", leaseId: lease("L2") });
  w.asked();
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["d: leaseLost L2 WORKER_CRASHED", "GCS: processDied w1 WORKER_CRASHED"]);
});

test("a worker whose lease was given up gets no other until it has read that: the same task may wait there for its own thread", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { type: "giveUpLease", leaseId: lease("L1") });
  w.asked();
  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  assert.deepEqual(w.asked(), ["start w2"]);
  w.send(w.worker(1), { type: "leaseDisowned", leaseId: lease("L1") });
  const granted = w.asked().filter((said) => said.includes("openLease"));
  assert.deepEqual(granted, ["w1: openLease L2"]);
});

test("an owner that has died is not told what becomes of the leases that it had given up", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { type: "giveUpLease", leaseId: lease("L1") });
  w.raylet.processDied(D, failure("DRIVER_EXITED"));
  w.asked();
  w.send(w.worker(1), { type: "leaseDisowned", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), []);
});

test("an owner that gives calls up hears when their actor's process has read that, has died, or was dead before", () => {
  const w = new World();
  w.running("L1");
  const giveUp = (name: string) =>
    w.send(D, { type: "giveUpCalls", worker: w.worker(1), connection: connection(name) });
  giveUp("c1");
  assert.deepEqual(w.asked(), ["w1: disownCalls c1"]);
  for (let i = 0; i < 2; i++) w.send(w.worker(1), { type: "callsDisowned", connection: connection("c1") });
  assert.deepEqual(w.asked(), ["d: callsDisowned c1"]);

  for (const name of ["c1", "c2", "c2"]) giveUp(name); // said again
  w.asked();
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  const said = w.asked().filter((text) => text.includes("callsDisowned"));
  assert.deepEqual(said, ["d: callsDisowned c1", "d: callsDisowned c2"]);
  giveUp("c3");
  assert.deepEqual(w.asked(), ["d: callsDisowned c3"]);
});

// ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The driver has an extent that begins with the store; it makes the object at this offset. */
function seal(w: World, name: string, offset = 0): void {
  w.send(D, { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(D, sealObject(name, { offset }));
}

test("a request that waits for resources of this node for a second has its processes asked for garbage", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  w.raylet.tick(1);
  w.asked();
  w.raylet.tick(1 + GARBAGE_WANTED_AFTER_MS);
  assert.deepEqual(
    w.asked().filter((said) => said.endsWith("garbageWanted")),
    ["d: garbageWanted", "w1: garbageWanted"],
  );
});

test("an object is sealed in its writer's extent and registered; its writer hears so when the GCS has confirmed", () => {
  const w = new World();
  seal(w, "c");
  assert.deepEqual(w.asked(), ["d: extentLeased", "GCS: registerObject c"]);
  w.send(GCS, { type: "objectRegistered", objectId: object("c") });
  w.send(GCS, { type: "objectRegistered", objectId: object("c") });
  assert.deepEqual(w.asked(), ["d: objectSealed c"]);
  seal(w, "c", kib(4)); // its task ran again: the first result stands
  assert.deepEqual(w.asked(), ["d: extentLeased", "d: objectSealed c"]);
});

test("two attempts of one task that seal at the same time both hear when the GCS has confirmed", () => {
  const w = new World();
  w.running("L1");
  seal(w, "c");
  w.send(w.worker(1), { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(w.worker(1), sealObject("c", { offset: kib(4) }));
  w.asked();
  w.send(GCS, { type: "objectRegistered", objectId: object("c") });
  assert.deepEqual(w.asked(), ["d: objectSealed c", "w1: objectSealed c"]);
});

test("who seals or returns what it does not hold is cut off", () => {
  const w = new World();
  w.send(D, sealObject("c"));
  w.send(D, { type: "returnExtent", offset: 0, sizeBytes: kib(4) });
  assert.deepEqual(
    w.asked().map((said) => said.split(":")[0]),
    ["refuse d", "refuse d"],
  );
});

test("a store without room refuses with the sizes; a last request waits, and others are asked to make room", () => {
  const w = new World({ storeBytes: kib(8) });
  w.running("L1");
  w.send(D, { type: "leaseExtent", request: 1, minBytes: kib(12), last: true, letGo: false }); // never
  w.send(w.worker(1), { type: "leaseExtent", request: 1, minBytes: kib(8), last: false, letGo: false });
  w.asked();
  w.send(D, { type: "leaseExtent", request: 2, minBytes: kib(8), last: false, letGo: false });
  assert.deepEqual(w.asked(), ["d: extentRefused OBJECT_STORE_FULL"]);
  w.send(D, { type: "leaseExtent", request: 3, minBytes: kib(8), last: true, letGo: false });
  assert.deepEqual(w.asked(), ["d: garbageWanted", "w1: garbageWanted", "GCS: garbageWanted", "w1: extentsWanted"]);
  w.send(w.worker(1), { type: "returnExtent", offset: 0, sizeBytes: kib(8) });
  assert.deepEqual(w.asked(), ["d: extentLeased"]);
});

test("a writer for which nothing gives way is refused when there is no disk; one that waits gets what a dead one held", () => {
  const w = new World({ storeBytes: kib(8) });
  w.running("L1");
  w.raylet.storage.diskHas(0);
  w.send(w.worker(1), { type: "leaseExtent", request: 1, minBytes: kib(8), last: false, letGo: false });
  w.asked();
  w.send(D, { type: "leaseExtent", request: 0, minBytes: kib(8), last: false, letGo: false });
  assert.deepEqual(w.asked(), ["d: extentRefused OUT_OF_DISK"]); // before it asks for the last time it tries what it can
  const ask = (request: number) =>
    w.send(D, { type: "leaseExtent", request, minBytes: kib(8), last: true, letGo: false });
  ask(1);
  w.asked();
  for (let round = 0; round < ROUNDS_BEFORE_REFUSAL; round++) w.raylet.storage.wakeUp();
  assert.deepEqual(
    w.asked().filter((said) => said.startsWith("d: extent")),
    ["d: extentRefused OBJECT_STORE_FULL"],
  );
  ask(2);
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  assert.ok(w.asked().includes("d: extentLeased"));
});

test("get(c): a local object is pinned while it is read, and freed under the reader only afterwards", () => {
  const w = new World();
  seal(w, "c");
  w.asked();
  w.send(D, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.send(D, { type: "getObject", objectId: object("c"), fetch: false, waits: false, mustBeHere: false });
  assert.deepEqual(w.asked(), ["d: objectReady c local", "d: objectReady c"]);
  w.send(GCS, { type: "freeObject", objectId: object("c") });
  assert.equal(w.raylet.store.usedBytes, kib(4));
  w.send(D, { type: "releaseBlock", objectId: object("c"), offset: 0 });
  assert.equal(w.raylet.store.usedBytes, 0);
});

test("get(c) of an object elsewhere follows the lecture's steps", () => {
  const w = new World({ alone: false });
  w.send(D, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  assert.deepEqual(w.asked(), ["GCS: subscribeObject c"]);
  w.send(GCS, {
    type: "objectAvailable",
    objectId: object("c"),
    sizeBytes: kib(4),
    attempt: 0,
    locations: [node("N2")],
    width: 1,
  });
  assert.deepEqual(w.asked(), ["fetch c from N2"]);
  w.raylet.fetched(object("c"), undefined);
  assert.deepEqual(w.asked(), ["GCS: registerObject c", "d: objectReady c local"]);
  const steps = [...w.journey.records()].map(({ step }) => step);
  assert.deepEqual(
    steps.filter((step) => step !== "subscribeObject"),
    ["checkLocalStore", "fetchResult", "returnValue"],
  );
});

test("a wish that is taken back, or gone, is told", () => {
  const w = new World();
  w.send(D, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.send(D, { type: "cancelGet", objectId: object("c") });
  assert.deepEqual(w.asked(), ["GCS: subscribeObject c", "GCS: unsubscribeObject c"]);
  w.send(D, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.send(GCS, { type: "objectGone", objectId: object("c"), reason: failure("OBJECT_LOST") });
  assert.deepEqual(w.asked(), ["GCS: subscribeObject c", "d: objectFailed c OBJECT_LOST"]);
});

test("a lease's missing argument is fetched before the grant; a lost one refuses the lease", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { type: "returnLease", leaseId: lease("L1") });
  w.send(D, { ...leaseRequest("L2", { takes: ["a"] }), type: "requestLease" });
  w.send(GCS, {
    type: "objectAvailable",
    objectId: object("a"),
    sizeBytes: kib(4),
    attempt: 0,
    locations: [node("N2")],
    width: 1,
  });
  w.asked();
  w.raylet.fetched(object("a"), undefined);
  assert.ok(w.asked().includes("d: leaseGranted L2"));
  w.send(D, { ...leaseRequest("L3", { takes: ["b"] }), type: "requestLease" });
  w.send(GCS, { type: "objectGone", objectId: object("b"), reason: failure("OBJECT_LOST") });
  assert.equal(w.asked().at(-1), "d: leaseRefused L3 OBJECT_LOST");
});

// ── Deaths and ends ─────────────────────────────────────────────────────────────────────────────────────────────────

test("a driver that is refused is heard no more; what it may still write to, or reads in place, is its own until it is dead", () => {
  const w = new World();
  w.send(D, { type: "leaseExtent", request: 1, minBytes: kib(8), last: true, letGo: false });
  w.send(D, sealObject("c", { offset: 0, sizeBytes: kib(4), pins: 1 }));
  w.send(GCS, { type: "objectRegistered", objectId: object("c") });
  w.send(D, { type: "getObject", objectId: object("wanted"), fetch: true, waits: false, mustBeHere: false });
  w.asked();
  w.raylet.processDied(D, failure("CONNECTION"), true);
  assert.deepEqual(w.asked(), ["GCS: unsubscribeObject wanted", "GCS: processDied d CONNECTION"]);
  w.send(D, { type: "leaseExtent", request: 2, minBytes: kib(8), last: true, letGo: false });
  w.send(GCS, { type: "freeObject", objectId: object("c") });
  assert.deepEqual(w.asked(), []);
  assert.equal(w.raylet.store.usedBytes, kib(8));
  w.raylet.processDied(D, failure("CONNECTION"));
  assert.deepEqual(w.asked(), []);
  assert.equal(w.raylet.store.usedBytes, 0);
});

test("a worker's death is told once, with its leases; its extents, pins and wishes go with it", () => {
  const w = new World();
  w.running("L1");
  const w1 = w.worker(1);
  w.send(w1, { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(w1, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.asked();
  w.raylet.processDied(w1, failure("WORKER_CRASHED"));
  w.raylet.processDied(w1, failure("CONNECTION"));
  assert.deepEqual(w.asked(), [
    "GCS: unsubscribeObject c",
    "d: leaseLost L1 WORKER_CRASHED",
    "GCS: processDied w1 WORKER_CRASHED",
  ]);
  assert.equal(w.raylet.store.usedBytes, 0);
});

test("an object that the object table has no room for is not kept, and all who sealed it are told", () => {
  const w = new World();
  w.running("L1");
  seal(w, "c");
  w.send(w.worker(1), { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(w.worker(1), sealObject("c", { offset: kib(4) }));
  w.asked();
  w.send(GCS, { type: "objectRefused", objectId: object("c"), reason: failure("OBJECT_STORE_FULL") });
  assert.deepEqual(w.asked(), ["d: objectRefused c OBJECT_STORE_FULL", "w1: objectRefused c OBJECT_STORE_FULL"]);
  assert.equal(w.raylet.store.usedBytes, w.raylet.store.leasedBytes);
});

test("a writer that dies before it seals leaves the object to others: to one that makes it too, or to a fetch", () => {
  const w = new World();
  w.running("L1");
  w.send(w.worker(1), { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(D, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  w.asked();
  w.send(GCS, {
    type: "objectAvailable",
    objectId: object("c"),
    sizeBytes: kib(4),
    attempt: 0,
    locations: [node("N2")],
    width: 1,
  });
  assert.deepEqual(w.asked(), ["fetch c from N2"]);
  w.send(D, { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  w.send(D, sealObject("e", { offset: kib(4) }));
  assert.deepEqual(w.asked(), ["d: extentLeased", "GCS: registerObject e"]);
});

test("a driver's death takes its requests back and closes its leases", () => {
  const w = new World();
  w.running("L1");
  w.send(D, { ...leaseRequest("L2"), type: "requestLease" });
  w.asked();
  w.raylet.processDied(D, failure("DRIVER_EXITED"));
  const toOthers = w.asked().filter((said) => !said.startsWith("d:"));
  assert.deepEqual(toOthers, ["w1: closeLease L1", "GCS: processDied d DRIVER_EXITED"]);
  assert.equal(w.raylet.scheduler.isIdle, true);
});

test("a job's end kills its workers, once they have said what they did or have had their time for it", () => {
  const w = new World();
  w.running("L1");
  w.send(GCS, { type: "jobEnded", jobId: job("j1") });
  assert.deepEqual(w.asked(), ["w1: collect"]);
  w.raylet.tick(10 * HEARTBEAT_MS);
  assert.deepEqual(w.asked(), []); // its time begins with the first tick
  w.raylet.tick(11 * HEARTBEAT_MS);
  assert.deepEqual(w.asked(), ["kill w1: its job ended"]);
});

test("the death of another node is told to the processes here", () => {
  const w = new World({ alone: false });
  w.send(GCS, { type: "nodeLost", nodeId: node("N2"), reason: failure("NODE_DIED") });
  assert.deepEqual(w.asked(), ["d: nodeLost NODE_DIED"]);
});

test("leases of owners on a node that died are closed: nobody else would return them", () => {
  const w = new World({ alone: false });
  w.send(GCS, { ...leaseRequest("L1", { owner: process("e", "N2") }), type: "queueLease" });
  w.raylet.processConnected(w.worker(1), "worker");
  w.send(w.worker(1), { type: "workerReady", pid: 1, unixPath: "w.sock", recallable: true });
  w.asked();
  w.send(GCS, { type: "nodeLost", nodeId: node("N2"), reason: failure("NODE_DIED") });
  assert.deepEqual(w.asked(), ["w1: closeLease L1", "d: nodeLost NODE_DIED", "w1: nodeLost NODE_DIED"]);
});

test("a drained node stops when its last lease has ended", () => {
  const w = new World({ alone: false });
  w.running("L1");
  w.send(GCS, { type: "nodeDrained" });
  assert.deepEqual(w.asked(), ["d: leaseWanted L1"]);
  w.send(D, { type: "returnLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["w1: closeLease L1", "stop: the node was removed"]);
  const idle = new World();
  idle.send(GCS, { type: "nodeDrained" });
  assert.equal(idle.asked()[0], "stop: the node was removed");
});

test("a node that is told to stop stops", () => {
  const w = new World();
  w.send(GCS, { type: "stopNode", reason: "the cluster was stopped" });
  assert.deepEqual(w.asked(), ["stop: the cluster was stopped"]);
});

// ── Questions ───────────────────────────────────────────────────────────────────────────────────────────────────────

test("a question is passed on to every process here, and answered when the last one has answered or died", () => {
  const w = new World();
  w.running("L1");
  w.send(GCS, { type: "collect", query: 9, subject: "" });
  assert.deepEqual(w.asked(), ["d: collect", "w1: collect"]);
  w.send(D, { type: "collected", query: 1, json: "[]", last: true });
  assert.deepEqual(w.asked(), []);
  w.raylet.processDied(w.worker(1), failure("WORKER_CRASHED"));
  assert.equal(w.asked()[0], "GCS: collected");
});

test("every process here is told what the cluster has, when it connects and when that changes", () => {
  const totals: Message[] = [];
  const port = {
    send: (_: ProcessRef, message: Message) => void (message.type === "clusterTotals" && totals.push(message)),
    startWorker: () => {},
    killWorker: () => {},
    refuse: () => {},
    recallPushes: () => {},
    fetchObject: () => {},
    disk: NO_DISK,
    stop: () => {},
  };
  const raylet = new Raylet(nodeInfo("N1", 2), kib(64), 0, port, new Journey("N1", () => 0));
  raylet.processConnected(D, "driver");
  raylet.processConnected(process("t"), "tool");
  raylet.receive(GCS, { type: "clusterView", nodes: [nodeInfo("N1", 2), nodeInfo("N2", 6)] });
  assert.deepEqual(totals, [
    { type: "clusterTotals", nodes: 1, total: amountsOf({ CPU: 2 }), largest: amountsOf({ CPU: 2 }) },
    { type: "clusterTotals", nodes: 2, total: amountsOf({ CPU: 8 }), largest: amountsOf({ CPU: 6 }) },
  ]);
});

test("the error of a full store names the largest objects in use, their readers and the tasks that these run", () => {
  const w = new World({ storeBytes: kib(8) });
  w.running("train");
  w.raylet.storage.diskHas(0);
  const reader = w.worker(1);
  w.send(reader, { type: "leaseExtent", request: 1, minBytes: kib(8), last: false, letGo: false });
  w.send(reader, sealObject("c", { sizeBytes: kib(8), holder: reader }));
  w.send(reader, { type: "getObject", objectId: object("c"), fetch: true, waits: false, mustBeHere: false });
  w.send(D, { type: "leaseExtent", request: 1, minBytes: kib(4), last: true, letGo: false });
  for (let round = 0; round < ROUNDS_BEFORE_REFUSAL; round++) w.raylet.storage.wakeUp();
  const words = `c of 8192 bytes, read by worker ${reader.processId} (train)`;
  assert.ok(w.refusal.includes(words), w.refusal);
});
