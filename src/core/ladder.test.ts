// A ladder has a line for every step of the lecture: when it was done, or why it was not.
// Method: records as processes write them, for each way that a task can go; the lines are compared as text.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { JourneyRecord, SkipReason, Step } from "./journey.js";
import { findTask, type Ladder, laddersOf } from "./ladder.js";

const TASK = "a".repeat(24).concat("00000001");
const OTHER = "a".repeat(24).concat("00000002");
const ACTOR = "a".repeat(24).concat("00000003");
const OBJECT = `${TASK}0000`;

let timeMs = 0;

function record(step: Step, subject: string, changes: Partial<JourneyRecord> = {}): JourneyRecord {
  return { step, subject, node: "N1", timeMs: timeMs++, skipped: "", detail: "", ...changes };
}

function skipped(step: Step, subject: string, reason: SkipReason): JourneyRecord {
  return record(step, subject, { skipped: reason, detail: step === "submitTask" ? "add" : "" });
}

/** `step node`, or `step: reason`. */
function text(ladder: Ladder | undefined): string[] {
  return (ladder?.lines ?? []).map(({ step, state, node, reason, count }) =>
    state === "done" ? `${step} ${node}${count > 1 ? ` ×${count}` : ""}` : `${step}: ${reason}`,
  );
}

const registered = () => record("registerFunction", "f0", { detail: "add" });
const submitted = () => record("submitTask", TASK, { detail: "add" });
const executed = (node = "N1") => record("executeTask", TASK, { detail: "add", node });

test("the lecture's own case: every step is done, on its node", () => {
  const names = "forwardToGlobal lookUpObjects placeTask checkArguments locateArgument fetchArgument dispatchTask";
  const far = new Set(["checkArguments", "fetchArgument", "dispatchTask"]);
  const steps = names.split(" ") as Step[];
  const first = [registered(), submitted()];
  const middle = steps.map((step) => record(step, TASK, { node: far.has(step) ? "N2" : "N1" }));
  const [task] = laddersOf([...first, ...middle, executed("N2")], TASK);
  assert.equal(task?.name, "add");
  const lines = steps.map((step) => `${step} ${far.has(step) ? "N2" : "N1"}`);
  assert.deepEqual(text(task), ["registerFunction N1", "submitTask N1", ...lines, "executeTask N2"]);
  const times = task?.lines.map((line) => line.timeMs);
  assert.deepEqual(times, [-1, 0, 1, 2, 3, 4, 5, 6, 7, 8], "from the task's own first step on");
});

test("a reused lease spares steps 1 to 8; a small result travels in the answer", () => {
  const [task, result] = laddersOf(
    [registered(), skipped("submitTask", TASK, "the lease is reused"), executed()],
    TASK,
  );
  assert.equal(text(task)[0], "registerFunction N1");
  for (const line of text(task).slice(1, 9)) assert.match(line, /: the lease is reused$/);
  assert.equal(text(task)[9], "executeTask N1");
  for (const line of text(result).slice(1, 6)) assert.match(line, /: the worker replies to the owner$/);
  assert.equal(result?.subject, OBJECT);
});

test("a task of which everything is local is not forwarded; without large arguments none is looked for", () => {
  const records = [
    submitted(),
    skipped("forwardToGlobal", TASK, "everything is local"),
    skipped("checkArguments", TASK, "no large arguments"),
    record("dispatchTask", TASK),
    executed(),
  ];
  const [task] = laddersOf(records, TASK);
  assert.deepEqual(text(task), [
    "registerFunction: no record",
    "submitTask N1",
    "forwardToGlobal: everything is local",
    "lookUpObjects: everything is local",
    "placeTask: everything is local",
    "checkArguments: no large arguments",
    "locateArgument: no large arguments",
    "fetchArgument: no large arguments",
    "dispatchTask N1",
    "executeTask N1",
  ]);
});

test("arguments that the store has are neither located nor fetched", () => {
  const [task] = laddersOf([submitted(), record("checkArguments", TASK), executed()], TASK);
  assert.deepEqual(text(task).slice(5, 8), [
    "checkArguments N1",
    "locateArgument: everything is local",
    "fetchArgument: everything is local",
  ]);
});

test("a large result on the reader's node needs no callback; one that is there already neither", () => {
  const stored = () => [record("storeResult", OBJECT), record("registerObject", OBJECT)];
  const local = [executed(), ...stored(), record("checkLocalStore", OBJECT), record("returnValue", OBJECT)];
  assert.deepEqual(text(laddersOf(local, TASK)[1]), [
    "checkLocalStore N1",
    "subscribeObject: everything is local",
    "storeResult N1",
    "registerObject N1",
    "notifyWaiters: everything is local",
    "fetchResult: everything is local",
    "returnValue N1",
  ]);
  const late = ["checkLocalStore", "subscribeObject", "fetchResult", "returnValue"] as const;
  const remote = [executed(), ...stored(), ...late.map((step) => record(step, OBJECT, { node: "N2" }))];
  assert.equal(text(laddersOf(remote, TASK)[1])[4], "notifyWaiters: the entry was there already");
});

test("of a large result that nobody got, only the making is told", () => {
  const [, result] = laddersOf([executed(), record("storeResult", OBJECT), record("registerObject", OBJECT)], TASK);
  const nobody = (step: string) => `${step}: nobody has asked for it`;
  assert.deepEqual(text(result), [
    nobody("checkLocalStore"),
    nobody("subscribeObject"),
    "storeResult N1",
    "registerObject N1",
    nobody("notifyWaiters"),
    nobody("fetchResult"),
    nobody("returnValue"),
  ]);
});

test("each of several results has its ladder; what happened twice in one place is one line", () => {
  const second = `${TASK}0001`;
  const ladders = laddersOf(
    [executed(), executed(), record("storeResult", OBJECT), record("storeResult", second)],
    TASK,
  );
  assert.deepEqual(
    ladders.map(({ ladder, subject }) => `${ladder} ${subject}`),
    [`task ${TASK}`, `get ${OBJECT}`, `get ${second}`],
  );
  assert.equal(text(ladders[0])[9], "executeTask N1 ×2");
});

test("a call shows its actor first, and goes there directly", () => {
  const created = (["registerActor", "leaseActorWorker", "createActor"] as const).map((step) =>
    record(step, ACTOR, { detail: step === "registerActor" ? "Counter" : "" }),
  );
  const records = [
    record("registerFunction", "f1", { detail: "Counter" }),
    ...created,
    record("callActor", OTHER, { detail: ACTOR }),
    record("callActor", TASK, { detail: ACTOR }),
    record("executeTask", TASK, { detail: "Counter.increment" }),
  ];
  const [actor, call] = laddersOf(records, TASK);
  assert.deepEqual(text(actor), ["registerActor N1", "leaseActorWorker N1", "createActor N1", "callActor N1"]);
  assert.equal(text(call)[0], "registerFunction N1");
  for (const line of text(call).slice(1, 9)) assert.match(line, /: the actor is called directly$/);
  assert.deepEqual(text(laddersOf(records, ACTOR)[0])[3], "callActor N1 ×2", "an actor's own ladder counts all calls");
});

test("a task is found by the beginning of its id, its object's id or its name; else it is the latest", () => {
  const records = [executed(), record("executeTask", OTHER, { detail: "later" }), registered()];
  assert.equal(findTask(records, undefined), OTHER);
  assert.equal(findTask(records, TASK), TASK);
  assert.equal(findTask(records, OBJECT), TASK);
  assert.equal(findTask(records, "aaaa"), OTHER, "of several the latest");
  assert.equal(findTask(records, "add"), TASK);
  assert.equal(findTask(records, "nothing"), undefined);
  assert.equal(findTask([], undefined), undefined);
});
