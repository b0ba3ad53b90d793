// Every submitted task reaches a worker or its end, by as few leases as are useful, and no lease is kept for nothing.
// Method: play the raylet and the workers by hand, and read what the pool asked of them, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, leaseGranted, leaseRequest } from "../../../test/support/messages.js";
import { context, failure, lease, node, object, process } from "../../../test/support/names.js";
import { namedTask, outcomeLine, RETURNED } from "../../../test/support/owner.js";
import {
  FIRST_REDIAL_MS,
  LEASE_IDLE_MS,
  LEASE_REASON_WAIT_MS,
  MAX_OPEN_REQUESTS_PER_KEY,
  MAX_PIPELINE_DEPTH,
  MAX_PUSHES_PER_LEASE,
  MAX_REDIAL_MS,
  MAX_REFUSED_DIALS,
  RECALL_AFTER_MS,
  RECALL_PAUSE_MS,
  WORKER_DIAL_TIMEOUT_MS,
} from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import { amountsOf } from "../resources.js";
import type { Grant, Lease } from "./key-queue.js";
import { LeasePool } from "./lease-pool.js";
import { ObjectEntry, type Task } from "./records.js";

const FAST_MS = 0.001;
const SLOW_MS = 5;
const HEARD_MS = 1_000;

function leaseLine(message: Message): string {
  return "leaseId" in message ? `${message.type} ${message.leaseId.slice(2)}` : message.type;
}

/** The owner is process `d`; its leases are numbered from 1. */
class World {
  readonly pool: LeasePool;
  readonly #lines = new Lines();
  readonly #leases = new Map<string, Lease>();

  constructor(cpus = 4) {
    const say = this.#lines.add;
    this.pool = new LeasePool(process("d"), {
      sendToRaylet: (message) =>
        say(
          message.type === "requestLease" ? `ask ${message.leaseId.slice(2)} for ${message.name}` : leaseLine(message),
        ),
      send: (to, message) => say(`${to.nodeId}: ${leaseLine(message)}`),
      leaseRequest: (leaseId, task) => leaseRequest(leaseId, { name: task.template.name }),
      connect: (made) => {
        this.#leases.set(made.id.slice(2), made);
        say(`dial ${made.id.slice(2)}`);
      },
      push: (made, task) => say(`push ${task.template.name} to ${made.id.slice(2)}`),
      disconnect: (made) => say(`leave ${made.id.slice(2)}`),
      taskForwarded: (task) => say(`${task.template.name} went to the global scheduler`),
      runsAt: (task, worker) => say(`${task.template.name} is at ${worker.processId}`),
      runsAgain: () => {},
      finished: (task, outcome) => say(`${task.template.name} ${outcomeLine(outcome)}`),
      endedLate: (task) => say(`${task.template.name} late`),
    });
    this.pool.clusterTotals(amountsOf({ CPU: cpus }));
    this.pool.tick(HEARD_MS);
  }

  submit(...names: readonly string[]): Task[] {
    const tasks = names.map((name) => namedTask(name));
    for (const task of tasks) this.pool.submit(task);
    return tasks;
  }

  /** The raylet grants; the first task is with the worker already, unless it was too large to ride along. */
  grant(number: string, changes: Partial<Grant> = {}): void {
    this.pool.leaseGranted(leaseGranted(`d.${number}`, process(`w${number}`), changes));
  }

  open(number: string, changes: Partial<Grant> = {}): void {
    this.grant(number, changes);
    this.pool.connected(this.lease(number));
  }

  lease(number: string): Lease {
    const made = this.#leases.get(number);
    assert.ok(made !== undefined, `lease ${number} was granted`);
    return made;
  }

  /** The worker answers its oldest task. */
  answer(number: string, runTimeMs = SLOW_MS): void {
    const made = this.lease(number);
    const [oldest] = made.inFlight.keys();
    this.pool.answered(made, oldest ?? -1, RETURNED, runTimeMs);
    this.pool.settle(made);
  }

  /** What was asked of the world since the last time; the pool's invariants hold. */
  asked(): string[] {
    this.pool.check();
    return this.#lines.take();
  }

  /** A pool whose one lease, number 1, is idle, and whose tasks are known to be fast. */
  static warm(cpus = 1, changes: Partial<Grant> = {}): World {
    const w = new World(cpus);
    w.submit("first");
    w.open("1", changes);
    w.answer("1", FAST_MS);
    for (const name of ["a", "b", "c", "d"]) {
      w.submit(name);
      w.answer("1", FAST_MS);
    }
    w.asked();
    return w;
  }
}

test("the first task rides with its lease request; the next goes straight to the worker", () => {
  const w = new World();
  w.submit("t1");
  assert.deepEqual(w.asked(), ["ask 1 for t1"]);
  w.open("1");
  w.answer("1");
  assert.deepEqual(w.asked(), ["dial 1", "t1 returned"]);
  w.submit("t2");
  assert.deepEqual(w.asked(), ["push t2 to 1"]);
});

test("of a task that rode along the worker is told, if refs of its results have left meanwhile", () => {
  const w = new World();
  const [task] = w.submit("t1");
  assert.ok(task !== undefined);
  task.storeResult = true;
  w.asked();
  w.grant("1");
  assert.deepEqual(w.asked(), ["t1 is at w1", "dial 1"]);
  assert.equal(w.pool.runnerOf(task)?.processId, "w1");
});

test("a task that could not ride along is pushed when the worker is connected", () => {
  const w = new World();
  w.submit("t1");
  w.grant("1", { dispatched: false });
  assert.deepEqual(w.asked(), ["ask 1 for t1", "dial 1"]);
  w.pool.connected(w.lease("1"));
  assert.deepEqual(w.asked(), ["push t1 to 1"]);
});

test("no more leases are asked for than the cluster could hold, nor than the limit", () => {
  const small = new World(2);
  small.submit("t1", "t2", "t3");
  assert.deepEqual(small.asked(), ["ask 1 for t1", "ask 2 for t2"]);

  const large = new World(1_000);
  large.submit(...Array.from({ length: 50 }, (_, i) => `t${i}`));
  assert.equal(large.asked().length, MAX_OPEN_REQUESTS_PER_KEY);
});

test("when the cluster grows, tasks that wait ask for more leases", () => {
  const w = new World(1);
  w.submit("t1", "t2");
  assert.deepEqual(w.asked(), ["ask 1 for t1"]);
  w.pool.clusterTotals(amountsOf({ CPU: 2 }));
  assert.deepEqual(w.asked(), ["ask 2 for t2"]);
});

test("a worker gets no more ahead than it runs in two milliseconds: other workers take the rest", () => {
  const w = new World(2);
  w.submit("first");
  w.open("1");
  w.answer("1", 0.5);
  for (const name of ["a", "b", "c", "d"]) {
    w.submit(name);
    w.answer("1", 0.5);
  }
  w.asked();
  w.submit("t1", "t2", "t3", "t4", "t5");
  assert.deepEqual(w.asked(), ["push t1 to 1", "push t2 to 1", "push t3 to 1", "push t4 to 1", "ask 2 for t5"]);
});

test("a worker gets one task at a time until the key is known to be fast, then many", () => {
  const w = new World(1);
  w.submit("t1", "t2", "t3");
  w.open("1");
  assert.deepEqual(w.asked(), ["ask 1 for t1", "dial 1"]);
  w.answer("1", FAST_MS);
  assert.deepEqual(w.asked(), ["t1 returned", "push t2 to 1"]);

  const fast = World.warm();
  fast.submit("t1", "t2", "t3");
  assert.deepEqual(fast.asked(), ["push t1 to 1", "push t2 to 1", "push t3 to 1"]);
  fast.submit(...Array.from({ length: MAX_PIPELINE_DEPTH }, (_, i) => `more${i}`));
  assert.equal(fast.lease("1").inFlight.size, MAX_PIPELINE_DEPTH);
});

test("tasks that must not run twice are never pushed ahead of an answer: nobody could say which had started", () => {
  const w = new World(1);
  for (let i = 0; i < 8; i++) w.pool.submit(namedTask(`t${i}`, { maxRetries: 0 }));
  w.open("1");
  for (let i = 0; i < 6; i++) {
    w.answer("1", FAST_MS);
    assert.equal(w.lease("1").inFlight.size, 1);
  }
});

test("when the median run time grows, the pipeline is one task deep again", () => {
  const w = World.warm();
  for (let i = 0; i < 6; i++) {
    w.submit(`slow${i}`);
    w.answer("1", SLOW_MS);
  }
  w.asked();
  w.submit("t1", "t2");
  assert.deepEqual(w.asked(), ["push t1 to 1"]);
});

test("handed-back tasks keep their order and lose no attempt; nothing more goes there until it answers", () => {
  const w = World.warm();
  const [, t2, t3] = w.submit("t1", "t2", "t3");
  w.asked();
  w.pool.handedBack(w.lease("1"), [...w.lease("1").inFlight.keys()].slice(1), false);
  assert.deepEqual([t2?.attempt, t3?.attempt], [0, 0]);
  assert.deepEqual(w.asked(), []); // the cluster has one CPU, and the lease has it
  w.answer("1");
  assert.deepEqual(w.asked().slice(0, 2), ["t1 returned", "push t2 to 1"]);
});

test("a blocked lease counts for nothing: the tasks behind it ask for another", () => {
  const w = World.warm();
  w.submit("gated", "opener");
  w.asked();
  const [, opener] = w.lease("1").inFlight.keys();
  w.pool.handedBack(w.lease("1"), [opener ?? -1], true);
  assert.deepEqual(w.asked(), ["ask 2 for opener"]);
});

test("a lease whose first task waits counts for nothing, also while its worker is being dialled; late word says nothing", () => {
  const w = new World(1);
  w.submit("gated", "opener");
  w.grant("1");
  w.asked();
  w.pool.leaseBlocked(lease("d.1"));
  w.pool.leaseBlocked(lease("d.1"));
  assert.deepEqual(w.asked(), ["ask 2 for opener"]);
  w.pool.connected(w.lease("1"));
  w.answer("1");
  w.submit("t3");
  w.asked();
  w.pool.leaseBlocked(lease("d.1"));
  assert.equal(w.lease("1").blockedBy, undefined);
  w.pool.leaseBlocked(lease("d.9"));
});

test("a task that was handed back after its end is not started again", () => {
  const w = World.warm();
  const [, t2] = w.submit("t1", "t2");
  const sequences = [...w.lease("1").inFlight.keys()].slice(1);
  if (t2 !== undefined) t2.state = "done"; // its time was up
  w.pool.handedBack(w.lease("1"), sequences, true);
  assert.deepEqual(w.asked(), ["push t1 to 1", "push t2 to 1"]);
});

test("what waits behind a task that does not end is recalled, after its time; then it goes elsewhere, once", () => {
  const w = World.warm(2);
  const [, t2, t3] = w.submit("t1", "t2", "t3");
  w.asked();
  w.pool.tick(HEARD_MS);
  w.pool.tick(HEARD_MS + RECALL_AFTER_MS - 1);
  assert.deepEqual(w.asked(), []);
  w.pool.tick(HEARD_MS + RECALL_AFTER_MS);
  assert.deepEqual(w.asked(), ["N1: recallTasks 1"]);
  const [running, , last] = w.lease("1").inFlight.keys();
  w.submit("t4");
  assert.deepEqual(w.asked(), ["ask 2 for t4"]); // nothing more goes behind it
  w.pool.tasksRecalled(lease("d.1"), last ?? -1, running ?? -1);
  w.pool.tasksRecalled(lease("d.1"), last ?? -1, running ?? -1);
  w.pool.handedBack(w.lease("1"), [(running ?? 0) + 1, last ?? -1], false); // the worker, when it reads again
  assert.deepEqual([t2?.attempt, t3?.attempt, t2?.state, t3?.state], [0, 0, "queued", "queued"]);
  assert.deepEqual(w.asked(), []); // the cluster has no room for a third lease
  w.open("2");
  w.answer("2", FAST_MS);
  assert.deepEqual(w.asked(), ["dial 2", "push t2 to 2", "push t3 to 2", "t4 returned"]);
});

test("only what has not been started is recalled, and only what the recall was for", () => {
  const w = World.warm(2);
  w.submit("t1", "t2", "t3", "t4");
  w.asked();
  const [first = 0] = w.lease("1").inFlight.keys();
  w.pool.tasksRecalled(lease("d.1"), first + 2, first + 1);
  assert.deepEqual(w.lease("1").inFlight.keys(), [first, first + 1, first + 3]);
  assert.deepEqual(w.asked(), ["ask 2 for t3"]);
  w.pool.tasksRecalled(lease("d.9"), 9, 0); // a lease that has ended
});

test("a task that was recalled after its end is not started again", () => {
  const w = World.warm(2);
  const [, t2] = w.submit("t1", "t2");
  w.asked();
  const [first = 0] = w.lease("1").inFlight.keys();
  if (t2 !== undefined) t2.state = "done"; // its time was up
  w.pool.tasksRecalled(lease("d.1"), first + 1, first);
  assert.deepEqual(w.asked(), []);
});

test("a recall without an answer is asked for again after a while; an answer of the worker ends that", () => {
  const w = World.warm(2);
  w.submit("t1", "t2", "t3");
  w.asked();
  let now = HEARD_MS;
  for (let ms = 0; ms <= 2 * (RECALL_AFTER_MS + RECALL_PAUSE_MS); ms++) w.pool.tick(now++);
  assert.deepEqual(w.asked(), ["N1: recallTasks 1", "N1: recallTasks 1"]);
  w.answer("1", FAST_MS);
  assert.deepEqual(w.asked(), ["t1 returned"]);
  for (let ms = 0; ms < RECALL_AFTER_MS; ms++) w.pool.tick(now++);
  assert.deepEqual(w.asked(), []);
});

test("nothing is recalled from behind a task that has nobody behind it, nor pushed there any more", () => {
  const w = World.warm(2);
  w.submit("t1");
  w.asked();
  for (const ms of [0, RECALL_AFTER_MS]) w.pool.tick(HEARD_MS + ms);
  assert.deepEqual(w.asked(), []);
  w.submit("t2");
  assert.deepEqual(w.asked(), ["ask 2 for t2"]);
});

test("a worker from which nothing can be recalled gets one task at a time, while another one could be had", () => {
  for (const changes of [{ recallable: false }, { worker: process("d") }]) {
    const many = World.warm(2, changes);
    many.submit("t1", "t2");
    assert.deepEqual(many.asked(), ["push t1 to 1", "ask 2 for t2"]);
    const one = World.warm(1, changes);
    one.submit("t1", "t2");
    assert.deepEqual(one.asked(), ["push t1 to 1", "push t2 to 1"]);
    for (const ms of [0, RECALL_AFTER_MS]) one.pool.tick(HEARD_MS + ms);
    assert.deepEqual(one.asked(), []);
    one.pool.clusterTotals(amountsOf({ CPU: 2 }));
    one.submit("t3");
    assert.deepEqual(one.asked(), ["ask 2 for t3"]);
  }
});

test("a lease that has used up its numbers goes back when its last task has ended", () => {
  const w = World.warm(1);
  w.lease("1").nextSequence = MAX_PUSHES_PER_LEASE;
  w.submit("t1", "t2");
  assert.deepEqual(w.asked(), ["push t1 to 1"]);
  w.answer("1", FAST_MS);
  assert.deepEqual(w.asked(), ["t1 returned", "leave 1", "N1: returnLease 1", "ask 2 for t2"]);
});

test("a worker that is free takes over a task that waits for another lease", () => {
  const w = new World(2);
  w.submit("t1", "t2");
  w.open("1");
  w.answer("1");
  assert.deepEqual(w.asked(), ["ask 1 for t1", "ask 2 for t2", "dial 1", "t1 returned", "cancelLease 2"]);
  w.pool.leaseCancelled(lease("d.2"));
  assert.deepEqual(w.asked(), ["push t2 to 1"]);
});

test("a grant that crosses the cancellation is used; the cancellation is then without effect", () => {
  const w = new World(2);
  w.submit("t1", "t2");
  w.open("1");
  w.answer("1");
  w.asked();
  w.open("2"); // its raylet had granted before it heard of the cancellation, and answers nothing
  w.answer("2");
  assert.deepEqual(w.asked(), ["dial 2", "t2 returned"]);
});

test("what had begun before its request could be withdrawn is ended with its worker, and its late end is known of", () => {
  for (const ends of ["worker", "word"] as const) {
    const w = new World();
    const [task] = w.submit("a");
    if (task === undefined) return assert.fail();
    w.asked();
    assert.equal(w.pool.withdraw(task), undefined);
    task.state = "done"; // its time was up
    w.pool.leaseGranted(leaseGranted("d.1", process("w1"), { dispatched: true }));
    w.pool.leaseGranted(leaseGranted("d.1", process("w1"), { dispatched: true }));
    w.submit("b");
    assert.deepEqual(w.asked(), ["cancelLease 1", "N1: killLeasedWorker 1", "ask 2 for b"]);
    if (ends === "worker") w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
    else w.pool.tick(1e6);
    assert.deepEqual(
      w.asked().filter((line) => !line.startsWith("N1: ")),
      ["leave 1", "a late"],
    );
  }
});

test("a request that is withdrawn in time is nothing any more", () => {
  const w = new World();
  const [task] = w.submit("a");
  if (task === undefined) return assert.fail();
  w.pool.withdraw(task);
  task.state = "done";
  w.asked();
  w.pool.leaseCancelled(lease("d.1"));
  w.pool.leaseGranted(leaseGranted("d.1", process("w1"), { dispatched: true }));
  assert.deepEqual(w.asked(), ["N1: killLeasedWorker 1"]);
  assert.equal(w.pool.hasLeases, false);
});

test("an idle lease goes back after its time, and not before", () => {
  const w = new World();
  w.submit("t1");
  w.open("1");
  w.answer("1");
  w.asked();
  w.pool.tick(HEARD_MS + LEASE_IDLE_MS);
  assert.deepEqual(w.asked(), []);
  w.pool.tick(HEARD_MS + LEASE_IDLE_MS + 1);
  assert.deepEqual(w.asked(), ["leave 1", "N1: returnLease 1"]);
  assert.equal(w.pool.hasLeases, false);
});

test("a lease whose worker is still being dialled is not idle", () => {
  const w = new World();
  w.submit("t1");
  w.grant("1", { dispatched: false });
  w.asked();
  w.pool.tick(HEARD_MS + 10 * LEASE_IDLE_MS);
  assert.deepEqual(w.asked(), []);
  w.pool.connected(w.lease("1"));
  assert.deepEqual(w.asked(), ["push t1 to 1"]);
});

test("an idle lease goes back at once when this owner waits for a lease of another kind", () => {
  const w = new World();
  w.submit("t1");
  w.open("1");
  w.answer("1");
  w.asked();
  w.pool.submit(namedTask("other", { schedulingKey: "gpu" }));
  assert.deepEqual(w.asked(), ["leave 1", "N1: returnLease 1", "ask 2 for other"]);
});

test("a wanted lease goes back when it is idle; a busy one after its tenure, however many tasks wait", () => {
  const w = new World(1);
  w.submit("t1", "t2", "t3");
  w.open("1");
  w.pool.leaseWanted(lease("d.1"));
  w.pool.leaseWanted(lease("d.1"));
  w.answer("1");
  assert.deepEqual(w.asked(), ["ask 1 for t1", "dial 1", "t1 returned", "push t2 to 1"]); // within its tenure
  w.pool.tick(HEARD_MS + 101);
  w.answer("1");
  assert.deepEqual(w.asked(), ["t2 returned", "leave 1", "N1: returnLease 1", "ask 2 for t3"]);

  const idle = new World(1);
  idle.submit("t1");
  idle.open("1");
  idle.answer("1");
  idle.asked();
  idle.pool.leaseWanted(lease("d.1"));
  assert.deepEqual(idle.asked(), ["leave 1", "N1: returnLease 1"]);
});

test("a lease that another node grants as well goes back there: its first node has died, and nobody has said so yet", () => {
  const w = new World(1);
  w.submit("t");
  w.grant("1");
  assert.deepEqual(w.asked(), ["ask 1 for t", "dial 1"]);
  w.pool.leaseGranted(leaseGranted("d.1", process("w2", "N2"), { dispatched: false }));
  assert.deepEqual(w.asked(), ["N2: returnLease 1"]);
  w.pool.nodeLost(node("N1"), failure("NODE_DIED"));
  assert.deepEqual(w.asked(), ["leave 1", "ask 2 for t"]);
});

test("who waits for a large argument keeps nobody waiting: it may be made by one of those (seed 18039)", () => {
  const w = new World(1);
  const borrowed = new ObjectEntry(context("of another"), 0, 0, undefined, object("to come"));
  w.pool.submitAlone(namedTask("waits", {}, [borrowed]));
  w.submit("makes");
  assert.deepEqual(w.asked(), ["ask 1 for waits", "ask 2 for makes"]);
  w.submit("next");
  assert.deepEqual(w.asked(), []);
  w.open("2");
  w.answer("2");
  assert.deepEqual(w.asked(), ["dial 2", "makes returned", "push next to 2"]);
});

test("a task that went with its request, and is not with the lease, may have begun elsewhere: an attempt is lost (seed 46911)", () => {
  const w = new World(1);
  const once = namedTask("once", { maxRetries: 1 });
  w.pool.submit(once);
  w.grant("1", { dispatched: false });
  assert.deepEqual([once.attempt, once.run, once.state], [1, 1, "queued"]);
  w.pool.connected(w.lease("1"));
  assert.deepEqual(w.asked(), ["ask 1 for once", "dial 1", "push once to 1"]);
  w.pool.nodeLost(node("N1"), failure("NODE_DIED"));
  assert.deepEqual(w.asked(), ["leave 1", "once failed NODE_DIED"]);
  const last = namedTask("last", { maxRetries: 1 });
  last.attempt = 1;
  w.pool.submit(last);
  w.grant("2", { dispatched: false });
  assert.deepEqual(w.asked(), ["ask 2 for last", "last failed NODE_DIED", "N1: returnLease 2"]);
});

test("a lease stays blocked while what waits there does, though a task before it answers late (seed 52625)", () => {
  const w = World.warm();
  w.submit("ended", "gated");
  w.pool.handedBack(w.lease("1"), [], true); // the result of the first is on its way to the store
  w.lease("1").queue.forgetRunTimes();
  w.answer("1");
  w.submit("opener");
  assert.deepEqual(w.asked(), ["push ended to 1", "push gated to 1", "ended returned", "ask 2 for opener"]);
  w.answer("1");
  w.submit("next");
  assert.deepEqual(w.asked(), ["gated returned", "cancelLease 2", "push next to 1"]);
});

test("messages that come twice change nothing", () => {
  const w = new World();
  w.submit("t1");
  w.open("1");
  w.grant("1");
  w.answer("1");
  w.asked();
  w.pool.answered(w.lease("1"), 0, RETURNED, SLOW_MS);
  w.pool.leaseCancelled(lease("d.1"));
  w.pool.leaseRefused(lease("d.1"), failure("TASK_UNSCHEDULABLE"));
  assert.deepEqual(w.asked(), []);

  w.submit("t2");
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["push t2 to 1", "leave 1", "ask 2 for t2"]);
});

for (const [dispatched, refusal] of [
  [false, "returnLease"],
  [true, "killLeasedWorker"],
] as const) {
  test(`a grant that nobody wants any more is answered with ${refusal}: its task has begun: ${dispatched}`, () => {
    const w = new World();
    const [t1] = w.submit("t1");
    assert.ok(t1 !== undefined);
    w.pool.withdraw(t1);
    t1.state = "done"; // its time was up
    assert.deepEqual(w.asked(), ["ask 1 for t1", "cancelLease 1"]);
    w.grant("1", { dispatched });
    assert.deepEqual(w.asked(), [`N1: ${refusal} 1`]);
  });
}

test("a refused request fails its task, and the next task asks anew", () => {
  const w = new World(1);
  w.submit("t1", "t2");
  w.pool.leaseRefused(lease("d.1"), failure("TASK_UNSCHEDULABLE"));
  assert.deepEqual(w.asked(), ["ask 1 for t1", "t1 failed TASK_UNSCHEDULABLE", "ask 2 for t2"]);
});

test("a worker's death costs the running task an attempt, up to 1 + maxRetries in all", () => {
  const w = new World(1);
  w.pool.submit(namedTask("t1", { maxRetries: 1 }));
  w.open("1");
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["ask 1 for t1", "dial 1", "leave 1", "ask 2 for t1"]);
  w.open("2");
  w.pool.leaseLost(lease("d.2"), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["dial 2", "leave 2", "t1 failed WORKER_CRASHED"]);
});

test("maxRetries -1 is without end", () => {
  const w = new World(1);
  const endless = namedTask("t1", { maxRetries: -1 });
  w.pool.submit(endless);
  for (let n = 1; n <= 20; n++) {
    w.open(n.toString(16));
    w.pool.leaseLost(lease(`d.${n.toString(16)}`), failure("WORKER_CRASHED"));
  }
  assert.equal(endless.attempt, 20);
});

test("bystanders of a crash run again in their order, without losing an attempt, and one at a time", () => {
  const w = World.warm();
  const [t1, t2, t3] = w.submit("t1", "t2", "t3");
  w.asked();
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  assert.deepEqual([t1?.attempt, t2?.attempt, t3?.attempt], [1, 0, 0]);
  assert.deepEqual(w.asked(), ["leave 1", "ask 2 for t1"]);
  w.open("2");
  w.asked();
  w.answer("2", FAST_MS);
  assert.deepEqual(w.asked(), ["t1 returned", "push t2 to 2"]); // one at a time: the next crash has one suspect
  w.submit("t4", "t5", "t6");
  for (let i = 0; i < 4; i++) {
    w.answer("2", SLOW_MS);
    assert.equal(w.lease("2").inFlight.size, 1); // what was known of their speed is forgotten
  }
});

test("what is tried again does not go to another lease of the dead worker, or node: one death is one attempt (seed 8413)", () => {
  const worker = process("w");
  const deaths: readonly ((pool: LeasePool) => void)[] = [
    (pool) => ["d.1", "d.2"].map((id) => pool.leaseLost(lease(id), failure("WORKER_CRASHED"))),
    (pool) => pool.nodeLost(worker.nodeId, failure("NODE_DIED")),
  ];
  for (const die of deaths) {
    const w = new World();
    const [t1, t2] = [namedTask("t1", { maxRetries: 1 }), namedTask("t2", { maxRetries: 1 })];
    for (const task of [t1, t2]) w.pool.submit(task);
    for (const number of ["1", "2"]) {
      w.pool.leaseGranted(leaseGranted(`d.${number}`, worker));
      w.pool.connected(w.lease(number));
    }
    w.answer("2"); // it is idle
    w.asked();
    die(w.pool);
    assert.deepEqual([t1.attempt, t1.state], [1, "requested"]);
    assert.deepEqual(
      w.asked().filter((line) => !line.startsWith("leave")),
      ["ask 3 for t1"],
    );
  }
});

test("bystanders of a forced kill lose no attempt: the task that was killed had ended before", () => {
  const w = World.warm();
  const [t1, t2] = w.submit("t1", "t2");
  if (t1 !== undefined) t1.state = "done"; // it outlived its time; its worker was killed for it
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  assert.equal(t2?.attempt, 0);
  assert.equal(t2?.state, "requested");
});

test("a lost connection waits for its reason; without one the task is tried again", () => {
  const w = new World(1);
  const [t1] = w.submit("t1");
  w.open("1");
  w.pool.disconnected(w.lease("1"));
  assert.deepEqual(w.asked(), ["ask 1 for t1", "dial 1"]);
  w.pool.tick(HEARD_MS + 2_000);
  assert.deepEqual(w.asked(), []);
  w.pool.tick(HEARD_MS + 2_001);
  assert.deepEqual(w.asked(), ["N1: giveUpLease 1", "leave 1", "ask 2 for t1"]);
  assert.equal(t1?.attempt, 1);
});

test("a run that was given up may still seal its results: they are let go of when its raylet says that it cannot any more", () => {
  for (const ends of ["worker", "node"]) {
    const w = new World(1);
    w.submit("t1");
    w.open("1");
    w.pool.disconnected(w.lease("1"));
    w.pool.tick(HEARD_MS + LEASE_REASON_WAIT_MS + 1);
    w.open("2");
    w.answer("2");
    w.asked();
    const isOver = () =>
      ends === "node"
        ? w.pool.nodeLost(node("N1"), failure("NODE_DIED"))
        : w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
    isOver();
    assert.ok(w.asked().includes("t1 late"));
    isOver();
    assert.ok(!w.asked().includes("t1 late"));
  }
});

test("while a task that was given up at one worker runs at another, its results are not let go of", () => {
  const w = new World(1);
  w.submit("t1");
  w.open("1");
  w.pool.disconnected(w.lease("1"));
  w.pool.tick(HEARD_MS + LEASE_REASON_WAIT_MS + 1);
  w.open("2");
  w.asked();
  w.pool.leaseLost(lease("d.1"), failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), []);
  w.answer("2");
  assert.deepEqual(w.asked(), ["t1 returned"]);
});

test("a worker that does not answer may be busy with its first task: it is dialled again, however long that takes", () => {
  const w = new World(1);
  const [t1] = w.submit("t1");
  w.grant("1");
  w.asked();
  for (let minute = 1; minute < 100; minute++) {
    w.pool.unreached(w.lease("1"), true);
    w.pool.unreached(w.lease("1"), true);
    w.pool.tick(HEARD_MS + minute * WORKER_DIAL_TIMEOUT_MS);
    assert.deepEqual(w.asked(), ["dial 1"]);
  }
  w.pool.connected(w.lease("1"));
  w.pool.answered(w.lease("1"), 0, RETURNED, SLOW_MS);
  assert.deepEqual(w.asked(), ["t1 returned"]);
  assert.equal(t1?.attempt, 0);
});

test("a worker that refuses is dialled again with growing pauses, and given up after so many", () => {
  const w = new World(1);
  const [t1] = w.submit("t1");
  w.grant("1");
  w.asked();
  let now = HEARD_MS;
  for (let dial = 1; dial < MAX_REFUSED_DIALS; dial++) {
    const pause = Math.min(MAX_REDIAL_MS, FIRST_REDIAL_MS * 2 ** (dial - 1));
    w.pool.unreached(w.lease("1"), false);
    w.pool.tick(now + pause - 1);
    assert.deepEqual(w.asked(), []);
    now += pause;
    w.pool.tick(now);
    assert.deepEqual(w.asked(), ["dial 1"]);
  }
  w.pool.unreached(w.lease("1"), false);
  w.pool.tick(now + 2_001); // the raylet has not said why
  assert.deepEqual(w.asked(), ["N1: giveUpLease 1", "leave 1", "ask 2 for t1"]);
  assert.equal(t1?.attempt, 1);
});

test("a node's death ends the leases there and no others", () => {
  const w = new World(2);
  w.submit("t1", "t2");
  w.open("1");
  w.grant("2", { worker: process("w2", "N2") });
  w.pool.connected(w.lease("2"));
  w.asked();
  w.pool.nodeLost(node("N2"), failure("NODE_DIED"));
  assert.deepEqual(w.asked(), ["leave 2", "ask 3 for t2"]);
});

test("a task that goes alone has a request of its own, also while a lease is idle", () => {
  const w = new World();
  w.submit("t1");
  w.open("1");
  w.answer("1");
  w.asked();
  w.pool.submitAlone(namedTask("large"));
  assert.deepEqual(w.asked(), ["ask 2 for large"]);
});

test("news from the schedulers reaches the task", () => {
  const w = new World();
  const [t1] = w.submit("t1");
  w.pool.leaseForwarded(lease("d.1"));
  assert.deepEqual(w.asked(), ["ask 1 for t1", "t1 went to the global scheduler"]);
  assert.equal(w.pool.requests.infeasible(lease("d.1"), "needs GPU"), t1);
  assert.equal(t1?.infeasible, "needs GPU");
  w.grant("1");
  assert.equal(t1?.infeasible, "");
});

test("a task that is taken out is found wherever it is", () => {
  const w = new World(1);
  const [running, requested, queued] = w.submit("t1", "t2", "t3");
  assert.ok(running && requested && queued);
  w.open("1");
  w.asked();
  assert.equal(w.pool.withdraw(running), w.lease("1"));
  assert.equal(w.pool.withdraw(queued), undefined);
  assert.equal(w.pool.withdraw(requested), undefined);
  w.answer("1");
  assert.deepEqual(w.asked(), ["t1 returned"]);
});
