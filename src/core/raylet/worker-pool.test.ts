// A worker belongs to one job and runs one task at a time; workers are started when they are needed and stopped when not.
// Method: drive the pool by hand, in a time of our own, and read what it starts and kills.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../../test/support/messages.js";
import { failure, job, lease, node, process, processId } from "../../../test/support/names.js";
import {
  FIRST_WORKER_RESTART_MS,
  MAX_FAILED_STARTS,
  MAX_STARTING_WORKERS,
  MAX_WORKER_RESTART_MS,
  MAX_WORKERS_PER_NODE,
  WORKER_IDLE_MS,
  WORKER_START_TIMEOUT_MS,
} from "../../base/limits.js";
import { WorkerPool, type WorkerSlot } from "./worker-pool.js";

class World {
  readonly pool: WorkerPool;
  readonly #lines = new Lines();
  readonly #names = new Map<string, string>();

  constructor(warm = 0) {
    this.pool = new WorkerPool(node("N1"), warm, {
      startWorker: ({ processId }) => {
        this.#names.set(processId, `w${this.#names.size + 1}`);
        this.#lines.add("start");
      },
      send: ({ processId }, { type }) => this.#lines.add(`${type} ${this.#names.get(processId)}`),
      killWorker: ({ processId }, why) => this.#lines.add(`kill ${this.#names.get(processId)}: ${why}`),
    });
    this.pool.tick(1);
  }

  /** So many workers that have registered. */
  ready(count: number): void {
    this.pool.prestart(count);
    this.allReady();
    this.asked();
  }

  allReady(): void {
    for (const slot of this.pool.all()) if (slot.state === "starting") this.pool.ready(slot.ref, 1, "w.sock");
  }

  take(name: string, { jobId = "j1", exclusive = false } = {}): string | undefined {
    const slot = this.pool.take({ leaseId: lease(name), jobId: job(jobId), exclusive });
    return slot === undefined ? undefined : this.#names.get(slot.ref.processId);
  }

  slot(name: string): WorkerSlot {
    const slot = [...this.pool.all()].find(({ ref }) => this.#names.get(ref.processId) === name);
    assert.ok(slot !== undefined);
    return slot;
  }

  giveBack(name: string, leaseName: string): void {
    this.pool.giveBack(this.slot(name).ref.processId, lease(leaseName));
  }

  setBlocked(name: string, leaseName: string, blocked: boolean): void {
    this.pool.setBlocked(this.slot(name).ref.processId, lease(leaseName), blocked);
  }

  asked(): string[] {
    this.pool.check();
    return this.#lines.take();
  }
}

test("a worker serves a lease once it has registered, and the next one when that is given back", () => {
  const w = new World();
  w.pool.prestart(1);
  w.pool.prestart(1);
  assert.deepEqual(w.asked(), ["start"]);
  assert.equal(w.take("L1"), undefined);
  w.allReady();
  assert.equal(w.take("L1"), "w1");
  assert.equal(w.take("L2"), undefined);
  w.giveBack("w1", "L1");
  w.giveBack("w1", "L1");
  assert.equal(w.take("L2"), "w1");
});

test("a worker stays with its job; one that has the job's functions is preferred to a fresh one", () => {
  const w = new World();
  w.ready(2);
  assert.equal(w.take("L1"), "w1");
  w.giveBack("w1", "L1");
  assert.equal(w.take("other", { jobId: "j2" }), "w2");
  w.giveBack("w2", "other");
  assert.equal(w.take("L2"), "w1");
  assert.equal(w.take("L3"), undefined); // w2 is idle, but of job j2
});

test("a worker whose leases are all blocked serves another one of its job, unless one of them is exclusive", () => {
  const w = new World();
  w.ready(1);
  w.take("L1");
  w.setBlocked("w1", "L1", true);
  assert.equal(w.take("other", { jobId: "j2" }), undefined);
  assert.equal(w.take("once", { exclusive: true }), undefined);
  assert.equal(w.take("L2"), "w1");
  assert.equal(w.take("L3"), undefined); // L2 runs
  w.setBlocked("w1", "L2", true);
  assert.equal(w.take("L3"), "w1");

  const e = new World();
  e.ready(1);
  e.take("once", { exclusive: true });
  e.setBlocked("w1", "once", true);
  assert.equal(e.take("L1"), undefined);
  e.giveBack("w1", "once");
  assert.equal(e.take("L1"), "w1");
});

test("a task that resumes runs beside the one that took its worker meanwhile", () => {
  const w = new World();
  w.ready(1);
  w.take("outer");
  w.setBlocked("w1", "outer", true);
  w.take("inner");
  w.setBlocked("w1", "outer", false);
  assert.deepEqual(w.asked(), []);
  assert.equal(w.take("next"), undefined);
  w.giveBack("w1", "inner");
  assert.equal(w.take("next"), undefined);
  w.giveBack("w1", "outer");
  assert.equal(w.take("next"), "w1");
});

test("as many workers are started as leases wait for one, within the limits", () => {
  const w = new World();
  w.pool.needWorkers(2);
  w.pool.needWorkers(2); // asked again before they have come
  assert.deepEqual(w.asked(), ["start", "start"]);
  w.pool.needWorkers(1_000);
  assert.equal([...w.pool.all()].length, MAX_STARTING_WORKERS);
  for (let i = 0; i < 100; i++) {
    w.allReady();
    w.pool.needWorkers(1_000);
  }
  w.asked();
  assert.equal([...w.pool.all()].length, MAX_WORKERS_PER_NODE);
});

test("a worker that does not register in time is killed; one that is not ours is not taken", () => {
  const w = new World();
  w.pool.prestart(1);
  w.pool.tick(WORKER_START_TIMEOUT_MS);
  assert.deepEqual(w.asked(), ["start"]);
  w.pool.tick(WORKER_START_TIMEOUT_MS + 2);
  assert.match(w.asked().join(), /^kill w1: it did not register/);
  assert.equal(w.pool.ready(process("stranger"), 1, "w.sock"), false);
});

test("spare workers go after their time; warm ones and busy ones stay", () => {
  const w = new World(1);
  w.ready(3);
  w.take("L1");
  w.pool.tick(WORKER_IDLE_MS + 2);
  assert.deepEqual(w.asked(), ["kill w2: it was idle"]);
});

test("a spare worker that has run something is asked first: it stays while it owns something", () => {
  const w = new World();
  w.ready(1);
  w.take("L1");
  w.giveBack("w1", "L1");
  w.pool.tick(WORKER_IDLE_MS + 2);
  assert.deepEqual(w.asked(), ["askUse w1"]);
  w.pool.answeredUse(w.slot("w1").ref, true);
  w.pool.tick(WORKER_IDLE_MS + 3);
  assert.deepEqual(w.asked(), []);
  w.pool.tick(2 * WORKER_IDLE_MS + 4);
  assert.deepEqual(w.asked(), ["askUse w1"]);
  w.take("L2");
  w.pool.answeredUse(w.slot("w1").ref, false); // it has been given a lease meanwhile
  assert.deepEqual(w.asked(), []);
  w.giveBack("w1", "L2");
  w.pool.answeredUse(w.slot("w1").ref, false); // an old answer
  assert.deepEqual(w.asked(), []);
  w.pool.tick(3 * WORKER_IDLE_MS + 5);
  w.pool.tick(3 * WORKER_IDLE_MS + 6);
  w.pool.answeredUse(w.slot("w1").ref, false);
  assert.deepEqual(w.asked(), ["askUse w1", "kill w1: it was idle"]);
});

test("a job's workers end with it", () => {
  const w = new World();
  w.ready(3);
  w.take("L1");
  w.take("other", { jobId: "j2" });
  w.pool.jobEnded(job("j1"));
  assert.deepEqual(w.asked(), ["kill w1: its job ended"]);
});

test("a process that is gone is forgotten, and what is said of it later ignored", () => {
  const w = new World();
  w.ready(1);
  w.take("L1");
  const { processId: gone } = w.slot("w1").ref;
  assert.equal(w.pool.remove(gone, failure("WORKER_CRASHED"))?.leases.size, 1);
  assert.equal(w.pool.remove(gone, failure("WORKER_CRASHED")), undefined);
  w.pool.giveBack(gone, lease("L1"));
  w.pool.setBlocked(gone, lease("L1"), true);
  assert.equal(w.pool.get(processId("w1")), undefined);
});

test("workers that end before they have registered are started again one at a time, with growing pauses", () => {
  const w = new World();
  w.pool.needWorkers(3);
  assert.deepEqual(w.asked(), ["start", "start", "start"]);
  let now = 1;
  for (let failed = 1; failed < MAX_FAILED_STARTS; failed++) {
    for (const { ref } of [...w.pool.all()]) w.pool.remove(ref.processId, failure(`CRASH_${failed}`)); // one round fails once
    const pause = Math.min(MAX_WORKER_RESTART_MS, FIRST_WORKER_RESTART_MS * 2 ** (failed - 1));
    w.pool.tick(now + pause - 1);
    w.pool.needWorkers(3);
    assert.deepEqual(w.asked(), []);
    now += pause;
    w.pool.tick(now);
    w.pool.needWorkers(3);
    assert.deepEqual(w.asked(), ["start"]);
    assert.equal(w.pool.startFailure, undefined);
  }
  for (const { ref } of [...w.pool.all()]) w.pool.remove(ref.processId, failure("CRASH_LAST"));
  assert.match(w.pool.startFailure?.message ?? "", /5 failed in a row.*because of CRASH_LAST/);
  w.pool.tick(now + MAX_WORKER_RESTART_MS);
  assert.equal(w.pool.startFailure, undefined); // it is tried once more
  w.pool.needWorkers(1);
  w.allReady();
  w.pool.needWorkers(3);
  assert.deepEqual(w.asked(), ["start", "start", "start", "start"]);
});

test("a lease waits for a worker that can become free, also while none can be started", () => {
  const w = new World();
  w.ready(1);
  w.take("L1");
  for (let failed = 0; failed < MAX_FAILED_STARTS; failed++) {
    w.pool.tick(1 + failed * MAX_WORKER_RESTART_MS);
    w.pool.needWorkers(1);
    for (const { ref, state } of [...w.pool.all()]) {
      if (state === "starting") w.pool.remove(ref.processId, failure("WORKER_CRASHED"));
    }
  }
  const code = () => w.pool.startFailure?.code;
  assert.equal(code(), undefined);
  w.pool.remove(w.slot("w1").ref.processId, failure("WORKER_CRASHED"));
  assert.equal(code(), "WORKER_CRASHED");
});

test("a worker that has been killed gets no lease before its exit is known, be it idle or blocked (seed 13711)", () => {
  const w = new World();
  w.ready(2);
  assert.equal(w.take("a"), "w1");
  w.setBlocked("w1", "a", true);
  assert.equal(w.take("b", { jobId: "j2" }), "w2");
  w.giveBack("w2", "b");
  w.pool.kill(w.slot("w2").ref, "it was idle");
  w.pool.retire(w.slot("w1").ref.processId); // its connection is lost
  assert.deepEqual([w.take("c"), w.take("d", { jobId: "j2" })], [undefined, undefined]);
  w.pool.needWorkers(2);
  assert.deepEqual(w.asked(), ["kill w2: it was idle", "start", "start"]);
  w.allReady();
  assert.deepEqual([w.take("c"), w.take("d", { jobId: "j2" })], ["w3", "w4"]);
});
