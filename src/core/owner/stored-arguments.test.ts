// A task with stored arguments runs where the schedulers have brought them, and nowhere else.
// Method: play the raylet and the workers by hand: grant, hand back, lose leases, and read where the task goes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseGranted, leaseRequest } from "../../../test/support/messages.js";
import { context, failure, object, process } from "../../../test/support/names.js";
import { namedTask } from "../../../test/support/owner.js";
import { amountsOf } from "../resources.js";
import type { Lease } from "./key-queue.js";
import { LeasePool } from "./lease-pool.js";
import { ObjectEntry, type Task } from "./records.js";

class World {
  readonly pool: LeasePool;
  readonly leases: Lease[] = [];
  readonly #lines = new Lines();

  constructor() {
    const say = this.#lines.add;
    this.pool = new LeasePool(process("d"), {
      sendToRaylet: (message) => say(message.type === "requestLease" ? `ask for ${message.name}` : message.type),
      send: (_to, message) => say(message.type),
      leaseRequest: (leaseId, task) => leaseRequest(leaseId, { name: task.template.name }),
      connect: (made) => this.leases.push(made),
      push: (made, task) => say(`push ${task.template.name} to ${made.id}`),
      disconnect: (made) => say(`leave ${made.id}`),
      taskForwarded: () => {},
      runsAt: () => {},
      runsAgain: () => {},
      finished: (task) => say(`${task.template.name} ends`),
      endedLate: () => {},
    });
    this.pool.clusterTotals(amountsOf({ CPU: 4 }));
    this.pool.tick(1_000);
  }

  /** A task that takes another owner's object. */
  submit(name: string): Task {
    const entry = new ObjectEntry(context(""), 0, 0, undefined, object("large"));
    const task = namedTask(name, {}, [entry]);
    this.pool.submitAlone(task);
    return task;
  }

  grant(number: number, dispatched: boolean): Lease {
    this.pool.leaseGranted(leaseGranted(`d.${number}`, process(`w${number}`), { dispatched }));
    const made = this.leases.at(-1);
    assert.ok(made !== undefined);
    return made;
  }

  asked(): string[] {
    this.pool.check();
    return this.#lines.take();
  }
}

test("handed back because an argument was lost, it asks for another lease and gives this one back", () => {
  const w = new World();
  const task = w.submit("t");
  const first = w.grant(1, true);
  w.pool.connected(first);
  w.asked();
  w.pool.handedBack(first, [0], false);
  assert.deepEqual(w.asked(), ["ask for t", "leave d.1", "returnLease"]);
  assert.deepEqual([task.state, task.attempt], ["requested", 0]);
});

test("its worker lost, it asks for another lease; no open lease of its kind takes it", () => {
  const w = new World();
  w.pool.submit(namedTask("other"));
  const open = w.grant(1, true);
  w.pool.connected(open);
  w.submit("t");
  const second = w.grant(2, true);
  w.pool.connected(second);
  w.asked();
  w.pool.leaseLost(second.id, failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["leave d.2", "ask for t"]);
});

test("granted without having been dispatched, it waits for the lease that was granted for it", () => {
  const w = new World();
  const task = w.submit("t");
  const first = w.grant(1, false);
  assert.equal(task.state, "queued");
  w.asked();
  w.pool.connected(first);
  assert.deepEqual(w.asked(), ["push t to d.1"]);
  w.submit("u");
  const second = w.grant(2, false);
  w.pool.leaseLost(second.id, failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["ask for u", "leave d.2", "ask for u"]);
  const late = w.submit("v");
  const third = w.grant(4, false);
  w.pool.withdraw(late);
  w.asked();
  w.pool.connected(third);
  assert.deepEqual(w.asked(), []);
});
