// A task leaves when its dependencies are ready, by the way that suits it, fails with what it depends on, and has its time.
// Method: drive a whole owner with the messages and answers it would get, in a time of our own; read what it asks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ADDRESS, Lines, leaseGranted, leaseRequest, line } from "../../../test/support/messages.js";
import { actor, connection, context, failure, lease, node, object, process } from "../../../test/support/names.js";
import { RETURNED, template } from "../../../test/support/owner.js";
import { ACTOR_REASON_WAIT_MS, INFEASIBLE_WARNING_MS } from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { amountsOf } from "../resources.js";
import type { Lease } from "./key-queue.js";
import { KILL_AFTER_ABORT_MS, Owner } from "./owner.js";
import type { ActorLink, Held, ObjectEntry, Outcome, Task, TaskTemplate } from "./records.js";

class World {
  readonly owner: Owner;
  readonly journey = new Journey("N1", () => 0);
  readonly leases: Lease[] = [];
  readonly #lines = new Lines();
  readonly #names = new Map<string, string>();
  #counter = 0;

  constructor(cpus = 4) {
    const say = (text: string) => this.#lines.add(this.#named(text));
    this.owner = new Owner(
      process("d"),
      {
        sendToRaylet: (message) => say(message.type === "requestLease" ? `ask for ${message.name}` : line(message)),
        send: (to, message) => say(`${to.processId}: ${line(message)}`),
        sendToGcs: (message) => say(line(message)),
        leaseRequest: (leaseId, task) => leaseRequest(leaseId, { name: task.template.name }),
        connectLease: (made) => this.leases.push(made),
        pushTask: (_, task) => say(`push ${task.template.name}`),
        disconnectLease: () => {},
        connectActor: (link) => say(`dial ${link.actorId}`),
        callActor: (link, task) => say(`call ${link.actorId}.${task.template.name}`),
        disconnectActor: (link) => say(`leave ${link.actorId}`),
        takeError: (bytes) => `error of ${bytes.length} bytes`,
        abortTask: (_, task) => say(`abort ${task.template.name}`),
        storeValue: (entry) => say(`store ${entry.id}`),
        registerLineage: (task) => say(`spec of ${task.template.name}`),
        updateLineage: (task) => say(`${task.template.name} is ${task.lineage}, ${task.attempt} lost`),
        announceLocal: (entry) => say(`announce ${entry.id}`),
        readLocal: () => undefined,
        readPinned: () => undefined,
        doneReadingHere: () => {},
        freeLocal: (entry) => say(`free ${entry.id}`),
        readObject: (id) => `bytes of ${id}`,
        doneReading: () => {},
        track: () => {},
        warn: (text) => say(`warn: ${text}`),
        wakeUp: () => {},
      },
      this.journey,
    );
    this.receive({
      type: "clusterTotals",
      nodes: 1,
      total: amountsOf({ CPU: cpus }),
      largest: amountsOf({ CPU: cpus }),
    });
    this.owner.tick(1_000);
  }

  /** A task whose results are called after it: `add` makes `add's 0`. */
  submit(name: string, { takes = [], nested = [], on, ...changes }: Submission = {}): Task {
    const made = template(name, changes);
    const task = this.owner.submit(made, context("0".repeat(24)), this.#counter++, 0, undefined, takes, nested, on);
    for (const entry of task.returns) {
      this.owner.references.addRef(entry);
      this.#names.set(entry.id, `${name}'s ${task.returns.indexOf(entry)}`);
    }
    return task;
  }

  receive(message: Message): boolean {
    return this.owner.receive(message);
  }

  /** Lease number `number` is granted, with its first task on its way to the worker. */
  open(number: number, dispatched = true): Lease {
    this.receive(leaseGranted(`d.${number}`, process(`w${number}`), { dispatched }));
    const made = this.leases.at(-1);
    assert.ok(made !== undefined);
    this.owner.leases.connected(made);
    return made;
  }

  answer(from: Lease, outcome: Outcome = RETURNED): void {
    const [oldest] = from.inFlight.keys();
    this.owner.leases.answered(from, oldest ?? -1, outcome, 5);
    this.owner.leases.settle(from);
  }

  actor(name: string): ActorLink {
    const link = this.owner.actors.link(actor(name), "Counter", true);
    this.owner.actors.addHandle(link);
    const alive = {
      type: "actorState",
      actorId: actor(name),
      state: "alive",
      incarnation: 1,
      reason: undefined,
      error: undefined,
    } as const;
    this.receive({ ...alive, worker: process("a"), address: ADDRESS });
    this.owner.actors.connected(link, connection("c1"));
    return link;
  }

  /** How a result stands: `inline value`, `failed OBJECT_LOST`. */
  state(entry: ObjectEntry | undefined): string {
    const { state, value, failure: reason, isError } = entry ?? {};
    return isError === true ? `threw ${value}` : `${state} ${state === "inline" ? value : (reason?.code ?? "")}`.trim();
  }

  asked(): string[] {
    this.owner.references.flush();
    this.owner.check();
    return this.#lines.take();
  }

  #named(text: string): string {
    return [...this.#names].reduce((said, [id, name]) => said.replaceAll(id, name), text);
  }
}

interface Submission extends Partial<TaskTemplate> {
  readonly takes?: readonly ObjectEntry[];
  readonly nested?: readonly Held[];
  readonly on?: ActorLink;
}

function result(task: Task, index = 0): ObjectEntry {
  const entry = task.returns[index];
  assert.ok(entry !== undefined);
  return entry;
}

// ── Dependencies ────────────────────────────────────────────────────────────────────────────────────────────────────

test("a task without dependencies leaves at once, and its result is its owner's", () => {
  const w = new World();
  const a = w.submit("a");
  assert.deepEqual(w.asked(), ["ask for a"]);
  assert.equal(w.owner.pendingCount, 1);
  w.answer(w.open(1));
  assert.equal(w.state(result(a)), "inline value");
  assert.equal(w.owner.pendingCount, 0);
});

test("a task leaves when the last result it takes is there", () => {
  const w = new World();
  const [a, b] = [w.submit("a"), w.submit("b")];
  w.submit("add", { takes: [result(a), result(b)] });
  assert.deepEqual(w.asked(), ["ask for a", "ask for b"]);
  w.answer(w.open(1));
  assert.deepEqual(w.asked(), ["cancelLease d.2"]);
  w.answer(w.open(2));
  assert.deepEqual(w.asked(), ["push add"]);
});

test("a task that takes a stored object, or another's, goes through the schedulers, also while a lease is idle", () => {
  const w = new World();
  const a = w.submit("a");
  const large: Outcome = { kind: "returned", results: [{ kind: "stored", nodeId: "N2", sizeBytes: 1_000_000 }] };
  w.answer(w.open(1), large);
  w.asked();
  w.submit("takes large", { takes: [result(a)] });
  const borrowed = w.owner.references.borrow(object("b"));
  w.owner.references.addRef(borrowed);
  w.submit("takes another's", { takes: [borrowed] });
  assert.deepEqual(w.asked(), ["ask for takes large", "ask for takes another's", "addHolds b"]);
});

test("what a task depends on stays while it is pending, though the user's refs are gone", () => {
  const w = new World();
  const borrowed = w.owner.references.borrow(object("b"));
  const inside = w.owner.references.borrow(object("c"));
  for (const entry of [borrowed, inside]) w.owner.references.addRef(entry);
  w.submit("a", { takes: [borrowed], nested: [inside] });
  for (const entry of [borrowed, inside]) w.owner.references.dropRef(entry);
  assert.deepEqual(w.asked(), ["ask for a", "addHolds b,c"]);
  w.answer(w.open(1));
  assert.deepEqual(w.asked(), ["releaseHolds b,c"]);
});

test("a handle inside the arguments keeps its actor while the task is pending", () => {
  const w = new World();
  const link = w.actor("A");
  w.submit("a", { nested: [link] });
  w.owner.actors.dropHandle(link);
  assert.ok(!w.asked().includes("leave A"));
  w.answer(w.open(1));
  assert.deepEqual(w.asked(), ["leave A", "releaseHolds A"]);
});

test("what an actor's constructor was given is kept until the actor is let go", () => {
  const w = new World();
  const link = w.actor("A");
  const given = w.owner.references.borrow(object("b"));
  w.owner.keepFor(link, [given]);
  w.asked();
  w.owner.actors.dropHandle(link);
  assert.deepEqual(w.asked(), ["leave A", "releaseHolds A,b"]);
});

// ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test("what a task throws is the value of every result, and fails everything downstream without running it", () => {
  const w = new World();
  const a = w.submit("a", { numReturns: 2 });
  const b = w.submit("b", { takes: [result(a, 1)] });
  const c = w.submit("c", { takes: [result(b)] });
  w.answer(w.open(1), { kind: "threw", error: "MyError" });
  for (const entry of [...a.returns, ...b.returns, ...c.returns]) assert.equal(w.state(entry), "threw MyError");
  assert.deepEqual(w.asked(), ["ask for a"]);
  const late = w.submit("late", { takes: [result(c)] });
  assert.equal(w.state(result(late)), "threw MyError");
  assert.equal(w.owner.pendingCount, 0);
});

test("a failure of the system goes downstream with its code, to actors' calls as well", () => {
  const w = new World();
  const link = w.actor("A");
  const a = w.submit("a", { maxRetries: 0 });
  const b = w.submit("b", { takes: [result(a)] });
  const call = w.submit("call", { takes: [result(a)], on: link });
  w.open(1);
  w.receive({ type: "leaseLost", leaseId: lease("d.1"), reason: failure("WORKER_CRASHED"), bystander: false });
  for (const task of [a, b, call]) assert.equal(w.state(result(task)), "failed WORKER_CRASHED");
});

test("what made an actor fail comes to its calls, and to what takes their results, as the error that came along", () => {
  const w = new World();
  const link = w.owner.actors.link(actor("A"), "Counter", true);
  w.owner.actors.addHandle(link);
  const call = w.submit("call", { on: link });
  const after = w.submit("after", { takes: [result(call)] });
  const dead = { type: "actorState", actorId: actor("A"), state: "dead", incarnation: 0 } as const;
  const error = new Uint8Array(3);
  w.receive({ ...dead, worker: undefined, address: undefined, reason: failure("ACTOR_DIED"), error });
  const later = w.submit("later", { on: link });
  for (const task of [call, after, later]) assert.equal(w.state(result(task)), "threw error of 3 bytes");
});

test("a worker that answers with too few results fails those that are missing", () => {
  const w = new World();
  const a = w.submit("a", { numReturns: 2 });
  w.answer(w.open(1));
  assert.deepEqual(
    a.returns.map((entry) => w.state(entry)),
    ["inline value", "failed PROTOCOL"],
  );
});

test("calls of an actor leave in order, also when an earlier one waits for its arguments", () => {
  const w = new World();
  const link = w.actor("A");
  const a = w.submit("a");
  w.submit("first", { takes: [result(a)], on: link });
  w.submit("second", { on: link });
  assert.deepEqual(w.asked(), ["dial A", "ask for a"]);
  w.answer(w.open(1));
  assert.deepEqual(w.asked(), ["call A.first", "call A.second"]);
});

// ── Time ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The first tick after its submission is when a task's time begins. */
const BEGIN = 1_000;

test("a running task whose time is up fails, is told to stop, and loses its worker if it does not", () => {
  const w = new World();
  const a = w.submit("a", { timeoutMs: 500 });
  const made = w.open(1);
  w.owner.tick(BEGIN);
  w.asked();
  w.owner.tick(BEGIN + 499);
  assert.deepEqual(w.asked(), []);
  w.owner.tick(BEGIN + 500);
  assert.deepEqual(w.asked(), ["abort a", "releaseHolds a's 0"]); // an attempt may have sealed it in our name
  assert.equal(w.state(result(a)), "failed TASK_TIMEOUT");
  w.owner.tick(BEGIN + 499 + KILL_AFTER_ABORT_MS);
  assert.deepEqual(w.asked(), []);
  w.owner.tick(BEGIN + 500 + KILL_AFTER_ABORT_MS);
  assert.deepEqual(w.asked(), ["N1: killLeasedWorker d.1"]);
  w.answer(made);
  assert.equal(w.state(result(a)), "failed TASK_TIMEOUT");
  assert.equal(w.owner.pendingCount, 0);
  w.asked();
  w.submit("b");
  assert.deepEqual(w.asked(), ["ask for b"]); // nothing goes to a worker that is about to end
});

test("what a task or call has sealed in its owner's name after its time is let go of when the owner hears of it", () => {
  const stored: Outcome = { kind: "returned", results: [{ kind: "stored", nodeId: node("N1"), sizeBytes: 1_000_000 }] };
  const answered = new World();
  answered.submit("a", { timeoutMs: 500 });
  const lost = new World();
  lost.submit("a", { timeoutMs: 500 });
  const made = new Map([answered, lost].map((w) => [w, w.open(1)] as const));
  for (const w of [answered, lost]) for (const at of [BEGIN, BEGIN + 500]) w.owner.tick(at);
  for (const w of [answered, lost]) assert.equal(w.asked().at(-1), "releaseHolds a's 0");
  answered.owner.leases.answered(made.get(answered) as Lease, 0, stored, 1);
  lost.receive({ type: "leaseLost", leaseId: lease("d.1"), reason: failure("WORKER_CRASHED"), bystander: false });
  for (const w of [answered, lost]) assert.ok(w.asked().includes("releaseHolds a's 0"));

  for (const end of ["answered", "dead", "unavailable"] as const) {
    const w = new World();
    const link = w.actor("A");
    const call = w.submit("call", { on: link, timeoutMs: 500 });
    for (const at of [BEGIN, BEGIN + 500]) w.owner.tick(at);
    assert.equal(w.asked().at(-1), "releaseHolds call's 0");
    if (end === "answered") w.owner.actors.answered(link, call.sequence, stored);
    else if (end === "dead")
      w.owner.actors.actorState(link.actorId, "dead", undefined, undefined, failure("ACTOR_DIED"));
    else {
      w.owner.actors.disconnected(link);
      w.owner.tick(BEGIN + 500 + 2 * ACTOR_REASON_WAIT_MS);
    }
    assert.ok(w.asked().includes("releaseHolds call's 0"), end);
    assert.equal(w.state(result(call)), "failed TASK_TIMEOUT");
  }
});

test("a worker is not ended for a task that waits there behind another", () => {
  const w = new World(1);
  const quick = Array.from({ length: 4 }, (_, i) => w.submit(`quick ${i}`));
  const made = w.open(1);
  while (made.inFlight.size > 0) {
    w.owner.leases.answered(made, made.inFlight.keys()[0] ?? -1, RETURNED, 0.1);
    w.owner.leases.settle(made);
  }
  assert.ok(quick.every(({ state }) => state === "done"));
  w.submit("runs");
  w.submit("waits", { timeoutMs: 500 });
  w.owner.tick(BEGIN);
  assert.equal(made.inFlight.size, 2);
  for (const at of [BEGIN + 500, BEGIN + 500 + KILL_AFTER_ABORT_MS]) w.owner.tick(at);
  const kill = "N1: killLeasedWorker d.1";
  assert.ok(!w.asked().includes(kill));
  w.answer(made);
  w.owner.tick(BEGIN + 501 + KILL_AFTER_ABORT_MS);
  assert.ok(w.asked().includes(kill));
});

test("a task that stops in time keeps its worker", () => {
  const w = new World();
  w.submit("a", { timeoutMs: 500 });
  const made = w.open(1);
  w.owner.tick(BEGIN);
  w.owner.tick(BEGIN + 500);
  w.answer(made);
  w.asked();
  w.owner.tick(BEGIN + 5_000);
  assert.ok(!w.asked().some((said) => said.includes("kill")));
});

test("a task whose time is up before it left never runs", () => {
  const w = new World(1);
  const a = w.submit("a", { timeoutMs: 500 });
  const b = w.submit("b", { takes: [result(w.submit("slow"))], timeoutMs: 500 });
  w.owner.tick(BEGIN);
  w.owner.tick(BEGIN + 500);
  const asked = w.asked().filter((said) => !said.startsWith("releaseHolds"));
  assert.deepEqual(asked, ["ask for a", "cancelLease d.1", "ask for slow"]);
  for (const task of [a, b]) assert.equal(w.state(result(task)), "failed TASK_TIMEOUT");
  w.answer(w.open(2));
  assert.deepEqual(w.asked(), []);
});

test("a call whose time is up before it left lets the later calls go", () => {
  const w = new World();
  const link = w.actor("A");
  const a = w.submit("a");
  const first = w.submit("first", { takes: [result(a)], on: link, timeoutMs: 500 });
  w.submit("second", { on: link });
  w.owner.tick(BEGIN);
  w.asked();
  w.owner.tick(BEGIN + 500);
  assert.equal(w.asked()[0], "call A.second");
  assert.equal(w.state(result(first)), "failed TASK_TIMEOUT");
});

test("a demand that nobody can meet is warned of once, and is what the time limit then speaks of", () => {
  const w = new World();
  const a = w.submit("a", { timeoutMs: 60_000 });
  w.receive({ type: "leaseInfeasible", leaseId: lease("d.1"), reason: "needs GPU 1, has 0" });
  w.owner.tick(BEGIN);
  w.asked();
  w.owner.tick(BEGIN + INFEASIBLE_WARNING_MS);
  w.owner.tick(BEGIN + INFEASIBLE_WARNING_MS * 2);
  const [warning, ...others] = w.asked();
  assert.match(warning ?? "", /^warn: task a .* needs GPU 1, has 0$/);
  assert.deepEqual(others, []);
  w.owner.tick(BEGIN + 60_000);
  assert.equal(w.state(result(a)), "failed TASK_UNSCHEDULABLE");
});

test("a demand that can be met after all, by a node that came, is not spoken of any more", () => {
  const w = new World();
  const a = w.submit("a", { timeoutMs: 60_000 });
  w.receive({ type: "leaseInfeasible", leaseId: lease("d.1"), reason: "needs GPU 1, has 0" });
  w.owner.tick(BEGIN);
  w.receive({ type: "leaseInfeasible", leaseId: lease("d.1"), reason: "" });
  w.asked();
  w.owner.tick(BEGIN + INFEASIBLE_WARNING_MS);
  assert.deepEqual(w.asked(), []);
  w.owner.tick(BEGIN + 60_000);
  assert.equal(w.state(result(a)), "failed TASK_TIMEOUT");
});

test("an actor that nobody can place is warned of, and is what the time limit of its calls then speaks of", () => {
  const w = new World();
  const link = w.owner.actors.link(actor("A"), "Greedy", true);
  const call = w.submit("call", { on: link, timeoutMs: 60_000 });
  w.receive({ type: "leaseInfeasible", leaseId: lease("A.0"), reason: "needs CPU 1000, has 1" });
  w.owner.tick(BEGIN);
  w.asked();
  w.owner.tick(BEGIN + INFEASIBLE_WARNING_MS);
  assert.match(w.asked().join(), /^warn: actor Greedy \(A\) waits .*needs CPU 1000, has 1$/);
  w.owner.tick(BEGIN + 60_000);
  assert.equal(w.state(result(call)), "failed TASK_UNSCHEDULABLE");
});

test("an owner is busy while something of it needs time, and only then", () => {
  const w = new World();
  assert.equal(w.owner.isBusy, false);
  w.submit("a");
  const made = w.open(1);
  assert.equal(w.owner.isBusy, true);
  w.answer(made);
  w.owner.tick(BEGIN + 10_000);
  assert.equal(w.owner.isBusy, false);
});

test("the spec of a task is handed over when a result is in the object table, before its arguments are let go", () => {
  const w = new World();
  const stored: Outcome = { kind: "returned", results: [{ kind: "stored", nodeId: "N2", sizeBytes: 10 }] };
  const specsAfter = (name: string, outcome: Outcome, changes: Submission = {}) => {
    w.submit(name, { schedulingKey: name, ...changes });
    const made = w.open(w.leases.length + 1);
    w.asked();
    w.answer(made, outcome);
    return w.asked().filter((line) => line.startsWith("spec"));
  };
  assert.deepEqual(specsAfter("large", stored), ["spec of large"]);
  assert.deepEqual(specsAfter("small", RETURNED), []);
  assert.deepEqual(specsAfter("once", stored, { maxRetries: 0 }), []);
});

test("the spec of a task whose ref leaves early goes first, follows its retries, and learns how it ended", () => {
  const w = new World();
  const stored: Outcome = { kind: "returned", results: [{ kind: "stored", nodeId: "N2", sizeBytes: 10 }] };
  const told = () => w.asked().filter((line) => /^(spec|addHolds|push|ask|.* is (running|done|void),)/.test(line));
  const source = w.submit("source");
  const early = w.submit("early", { takes: [result(source)], schedulingKey: "other" });
  told();
  w.owner.references.escape(result(early));
  w.owner.references.dropRef(result(early)); // whoever has the ref may outlive ours
  assert.deepEqual(told(), ["addHolds early's 0"]); // its argument has no value yet, and may never have an entry
  w.answer(w.open(1));
  assert.deepEqual(told(), ["spec of early", "ask for early"]);
  const first = w.open(2);
  told();
  w.owner.leases.leaseLost(first.id, failure("WORKER_CRASHED"), false);
  assert.deepEqual(told(), ["early is running, 1 lost", "ask for early"]);
  w.answer(w.open(3), stored);
  assert.deepEqual(told(), ["addHolds early's 0 w3", "early is done, 1 lost"]);

  const late = w.submit("late", { schedulingKey: "third" });
  told();
  w.owner.references.escape(result(late));
  assert.deepEqual(told(), ["addHolds late's 0", "spec of late"]);
  w.answer(w.open(4), { kind: "threw", error: "oops" });
  assert.deepEqual(told(), ["addHolds late's 0 w4", "late is void, 0 lost"]);
});

test("a message that is not for an owner is left to others", () => {
  const w = new World();
  assert.equal(w.receive({ type: "holdsAdded", sequence: 1 }), true);
  assert.equal(w.receive({ type: "closeLease", leaseId: lease("L1") }), false);
});

test("the journey says which step was skipped and why", () => {
  const w = new World();
  w.submit("a");
  w.answer(w.open(1));
  w.submit("b");
  w.submit("call", { on: w.actor("A") });
  const steps = [...w.journey.records()].map(({ step, detail, skipped }) => `${step} ${detail} ${skipped}`.trim());
  assert.deepEqual(steps, ["submitTask b the lease is reused", "callActor A"]);
});
