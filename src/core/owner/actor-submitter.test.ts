// Calls of a handle leave in submission order, each at most once, and every call is answered, whatever becomes of the actor.
// Method: play the GCS and the actor by hand; read what was sent and how calls ended; then random orders of events.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ADDRESS, Lines, line } from "../../../test/support/messages.js";
import { actor, connection, failure, node, process } from "../../../test/support/names.js";
import { namedTask, outcomeLine, RETURNED } from "../../../test/support/owner.js";
import { ACTOR_REASON_WAIT_MS, FIRST_REDIAL_MS, MAX_REDIAL_MS } from "../../base/limits.js";
import { ActorSubmitter } from "./actor-submitter.js";
import type { ActorLink, Task } from "./records.js";

const A = actor("A");
const THREW_E = outcomeLine({ kind: "threw", error: "E" });

class World {
  readonly submitter: ActorSubmitter;
  readonly link: ActorLink;
  readonly #lines = new Lines();
  /** The clock of a process that was idle starts at this time. */
  idleUntilMs: number | undefined;
  /** What user code does when a call has ended. */
  atEnd: () => void = () => {};

  /** Actor A, which this process has just registered, with one handle. */
  constructor() {
    const say = this.#lines.add;
    this.submitter = new ActorSubmitter({
      send: ({ processId }, message) => say(`${processId}: ${line(message)}`),
      sendToGcs: (message) => say(line(message)),
      connect: () => say("dial"),
      call: (_, task) => say(`call ${task.template.name}`),
      disconnect: () => say("leave"),
      releaseHandle: (link) => say(`release ${link.actorId}`),
      finished: (task, outcome) => {
        say(`${task.template.name} ${outcomeLine(outcome)}`);
        this.atEnd();
      },
      endedLate: (task) => say(`${task.template.name} late`),
      wakeUp: () => {
        if (this.idleUntilMs !== undefined) this.submitter.tick(this.idleUntilMs);
      },
    });
    this.link = this.submitter.link(A, "Counter", true);
    this.submitter.addHandle(this.link);
  }

  /** A call; `missing` of its arguments are not ready. */
  submit(name: string, missing = 0): Task {
    const task = namedTask(name, { maxRetries: 0 });
    task.missing = missing;
    this.submitter.submit(this.link, task);
    return task;
  }

  ready(task: Task): void {
    task.missing = 0;
    this.submitter.dependencyReady(this.link);
  }

  alive(): void {
    this.submitter.actorState(A, "alive", process("w"), ADDRESS, undefined);
  }

  open(): void {
    this.alive();
    this.submitter.connected(this.link, connection("c1"));
    this.asked();
  }

  died(code = "ACTOR_DIED"): void {
    this.submitter.actorState(A, "dead", undefined, undefined, failure(code));
  }

  asked(): string[] {
    this.submitter.check();
    return this.#lines.take();
  }
}

test("calls wait until the actor lives and is connected, then leave in order", () => {
  const w = new World();
  w.submit("a");
  w.submit("b");
  assert.deepEqual(w.asked(), []);
  w.alive();
  w.alive();
  assert.deepEqual(w.asked(), ["dial"]);
  w.submitter.connected(w.link, connection("c1"));
  w.submitter.connected(w.link, connection("c1"));
  w.submit("c");
  assert.deepEqual(w.asked(), ["call a", "call b", "call c"]);
});

test("each answer ends its call, once, in whichever order they come", () => {
  const w = new World();
  w.open();
  const [a, b] = [w.submit("a"), w.submit("b")];
  w.asked();
  w.submitter.answered(w.link, b.sequence, RETURNED);
  w.submitter.answered(w.link, a.sequence, RETURNED);
  w.submitter.answered(w.link, a.sequence, RETURNED);
  assert.deepEqual(w.asked(), ["b returned", "a returned"]);
});

test("a call whose arguments are missing holds back the later ones", () => {
  const w = new World();
  w.open();
  const a = w.submit("a", 1);
  w.submit("b");
  assert.deepEqual(w.asked(), []);
  w.ready(a);
  assert.deepEqual(w.asked(), ["call a", "call b"]);
});

test("a call whose argument failed fails with it, and holds nothing back", () => {
  const w = new World();
  w.open();
  const [upstream] = namedTask("upstream").returns;
  assert.ok(upstream !== undefined);
  const a = namedTask("a", {}, [upstream]);
  a.missing = 1;
  w.submitter.submit(w.link, a);
  w.submit("b");
  upstream.state = "failed";
  upstream.failure = failure("WORKER_CRASHED");
  w.ready(a);
  assert.deepEqual(w.asked(), ["a failed WORKER_CRASHED", "call b"]);
});

test("a call that is taken out before it left lets the later ones go; one that left cannot be taken out", () => {
  const w = new World();
  w.open();
  const a = w.submit("a", 1);
  const b = w.submit("b");
  assert.equal(w.submitter.withdraw(w.link, a), true);
  assert.deepEqual(w.asked(), ["call b"]);
  assert.equal(w.submitter.withdraw(w.link, b), false);
});

test("the actor's death fails what was sent and what waits, with its reason, and every later call", () => {
  const w = new World();
  w.open();
  w.submit("a");
  w.submit("b", 1);
  w.asked();
  w.died();
  w.died("OTHER");
  w.submit("c");
  const failed = ["a", "b", "c"].map((name) => `${name} failed ACTOR_DIED`);
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "leave", ...failed]);
});

test("an actor that never lived fails its calls with the reason", () => {
  const w = new World();
  w.submit("a");
  w.died("ACTOR_NAME_TAKEN");
  assert.deepEqual(w.asked(), ["leave", "a failed ACTOR_NAME_TAKEN"]);
});

test("an actor whose constructor's argument failed was never made: its calls fail like the argument, also later ones", () => {
  const w = new World();
  w.submit("a");
  w.submitter.neverLives(w.link, { kind: "threw", error: "E" });
  w.died();
  w.submit("b");
  assert.deepEqual(w.asked(), ["leave", `a ${THREW_E}`, `b ${THREW_E}`]);
});

test("a dial that failed is made again as long as the GCS says that the actor lives, with growing pauses", () => {
  const w = new World();
  w.submit("a");
  w.alive();
  assert.deepEqual(w.asked(), ["dial"]);
  let now = 1_000;
  w.submitter.tick(now);
  for (let pause = FIRST_REDIAL_MS; pause < 10 * MAX_REDIAL_MS; pause *= 2) {
    w.submitter.disconnected(w.link);
    w.submitter.disconnected(w.link);
    w.alive(); // said again: no reason to dial before its time
    w.submitter.tick(now + Math.min(pause, MAX_REDIAL_MS) - 1);
    assert.deepEqual(w.asked(), []);
    assert.equal(w.submitter.hasBrokenLinks, true);
    now += Math.min(pause, MAX_REDIAL_MS);
    w.submitter.tick(now);
    w.submitter.tick(now);
    assert.deepEqual(w.asked(), ["subscribeActor A"]);
    w.alive();
    assert.deepEqual(w.asked(), ["dial"]);
  }
  w.submitter.connected(w.link, connection("c1"));
  assert.deepEqual(w.asked(), ["call a"]);
  assert.equal(w.submitter.hasBrokenLinks, false);
});

test("calls under way on a lost connection may have run: they end as unavailable; those that wait are sent later", () => {
  const w = new World();
  w.submitter.tick(1_000);
  w.open();
  const a = w.submit("a");
  w.asked();
  w.submitter.disconnected(w.link);
  w.submit("b");
  w.submitter.tick(1_000 + FIRST_REDIAL_MS);
  w.alive();
  assert.deepEqual(w.asked(), ["subscribeActor A", "dial"]);
  w.submitter.connected(w.link, connection("c2"));
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "a failed ACTOR_UNAVAILABLE", "call b"]);
  w.submitter.answered(w.link, a.sequence, RETURNED); // too late
  assert.deepEqual(w.asked(), []);
});

test("calls under way wait for the GCS's reason for a while, no longer; then the handle can go", () => {
  const w = new World();
  w.submitter.tick(1_000);
  w.open();
  w.submit("a");
  w.submitter.dropHandle(w.link);
  w.asked();
  w.submitter.disconnected(w.link);
  w.submitter.tick(1_000 + ACTOR_REASON_WAIT_MS - 1);
  assert.deepEqual(w.asked(), ["subscribeActor A"]);
  w.submitter.tick(1_000 + ACTOR_REASON_WAIT_MS);
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "a failed ACTOR_UNAVAILABLE", "leave", "release A"]);
});

test("a loss starts the clock of a process that was idle, and counts from then", () => {
  const w = new World();
  w.open();
  w.submit("a");
  w.asked();
  w.idleUntilMs = 50_000;
  w.submitter.disconnected(w.link);
  w.submitter.tick(50_000 + FIRST_REDIAL_MS);
  assert.deepEqual(w.asked(), ["subscribeActor A"]);
  w.submitter.tick(50_000 + ACTOR_REASON_WAIT_MS - 1);
  assert.deepEqual(w.asked(), []);
  w.submitter.tick(50_000 + ACTOR_REASON_WAIT_MS);
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "a failed ACTOR_UNAVAILABLE"]);
});

test("the GCS's word that the actor died ends what was under way and what waits", () => {
  const w = new World();
  w.open();
  w.submit("a");
  w.submitter.disconnected(w.link);
  w.submit("b");
  w.asked();
  w.died();
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "leave", "a failed ACTOR_DIED", "b failed ACTOR_DIED"]);
  assert.equal(w.submitter.hasBrokenLinks, false);
});

test("a call with retries left is sent again after a lost connection, before those that waited", () => {
  const w = new World();
  w.submitter.tick(1_000);
  w.open();
  for (const name of ["a", "b"]) w.submitter.submit(w.link, namedTask(name, { maxRetries: 1 }));
  w.submit("c");
  w.submitter.disconnected(w.link);
  w.submit("d");
  w.submitter.tick(1_000 + FIRST_REDIAL_MS);
  w.alive();
  w.asked();
  w.submitter.connected(w.link, connection("c2"));
  const retried = ["call a", "call b", "call d"];
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c1", "c failed ACTOR_UNAVAILABLE", ...retried]);
  w.submitter.disconnected(w.link);
  w.submitter.tick(1_000 + FIRST_REDIAL_MS + ACTOR_REASON_WAIT_MS);
  const failed = ["a", "b", "d"].map((name) => `${name} failed ACTOR_UNAVAILABLE`);
  assert.deepEqual(w.asked(), ["N1: giveUpCalls c2", ...failed, "subscribeActor A"]);
});

test("a call that was given up is late once its connection is nobody's, or its node is lost; one that runs again is not", () => {
  for (const isLost of [false, true]) {
    const w = new World();
    w.submitter.tick(1_000);
    w.open();
    w.submit("a");
    w.submitter.submit(w.link, namedTask("b", { maxRetries: 1 }));
    w.submitter.disconnected(w.link);
    w.submitter.tick(1_000 + FIRST_REDIAL_MS);
    w.alive();
    w.submitter.connected(w.link, connection("c2"));
    w.asked();
    w.submitter.callsDisowned(connection("c2")); // nothing was given up there
    w.submitter.nodeLost(node("N2"));
    assert.deepEqual(w.asked(), []);
    for (let i = 0; i < 2; i++)
      if (isLost) w.submitter.nodeLost(node("N1"));
      else w.submitter.callsDisowned(connection("c1"));
    assert.deepEqual(w.asked(), ["a late"]);
  }
});

test("what is sent because a call of the lost connection has ended is not given up with that", () => {
  const w = new World();
  w.submitter.tick(1_000);
  w.open();
  w.submit("a");
  w.submitter.disconnected(w.link);
  w.atEnd = () => w.submit("b");
  w.submitter.tick(1_000 + FIRST_REDIAL_MS);
  w.alive();
  w.submitter.connected(w.link, connection("c2"));
  w.atEnd = () => {};
  w.asked();
  w.died();
  const said = w.asked();
  assert.equal(said[0], "N1: giveUpCalls c2");
  w.submitter.callsDisowned(connection("c1"));
  assert.deepEqual(w.asked(), ["a late"]);
});

test("the last handle lets the actor go once every call has been answered", () => {
  const w = new World();
  w.open();
  const a = w.submit("a");
  w.submitter.addHandle(w.link);
  w.submitter.dropHandle(w.link);
  w.submitter.dropHandle(w.link);
  assert.deepEqual(w.asked(), ["call a"]);
  w.submitter.answered(w.link, a.sequence, RETURNED);
  assert.deepEqual(w.asked(), ["a returned", "leave", "release A"]);
  assert.equal(w.submitter.find(A), undefined);
});

test("calls without a handle keep the actor until they have run, also when the last one never leaves", () => {
  const w = new World();
  const a = w.submit("a", 1);
  w.submitter.dropHandle(w.link);
  assert.deepEqual(w.asked(), []);
  w.open();
  assert.equal(w.submitter.withdraw(w.link, a), true);
  assert.deepEqual(w.asked(), ["leave", "release A"]);

  const f = new World();
  f.open();
  const [upstream] = namedTask("upstream").returns;
  assert.ok(upstream !== undefined);
  const b = namedTask("b", {}, [upstream]);
  b.missing = 1;
  f.submitter.submit(f.link, b);
  f.submitter.dropHandle(f.link);
  upstream.state = "failed";
  upstream.failure = failure("WORKER_CRASHED");
  f.ready(b);
  assert.deepEqual(f.asked(), ["b failed WORKER_CRASHED", "leave", "release A"]);
});

test("a handle that arrives from elsewhere subscribes once", () => {
  const w = new World();
  const b = w.submitter.link(actor("B"), "Counter", false);
  assert.equal(w.submitter.link(actor("B"), "Counter", false), b);
  assert.deepEqual(w.asked(), ["subscribeActor B"]);
});

const events = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ submit: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ ready: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ answer: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ withdraw: fc.nat(20) }) },
    {
      weight: 2,
      arbitrary: fc.record({ state: fc.constantFrom("alive", "connected", "disconnected", "time passes", "dead") }),
    },
  ),
  { maxLength: 40, size: "max" },
);

test("in every order of events calls leave in order, at most once, and all have ended when the actor has", () => {
  fc.assert(
    fc.property(events, (todo) => {
      const w = new World();
      const calls: Task[] = [];
      const said: string[] = [];
      let now = 1_000;
      for (const event of todo) {
        if ("submit" in event) calls.push(w.submit(`${calls.length}`, event.submit ? 1 : 0));
        else if ("ready" in event) {
          const call = calls[event.ready];
          if (call !== undefined) w.ready(call);
        } else if ("answer" in event) {
          const sequence = [...w.link.inFlight.keys()][event.answer];
          if (sequence !== undefined) w.submitter.answered(w.link, sequence, RETURNED);
        } else if ("withdraw" in event) {
          const call = calls[event.withdraw];
          if (call !== undefined && w.submitter.withdraw(w.link, call)) call.state = "done";
        } else if (event.state === "alive") w.alive();
        else if (event.state === "connected") w.submitter.connected(w.link, connection("c1"));
        else if (event.state === "disconnected") w.submitter.disconnected(w.link);
        else if (event.state === "time passes") {
          now += FIRST_REDIAL_MS;
          w.submitter.tick(now);
        } else w.died();
        said.push(...w.asked());
      }
      w.died();
      said.push(...w.asked());
      const left = said.filter((text) => text.startsWith("call")).map((text) => Number(text.slice(5)));
      assert.deepEqual(
        left,
        [...new Set(left)].sort((a, b) => a - b),
      );
      for (const call of calls) assert.equal(call.state, "done");
    }),
    { numRuns: 300 },
  );
});
