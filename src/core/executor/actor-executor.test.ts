// Calls of one caller start in the order in which they came; no more run than the actor allows; each runs at most once.
// Method: push calls by hand, decide how each runs, and read starts, answers and messages; then random orders of events.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lines, line } from "../../../test/support/messages.js";
import { lease } from "../../../test/support/names.js";
import { MAX_CALLS_AHEAD } from "../../base/limits.js";
import type { Outcome } from "../owner/records.js";
import { ActorExecutor, type Call } from "./actor-executor.js";

const DONE: Outcome = { kind: "returned", results: [] };
const LOST: Outcome = { kind: "failed", code: "OBJECT_LOST", message: "" };

/** A call is its name: `async …` goes on until it is ended, `fetch …` needs an argument first, others end at once. */
class World {
  readonly executor: ActorExecutor;
  readonly calls = new Map<unknown, Call>();
  readonly started: string[] = [];
  /** What a call does while it runs its synchronous part. */
  during: (call: Call) => void = () => {};
  readonly #lines = new Lines();
  #pushed = 0;

  constructor(maxConcurrency = 1_000, maxAhead = MAX_CALLS_AHEAD) {
    const say = this.#lines.add;
    this.executor = new ActorExecutor(
      lease("A.0"),
      maxConcurrency,
      {
        sendToRaylet: (message) => say(line(message)),
        prepare: (call) => {
          this.calls.set(call.task, call);
          return !String(call.task).includes("fetch");
        },
        execute: (call) => {
          say(`run ${call.task}`);
          this.started.push(String(call.task));
          this.during(call);
          return String(call.task).includes("async") ? undefined : DONE;
        },
        answer: (caller, call, outcome) => say(`${caller}: ${call.task} ${outcome.kind}`),
      },
      maxAhead,
    );
  }

  push(caller: string, ...tasks: readonly string[]): void {
    for (const task of tasks) this.executor.push(caller, ++this.#pushed, task);
  }

  call(task: string): Call {
    const call = this.calls.get(task);
    assert.ok(call !== undefined, `${task} has been looked at`);
    return call;
  }

  asked(): string[] {
    this.executor.check();
    return this.#lines.take();
  }
}

test("synchronous calls run to their end, asynchronous ones interleave", () => {
  const w = new World();
  w.push("d", "a", "async b", "c");
  assert.deepEqual(w.asked(), ["run a", "d: a returned", "run async b", "run c", "d: c returned"]);
  w.executor.finished(w.call("async b"), DONE);
  w.executor.finished(w.call("async b"), DONE);
  assert.deepEqual(w.asked(), ["d: async b returned"]);
});

test("a call whose argument is missing holds back the later ones of its caller, and nobody else's", () => {
  const w = new World();
  w.push("d", "fetch a", "b");
  w.push("e", "c");
  assert.deepEqual(w.asked(), ["run c", "e: c returned"]);
  w.executor.prepared(w.call("fetch a"));
  w.executor.prepared(w.call("fetch a"));
  assert.deepEqual(w.asked(), ["run fetch a", "d: fetch a returned", "run b", "d: b returned"]);
});

test("a call whose argument is lost is answered with that, and the next one starts", () => {
  const w = new World();
  w.push("d", "fetch a", "b");
  w.executor.failedToPrepare(w.call("fetch a"), LOST);
  w.executor.failedToPrepare(w.call("fetch a"), LOST);
  w.executor.prepared(w.call("fetch a"));
  assert.deepEqual(w.asked(), ["d: fetch a failed", "run b", "d: b returned"]);
});

test("maxConcurrency 1 makes an actor serial across await", () => {
  const w = new World(1);
  w.push("d", "async a", "async b", "c");
  assert.deepEqual(w.asked(), ["run async a"]);
  w.executor.finished(w.call("async a"), DONE);
  assert.deepEqual(w.asked(), ["d: async a returned", "run async b"]);
  w.executor.finished(w.call("async b"), DONE);
  assert.deepEqual(w.asked(), ["d: async b returned", "run c", "d: c returned"]);
});

test("a caller with many calls does not keep the others out", () => {
  const w = new World(1);
  w.push("d", "async d1", "async d2", "async d3");
  w.push("e", "async e1");
  w.executor.finished(w.call("async d1"), DONE);
  w.executor.finished(w.call(w.started[1] ?? ""), DONE);
  assert.ok(w.started.includes("async e1"), w.started.join());
});

test("a call that is withdrawn before it starts never runs, and is answered once; one that runs goes on", () => {
  const w = new World(1);
  w.push("d", "async a", "b", "c", "d", "e");
  for (const sequence of [3, 3, 1, 99]) w.executor.withdraw("d", sequence);
  w.executor.withdraw("nobody", 2);
  assert.deepEqual(w.asked(), ["run async a", "d: c failed"]);
  w.executor.finished(w.call("async a"), DONE);
  const rest = ["b", "d", "e"].flatMap((task) => [`run ${task}`, `d: ${task} returned`]);
  assert.deepEqual(w.asked(), ["d: async a returned", ...rest]);
});

test("a call that waits for an argument can be withdrawn too, and lets the next one start", () => {
  const w = new World();
  w.push("d", "fetch a", "b");
  w.executor.withdraw("d", 1);
  assert.deepEqual(w.asked(), ["d: fetch a failed", "run b", "d: b returned"]);
  w.executor.prepared(w.call("fetch a"));
  w.executor.failedToPrepare(w.call("fetch a"), LOST);
  assert.deepEqual(w.asked(), []);
});

test("refused calls leave gaps between the numbers of those that wait", () => {
  const w = new World(1, 2);
  w.push("d", "async a", "b", "c", "refused");
  assert.equal(w.asked().at(-1), "d: refused failed");
  w.executor.finished(w.call("async a"), DONE);
  w.push("d", "async f", "g", "refused again", "h");
  w.asked();
  w.executor.withdraw("d", 6);
  w.executor.withdraw("d", 4);
  assert.deepEqual(w.asked(), ["d: g failed"]);
});

test("what a caller that is gone has pushed does not start; what runs ends by itself", () => {
  const w = new World(1);
  w.push("d", "async a", "b");
  w.push("e", "c");
  w.asked();
  assert.equal(w.call("async a").orphan, false);
  w.executor.detach("d");
  assert.equal(w.call("async a").orphan, true); // found by the simulator (seed 401 with three faults)
  w.executor.finished(w.call("async a"), DONE);
  assert.deepEqual(w.asked(), ["d: async a returned", "run c", "e: c returned"]);
  assert.equal(w.call("c").orphan, false);
});

test("the actor's CPU is free while every call under way waits, and only then", () => {
  const w = new World();
  w.push("d", "async a", "async b");
  w.asked();
  w.executor.block(w.call("async a"));
  assert.deepEqual(w.asked(), []);
  w.executor.block(w.call("async b"));
  w.executor.block(w.call("async b"));
  assert.deepEqual(w.asked(), ["taskBlocked A.0"]);
  w.push("d", "async c");
  assert.deepEqual(w.asked(), ["run async c", "taskResumed A.0"]);
  w.executor.finished(w.call("async c"), DONE);
  assert.deepEqual(w.asked(), ["d: async c returned", "taskBlocked A.0"]);
  w.executor.resume(w.call("async b"));
  assert.deepEqual(w.asked(), []);
  w.executor.resume(w.call("async b"));
  assert.deepEqual(w.asked(), ["taskResumed A.0"]);
});

test("the last call that ends while it waits leaves an actor that is not blocked", () => {
  const w = new World();
  w.push("d", "async a");
  w.executor.block(w.call("async a"));
  w.asked();
  w.executor.finished(w.call("async a"), DONE);
  w.executor.resume(w.call("async a")); // the get that it raced comes after all
  assert.deepEqual(w.asked(), ["d: async a returned", "taskResumed A.0"]);
});

test("a call that waits from its first moment counts as waiting; one that ended meanwhile does not", () => {
  const w = new World();
  w.during = (call) => w.executor.block(call);
  w.push("d", "async a");
  assert.deepEqual(w.asked(), ["run async a", "taskBlocked A.0"]);
  w.executor.resume(w.call("async a"));
  w.executor.finished(w.call("async a"), DONE);
  w.asked();
  w.push("d", "b"); // asked for a value and did not wait for it
  w.executor.resume(w.call("b"));
  w.during = () => {};
  w.push("d", "async c");
  w.executor.block(w.call("async c"));
  assert.deepEqual(w.asked(), ["run b", "d: b returned", "run async c", "taskBlocked A.0"]);
});

const plans = fc.record({
  maxConcurrency: fc.integer({ min: 1, max: 3 }),
  calls: fc.array(
    fc.record({ caller: fc.constantFrom("d", "e"), kind: fc.constantFrom("", "async ", "fetch ", "async fetch ") }),
    { minLength: 1, maxLength: 15, size: "max" },
  ),
  choices: fc.infiniteStream(fc.nat(1_000)),
});

test("a caller whose calls are too many has those beyond the limit refused; the actor goes on", () => {
  const w = new World(1, 2);
  w.push("d", "async a", "b", "c", "d");
  assert.deepEqual(w.asked(), ["run async a", "d: d failed"]);
  w.executor.finished(w.call("async a"), DONE);
  assert.deepEqual(w.asked(), ["d: async a returned", "run b", "d: b returned", "run c", "d: c returned"]);
});

test("in every order of events each call runs once, in its caller's order, and all are answered", () => {
  fc.assert(
    fc.property(plans, ({ maxConcurrency, calls, choices }) => {
      const w = new World(maxConcurrency);
      const toPush = calls.map(({ caller, kind }, number) => ({ caller, task: `${kind}${caller}${number}` }));
      const pushNext = (count: number) => {
        for (const { caller, task } of toPush.splice(0, count)) w.push(caller, task);
      };
      const answered: string[] = [];
      for (let guard = 0; guard < 200; guard++) {
        const events: (() => void)[] = [];
        if (toPush.length > 0) events.push(() => pushNext(1));
        for (const call of w.calls.values()) {
          if (call.state === "preparing") events.push(() => w.executor.prepared(call));
          if (call.state === "running") events.push(() => w.executor.finished(call, DONE));
          if (call.state === "running" && call.waits === 0) events.push(() => w.executor.block(call));
          if (call.state === "running" && call.waits > 0) events.push(() => w.executor.resume(call));
        }
        if (events.length === 0) break;
        events[(choices.next().value ?? 0) % events.length]?.();
        answered.push(...w.asked().filter((said) => said.includes("returned")));
      }
      // Whatever the choices left undone ends now.
      pushNext(toPush.length);
      for (let round = 0; round < calls.length; round++) {
        for (const call of w.calls.values()) {
          w.executor.prepared(call);
          w.executor.finished(call, DONE);
        }
      }
      answered.push(...w.asked().filter((said) => said.includes("returned")));
      assert.equal(answered.length, calls.length);
      for (const caller of ["d", "e"]) {
        const started = w.started.flatMap((task) => new RegExp(`${caller}(\\d+)`).exec(task)?.[1] ?? []);
        assert.deepEqual(
          started,
          [...started].sort((a, b) => Number(a) - Number(b)),
        );
      }
    }),
    { numRuns: 200 },
  );
});
