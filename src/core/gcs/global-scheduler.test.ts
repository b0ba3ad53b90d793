// A request goes to the node that suits it best now, waits if none can take it, and is answered whatever happens meanwhile.
// Method: build clusters by hand and read where requests go, and what their owners are told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseRequest, nodeInfo } from "../../../test/support/messages.js";
import { kib, lease, node, object, process, processId, task } from "../../../test/support/names.js";
import type { LeaseRequest } from "../../protocol/messages.js";
import { amountsOf } from "../resources.js";
import { GlobalScheduler } from "./global-scheduler.js";
import { ObjectTable } from "./object-table.js";

const cpus = (count: number) => amountsOf({ CPU: count });

class World {
  readonly objects: ObjectTable;
  readonly scheduler: GlobalScheduler;
  readonly #lines = new Lines();

  /** Nodes N1, N2 … with so many CPUs each. */
  constructor(...nodes: readonly number[]) {
    const say = this.#lines.add;
    const nothing = () => {};
    this.objects = new ObjectTable({
      objectAvailable: nothing,
      objectGone: nothing,
      freeObject: nothing,
      promoteResult: nothing,
      becomePrimary: nothing,
      unreachable: nothing,
      lostIsWanted: nothing,
    });
    this.scheduler = new GlobalScheduler(
      {
        queueLease: (to, { leaseId }) => say(`${leaseId} to ${to}`),
        leaseInfeasible: (_, leaseId, reason) => say(`${leaseId} is infeasible: ${reason}`),
        leaseRefused: (_, leaseId, code) => say(`${leaseId} is refused: ${code}`),
        leaseCancelled: (owner, leaseId) => say(`${owner.processId}: ${leaseId} is cancelled`),
        rebuildLost: (leaseId, { code }) => say(`${leaseId} is lost: ${code}`),
        leasesWanted: (on) => say(`${on}: leases are wanted`),
        garbageWanted: (on) => say(`${on}: garbage is wanted`),
        recordLookUp: ({ leaseId }) => say(`look up for ${leaseId}`),
        wakeUpAfter: () => {},
        recordPlacement: nothing,
      },
      this.objects,
    );
    for (const [index, count] of nodes.entries()) this.scheduler.addNode(nodeInfo(`N${index + 1}`, count));
  }

  place(name: string, changes: Parameters<typeof leaseRequest>[1] = {}): LeaseRequest {
    const request = leaseRequest(name, changes);
    this.scheduler.placeTask(request);
    return request;
  }

  /** An object of so many KiB in the stores of these nodes. */
  stored(name: string, sizeKib: number, ...on: readonly string[]): void {
    for (const holder of on) this.objects.register(node(holder), object(name), kib(sizeKib), processId("d"), []);
  }

  report(name: string, free: number): void {
    this.scheduler.reportResources(node(name), cpus(free));
  }

  asked(): string[] {
    this.scheduler.check();
    return this.#lines.take();
  }
}

// ── The choice ──────────────────────────────────────────────────────────────────────────────────────────────────────

test("the lecture's case: a lies on N1, the larger b on N2, so the task goes to N2", () => {
  const w = new World(2, 2, 2);
  w.stored("a", 200, "N1");
  w.stored("b", 300, "N2");
  const sizes = [
    { objectId: object("a"), sizeBytes: kib(200) },
    { objectId: object("b"), sizeBytes: kib(300) },
  ];
  w.place("add", { arguments: sizes });
  assert.deepEqual(w.asked(), ["look up for add", "add to N2"]);
});

test("replicas count where they are, and many small arguments outweigh one", () => {
  const w = new World(2, 2, 2);
  w.stored("a", 1, "N1");
  w.stored("b", 1, "N2", "N3");
  w.stored("c", 1, "N3");
  w.place("L1", { takes: ["a", "b", "c"] });
  assert.equal(w.asked().at(-1), "L1 to N3");
});

test("a busy node that holds the arguments is waited for a little, and its idle leases are wanted; then another is taken", () => {
  const w = new World(2, 2);
  w.stored("b", 300, "N2");
  w.report("N2", 0);
  w.place("patient", { takes: ["b"] });
  w.place("impatient", { takes: ["b"] });
  w.scheduler.tick(900); // the last heartbeat was long ago: the wait begins now
  w.scheduler.tick(949);
  assert.ok(!w.asked().some((said) => said.includes(" to N")));
  w.report("N2", 1);
  assert.deepEqual(
    w.asked().filter((said) => said.includes(" to N")),
    ["patient to N2"],
  );
  w.scheduler.tick(950);
  assert.deepEqual(
    w.asked().filter((said) => said.includes(" to N")),
    ["impatient to N1"],
  );
});

test("nodes are filled one after the other up to half, then the emptiest is taken; the owner's node breaks ties", () => {
  const w = new World(4, 4);
  for (const name of ["L1", "L2", "L3", "L4", "L5", "L6"]) w.place(name, { owner: process("d", "N2") });
  assert.deepEqual(w.asked(), ["L1 to N2", "L2 to N2", "L3 to N1", "L4 to N1", "L5 to N2", "L6 to N1"]);
});

test("spread goes round all nodes that have room", () => {
  const w = new World(4, 4, 4);
  const placed = Array.from({ length: 6 }, (_, i) => w.place(`L${i}`, { strategy: { kind: "spread" } }));
  const nodes = w.asked().map((said) => said.split(" to ")[1]);
  assert.deepEqual([...nodes].sort(), ["N1", "N1", "N2", "N2", "N3", "N3"]);
  assert.equal(placed.length, 6);
});

test("a named node is taken, waited for, or refused; a soft wish goes elsewhere only when the node is not there", () => {
  const w = new World(2, 2);
  const on = (nodeId: string, soft: boolean) => ({ strategy: { kind: "node", nodeId, soft } }) as const;
  w.place("hard", on("N2", false));
  w.place("unknown", on("N9", false));
  w.place("soft", on("N9", true));
  assert.deepEqual(w.asked(), ["hard to N2", "unknown is refused: TASK_UNSCHEDULABLE", "soft to N1"]);
  w.report("N2", 0);
  w.place("waits", on("N2", false));
  assert.deepEqual(w.asked(), ["N2: leases are wanted"]);
  w.report("N2", 1);
  assert.deepEqual(w.asked(), ["waits to N2"]);
});

// ── Waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("what no node can take now waits, in order, and idle leases are wanted back where it could run", () => {
  const w = new World(1, 4);
  w.report("N1", 0);
  w.report("N2", 1);
  w.place("L1", { demand: cpus(2) });
  w.place("L2", { demand: cpus(2) });
  assert.deepEqual(w.asked(), ["N2: leases are wanted", "N2: leases are wanted"]);
  w.report("N2", 3);
  w.report("N2", 3);
  assert.deepEqual(w.asked(), ["L1 to N2", "L2 to N2"]);
});

test("while something waits that could run, garbage is wanted everywhere, ever more rarely", () => {
  const w = new World(1, 1);
  w.place("p");
  w.place("q");
  const { leaseId } = w.place("r");
  w.place("huge", { demand: cpus(100) });
  w.asked();
  const wantedAt = [0, 500, 1_000, 2_000, 3_000, 4_000].filter((nowMs) => {
    w.scheduler.tick(nowMs);
    return w.asked().join() === "N1: garbage is wanted,N2: garbage is wanted";
  });
  assert.deepEqual(wantedAt, [1_000, 3_000]);
  w.scheduler.cancel(leaseId); // "huge" is not waited for: nothing that anybody holds would do
  w.asked();
  w.scheduler.tick(100_000);
  assert.deepEqual(w.asked(), []);
});

test("what no node could ever take is said to its owner, and runs when such a node joins", () => {
  const w = new World(2, 2);
  w.place("large", { demand: amountsOf({ CPU: 8 }) });
  const reasons = "node N1: needs CPU 8, has 2; node N2: needs CPU 8, has 2";
  assert.deepEqual(w.asked(), [`large is infeasible: ${reasons}`]);
  w.scheduler.addNode(nodeInfo("N3", 16));
  assert.deepEqual(w.asked(), ["large to N3"]);
});

test("the words about a demand that cannot be met stay short in a large cluster", () => {
  const w = new World(...Array.from({ length: 2_000 }, () => 1));
  w.place("large", { demand: cpus(8) });
  assert.ok((w.asked()[0]?.length ?? 0) < 2_000);
});

test("a request that is known is left alone", () => {
  const w = new World(1);
  const request = w.place("L1");
  w.scheduler.placeTask(request);
  assert.deepEqual(w.asked(), ["L1 to N1"]);
  const waiting = w.place("L2");
  w.asked();
  w.scheduler.placeTask(waiting);
  assert.deepEqual(w.asked(), []);
});

// ── A raylet's word ─────────────────────────────────────────────────────────────────────────────────────────────────

test("a request that a raylet gives back goes to another node, or waits", () => {
  const w = new World(1, 1);
  const request = w.place("L1");
  w.scheduler.spilled(node("N1"), request, cpus(0));
  w.scheduler.spilled(node("N1"), request, cpus(0));
  assert.deepEqual(w.asked(), ["L1 to N1", "L1 to N2"]);
  w.scheduler.spilled(node("N2"), request, cpus(0));
  assert.deepEqual(w.asked(), ["N1: leases are wanted", "N2: leases are wanted"]);
});

test("a granted lease is no longer the scheduler's business", () => {
  const w = new World(1, 1);
  w.place("L1");
  w.scheduler.granted(lease("L1"));
  w.asked();
  assert.equal(w.scheduler.cancel(lease("L1")), undefined);
  w.scheduler.removeNode(node("N1"));
  assert.deepEqual(w.asked(), []);
});

// ── Cancellations ───────────────────────────────────────────────────────────────────────────────────────────────────

test("a cancellation ends what waits here, and follows what was placed", () => {
  const w = new World(1);
  w.place("L1");
  w.place("L2");
  w.asked();
  assert.equal(w.scheduler.cancel(lease("L1")), "N1");
  assert.equal(w.scheduler.cancel(lease("L2")), undefined);
  assert.equal(w.scheduler.cancel(lease("L2")), undefined);
  assert.deepEqual(w.asked(), ["d: L2 is cancelled"]);
  w.report("N1", 1);
  assert.deepEqual(w.asked(), []);
});

test("a cancellation that crosses the raylet's giving back is answered all the same", () => {
  const w = new World(1, 1);
  const request = w.place("L1");
  w.asked();
  assert.equal(w.scheduler.cancel(lease("L1")), "N1"); // it does not know the request any more
  w.scheduler.spilled(node("N1"), request, cpus(0));
  assert.deepEqual(w.asked(), ["d: L1 is cancelled"]);
});

test("a cancellation is answered when the node dies that it was under way to, and needs none when that has answered", () => {
  const w = new World(2, 2);
  w.place("L1");
  w.place("L2");
  w.place("L3");
  w.asked();
  for (const name of ["L1", "L2", "L3"]) w.scheduler.cancel(lease(name));
  w.scheduler.ended(lease("L2")); // the raylet had it queued
  w.scheduler.granted(lease("L3")); // the raylet was faster
  w.scheduler.removeNode(node("N1"));
  w.scheduler.removeNode(node("N2"));
  assert.deepEqual(w.asked(), ["d: L1 is cancelled"]);
});

test("nobody's requests go nowhere; an actor's is everybody's who holds it", () => {
  const w = new World(1);
  w.place("L1");
  w.place("L2");
  w.asked();
  w.place("A", { leaseId: lease("A.0"), taskId: task("A") });
  w.asked();
  w.scheduler.ownerDied(process("d"));
  w.report("N1", 1);
  assert.deepEqual(w.asked(), ["A.0 to N1"]);
  w.scheduler.granted(lease("A.0"));
  w.scheduler.removeNode(node("N1"));
  assert.deepEqual(w.asked(), []);
});

// ── Nodes come and go ───────────────────────────────────────────────────────────────────────────────────────────────

test("what a dead node had not granted is placed elsewhere, and what waited is judged anew", () => {
  const w = new World(1, 1, 2);
  w.place("L1", { strategy: { kind: "node", nodeId: "N1", soft: true } });
  w.report("N2", 0);
  w.report("N3", 0);
  w.place("L2", { demand: cpus(2) });
  w.asked();
  w.scheduler.removeNode(node("N1"));
  assert.deepEqual(w.asked(), ["N2: leases are wanted", "N3: leases are wanted", "N3: leases are wanted"]);
  w.scheduler.removeNode(node("N3"));
  w.scheduler.removeNode(node("N3"));
  assert.ok(w.asked().includes("L2 is infeasible: node N2: needs CPU 2, has 1"));
  w.report("N2", 1);
  assert.deepEqual(w.asked(), ["L1 to N2"]);
});

test("a request for a node that died is refused", () => {
  const w = new World(1, 1);
  w.report("N2", 0);
  w.place("L1", { strategy: { kind: "node", nodeId: "N2", soft: false } });
  w.asked();
  w.scheduler.removeNode(node("N2"));
  assert.deepEqual(w.asked(), ["L1 is refused: TASK_UNSCHEDULABLE"]);
});

test("nothing new goes to a node that is drained, and a demand that only it could meet is said to be without hope", () => {
  const w = new World(1, 8);
  w.scheduler.drainNode(node("N2"));
  w.scheduler.drainNode(node("unknown"));
  w.place("L1");
  w.place("L2");
  assert.deepEqual(w.asked(), ["L1 to N1", "N1: leases are wanted"]);
  w.place("large", { demand: cpus(8) });
  assert.match(w.asked().join(), /^large is infeasible/);
});

test("a node that comes gives hope to what it can take, also when it is taken by others first", () => {
  const w = new World(1);
  w.place("L1", { demand: cpus(4) });
  w.place("L2", { demand: cpus(4) });
  w.place("L3", { demand: cpus(8) });
  w.asked();
  w.scheduler.addNode(nodeInfo("N2", 4));
  assert.deepEqual(w.asked(), ["L1 to N2", "L2 is infeasible: "]);
});

test("what cannot be met waits even in a cluster without nodes", () => {
  const w = new World();
  w.place("L1");
  assert.deepEqual(w.asked(), ["L1 is infeasible: the cluster has no nodes"]);
  w.scheduler.addNode(nodeInfo("N1"));
  assert.deepEqual(w.asked(), ["L1 to N1"]);
  assert.equal(w.scheduler.has(node("N1")), true);
});
