// A lost object is made again by its task, with what that needs, within its retries; a spec is kept as long as it can help.
// Method: an object table and the records; the test is the raylets: it grants leases, registers copies, answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../../test/support/messages.js";
import { failure, func, job, node, process } from "../../../test/support/names.js";
import type { LeaseId, ObjectId, TaskId } from "../../base/ids.js";
import { objectIdOf, promotedIdOf } from "../../base/ids.js";
import type { LeaseRequest, LineageSpec } from "../../protocol/messages.js";
import { amountsOf } from "../resources.js";
import { Lineage } from "./lineage.js";
import { ObjectTable } from "./object-table.js";

const D = process("d");
const W = process("w", "N3");

/** Tasks are one letter; their ids have the length that ids have. */
function taskOf(name: string): TaskId {
  return name.repeat(32) as TaskId;
}

function resultOf(name: string, index = 0): ObjectId {
  return objectIdOf(taskOf(name), index);
}

function short(text: string): string {
  return text.replace(/([a-f])\1{31}(0000)?/g, "$1");
}

class World {
  readonly table: ObjectTable;
  readonly lineage: Lineage;
  readonly requests: LeaseRequest[] = [];
  readonly #lines = new Lines();

  constructor(maxBytes?: number, maxObjects?: number) {
    const say = (text: string) => this.#lines.add(short(text));
    this.table = new ObjectTable(
      {
        objectAvailable: (to, id, { locations }) => say(`${to}: ${id} is on ${[...locations].join(", ")}`),
        objectGone: (to, id, { code, message }) => say(`${to}: ${id} is gone, ${code}: ${message}`),
        freeObject: (on, id) => say(`${on}: free ${id}`),
        unreachable: (id) => this.lineage.freed(id as ObjectId),
        promoteResult: () => {},
        becomePrimary: () => {},
        lostIsWanted: (id) => this.lineage.wanted(id),
      },
      maxObjects,
    );
    this.lineage = new Lineage(
      {
        placeTask: (request) => {
          this.requests.push(request);
          say(`run ${request.taskId} as ${request.leaseId}, run ${request.task?.attempt}`);
        },
        cancelLease: (id) => say(`cancel ${id}`),
        returnLease: (worker, id) => say(`${worker.nodeId}: return ${id}`),
        askForSpec: (id) => say(`who makes ${id}?`),
      },
      this.table,
      maxBytes,
    );
  }

  /** Driver d has a result of the task, on N2, and hands over its spec. */
  made(name: string, takes: readonly ObjectId[] = [], changes: Partial<LineageSpec> = {}): void {
    this.table.register(node("N2"), resultOf(name), 10, D.processId, []);
    this.hand(name, takes, changes);
  }

  /** The same, and what it promoted for that has come before. */
  madeWith(name: string, promoted: ObjectId): void {
    this.table.register(node("N2"), promoted, 10, D.processId, []);
    this.made(name, [promoted], { promoted: [promoted] });
    this.table.release(D.processId, promoted);
  }

  hand(name: string, takes: readonly ObjectId[] = [], changes: Partial<LineageSpec> = {}): void {
    this.lineage.register({ ...this.spec(name, takes), ...changes });
  }

  spec(name: string, takes: readonly ObjectId[]): LineageSpec {
    return {
      task: {
        taskId: taskOf(name),
        jobId: job("j1"),
        name,
        functionId: func("f"),
        owner: D,
        attempt: 0,
        depth: 0,
        numReturns: 1,
        storeResult: true,
        arguments: takes.map((objectId) => ({ kind: "object", objectId })),
      },
      demand: amountsOf({ CPU: 1 }),
      strategy: { kind: "default" },
      maxRetries: 3,
      lostAttempts: 0,
      nested: [],
      promoted: [],
      running: false,
    };
  }

  handSeveral(name: string, numReturns: number): void {
    const spec = this.spec(name, []);
    this.lineage.register({ ...spec, task: { ...spec.task, numReturns } });
  }

  drop(name: string): void {
    this.table.release(D.processId, resultOf(name));
    this.lineage.settle();
  }

  lose(): void {
    this.table.nodeDied(node("N2"));
    this.lineage.settle();
  }

  want(name: string): void {
    this.table.subscribe(node("N1"), resultOf(name), true);
    this.lineage.settle();
  }

  lease(name: string, run: number): LeaseId {
    return `${taskOf(name)}.${run.toString(16)}` as LeaseId;
  }

  /** The task has run on N3. */
  ran(name: string, run: number): void {
    this.lineage.leaseGranted(this.lease(name, run), W);
    this.table.register(node("N3"), resultOf(name), 10, undefined, [], run);
    this.lineage.rebuilt(this.lease(name, run), undefined);
    this.lineage.settle();
  }

  lost(name: string, run: number): void {
    this.lineage.leaseLost(this.lease(name, run), { code: "WORKER_CRASHED", message: "killed" });
    this.lineage.settle();
  }

  asked(): string[] {
    this.table.check();
    this.lineage.check();
    return this.#lines.take();
  }
}

test("a lost object is made again when somebody wants it, once for all who want it, and under the same id", () => {
  const w = new World();
  w.made("a");
  w.lose();
  assert.deepEqual(w.asked(), []);
  w.want("a");
  w.want("a");
  assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
  w.ran("a", 1);
  assert.deepEqual(w.asked(), ["N1: a is on N3", "N3: return a.1"]);
  w.drop("a");
  assert.deepEqual(w.asked(), ["N3: free a"]);
  assert.equal(w.lineage.size, 0);
});

test("a lost argument is made again first, also when it was let go long ago", () => {
  const w = new World();
  w.made("a");
  w.made("b", [resultOf("a")]);
  w.drop("a");
  assert.deepEqual(w.asked(), ["N2: free a"]);
  w.lose();
  w.want("b");
  assert.deepEqual(w.asked(), ["run b as b.1, run 1"]);
  assert.deepEqual(w.requests[0]?.arguments, [{ objectId: resultOf("a"), sizeBytes: 0 }]);
  w.want("a"); // the raylet of the lease brings its arguments
  assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
  w.ran("a", 1);
  w.ran("b", 1);
  const freed = ["N3: return b.1", "N3: free a"];
  assert.deepEqual(w.asked(), ["N1: a is on N3", "N3: return a.1", "N1: b is on N3", ...freed]);
  w.drop("b");
  w.asked();
  assert.equal(w.lineage.size, 0);
});

test("objects named inside arguments are there again for the task that runs again", () => {
  const w = new World();
  w.made("a");
  w.made("b", [], { nested: [resultOf("a")] });
  w.drop("a");
  w.lose();
  w.want("b");
  w.asked();
  w.want("a");
  assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
});

test("a worker that dies costs an attempt; the attempts before the loss count; then the reason is told", () => {
  const w = new World();
  w.made("a", [], { maxRetries: 3, lostAttempts: 1 });
  w.lose();
  w.want("a");
  w.lineage.leaseGranted(w.lease("a", 1), W);
  w.lost("a", 1);
  w.lost("a", 1); // said twice
  assert.deepEqual(w.asked(), ["run a as a.1, run 1", "run a as a.2, run 2"]);
  w.lineage.leaseGranted(w.lease("a", 2), W);
  w.lineage.nodeDied(node("N3"), failure("NODE_DIED"));
  w.lineage.settle();
  const [told = "", ...others] = w.asked();
  assert.deepEqual(others, []);
  assert.match(told, /^N1: a is gone, OBJECT_RECONSTRUCTION: .*node N2.* 4 attempts \(maxRetries 3\)/);
  w.want("a");
  assert.match(w.asked().join(), /^N1: a is gone, OBJECT_RECONSTRUCTION/);
});

test("without end means without end", () => {
  const w = new World();
  w.made("a", [], { maxRetries: undefined });
  w.lose();
  w.want("a");
  for (let run = 1; run < 100; run++) w.lost("a", run);
  assert.equal(w.asked().at(-1), "run a as a.64, run 100");
});

test("a loss after which nobody waits any more is left as it is", () => {
  const w = new World();
  w.made("a");
  w.lose();
  w.want("a");
  w.asked();
  w.table.unsubscribe(node("N1"), resultOf("a"));
  w.lost("a", 1);
  assert.deepEqual(w.asked(), []);
  w.want("a");
  assert.deepEqual(w.asked(), ["run a as a.2, run 2"]);
});

test("what cannot be made again is gone with its reason: a put, an argument that was put, code that throws", () => {
  const w = new World();
  w.table.register(node("N2"), resultOf("c"), 10, D.processId, []);
  w.made("a");
  w.made("b", [resultOf("c")]);
  w.lose();
  w.want("c");
  assert.deepEqual(w.asked(), ["who makes c?"]);
  w.lineage.noSpec(resultOf("c"));
  assert.match(w.asked().join(), /^N1: c is gone, OBJECT_LOST: .*node N2/);
  w.want("a");
  w.lineage.leaseGranted(w.lease("a", 1), W);
  w.lineage.rebuilt(w.lease("a", 1), { code: "TASK", message: "RangeError: too far" });
  const [run, back, told = ""] = w.asked();
  assert.deepEqual([run, back], ["run a as a.1, run 1", "N3: return a.1"]);
  assert.match(told, /^N1: a is gone, OBJECT_RECONSTRUCTION: .*a \(a\) ran again and failed: RangeError: too far/);
  w.want("b");
  w.lineage.leaseRefused(w.lease("b", 1), failure("OBJECT_LOST"));
  assert.match(w.asked().join(), /^run b as b.1, run 1,N1: b is gone, OBJECT_RECONSTRUCTION: .*could not run again/);
});

test("a spec that comes after the question is in time, and helps even after the answer", () => {
  for (const isTold of [false, true]) {
    const w = new World();
    w.table.register(node("N2"), resultOf("a"), 10, D.processId, []);
    w.lose();
    w.want("a");
    assert.deepEqual(w.asked(), ["who makes a?"]);
    if (isTold) w.lineage.noSpec(resultOf("a"));
    assert.equal(/OBJECT_LOST/.test(w.asked().join()), isTold);
    w.hand("a");
    if (isTold) w.want("a");
    w.lineage.settle();
    assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
    w.lineage.noSpec(resultOf("a"));
    assert.deepEqual(w.asked(), []);
  }
});

test("the first result stands: a late first copy ends the waiting, and the second is freed", () => {
  const w = new World();
  w.made("a");
  w.lose();
  w.want("a");
  w.table.register(node("N4"), resultOf("a"), 10, undefined, [], 0); // a replica that was on its way
  assert.deepEqual(w.asked(), ["run a as a.1, run 1", "N1: a is on N4"]);
  w.ran("a", 1);
  assert.deepEqual(w.asked(), ["N3: free a", "N3: return a.1"]);
});

test("specs go with the last result, and with the job; a lease that was not granted is cancelled", () => {
  const w = new World();
  w.madeWith("a", promotedIdOf(taskOf("a"), 1));
  w.made("b", [resultOf("a")]);
  w.made("c", [resultOf("b")]);
  w.drop("b");
  w.drop("a");
  assert.equal(w.lineage.size, 3);
  w.lose();
  w.want("c");
  w.asked();
  w.drop("c");
  assert.deepEqual(w.asked(), ["cancel c.1"]);
  assert.deepEqual([w.lineage.size, w.table.size], [0, 0]);
  w.made("a");
  w.lose();
  w.want("a");
  w.lineage.jobEnded(job("j1"));
  assert.deepEqual(w.asked(), ["run a as a.1, run 1", "cancel a.1"]);
  assert.equal(w.lineage.size, 0);
});

test("a spec keeps what was promoted for it, and is not taken when that was refused", () => {
  const w = new World();
  const promoted = promotedIdOf(taskOf("a"), 0);
  w.made("a", [promoted], { promoted: [promoted] });
  assert.deepEqual([w.lineage.size, w.table.size], [0, 1]);
  w.madeWith("a", promoted);
  assert.deepEqual([w.lineage.size, w.table.size], [1, 2]);
  w.drop("a");
  assert.deepEqual([w.lineage.size, w.table.size], [0, 0]);
  assert.deepEqual(w.asked(), ["N2: free a", `N2: free ${short(promoted)}`]);
});

test("a result whose ref leaves its owner after the spec is made again as well", () => {
  const w = new World();
  w.table.register(node("N2"), resultOf("a"), 10, D.processId, []);
  w.handSeveral("a", 2);
  w.table.register(node("N2"), resultOf("a", 1), 10, D.processId, []);
  w.lose();
  w.table.subscribe(node("N1"), resultOf("a", 1), true);
  w.lineage.settle();
  assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
});

test("a spec whose results nobody holds is not kept, and said twice it is one", () => {
  const w = new World();
  w.hand("a");
  assert.equal(w.lineage.size, 0);
  w.made("b");
  w.hand("b");
  assert.equal(w.lineage.size, 1);
});

test("what was let go needs an entry again: an object table without room says so, and goes on", () => {
  const w = new World(undefined, 2);
  w.made("a");
  w.made("b", [resultOf("a")]);
  w.drop("a");
  w.made("c");
  w.lose();
  w.asked();
  w.want("b");
  assert.match(w.asked().join("; "), /b is gone, OBJECT_RECONSTRUCTION: .* no room .* 2 objects/);
  w.want("c");
  assert.deepEqual(w.asked(), ["run c as c.1, run 1"]);
});

test("beyond the limit the oldest specs are forgotten, and that is said", () => {
  const w = new World(1_600);
  for (const name of ["a", "b", "c", "d"]) w.made(name, name === "d" ? [resultOf("c")] : []);
  assert.ok(w.lineage.size < 4);
  w.lose();
  w.want("a");
  assert.match(w.asked().join(), /^N1: a is gone, OBJECT_RECONSTRUCTION: .*forgotten/);
  w.want("d");
  assert.deepEqual(w.asked(), ["run d as d.1, run 1"]);
});

// ── Tasks that their owners still have run ──────────────────────────────────────────────────────────────────────────

/** The ref left before there was a value; a copy came and went, and the owner has not said that it knows. */
function unanswered(changes: Partial<LineageSpec> = {}): World {
  const w = new World();
  w.table.declare(D.processId, resultOf("a"));
  w.table.addHold(process("b").processId, resultOf("a"));
  w.hand("a", [], { running: true, ...changes });
  w.table.register(node("N2"), resultOf("a"), 10, D.processId, []);
  w.lose();
  w.want("a");
  assert.deepEqual(w.asked(), []); // its owner may be about to try again: nobody else does
  return w;
}

function update(w: World, state: "running" | "done" | "void", lostAttempts = 0): void {
  w.lineage.update(D.processId, { taskId: taskOf("a"), lostAttempts, run: lostAttempts, state });
  w.lineage.settle();
}

test("what an owner lost before it knew of it is made again as soon as it says that it is done", () => {
  const w = unanswered();
  update(w, "running", 1);
  assert.deepEqual(w.asked(), []);
  w.lineage.update(process("b").processId, { taskId: taskOf("a"), lostAttempts: 0, run: 0, state: "void" });
  update(w, "done", 1);
  assert.deepEqual(w.asked(), ["run a as a.2, run 2"]);
});

test("an owner that dies between its answer and its word of it leaves what was lost to be made again", () => {
  const w = unanswered({ maxRetries: 1 });
  w.lineage.ownerDied(D.processId);
  w.lineage.settle();
  assert.deepEqual(w.asked(), ["run a as a.1, run 1"]);
  w.table.makerDied(D.processId, failure("OWNER_DIED"));
  w.table.holderDied(D.processId);
  w.lineage.settle();
  assert.deepEqual(w.asked(), []);
  w.ran("a", 1);
  assert.deepEqual(w.asked(), ["N1: a is on N3", "N3: return a.1"]);
});

test("an owner that dies while it tries again leaves that, too; attempts it had count", () => {
  const w = unanswered({ maxRetries: 1 });
  w.table.declare(D.processId, resultOf("a"), W);
  update(w, "running", 1);
  w.asked();
  w.lineage.ownerDied(D.processId);
  w.table.makerDied(D.processId, failure("OWNER_DIED"));
  w.lineage.settle();
  assert.match(w.asked().join(), /^N1: a is gone, OBJECT_RECONSTRUCTION: .* has had 2 attempts \(maxRetries 1\)/);
});

test("a task that came to nothing leaves no spec", () => {
  const w = unanswered();
  update(w, "void");
  assert.equal(w.lineage.size, 0);
  w.table.register(node("N3"), resultOf("a"), 10, D.processId, [], 1); // what it threw
  assert.deepEqual(w.asked(), ["N1: a is on N3"]);
});
