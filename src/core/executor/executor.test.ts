// Every push is answered, handed back, or dies with its connection; behind a task that takes long or waits nothing is kept.
// Method: push tasks by hand, decide how each runs, and read the answers and messages in order, in a time of our own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, line } from "../../../test/support/messages.js";
import { lease, process } from "../../../test/support/names.js";
import { GCS, type LeaseId } from "../../base/ids.js";
import { HAND_BACK_AFTER_MS, PROMOTE_UNREAD_AFTER_MS } from "../../base/limits.js";
import type { Outcome } from "../owner/records.js";
import { NOTHING } from "../resources.js";
import { CLAIM_WORDS, RayletClaims } from "./claim-words.js";
import { Executor, type ExecutorPort } from "./executor.js";
import { holderOf, type LeaseSlot, type Run } from "./lease-slot.js";

const DONE: Outcome = { kind: "returned", results: [] };
const LOST: Outcome = { kind: "failed", code: "OBJECT_LOST", message: "" };

/** A task is its name: `async …` goes on until it is ended, `fetch …` needs an argument first, others end at once. */
class World {
  readonly executor: Executor;
  nowMs = 100;
  /** The store has the values of the answer that was promoted last. */
  promoted: () => void = () => assert.fail("nothing is being promoted");
  /** Happens in the middle of the next task's code. */
  during: () => void = () => {};
  readonly over: LeaseId[] = [];
  readonly #lines = new Lines();
  readonly #runs = new Map<unknown, Run>();

  constructor(words?: Int32Array) {
    const say = this.#lines.add;
    const port: ExecutorPort = {
      nowMs: () => this.nowMs,
      sendToRaylet: (message) => say(line(message)),
      sendToOwner: (owner, message) => say(`${owner.processId}: ${line(message)}`),
      prepare: (run) => {
        this.#runs.set(run.task, run);
        return !String(run.task).includes("fetch");
      },
      execute: (run) => {
        say(`run ${run.task}`);
        this.during();
        this.during = () => {};
        return String(run.task).includes("async") ? undefined : DONE;
      },
      answer: (caller, run, outcome, runTimeMs) => say(`${caller}: ${run.task} ${outcome.kind} in ${runTimeMs} ms`),
      promoteUnread: (run, outcome, promoted) => {
        say(`promote ${run.task}`);
        this.promoted = () => promoted({ ...outcome, kind: "returned", results: [] });
      },
      handBack: (caller, slot, sequences, blocked) =>
        say(`${caller}: ${slot.id} hands back [${sequences.join()}]${blocked ? ", blocked" : ""}`),
      leaseOver: (slot) => void this.over.push(slot.id),
      rebuilt: (slot, run, outcome) => say(`GCS: ${slot.id} ${run.task} ${outcome.kind}`),
      wakeUpAfter: (delayMs) => say(`wake up in ${delayMs} ms`),
    };
    this.executor = new Executor(port, words);
  }

  /** A lease whose owner, `d`, is connected. */
  open(id = "L1", claim = 0): LeaseSlot {
    this.executor.openLease(lease(id), process("d"), { held: NOTHING, claim, hasFirst: false });
    const slot = this.attach(id);
    assert.ok(slot !== undefined);
    return slot;
  }

  /** Its owner connects; undefined when the lease is over. */
  attach(id = "L1"): LeaseSlot | undefined {
    let attached: LeaseSlot | undefined;
    this.executor.attach(lease(id), process("d"), "d", (slot) => {
      attached = slot;
    });
    return attached;
  }

  run(task: string): Run {
    const run = this.#runs.get(task);
    assert.ok(run !== undefined, `${task} has been looked at`);
    return run;
  }

  asked(): string[] {
    this.executor.check();
    return this.#lines.take();
  }
}

test("tasks run one after the other, in order, and each is answered", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "a");
  w.executor.push(slot, 2, "b");
  assert.deepEqual(w.asked(), ["run a", "d: a returned in 0 ms", "run b", "d: b returned in 0 ms"]);
});

test("one task of a lease runs at a time; the next starts when it ends", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.executor.push(slot, 2, "b");
  assert.deepEqual(w.asked(), ["run async a", `wake up in ${HAND_BACK_AFTER_MS} ms`]);
  w.nowMs += 1;
  w.executor.finished(w.run("async a"), DONE);
  w.executor.finished(w.run("async a"), DONE);
  assert.deepEqual(w.asked(), ["d: async a returned in 1 ms", "run b", "d: b returned in 0 ms"]);
  assert.match(w.executor.describe(), /idle; 0 queued, 0 unanswered/);
});

test("tasks behind one that takes long are handed back, not before its time", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.nowMs += 1;
  w.executor.push(slot, 2, "b");
  w.executor.push(slot, 3, "c");
  w.asked();
  w.executor.tick();
  assert.deepEqual(w.asked(), [`wake up in ${HAND_BACK_AFTER_MS - 1} ms`]);
  w.nowMs += HAND_BACK_AFTER_MS;
  w.executor.tick();
  w.executor.tick();
  assert.deepEqual(w.asked(), ["d: L1 hands back [2,3]"]);
});

test("a task that waits in get gives its CPU back and everything behind it, what comes later included", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.executor.push(slot, 2, "b");
  w.asked();
  w.executor.block(w.run("async a"));
  assert.deepEqual(w.asked(), ["d: L1 hands back [2], blocked", "taskBlocked L1"]);
  w.executor.push(slot, 3, "c");
  assert.deepEqual(w.asked(), ["d: L1 hands back [3], blocked"]);
  w.executor.resume(w.run("async a"));
  assert.deepEqual(w.asked(), ["taskResumed L1"]);
});

test("an owner whose push was sent ahead hears at once that its task waits, and again when it is connected", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.dispatch(lease("L1"), "async a");
  w.executor.block(w.run("async a"));
  assert.deepEqual(w.asked(), ["run async a", "taskBlocked L1", "d: leaseBlocked L1"]);
  w.attach();
  assert.deepEqual(w.asked(), ["d: L1 hands back [], blocked"]);
});

test("a task with several waits is blocked from the first to the last", () => {
  const w = new World();
  w.executor.push(w.open(), 1, "async a");
  const run = w.run("async a");
  w.asked();
  w.executor.block(run);
  w.executor.block(run);
  w.executor.resume(run);
  assert.deepEqual(w.asked(), ["d: L1 hands back [], blocked", "taskBlocked L1"]);
  w.executor.resume(run);
  assert.deepEqual(w.asked(), ["taskResumed L1"]);
});

test("a task that ends while a get of its is pending takes its CPU back for the next one", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.executor.block(w.run("async a"));
  w.asked();
  w.executor.finished(w.run("async a"), DONE); // it raced the get against a timer
  assert.deepEqual(w.asked(), ["taskResumed L1", "d: async a returned in 0 ms"]);
  w.executor.push(slot, 2, "b");
  w.executor.resume(w.run("async a")); // the get's answer comes after all
  assert.deepEqual(w.asked(), ["run b", "d: b returned in 0 ms"]);
});

test("a task that is being prepared is not overtaken: the next might wait for just that one", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "fetch a");
  w.executor.push(slot, 2, "b");
  assert.deepEqual(w.asked(), [`wake up in ${HAND_BACK_AFTER_MS} ms`]);
  assert.match(w.executor.describe(), /prepares 1; 1 queued/);
  w.executor.prepared(w.run("fetch a"));
  w.executor.prepared(w.run("fetch a"));
  assert.deepEqual(w.asked(), [
    ...["run fetch a", "d: fetch a returned in 0 ms"],
    ...["run b", "d: b returned in 0 ms"],
  ]);
});

test("tasks behind one whose preparation takes long are handed back, as behind one that runs long", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "fetch async a");
  w.executor.push(slot, 2, "b");
  w.asked();
  w.nowMs += HAND_BACK_AFTER_MS;
  w.executor.tick();
  assert.deepEqual(w.asked(), ["d: L1 hands back [2]"]);
  w.executor.prepared(w.run("fetch async a"));
  w.executor.push(slot, 3, "c");
  assert.deepEqual(w.asked(), ["run fetch async a", `wake up in ${HAND_BACK_AFTER_MS} ms`]);
});

test("a task whose argument was lost goes back, at once or when its owner has connected", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "fetch a");
  w.executor.argumentMissing(w.run("fetch a"));
  w.executor.argumentMissing(w.run("fetch a"));
  assert.deepEqual(w.asked(), ["d: L1 hands back [1]"]);
  w.executor.openLease(lease("L2"), process("d"));
  w.executor.dispatch(lease("L2"), "fetch b");
  w.executor.argumentMissing(w.run("fetch b"));
  w.executor.prepared(w.run("fetch b")); // another argument came
  assert.deepEqual(w.asked(), []);
  w.attach("L2");
  assert.deepEqual(w.asked(), ["d: L2 hands back [0]"]);
});

test("a task that the GCS had run again is answered to the GCS, without a connection", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), GCS);
  w.executor.dispatch(lease("L1"), "a");
  assert.deepEqual(w.asked(), ["run a", "GCS: L1 a returned"]);
  w.executor.openLease(lease("L2"), GCS);
  w.executor.dispatch(lease("L2"), "fetch b");
  w.executor.argumentMissing(w.run("fetch b"));
  assert.deepEqual(w.asked(), ["GCS: L2 fetch b failed"]);
});

test("a task that cannot be prepared is answered with the reason", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "fetch a");
  w.executor.push(slot, 2, "b");
  w.asked();
  w.executor.failedToPrepare(w.run("fetch a"), LOST);
  w.executor.failedToPrepare(w.run("fetch a"), LOST);
  w.executor.prepared(w.run("fetch a"));
  assert.deepEqual(w.asked(), ["d: fetch a failed in 0 ms", "run b", "d: b returned in 0 ms"]);
  assert.match(w.executor.describe(), /idle; 0 queued, 0 unanswered/);
});

test("the answer to a task that was sent ahead waits for its owner", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.dispatch(lease("L1"), "a");
  assert.deepEqual(w.asked(), ["run a", `wake up in ${PROMOTE_UNREAD_AFTER_MS} ms`]);
  w.attach();
  assert.deepEqual(w.asked(), ["d: a returned in 0 ms"]);
});

test("an owner's first push may overtake the raylet's word: it waits for that, and no longer", () => {
  const w = new World();
  const slot = w.attach();
  assert.ok(slot !== undefined);
  w.executor.push(slot, 1, "a");
  w.executor.push(slot, 2, "b");
  assert.deepEqual(w.asked(), []);
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.openLease(lease("L1"), process("d"));
  assert.deepEqual(w.asked(), ["run a", "d: a returned in 0 ms", "run b", "d: b returned in 0 ms"]);
});

test("the first task of a lease, which the raylet sends, comes before what its owner has pushed already", () => {
  const w = new World();
  const slot = w.attach();
  assert.ok(slot !== undefined);
  w.executor.push(slot, 1, "b");
  w.executor.openLease(lease("L1"), process("d"), { held: NOTHING, claim: 1, hasFirst: true });
  assert.deepEqual(w.asked(), []);
  w.executor.dispatch(lease("L1"), "a");
  w.executor.openLease(lease("L1"), process("d"), { held: NOTHING, claim: 1, hasFirst: true });
  assert.deepEqual(w.asked(), ["run a", "d: a returned in 0 ms", "run b", "d: b returned in 0 ms"]);
});

test("an owner that comes after its lease has ended finds none, and nothing it pushes is kept", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.closeLease(lease("L1"));
  assert.equal(w.attach(), undefined);
  assert.deepEqual(w.over, ["L1"]);
});

test("a lease that is opened twice is one, and its first task runs once", () => {
  const w = new World();
  const slot = w.open();
  w.executor.dispatch(lease("L1"), "a");
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.dispatch(lease("L1"), "a");
  assert.equal(w.attach(), slot);
  assert.deepEqual(w.asked(), ["run a", "d: a returned in 0 ms"]);
});

test("nothing starts on a closed lease: what waits goes back, what runs is answered", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.executor.push(slot, 2, "fetch b");
  w.executor.push(slot, 3, "c");
  w.asked();
  w.executor.closeLease(lease("L1"));
  w.executor.closeLease(lease("L1"));
  w.executor.push(slot, 4, "d");
  assert.deepEqual(w.asked(), ["d: L1 hands back [2,3]", "d: L1 hands back [4]"]);
  assert.deepEqual(w.over, [], "its answer is still to come");
  w.executor.finished(w.run("async a"), DONE);
  assert.deepEqual(w.asked(), ["d: async a returned in 0 ms"]);
  assert.deepEqual(w.over, ["L1"]);
  assert.equal(w.attach(), undefined);
});

test("a task that was being prepared when its lease closed goes back when it is ready", () => {
  const w = new World();
  w.executor.push(w.open(), 1, "fetch a");
  w.executor.closeLease(lease("L1"));
  assert.equal(w.executor.describe(), ""); // the lease is over
  w.executor.prepared(w.run("fetch a"));
  assert.deepEqual(w.asked(), ["d: L1 hands back [1]"]);
});

test("an owner that is gone gets no answers, and what it pushed does not start", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.executor.push(slot, 2, "b");
  w.asked();
  w.executor.detach("d");
  w.executor.finished(w.run("async a"), DONE);
  assert.deepEqual(w.asked(), []);
});

test("leases of one worker do not wait for each other", () => {
  const w = new World();
  const first = w.open("L1");
  const second = w.open("L2");
  w.executor.push(first, 1, "async a");
  w.executor.block(w.run("async a"));
  w.asked();
  w.executor.push(second, 1, "b");
  assert.deepEqual(w.asked(), ["run b", "d: b returned in 0 ms"]);
});

test("a first result that its owner does not come for is promoted once, and answered when it is in the store", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.dispatch(lease("L1"), "a");
  assert.deepEqual(w.asked(), ["run a", `wake up in ${PROMOTE_UNREAD_AFTER_MS} ms`]);
  w.nowMs += 1;
  w.executor.tick();
  assert.deepEqual(w.asked(), [`wake up in ${PROMOTE_UNREAD_AFTER_MS - 1} ms`]);
  w.nowMs += PROMOTE_UNREAD_AFTER_MS;
  w.executor.tick();
  w.executor.tick();
  w.attach();
  assert.deepEqual(w.asked(), ["promote a"]);
  w.promoted();
  assert.deepEqual(w.asked(), ["d: a returned in 0 ms"]);
});

test("a promoted first result waits for its owner like any other", () => {
  const w = new World();
  w.executor.openLease(lease("L1"), process("d"));
  w.executor.dispatch(lease("L1"), "a");
  w.nowMs += PROMOTE_UNREAD_AFTER_MS;
  w.executor.tick();
  w.promoted();
  w.executor.tick();
  assert.deepEqual(w.asked().slice(2), ["promote a"]);
  w.attach();
  assert.deepEqual(w.asked(), ["d: a returned in 0 ms"]);
});

test("results of a run that its owner has given up are held in nobody's name: it may have let go of them already", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  const run = w.run("async a");
  assert.deepEqual(holderOf(run), process("d"));
  w.executor.detach("d"); // its connection was lost: it may come back
  assert.deepEqual(holderOf(run), process("d"));
  w.executor.closeLease(lease("L1"));
  assert.equal(holderOf(run), undefined);
});

test("what its owner has disowned is nobody's, though the end of the owner's connection has not been read", () => {
  const w = new World();
  const slot = w.open();
  w.executor.push(slot, 1, "async a");
  w.asked();
  w.executor.disownLease(lease("L1"));
  w.executor.disownLease(lease("L1"));
  w.executor.disownLease(lease("unknown"));
  assert.equal(holderOf(w.run("async a")), undefined);
  w.executor.push(slot, 2, "b"); // it was still unread in the socket
  w.executor.finished(w.run("async a"), DONE);
  assert.deepEqual(w.asked(), []);
  assert.deepEqual(w.over, ["L1"]);
});

test("what was recalled while a task kept the thread does not start and goes back; what is pushed later runs", () => {
  const words = new Int32Array(CLAIM_WORDS);
  const raylet = new RayletClaims(words);
  const w = new World(words);
  const slot = w.open("L1", 7);
  for (const [at, task] of ["a", "b", "c"].entries()) w.executor.push(slot, at + 1, `fetch ${task}`);
  w.during = () => assert.equal(raylet.recall(7, 3), 1);
  w.asked();
  w.executor.prepared(w.run("fetch a"));
  assert.deepEqual(w.asked(), ["run fetch a", "d: fetch a returned in 0 ms", "d: L1 hands back [2,3]"]);
  w.executor.push(slot, 3, "c"); // it was still unread in the socket
  w.executor.push(slot, 4, "d");
  assert.deepEqual(w.asked(), ["d: L1 hands back [3]", "run d", "d: d returned in 0 ms"]);
});

test("a recall that its raylet does not believe in is kept all the same: what does not start goes back", () => {
  const words = new Int32Array(CLAIM_WORDS);
  const raylet = new RayletClaims(words);
  const w = new World(words);
  const slot = w.open("L1", 7);
  w.executor.push(slot, 1, "a");
  assert.equal(raylet.recall(7, 2), 1);
  assert.equal(raylet.recall(8, 2), undefined);
  w.asked();
  w.executor.push(slot, 2, "b"); // it comes late, and its owner may count it as started
  assert.deepEqual(w.asked(), ["d: L1 hands back [2]"]);
});

test("without claim words, or without a number in them, nothing is recalled", () => {
  for (const [words, claim] of [
    [undefined, 7],
    [new Int32Array(CLAIM_WORDS), 0],
  ] as const) {
    const w = new World(words);
    w.executor.push(w.open("L1", claim), 1, "a");
    assert.deepEqual(w.asked(), ["run a", "d: a returned in 0 ms"]);
    assert.equal(words?.some((word) => word !== 0) ?? false, false);
  }
});
