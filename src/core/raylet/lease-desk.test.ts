// An owner's recall reaches the claim words of just that worker and lease, and its result the lease's owner; or nobody.
// Method: a raylet whose workers start by hand; read what it asks of the world, and answer by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseRequest, nodeInfo } from "../../../test/support/messages.js";
import { failure, kib, lease, process } from "../../../test/support/names.js";
import { NO_DISK } from "../../../test/support/no-disk.js";
import { GCS, type ProcessRef } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { Raylet } from "./raylet.js";

const D = process("d");
const SHOWN = new Set(["openLease", "leaseGranted", "tasksRecalled"]);

class World {
  readonly raylet: Raylet;
  readonly workers: ProcessRef[] = [];
  readonly #lines = new Lines();

  constructor(cpus = 2) {
    const say = this.#lines.add;
    const port = {
      send: ({ processId }: ProcessRef, message: Message) => {
        if (!SHOWN.has(message.type) || processId === GCS.processId) return;
        const { type, leaseId, claim, hasFirst, recallable, upTo, started } = message as unknown as Record<
          string,
          unknown
        >;
        const words = Object.entries({ claim, hasFirst, recallable, upTo, started })
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => `${name} ${value}`);
        say(`${this.#nameOf(processId)}: ${type} ${leaseId} ${words.join(", ")}`);
      },
      startWorker: (worker: ProcessRef) => void this.workers.push(worker),
      killWorker: () => {},
      fetchObject: () => {},
      recallPushes: ({ processId }: ProcessRef, leaseId: string, claim: number, upTo: number) =>
        say(`recall ${leaseId}, claim ${claim}, up to ${upTo} from ${this.#nameOf(processId)}`),
      refuse: () => {},
      disk: NO_DISK,
      stop: () => {},
    };
    this.raylet = new Raylet(nodeInfo("N1", cpus), kib(64), 0, port, new Journey("N1", () => 0));
    this.raylet.processConnected(D, "driver");
    this.raylet.receive(GCS, { type: "clusterView", nodes: [nodeInfo("N1", cpus)] });
  }

  /** Driver d asks for a lease; the worker that was started for it registers. */
  lease(name: string, changes: Parameters<typeof leaseRequest>[1] = {}, recallable = true): void {
    const before = this.workers.length;
    this.raylet.receive(D, { ...leaseRequest(name, changes), type: "requestLease" });
    for (const worker of this.workers.slice(before)) {
      this.raylet.processConnected(worker, "worker");
      this.raylet.receive(worker, { type: "workerReady", pid: 1, unixPath: "w.sock", recallable });
    }
  }

  recall(name: string, upTo: number): void {
    this.raylet.receive(D, { type: "recallTasks", leaseId: lease(name), upTo });
  }

  asked(): string[] {
    this.raylet.check();
    return this.#lines.take();
  }

  #nameOf(process: string): string {
    const at = this.workers.findIndex(({ processId }) => processId === process);
    return at < 0 ? process : `w${at + 1}`;
  }
}

test("each lease has a number in its worker's claim words, and its owner hears whether it can be recalled", () => {
  const w = new World();
  w.lease("L1");
  w.lease("L2", { task: undefined });
  assert.deepEqual(w.asked(), [
    "w1: openLease L1 claim 1, hasFirst true",
    "d: leaseGranted L1 recallable true",
    "w2: openLease L2 claim 2, hasFirst false",
    "d: leaseGranted L2 recallable true",
  ]);
});

test("a recall goes to the words, and what came of it to the owner; both may come twice", () => {
  const w = new World();
  w.lease("L1");
  w.lease("L2");
  w.asked();
  w.recall("L2", 9);
  w.recall("L2", 9);
  const recall = "recall L2, claim 2, up to 9 from w2";
  assert.deepEqual(w.asked(), [recall, recall]);
  w.raylet.recalled(lease("L2"), 9, 4);
  w.raylet.recalled(lease("L2"), 9, 4);
  const recalled = "d: tasksRecalled L2 upTo 9, started 4";
  assert.deepEqual(w.asked(), [recalled, recalled]);
});

test("from a worker without claim words nothing is recalled, and its leases have no number", () => {
  const w = new World();
  w.lease("L1", {}, false);
  w.recall("L1", 9);
  assert.deepEqual(w.asked(), ["w1: openLease L1 claim 0, hasFirst true", "d: leaseGranted L1 recallable false"]);
});

test("of a lease that is over, unknown, or whose worker has died, nothing is asked, and nothing is told", () => {
  const w = new World();
  w.lease("L1");
  w.lease("L2");
  w.asked();
  w.raylet.receive(D, { type: "returnLease", leaseId: lease("L1") });
  w.raylet.processDied(w.workers[1] as ProcessRef, failure("WORKER_CRASHED"));
  for (const name of ["L1", "L2", "L3"]) {
    w.recall(name, 9);
    w.raylet.recalled(lease(name), 9, 4);
  }
  assert.deepEqual(w.asked(), []);
});

test("a worker that serves another lease does so under another number", () => {
  const w = new World(1);
  w.lease("L1");
  w.raylet.receive(D, { type: "returnLease", leaseId: lease("L1") });
  w.lease("L2");
  w.asked();
  w.recall("L2", 1);
  assert.deepEqual(w.asked(), ["recall L2, claim 2, up to 1 from w1"]);
});

test("leases of the GCS are not recalled: nobody pushes on them", () => {
  const w = new World();
  w.raylet.receive(GCS, { ...leaseRequest("B1", { owner: GCS }), type: "queueLease" });
  const [worker] = w.workers;
  assert.ok(worker !== undefined);
  w.raylet.processConnected(worker, "worker");
  w.raylet.receive(worker, { type: "workerReady", pid: 1, unixPath: "w.sock", recallable: true });
  w.asked();
  w.raylet.recalled(lease("B1"), 9, 4);
  assert.deepEqual(w.asked(), []);
});
