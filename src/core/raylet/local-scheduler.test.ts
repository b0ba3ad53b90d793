// A lease is granted once, only from free resources and when its arguments are here; what cannot be placed is passed on.
// Method: a scheduler with a real worker pool, driven by hand; read what it asked of the node and the cluster, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseRequest } from "../../../test/support/messages.js";
import { failure, job, lease, node, object, process, processId, task } from "../../../test/support/names.js";
import { MAX_QUEUED_LEASES } from "../../base/limits.js";
import type { LeaseRequest } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { amountsOf, NodeResources } from "../resources.js";
import { LocalScheduler } from "./local-scheduler.js";
import { WorkerPool } from "./worker-pool.js";

const N1 = node("N1");

/** Node N1. Its workers are called w1, w2 … in the order in which they start. */
class World {
  readonly scheduler: LocalScheduler;
  readonly pool: WorkerPool;
  readonly resources: NodeResources;
  readonly store = new Set<string>();
  readonly journey = new Journey("N1", () => 0);
  readonly #lines = new Lines();
  readonly #workers = new Map<string, string>();

  constructor({ cpus = 2, workers = 2, alone = true, maxQueued = MAX_QUEUED_LEASES } = {}) {
    const say = this.#lines.add;
    this.resources = new NodeResources(amountsOf({ CPU: cpus }));
    this.pool = new WorkerPool(N1, workers, {
      send: () => {},
      startWorker: (worker) => {
        this.#workers.set(worker.processId, `w${this.#workers.size + 1}`);
        say("start a worker");
      },
      killWorker: (worker) => say(`kill ${this.#workers.get(worker.processId)}`),
    });
    const port: ConstructorParameters<typeof LocalScheduler>[1] = {
      forwardToGlobal: ({ leaseId }) => say(`forward ${leaseId}`),
      spill: ({ leaseId }) => say(`spill ${leaseId}`),
      wantArgument: ({ leaseId }, id) => say(`${leaseId} wants ${id}`),
      dropArguments: ({ leaseId }) => say(`${leaseId} wants nothing more`),
      hasObject: (id) => this.store.has(id),
      grantLease: ({ leaseId }, slot) => say(`${leaseId} gets ${this.#workers.get(slot.ref.processId)}`),
      closeLease: (_, leaseId) => say(`close ${leaseId}`),
      killWorker: (worker) => say(`kill ${this.#workers.get(worker.processId)}`),
      leaseCancelled: ({ leaseId }) => say(`${leaseId} is cancelled`),
      leaseRefused: ({ leaseId }, reason) => say(`${leaseId} is refused: ${reason.code}`),
      leaseLost: ({ leaseId }, reason, bystander) =>
        say(`${leaseId} is lost${bystander ? " as a bystander" : ""}: ${reason.code}`),
      leaseWanted: ({ leaseId }) => say(`${leaseId} is wanted back`),
    };
    this.scheduler = new LocalScheduler(N1, port, this.resources, this.pool, this.journey, maxQueued);
    this.scheduler.setAlone(alone);
    this.pool.prestart(workers);
    this.workersReady();
    this.asked();
  }

  /** Every worker that was started has registered. */
  workersReady(): void {
    for (const slot of this.pool.all()) {
      if (slot.state === "starting") this.pool.ready(slot.ref, 1, "w.sock");
    }
    this.scheduler.dispatch();
  }

  submit(name: string, changes: Parameters<typeof leaseRequest>[1] = {}): LeaseRequest {
    const request = leaseRequest(name, changes);
    this.scheduler.submitTask(request);
    return request;
  }

  freeCpus(): number {
    return (this.resources.available.get("CPU") ?? 0) / 10_000;
  }

  asked(): string[] {
    this.scheduler.check();
    return this.#lines.take();
  }
}

// ── Alone ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test("requests are granted while resources last; the rest when a lease is returned", () => {
  const w = new World({ cpus: 2 });
  w.submit("L1");
  w.submit("L2");
  w.submit("L3");
  assert.deepEqual(w.asked(), ["L1 gets w1", "L2 gets w2", "L1 is wanted back", "L2 is wanted back"]);
  w.scheduler.returnLease(lease("L1"));
  assert.deepEqual(w.asked(), ["close L1", "L3 gets w1"]);
});

test("messages that come twice change nothing", () => {
  const w = new World({ cpus: 1 });
  const request = w.submit("L1");
  w.scheduler.submitTask(request);
  w.scheduler.queueLease(request);
  w.submit("L2");
  w.submit("L2");
  w.asked();
  w.scheduler.returnLease(lease("L1"));
  w.scheduler.returnLease(lease("L1"));
  assert.deepEqual(w.asked(), ["close L1", "L2 gets w1"]);
  w.scheduler.taskBlocked(lease("L2"));
  w.scheduler.taskBlocked(lease("L2"));
  assert.equal(w.freeCpus(), 1);
  w.scheduler.taskResumed(lease("L2"));
  w.scheduler.taskResumed(lease("L2"));
  w.scheduler.returnLease(lease("L2"));
  assert.equal(w.freeCpus(), 1);
});

test("a deeper task goes first: the ones above wait for it", () => {
  const w = new World({ cpus: 1 });
  for (const [name, depth] of [
    ["L1", 0],
    ["shallow", 0],
    ["deep", 2],
    ["deeper", 3],
  ] as const)
    w.submit(name, { depth });
  w.asked();
  for (const name of ["L1", "deeper", "deep"]) w.scheduler.returnLease(lease(name));
  const grants = w.asked().filter((line) => line.includes("gets"));
  assert.deepEqual(grants, ["deeper gets w1", "deep gets w1", "shallow gets w1"]);
});

test("a demand that does not fit keeps nobody of another demand waiting", () => {
  const w = new World({ cpus: 2 });
  w.submit("L1");
  w.submit("both", { demand: amountsOf({ CPU: 2 }) });
  w.submit("L2");
  const grants = w.asked().filter((line) => line.includes("gets"));
  assert.deepEqual(grants, ["L1 gets w1", "L2 gets w2"]);
});

test("a demand of nothing is granted also while tasks that resumed have taken more CPUs than there are", () => {
  const w = new World({ cpus: 1 });
  w.submit("L1");
  w.scheduler.taskBlocked(lease("L1"));
  w.submit("L2");
  w.workersReady();
  w.scheduler.taskResumed(lease("L1"));
  w.submit("free", { demand: new Map([["CPU", 0]]) });
  w.workersReady();
  assert.ok(w.asked().some((line) => line.startsWith("free gets")));
});

test("resources without a worker start one, and the grant follows when it has registered", () => {
  const w = new World({ cpus: 2, workers: 0 });
  w.submit("L1");
  w.submit("L2");
  assert.deepEqual(w.asked(), ["start a worker", "start a worker"]);
  w.workersReady();
  assert.deepEqual(w.asked(), ["L1 gets w1", "L2 gets w2"]);
});

test("a request is granted when its last missing argument has come", () => {
  const w = new World();
  w.store.add("a");
  w.submit("L1", { takes: ["a", "b", "c"] });
  assert.deepEqual(w.asked(), ["L1 wants b", "L1 wants c"]);
  w.scheduler.argumentReady(lease("L1"), object("b"));
  w.scheduler.argumentReady(lease("L1"), object("b"));
  assert.deepEqual(w.asked(), []);
  w.scheduler.argumentReady(lease("L1"), object("c"));
  w.scheduler.argumentReady(lease("L1"), object("c"));
  assert.deepEqual(w.asked(), ["L1 gets w1"]);
});

test("an argument that will never come refuses the request", () => {
  const w = new World();
  w.submit("L1", { takes: ["a", "b"] });
  w.asked();
  w.scheduler.argumentFailed(lease("L1"), failure("OBJECT_LOST"));
  w.scheduler.argumentFailed(lease("L1"), failure("OBJECT_LOST"));
  assert.deepEqual(w.asked(), ["L1 wants nothing more", "L1 is refused: OBJECT_LOST"]);
  assert.equal(w.scheduler.isIdle, true);
});

test("a request is cancelled while it waits; a lease is its owner's to return; others are not known here", () => {
  const w = new World({ cpus: 1 });
  w.submit("L1");
  w.submit("L2");
  w.submit("L3", { takes: ["a"] });
  w.asked();
  assert.equal(w.scheduler.cancel(lease("L1")), "known");
  assert.equal(w.scheduler.cancel(lease("L2")), "known");
  assert.equal(w.scheduler.cancel(lease("L2")), "unknown");
  assert.equal(w.scheduler.cancel(lease("L3")), "known");
  assert.deepEqual(w.asked(), ["L2 is cancelled", "L3 wants nothing more", "L3 is cancelled"]);
});

// ── Tasks that wait in get ──────────────────────────────────────────────────────────────────────────────────────────

test("a blocked task's CPU and worker serve another task of its job; it resumes at once, beyond the total", () => {
  const w = new World({ cpus: 1, workers: 1 });
  w.submit("outer");
  w.submit("inner", { depth: 1 });
  w.asked();
  w.scheduler.taskBlocked(lease("outer"));
  assert.deepEqual(w.asked(), ["inner gets w1"]);
  w.scheduler.taskResumed(lease("outer"));
  assert.equal(w.freeCpus(), 0);
  w.submit("next");
  w.scheduler.returnLease(lease("inner"));
  assert.deepEqual(
    w.asked().filter((line) => line.includes("gets")),
    [],
  ); // the resumed task has the CPU
  w.scheduler.returnLease(lease("outer"));
  assert.ok(w.asked().includes("next gets w1"));
});

test("a lease that ends while its task is blocked gives back exactly what it took", () => {
  const w = new World({ cpus: 2 });
  w.submit("L1");
  w.scheduler.taskBlocked(lease("L1"));
  assert.equal(w.freeCpus(), 2);
  w.scheduler.returnLease(lease("L1"));
  assert.equal(w.freeCpus(), 2);
  assert.equal(w.scheduler.isIdle, true);
});

test("tasks that must not run twice never share a worker, not even a blocked one", () => {
  const w = new World({ cpus: 1, workers: 1 });
  w.submit("outer");
  w.scheduler.taskBlocked(lease("outer"));
  w.asked();
  w.submit("once", { exclusive: true });
  assert.deepEqual(w.asked(), ["start a worker"]);
  w.workersReady();
  assert.deepEqual(w.asked(), ["once gets w2"]);
});

// ── Actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function actorLease(name: string): Parameters<typeof leaseRequest>[1] {
  return { leaseId: lease(`${name}.0`), taskId: task(name), exclusive: true, held: new Map(), task: undefined };
}

test("an actor that lives keeps only what it holds, also when it waits in get already", () => {
  const w = new World({ cpus: 1 });
  w.submit("A", actorLease("A"));
  assert.equal(w.freeCpus(), 0);
  w.scheduler.settleActor(lease("A.0"));
  w.scheduler.settleActor(lease("A.0"));
  assert.equal(w.freeCpus(), 1);

  w.submit("B", actorLease("B"));
  w.scheduler.taskBlocked(lease("B.0"));
  w.scheduler.settleActor(lease("B.0"));
  w.scheduler.taskResumed(lease("B.0"));
  assert.equal(w.freeCpus(), 1);
  w.scheduler.returnLease(lease("A.0"));
  w.scheduler.returnLease(lease("B.0"));
  assert.equal(w.freeCpus(), 1);
});

test("an actor outlives its owner's leases, and is not wanted back", () => {
  const w = new World({ cpus: 2 });
  w.submit("A", actorLease("A"));
  w.submit("L1");
  w.asked();
  w.scheduler.wantLeasesBack();
  assert.deepEqual(w.asked(), ["L1 is wanted back"]);
  w.submit("B", { ...actorLease("B"), takes: ["a"] });
  w.asked();
  w.scheduler.ownerDied(processId("d"));
  assert.deepEqual(w.asked(), ["close L1"]); // others may hold the actors
  w.scheduler.argumentReady(lease("B.0"), object("a"));
  w.workersReady();
  assert.ok(w.asked().some((said) => said.startsWith("B.0 gets")));
});

// ── Deaths ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a worker's death loses its leases, and what they held is free", () => {
  const w = new World({ cpus: 1, workers: 2 });
  w.submit("L1");
  w.submit("L2");
  w.asked();
  const worker = w.scheduler.grantOf(lease("L1"))?.worker;
  assert.ok(worker !== undefined);
  w.pool.remove(worker.processId, failure("WORKER_CRASHED"));
  w.scheduler.workerDied(worker.processId, failure("WORKER_CRASHED"));
  w.scheduler.workerDied(worker.processId, failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["L1 is lost: WORKER_CRASHED", "L2 gets w2"]);
});

test("an owner's death ends its requests and leases, and no others", () => {
  const w = new World({ cpus: 2 });
  w.submit("L1");
  w.submit("other", { owner: process("d2") });
  w.submit("L2");
  w.submit("L3", { takes: ["a"] });
  w.asked();
  w.scheduler.ownerDied(processId("d"));
  assert.deepEqual(w.asked(), ["L3 wants nothing more", "close L1"]);
  assert.equal(w.freeCpus(), 1);
  w.scheduler.returnLease(lease("other"));
  assert.equal(w.scheduler.isIdle, true);
});

test("when a worker dies, the tasks that it owned end with their workers, and nothing is free before", () => {
  const w = new World({ cpus: 1, workers: 1 });
  w.submit("L1");
  w.asked();
  w.scheduler.workerOwnerDied(processId("d"));
  w.scheduler.workerOwnerDied(processId("d"));
  assert.deepEqual(w.asked(), ["kill w1"]);
  assert.equal(w.freeCpus(), 0);
  const worker = w.scheduler.grantOf(lease("L1"))?.worker?.processId ?? processId("");
  w.pool.remove(worker, failure("WORKER_CRASHED"));
  w.scheduler.workerDied(worker, failure("WORKER_CRASHED"));
  assert.equal(w.freeCpus(), 1);
});

test("who shared a worker that was killed for another's sake is a bystander, unless its task has begun (seed 2804)", () => {
  for (const isResumed of [false, true]) {
    const w = new World({ cpus: 1, workers: 1 });
    w.submit("outer", { owner: process("d2") });
    w.submit("inner", { depth: 1 });
    w.asked();
    w.scheduler.taskBlocked(lease("outer"));
    assert.deepEqual(w.asked(), ["inner gets w1"]);
    if (isResumed) w.scheduler.taskResumed(lease("outer"));
    w.scheduler.workerOwnerDied(processId("d2"));
    const worker = w.scheduler.grantOf(lease("inner"))?.worker?.processId ?? processId("");
    w.pool.remove(worker, failure("WORKER_CRASHED"));
    w.asked();
    w.scheduler.workerDied(worker, failure("WORKER_CRASHED"));
    // While the outer one waits, nobody keeps the inner one from beginning.
    const inner = isResumed ? "inner is lost as a bystander" : "inner is lost";
    assert.deepEqual(w.asked(), ["outer is lost: WORKER_CRASHED", `${inner}: WORKER_CRASHED`]);
  }
});

test("what waits in get has begun, whoever keeps the worker when it is killed", () => {
  const w = new World({ cpus: 1, workers: 1 });
  w.submit("outer");
  w.submit("inner", { depth: 1, owner: process("d2") });
  w.scheduler.taskBlocked(lease("outer"));
  w.scheduler.taskResumed(lease("outer"));
  w.scheduler.workerOwnerDied(processId("d2"));
  const worker = w.scheduler.grantOf(lease("inner"))?.worker?.processId ?? processId("");
  w.pool.remove(worker, failure("WORKER_CRASHED"));
  w.asked();
  w.scheduler.workerDied(worker, failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["outer is lost: WORKER_CRASHED", "inner is lost: WORKER_CRASHED"]);
});

test("a job's end takes its requests out of the queue", () => {
  const w = new World({ cpus: 1 });
  w.submit("L1");
  w.submit("L2");
  w.submit("other", { jobId: job("j2") });
  w.scheduler.jobEnded(job("j1"));
  w.asked();
  w.scheduler.returnLease(lease("L1"));
  assert.deepEqual(w.asked(), ["close L1", "other gets w2"]);
});

// ── With other nodes ────────────────────────────────────────────────────────────────────────────────────────────────

test("a request is placed here if its arguments are here and it fits now; else the global scheduler is asked", () => {
  const w = new World({ cpus: 1, alone: false });
  w.store.add("a");
  w.submit("here", { takes: ["a"] });
  w.submit("full");
  w.scheduler.returnLease(lease("here"));
  w.submit("elsewhere", { takes: ["a", "b"] });
  w.submit("spread", { strategy: { kind: "spread" } });
  w.submit("there", { strategy: { kind: "node", nodeId: "N2", soft: false } });
  w.submit("large", { demand: amountsOf({ CPU: 2 }) });
  w.submit("pinned", { strategy: { kind: "node", nodeId: "N1", soft: false }, takes: ["b"] });
  assert.deepEqual(w.asked(), [
    ...["here gets w1", "forward full", "close here"],
    ...["forward elsewhere", "forward spread", "forward there", "forward large", "pinned wants b"],
  ]);
});

test("alone, what the node could never do is passed on too: the global scheduler knows whom to tell", () => {
  const w = new World({ cpus: 1 });
  w.submit("large", { demand: amountsOf({ CPU: 2 }) });
  w.submit("there", { strategy: { kind: "node", nodeId: "N2", soft: false } });
  assert.deepEqual(w.asked(), ["forward large", "forward there"]);
});

test("what the global scheduler placed here goes back when it does not fit: a raylet's word is final", () => {
  const w = new World({ cpus: 1, alone: false });
  w.submit("L1");
  w.scheduler.queueLease(leaseRequest("placed"));
  assert.deepEqual(w.asked(), ["L1 gets w1", "spill placed"]);
});

test("when another node joins, what cannot run here now goes the way it came: forwarded, or given back", () => {
  const w = new World({ cpus: 1 });
  w.scheduler.queueLease(leaseRequest("placed", { takes: ["a"] }));
  w.submit("running");
  w.submit("own");
  w.submit("waits for b", { takes: ["b"] });
  w.scheduler.argumentReady(lease("placed"), object("a"));
  w.asked();
  w.scheduler.setAlone(false);
  assert.deepEqual(w.asked(), ["spill placed", "forward own"]);
});

test("a node that is drained passes everything on, asks for its leases, and runs to their end what was granted", () => {
  const w = new World({ cpus: 1, alone: false });
  w.submit("L1");
  w.scheduler.returnLease(lease("L1"));
  w.scheduler.queueLease(leaseRequest("running"));
  w.scheduler.returnLease(lease("running"));
  w.submit("own", { strategy: { kind: "node", nodeId: "N1", soft: true }, takes: ["a"] });
  w.scheduler.queueLease(leaseRequest("placed", { takes: ["b"] }));
  w.submit("granted");
  w.asked();
  w.scheduler.drain();
  assert.deepEqual(w.asked(), [
    ...["own wants nothing more", "forward own"],
    ...["placed wants nothing more", "spill placed"],
    "granted is wanted back",
  ]);
  w.submit("late");
  w.scheduler.queueLease(leaseRequest("late too"));
  w.scheduler.returnLease(lease("granted"));
  assert.deepEqual(w.asked(), ["forward late", "spill late too", "close granted"]);
  assert.equal(w.scheduler.isIdle, true);
});

// ── The journey ─────────────────────────────────────────────────────────────────────────────────────────────────────

test("the steps are recorded by the transitions that do them, and skipped ones with the reason", () => {
  const w = new World({ cpus: 1, alone: false });
  w.store.add("a");
  w.submit("here", { takes: ["a"] });
  w.submit("there", { takes: ["b"] });
  const steps = [...w.journey.records()].map((r) => `${r.subject} ${r.step}${r.skipped && ` skipped: ${r.skipped}`}`);
  assert.deepEqual(steps, [
    "here submitTask",
    "here forwardToGlobal skipped: everything is local",
    "here checkArguments",
    "here dispatchTask",
    "there submitTask",
    "there forwardToGlobal",
  ]);
});

test("a queue that is full refuses requests, and takes them again when there is room", () => {
  const w = new World({ cpus: 1, maxQueued: 1 });
  w.submit("L1");
  w.submit("L2");
  w.asked();
  w.submit("L3", { takes: ["b", "c"] });
  w.scheduler.queueLease(leaseRequest("L4", { demand: new Map() }));
  const refused = w.asked().filter((said) => !said.includes("wanted"));
  assert.deepEqual(refused, ["L3 is refused: PENDING_CALLS_LIMIT", "L4 is refused: PENDING_CALLS_LIMIT"]);
  w.scheduler.cancel(lease("L2"));
  w.submit("L5", { takes: ["b"] });
  assert.deepEqual(w.asked(), ["L2 is cancelled", "L5 wants b"]);
});
