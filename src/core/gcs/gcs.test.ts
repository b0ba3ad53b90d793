// Each message reaches the table it concerns, and each death reaches every table, in an order that leaves nothing behind.
// Method: send the GCS what raylets and processes send, and read what it sends to whom.
import assert from "node:assert/strict";
import { test } from "node:test";
import { actorSpec, Lines, leaseGranted, leaseRequest, line, nodeInfo } from "../../../test/support/messages.js";
import { actor, failure, func, job, lease, node, object, process } from "../../../test/support/names.js";
import { GCS, type ProcessRef, rayletOf } from "../../base/ids.js";
import {
  DECLARATION_WAIT_MS,
  HEARTBEAT_MS,
  HOLD_FLUSH_PATIENCE_MS,
  MAX_GARBAGE_ROUNDS,
  NODE_TIMEOUT_MS,
} from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { amountsOf } from "../resources.js";
import { DeadNodes } from "./dead-nodes.js";
import { Gcs, type GcsLimits } from "./gcs.js";

/** Actors are known by the length of their ids. */
const A = actor("a".repeat(32));
const N1 = rayletOf(node("N1"));
const N2 = rayletOf(node("N2"));
const D = process("d");
const W = process("w", "N2");

class World {
  readonly gcs: Gcs;
  readonly journey = new Journey("N1", () => 0);
  readonly #lines = new Lines();

  /** Nodes N1 and N2, driver d on N1 with job 1, and its worker w on N2. */
  constructor(limits: Partial<GcsLimits> = {}) {
    const say = this.#lines.add;
    this.gcs = new Gcs(
      {
        send: (to, message) => say(`${to.processId}: ${line(message)}`.replaceAll(A, "A")),
        wakeUpAfter: () => {},
        stop: (reason) => say(`stop: ${reason}`),
      },
      this.journey,
      limits,
    );
    this.gcs.tick(HEARTBEAT_MS);
    this.send(N1, { type: "registerNode", ...nodeInfo("N1") });
    this.send(N2, { type: "registerNode", ...nodeInfo("N2") });
    this.send(D, { type: "attachDriver", namespace: "default", showsOutput: true });
    this.send(N2, { type: "processJoined", process: W, jobId: job("00000001") });
    this.asked();
  }

  send(from: ProcessRef, message: Message): void {
    this.gcs.receive(from, message);
  }

  hold(by: ProcessRef, ...names: readonly string[]): void {
    this.send(by, { type: "addHolds", sequence: 1, objects: names.map(object), declare: false, runner: undefined });
  }

  /** A store on N2 sealed an object of driver d. */
  register(name: string, holder: ProcessRef = D): void {
    this.send(N2, { type: "registerObject", objectId: object(name), sizeBytes: 10, attempt: 0, holder, contains: [] });
  }

  actor(): void {
    this.send(D, { type: "registerActor", ...actorSpec(A) });
    const leaseId = lease(`${A}.0`);
    this.send(N2, leaseGranted(leaseId, W, { dispatched: false }));
    this.send(W, { type: "actorCreated", actorId: A, leaseId, failure: undefined });
    this.asked();
  }

  asked(): string[] {
    this.gcs.check();
    return this.#lines.take();
  }
}

/** A GCS of whose messages only the content matters. */
function listening(heard: (message: Message) => void): Gcs {
  const port = { send: (_: ProcessRef, message: Message) => heard(message), wakeUpAfter: () => {}, stop: () => {} };
  return new Gcs(port, new Journey("N1", () => 0));
}

// ── Routing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("every node hears who is in the cluster whenever that changes", () => {
  const w = new World();
  w.send(rayletOf(node("N3")), { type: "registerNode", ...nodeInfo("N3") });
  assert.deepEqual(w.asked(), ["N1: clusterView", "N2: clusterView", "N3: clusterView"]);
});

test("a node whose store is full has the processes of all nodes asked for garbage", () => {
  const w = new World();
  w.send(N1, { type: "garbageWanted" });
  assert.deepEqual(w.asked(), ["N1: garbageWanted", "N2: garbageWanted"]);
  for (let i = 0; i < 2 * MAX_GARBAGE_ROUNDS; i++) w.send(N1, { type: "garbageWanted" });
  assert.equal(w.asked().length, 2 * (MAX_GARBAGE_ROUNDS - 1));
});

test("a driver that attaches gets a job of its own, the same one if it asks twice", () => {
  const jobs: string[] = [];
  const gcs = listening((message) => message.type === "jobStarted" && jobs.push(message.jobId));
  for (const driver of ["d", "d", "e"])
    gcs.receive(process(driver), { type: "attachDriver", namespace: "", showsOutput: true });
  assert.deepEqual(jobs, ["00000001", "00000001", "00000002"]);
});

test("functions, objects and leases go to their tables, and the answers to who asked", () => {
  const w = new World();
  w.send(W, { type: "fetchFunction", functionId: func("f") });
  w.send(D, { type: "registerFunction", functionId: func("f"), name: "add", payload: Uint8Array.of(1) });
  assert.deepEqual(w.asked(), ["w: functionFound f"]);

  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  w.register("c");
  assert.deepEqual(w.asked(), ["N1: objectAvailable c", "N2: objectRegistered c"]);

  w.send(N1, { ...leaseRequest("L1"), type: "placeLease" });
  assert.deepEqual(w.asked(), ["N1: queueLease L1"]);
  w.send(N1, { type: "cancelLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["N1: cancelLease L1"]);
});

test("a request keeps its own message type whatever message carried it", () => {
  const w = new World();
  w.send(N1, { ...leaseRequest("L1"), type: "placeLease" });
  w.send(N1, {
    type: "leaseSpilled",
    request: { ...leaseRequest("L1"), type: "requestLease" } as never,
    available: new Map(),
  });
  assert.deepEqual(w.asked(), ["N1: queueLease L1", "N2: queueLease L1"]);
});

test("a cancelled request is answered to its owner, whoever passed the cancellation on", () => {
  const w = new World();
  w.send(N1, { ...leaseRequest("L1", { demand: amountsOf({ CPU: 9 }) }), type: "placeLease" });
  w.asked();
  w.send(N1, { type: "cancelLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), ["d: leaseCancelled L1"]);
});

test("holds are confirmed, and only the living take them", () => {
  const w = new World();
  w.hold(W, "c");
  assert.deepEqual(w.asked(), ["w: holdsAdded"]);
  w.hold(process("stranger"), "c");
  w.send(W, { type: "releaseHolds", objects: [object("c")] });
  assert.equal(w.gcs.objects.size, 0);
});

test("an object whose holder died before it was registered is freed at once", () => {
  const w = new World();
  w.register("c", process("dead"));
  assert.deepEqual(w.asked(), ["N2: freeObject c", "N2: objectRegistered c"]);
});

test("a drained node is told so and gets nothing new", () => {
  const w = new World();
  w.send(D, { type: "drainNode", nodeId: node("N1") });
  w.send(N1, { ...leaseRequest("L1"), type: "placeLease" });
  assert.deepEqual(w.asked(), ["N1: nodeDrained", "N2: queueLease L1"]);
});

test("a stop reaches every node but the head, whose process ends itself", () => {
  const w = new World();
  w.send(D, { type: "stopCluster" });
  assert.deepEqual(w.asked(), ["N2: stopNode the cluster was stopped", "stop: the cluster was stopped"]);
});

test("nodes are listed from what they said last", () => {
  const answers: string[] = [];
  const gcs = listening((message) => message.type === "answer" && answers.push(message.json));
  gcs.receive(N1, { type: "registerNode", ...nodeInfo("N1") });
  gcs.receive(N1, { type: "reportResources", available: amountsOf({ CPU: 1 }) });
  gcs.receive(D, { type: "query", query: 1, about: "nodes", subject: "" });
  const [found] = JSON.parse(answers[0] ?? "[]");
  assert.deepEqual([found.nodeId, found.resources, found.available], ["N1", { CPU: 2 }, { CPU: 1 }]);
});

test("dead nodes are listed after the living ones, as having nothing, until they come back", () => {
  const answers: string[] = [];
  const gcs = listening((message) => message.type === "answer" && answers.push(message.json));
  const listed = () => {
    gcs.receive(D, { type: "query", query: 1, about: "nodes", subject: "" });
    const nodes: { nodeId: string; alive: boolean; resources: unknown }[] = JSON.parse(answers.pop() ?? "[]");
    return nodes.map(({ nodeId, alive, resources }) => [nodeId, alive, resources]);
  };
  for (const [id, from] of [
    ["N1", N1],
    ["N2", N2],
  ] as const)
    gcs.receive(from, { type: "registerNode", ...nodeInfo(id) });
  gcs.nodeDied(node("N1"), "test");
  gcs.nodeDied(node("N1"), "again");
  assert.deepEqual(listed(), [
    ["N2", true, { CPU: 2 }],
    ["N1", false, {}],
  ]);
  gcs.receive(N1, { type: "registerNode", ...nodeInfo("N1") });
  assert.deepEqual(listed(), [
    ["N2", true, { CPU: 2 }],
    ["N1", true, { CPU: 2 }],
  ]);
});

test("of dead nodes the last ones are remembered", () => {
  const dead = new DeadNodes(2);
  for (const id of ["N1", "N2", "N3"]) dead.add(nodeInfo(id));
  dead.forget(node("N2"));
  assert.deepEqual(
    dead.all().map(({ nodeId }) => nodeId),
    ["N3"],
  );
  dead.add(nodeInfo("N4"));
  assert.deepEqual(
    dead.all().map(({ nodeId }) => nodeId),
    ["N3", "N4"],
  );
});

test("a question goes to every node, and is answered when the last one has answered or died", () => {
  const w = new World();
  w.send(D, { type: "query", query: 7, about: "workers", subject: "" });
  assert.deepEqual(w.asked(), ["N1: collect", "N2: collect"]);
  w.send(N1, { type: "collected", query: 1, json: "[]", last: true });
  assert.deepEqual(w.asked(), []);
  w.gcs.nodeDied(node("N2"), "test");
  assert.equal(w.asked()[0], "d: answer");
});

// ── Actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("the lecture's steps of an actor: registered, leased, created, and its caller told where it is", () => {
  const w = new World();
  w.send(D, { type: "registerActor", ...actorSpec(A) });
  assert.deepEqual(w.asked(), ["N1: queueLease A.0"]);
  const leaseId = lease(`${A}.0`);
  w.send(N2, leaseGranted(leaseId, W, { dispatched: false }));
  assert.deepEqual(w.asked(), ["w: createActor A.0"]);
  w.send(W, { type: "actorCreated", actorId: A, leaseId, failure: undefined });
  assert.deepEqual(w.asked(), ["N2: settleActor A.0", "d: actorState A alive"]);
  const steps = [...w.journey.records()].map(({ step }) => step);
  assert.deepEqual(steps, ["registerActor", "leaseActorWorker", "createActor"]);
});

test("a grant for an actor that ended meanwhile goes back", () => {
  const w = new World();
  w.send(D, { type: "registerActor", ...actorSpec(A) });
  w.send(D, { type: "killActor", actorId: A });
  w.asked();
  const leaseId = lease(`${A}.0`);
  w.send(N2, leaseGranted(leaseId, W, { dispatched: false }));
  assert.deepEqual(w.asked(), ["N2: returnLease A.0"]);
});

test("an actor ends when the last process that held it lets go", () => {
  const w = new World();
  w.actor();
  w.hold(W, A);
  w.send(D, { type: "releaseHolds", objects: [A] });
  w.asked();
  w.send(W, { type: "releaseHolds", objects: [A] });
  assert.deepEqual(w.asked(), ["N2: killProcess w ACTOR_DIED", "d: actorState A dead ACTOR_DIED"]);
});

test("a constructor that threw is the actor's end", () => {
  const w = new World();
  w.send(D, { type: "registerActor", ...actorSpec(A) });
  const leaseId = lease(`${A}.0`);
  w.send(N2, leaseGranted(leaseId, W, { dispatched: false }));
  w.asked();
  const thrown = { message: "no such table", error: Uint8Array.of() };
  w.send(W, { type: "actorCreated", actorId: A, leaseId, failure: thrown });
  assert.deepEqual(w.asked(), ["N2: killProcess w ACTOR_DIED", "d: actorState A dead ACTOR_DIED"]);
});

test("an actor that cannot have its arguments is held by its maker and told of, and ends with its last handle", () => {
  const w = new World();
  const failed = {
    type: "actorFailed",
    actor: actorSpec(A),
    failure: { message: "", error: Uint8Array.of(1) },
  } as const;
  w.send(W, { type: "subscribeActor", actorId: A });
  w.hold(W, A);
  w.asked();
  w.send(D, failed);
  w.send(D, failed);
  assert.deepEqual(w.asked(), ["d: actorState A dead ACTOR_DIED", "w: actorState A dead ACTOR_DIED"]);
  for (const holder of [D, W]) w.send(holder, { type: "releaseHolds", objects: [A] });
  w.send(W, { type: "subscribeActor", actorId: A });
  assert.deepEqual(w.asked(), ["w: actorState A dead ACTOR_DIED"]);
  assert.equal(w.gcs.objects.size, 0);
});

// ── Deaths ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a worker's holds end when its job's other processes have flushed theirs, not before", () => {
  const w = new World();
  w.hold(W, "c");
  w.register("c", W);
  w.asked();
  w.send(N2, { type: "processDied", process: W, reason: failure("WORKER_CRASHED") });
  assert.deepEqual(w.asked(), ["N1: processDied w WORKER_CRASHED", "d: flushHolds 1"]); // it may own leases there
  w.hold(D, "c"); // it had the ref from the dead worker
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  assert.deepEqual(w.asked(), ["d: holdsAdded"]);
  w.send(D, { type: "releaseHolds", objects: [object("c")] });
  assert.deepEqual(w.asked(), ["N2: freeObject c"]);
});

test("what a process of another job has passed to an actor is held until that has read it", () => {
  for (const died of ["driver", "worker"]) {
    const w = new World();
    w.actor(); // w is an actor of job 1
    const e = process("e");
    const caller = died === "driver" ? e : process("x");
    w.send(e, { type: "attachDriver", namespace: "default", showsOutput: true });
    w.send(N1, { type: "processJoined", process: process("x"), jobId: job("00000002") });
    w.send(caller, { type: "subscribeActor", actorId: A });
    w.register("c", caller);
    w.asked();
    w.send(N1, { type: "processDied", process: caller, reason: failure("WORKER_CRASHED") });
    assert.ok(w.asked().includes("w: flushHolds 1"), died);
    w.hold(W, "c"); // the call was still unread, and so was the end of its caller's connection
    w.send(W, { type: "holdsFlushed", epoch: 1 });
    if (died === "worker") w.send(e, { type: "holdsFlushed", epoch: 1 });
    assert.deepEqual(w.asked(), ["w: holdsAdded"], died);
    w.send(W, { type: "releaseHolds", objects: [object("c")] });
    assert.deepEqual(w.asked(), ["N2: freeObject c"], died);
  }
});

test("a driver that dies waits for none of its own job, and for no job that it has nothing to do with", () => {
  const w = new World();
  w.actor();
  w.send(process("e"), { type: "attachDriver", namespace: "default", showsOutput: true });
  w.register("c", D);
  w.asked();
  w.send(N1, { type: "processDied", process: D, reason: failure("DRIVER_EXITED") });
  assert.ok(w.asked().includes("N2: freeObject c"));
});

test("who holds a ref whose owner died before its word of the object is told, when all living have been heard", () => {
  const w = new World();
  const subscribe = {
    type: "subscribeObject",
    objectId: object("c"),
    forTask: undefined,
    fetch: true,
    failedAt: undefined,
  } as const;
  w.send(N2, { type: "processDied", process: W, reason: failure("WORKER_CRASHED") });
  w.hold(D, "c", A); // the ref came straight from w; an actor is not made by an owner
  w.send(N1, subscribe);
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  w.gcs.tick(2 * HEARTBEAT_MS);
  w.asked();
  w.gcs.tick(2 * HEARTBEAT_MS + DECLARATION_WAIT_MS);
  w.gcs.tick(3 * HEARTBEAT_MS + DECLARATION_WAIT_MS);
  assert.deepEqual(w.asked(), ["d: flushHolds 2"]);
  w.send(D, { type: "holdsFlushed", epoch: 2 });
  assert.deepEqual(w.asked(), ["N1: objectGone c OWNER_DIED"]);
  w.send(N1, subscribe);
  assert.deepEqual(w.asked(), ["N1: objectGone c OWNER_DIED"]);
});

test("while a process of its job is busy, what a dead process was to make has failed, and what it held is kept", () => {
  const w = new World();
  const [kept, unmade] = [object("kept"), object("unmade")];
  w.register("kept", W);
  w.send(W, { type: "addHolds", sequence: 1, objects: [unmade], declare: true, runner: undefined });
  w.send(N1, { type: "subscribeObject", objectId: unmade, forTask: undefined, fetch: true, failedAt: undefined });
  w.asked();
  w.send(N2, { type: "processDied", process: W, reason: failure("WORKER_CRASHED") });
  assert.deepEqual(w.asked(), ["N1: processDied w WORKER_CRASHED", "d: flushHolds 1"]);
  w.gcs.tick(HEARTBEAT_MS + HOLD_FLUSH_PATIENCE_MS - 1);
  assert.deepEqual(w.asked(), []);
  w.gcs.tick(HEARTBEAT_MS + HOLD_FLUSH_PATIENCE_MS);
  assert.deepEqual(w.asked(), ["N1: objectGone unmade OWNER_DIED"]);
  w.gcs.tick(HEARTBEAT_MS + 4 * HOLD_FLUSH_PATIENCE_MS);
  w.hold(D, "kept"); // it had both refs from the dead worker, and reads them only now
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  assert.deepEqual(w.asked(), ["d: holdsAdded"]);
  assert.equal(w.gcs.objects.lookUp(kept)?.locations.size, 1);
  w.send(D, { type: "releaseHolds", objects: [kept] });
  assert.deepEqual(w.asked(), ["N2: freeObject kept"]);
});

test("who holds a ref whose owner died without a word of it is told, whatever processes are busy", () => {
  const w = new World();
  w.send(D, { type: "attachDriver", namespace: "", showsOutput: true });
  w.send(process("e"), { type: "attachDriver", namespace: "", showsOutput: true }); // a job that is not concerned
  w.hold(D, "c");
  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  const sinceMs = 2 * HEARTBEAT_MS;
  w.gcs.tick(sinceMs);
  w.asked();
  w.gcs.tick(sinceMs + DECLARATION_WAIT_MS);
  assert.deepEqual(w.asked(), ["d: flushHolds 1", "w: flushHolds 1", "e: flushHolds 1"]);
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  w.gcs.tick(sinceMs + DECLARATION_WAIT_MS + HOLD_FLUSH_PATIENCE_MS - 1);
  assert.deepEqual(w.asked(), []);
  w.gcs.tick(sinceMs + DECLARATION_WAIT_MS + HOLD_FLUSH_PATIENCE_MS);
  assert.deepEqual(w.asked(), ["N1: objectGone c OWNER_DIED"]);
  // An owner whose word comes all the same makes it.
  w.send(W, { type: "addHolds", sequence: 1, objects: [object("c")], declare: true, runner: undefined });
  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  assert.deepEqual(w.asked(), ["w: holdsAdded"]);
});

test("an owner that is busy says late what it makes: nobody is told that it died", () => {
  const w = new World();
  w.hold(D, "c");
  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  w.gcs.tick(2 * HEARTBEAT_MS);
  w.gcs.tick(2 * HEARTBEAT_MS + DECLARATION_WAIT_MS);
  assert.deepEqual(w.asked(), ["d: holdsAdded", "d: flushHolds 1", "w: flushHolds 1"]);
  w.send(D, { type: "holdsFlushed", epoch: 1 });
  w.send(W, { type: "addHolds", sequence: 1, objects: [object("c")], declare: true, runner: undefined });
  w.send(W, { type: "holdsFlushed", epoch: 1 });
  assert.deepEqual(w.asked(), ["w: holdsAdded"]);
  w.send(W, { type: "objectFailed", objectId: object("c"), reason: failure("OBJECT_STORE_FULL") });
  assert.deepEqual(w.asked(), ["N1: objectGone c OBJECT_STORE_FULL"]);
});

// ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("an object table that is full refuses what needs a row, with a typed error, and goes on with the rest", () => {
  const w = new World({ maxObjects: 2 });
  w.hold(D, "a");
  w.register("b");
  w.asked();
  w.hold(D, "a", "b");
  w.hold(W, "c");
  w.register("d");
  assert.deepEqual(w.asked(), [
    "d: holdsAdded",
    ...["w: objectFailed c OBJECT_STORE_FULL", "w: holdsAdded"],
    "N2: objectRefused d OBJECT_STORE_FULL",
  ]);
  w.send(N2, {
    type: "registerObject",
    objectId: object("a"),
    sizeBytes: 1,
    attempt: 0,
    holder: D,
    contains: [object("e")],
  });
  w.send(D, { type: "registerActor", ...actorSpec(A) });
  assert.deepEqual(w.asked(), [
    "N2: objectRefused a OBJECT_STORE_FULL",
    ...["d: objectFailed A OBJECT_STORE_FULL", "d: actorState A dead ACTOR_DIED"],
  ]);
  w.send(D, { type: "releaseHolds", objects: [object("b")] });
  w.register("d");
  assert.deepEqual(w.asked(), ["N2: freeObject b", "N2: objectRegistered d"]);
});

test("an actor table that is full refuses an actor; its handles are told that it is dead, and why", () => {
  const w = new World({ maxActors: 1 });
  w.actor();
  const B = actor("b".repeat(32));
  w.send(W, { type: "subscribeActor", actorId: B }); // its handle is there before it is registered
  w.send(D, { type: "registerActor", ...actorSpec(B) });
  w.send(D, { type: "registerActor", ...actorSpec(B) });
  const dead = `actorState ${B} dead ACTOR_DIED`;
  assert.deepEqual(w.asked(), [`w: ${dead}`, `d: ${dead}`]);
  w.send(D, { type: "releaseHolds", objects: [A] });
  w.asked();
  w.send(D, { type: "registerActor", ...actorSpec("c".repeat(32)) });
  assert.match(w.asked().join(), /queueLease c+.0/);
});

test("a scheduler whose queue is full refuses requests, and takes them again when there is room", () => {
  const w = new World({ maxQueuedLeases: 2 });
  const large = { demand: amountsOf({ CPU: 9 }) };
  for (const name of ["L1", "L2", "L3"]) w.send(N1, { ...leaseRequest(name, large), type: "placeLease" });
  w.send(D, { type: "registerActor", ...actorSpec(A) });
  assert.deepEqual(w.asked().slice(2), [
    "d: leaseRefused L3 PENDING_CALLS_LIMIT",
    ...["d: actorState A dead PENDING_CALLS_LIMIT", "d: leaseRefused A.0 PENDING_CALLS_LIMIT"],
  ]);
  w.send(N1, { type: "cancelLease", leaseId: lease("L1") });
  w.send(N1, { ...leaseRequest("L4"), type: "placeLease" });
  assert.deepEqual(w.asked(), ["d: leaseCancelled L1", "N1: queueLease L4"]);
});

test("a node beyond the limit is told to stop; the cluster goes on", () => {
  const w = new World({ maxNodes: 2 });
  w.send(rayletOf(node("N3")), { type: "registerNode", ...nodeInfo("N3") });
  assert.match(w.asked().join("; "), /^N3: stopNode the cluster has 2 nodes, which is the limit[^;]*$/);
  assert.equal(w.gcs.nodeCount, 2);
});

test("a driver's death ends its job on every node, its actors and its objects", () => {
  const w = new World();
  w.actor();
  w.register("c");
  w.asked();
  w.send(N1, { type: "processDied", process: D, reason: failure("DRIVER_EXITED") });
  const ends = ["N1: jobEnded", "N2: jobEnded", "N2: killProcess w ACTOR_DIED", "N2: freeObject c"];
  assert.deepEqual(w.asked().sort(), ends.sort());
  assert.equal(w.gcs.objects.size, 0);
});

test("a worker that begins to work for a job which has ended is ended with it", () => {
  const w = new World();
  w.send(N1, { type: "processDied", process: D, reason: failure("DRIVER_EXITED") });
  w.asked();
  w.send(N2, { type: "processJoined", process: process("late", "N2"), jobId: undefined });
  assert.deepEqual(w.asked(), []);
  w.send(N2, { type: "processJoined", process: process("late", "N2"), jobId: job("00000001") });
  assert.deepEqual(w.asked(), ["N2: jobEnded"]);
});

test("a node that is silent for its time is dead, and takes its processes, copies and requests along", () => {
  const w = new World();
  w.register("c");
  w.send(N1, { type: "subscribeObject", objectId: object("d"), forTask: undefined, fetch: true, failedAt: undefined });
  w.send(N1, { ...leaseRequest("L1", { strategy: { kind: "node", nodeId: "N2", soft: true } }), type: "placeLease" });
  w.asked();
  w.gcs.tick(HEARTBEAT_MS + NODE_TIMEOUT_MS);
  w.send(N1, { type: "reportResources", available: amountsOf({ CPU: 2 }) });
  assert.deepEqual(w.asked(), []);
  w.gcs.tick(HEARTBEAT_MS + NODE_TIMEOUT_MS + 1);
  assert.deepEqual(w.asked(), [
    "N1: queueLease L1",
    ...["N1: processDied w NODE_DIED", "d: flushHolds 1"],
    ...["N1: nodeLost NODE_DIED", "N1: clusterView"],
  ]);
  w.gcs.nodeDied(node("N2"), "again");
  assert.deepEqual(w.asked(), []);
  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  assert.deepEqual(w.asked(), ["d: flushHolds 2"]); // it may know how the object is made, and has not said so yet
  w.send(N1, { type: "subscribeObject", objectId: object("c"), forTask: undefined, fetch: true, failedAt: undefined });
  assert.deepEqual(w.asked(), []);
  w.send(D, { type: "holdsFlushed", epoch: 2 });
  assert.deepEqual(w.asked(), ["N1: objectGone c OBJECT_LOST"]);
  assert.equal(w.gcs.nodeCount, 1);
});

test("of many lost objects whose tasks are not known the holders are asked together, one question at a time", () => {
  const w = new World();
  const want = (name: string) =>
    w.send(N1, {
      type: "subscribeObject",
      objectId: object(name),
      forTask: undefined,
      fetch: true,
      failedAt: undefined,
    });
  for (const name of ["e", "f", "g"]) w.register(name);
  w.gcs.nodeDied(node("N2"), "gone");
  w.asked();
  for (const name of ["e", "f", "g"]) want(name);
  assert.deepEqual(w.asked(), ["d: flushHolds 2"]);
  w.send(D, { type: "holdsFlushed", epoch: 2 });
  assert.deepEqual(w.asked(), ["N1: objectGone e OBJECT_LOST", "d: flushHolds 3"]);
  w.send(D, { type: "holdsFlushed", epoch: 3 });
  assert.deepEqual(w.asked(), ["N1: objectGone f OBJECT_LOST", "N1: objectGone g OBJECT_LOST"]);
});

test("what is not for the GCS is ignored: the shell has refused it", () => {
  const w = new World();
  w.send(D, { type: "nodeDrained" });
  w.send(GCS, { type: "closeLease", leaseId: lease("L1") });
  assert.deepEqual(w.asked(), []);
});
