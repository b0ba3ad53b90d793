// Every error has its stable code and is known by it: across copies of the package and across processes.
// Method: go through every class that the module exports; load the module a second time to have another copy.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as errors from "./errors.js";

const { errorFromCode, InvalidOptionError, markAsTaskError, MobulaError, SerializationError, TaskError } = errors;

type ErrorClass = (new (message: string) => errors.MobulaError) & { readonly code: string };

const TASK: errors.TaskInfo = { taskId: "t1", name: "add", nodeId: "N1", pid: 1, attempt: 0 };
const CLASSES = Object.entries(errors).filter(([name]) => /^[A-Z]\w*Error$/.test(name)) as [string, ErrorClass][];
/** The contract's list. */
const CODES = `NOT_INITIALIZED ALREADY_INITIALIZED CONNECTION AUTHENTICATION PROTOCOL VERSION_MISMATCH INVALID_OPTION
  SERIALIZATION REFERENCE_RELEASED GET_TIMEOUT TASK TASK_CANCELLED TASK_TIMEOUT TASK_UNSCHEDULABLE WORKER_CRASHED
  OUT_OF_MEMORY NODE_DIED ACTOR_DIED ACTOR_UNAVAILABLE ACTOR_NOT_FOUND ACTOR_NAME_TAKEN PENDING_CALLS_LIMIT OBJECT_LOST
  OWNER_DIED OBJECT_RECONSTRUCTION OBJECT_STORE_FULL OUT_OF_DISK OBJECT_TOO_LARGE RUNTIME_ENV PLACEMENT_GROUP INVARIANT`;

/** Another copy of the package in the same process. */
async function otherCopy(): Promise<typeof errors> {
  return (await import(`${new URL("./errors.js", import.meta.url).href}?copy`)) as typeof errors;
}

function make(name: string, type: ErrorClass): errors.MobulaError {
  return name === "TaskError" ? new TaskError("words", TASK) : new type("words");
}

test("a class's code is its name without Error, in capitals, and these are all", () => {
  for (const [name, type] of CLASSES) {
    const code = name
      .replace(/Error$/, "")
      .replace(/(?<=[a-z])[A-Z]/g, "_$&")
      .toUpperCase();
    assert.equal(type.code, code);
    const error = make(name, type);
    assert.equal(error.code, code);
    assert.equal(error.name, name);
    assert.equal(String(error), `${name}: words`);
  }
  const codes = CLASSES.map(([, type]) => type.code).filter((code) => code !== "MOBULA");
  assert.deepEqual(codes.sort(), CODES.split(/\s+/).sort());
});

test("an error is an instance of its class and of the root, and of no other class", () => {
  for (const [name, type] of CLASSES) {
    const error = make(name, type);
    assert.ok(error instanceof Error && error instanceof MobulaError, name);
    for (const [other, otherType] of CLASSES) {
      assert.equal(error instanceof otherType, other === name || other === "MobulaError", `${name} as ${other}`);
    }
  }
});

test("instanceof holds across two copies of the package, both ways", async () => {
  const copy = await otherCopy();
  assert.notEqual(copy.GetTimeoutError, errors.GetTimeoutError);
  assert.ok(new copy.GetTimeoutError("") instanceof errors.GetTimeoutError);
  assert.ok(new errors.GetTimeoutError("") instanceof copy.MobulaError);
  assert.ok(!(new copy.GetTimeoutError("") instanceof errors.TaskTimeoutError));
  assert.ok(new copy.TaskError("", TASK) instanceof TaskError);
});

test("nothing else is one of ours", () => {
  for (const value of [null, undefined, "text", 1, {}, new Error(), new TypeError(), { code: "PROTOCOL" }]) {
    assert.ok(!(value instanceof MobulaError), String(value));
    assert.ok(!(value instanceof TaskError), String(value));
  }
});

test("a wrong option is also a TypeError", () => {
  const error = new InvalidOptionError("words");
  assert.ok(error instanceof TypeError && error instanceof MobulaError && error instanceof InvalidOptionError);
  assert.ok(!(new TypeError() instanceof InvalidOptionError));
});

test("a class that a user derives from ours is told from it", () => {
  class Mine extends errors.GetTimeoutError {}
  const error = new Mine("words");
  assert.ok(error instanceof Mine && error instanceof errors.GetTimeoutError);
  assert.ok(!(new errors.GetTimeoutError("") instanceof Mine));
  assert.deepEqual([error.name, error.code], ["Mine", "GET_TIMEOUT"]);
});

test("what a task threw is a TaskError by brand, keeps its class and code, and says where it was thrown", () => {
  class MyError extends Error {
    readonly code = "MINE";
  }
  const mine = new MyError("words");
  markAsTaskError(mine, TASK);
  assert.equal(mine.code, "MINE");
  const classes = [MyError, TaskError, MobulaError].map((type) => mine instanceof type);
  assert.deepEqual(classes, [true, true, true]); // whatever a task threw can be caught as one of ours
  assert.deepEqual(Reflect.get(mine, "task"), TASK);
  const plain = new RangeError("words");
  markAsTaskError(plain, TASK);
  assert.equal(Reflect.get(plain, "code"), "TASK");
  assert.deepEqual(Object.keys(plain), []);
});

test("an error that a task got from another task and threw on can be marked again", () => {
  const inner = new TaskError("threw null", TASK, { thrown: null });
  const outer = { ...TASK, taskId: "t2" };
  markAsTaskError(inner, outer);
  markAsTaskError(inner, outer);
  assert.ok(inner instanceof TaskError);
  assert.deepEqual(inner.task, outer);
  assert.equal(inner.thrown, null);
});

test("details stay with their errors", () => {
  const cause = new Error("why");
  const error = new SerializationError("words", { cause, path: "args[0].socket", hint: "send its address" });
  assert.deepEqual([error.cause, error.path, error.hint], [cause, "args[0].socket", "send its address"]);
  assert.equal("cause" in new SerializationError("words"), false);
});

test("an error that travels as code and words arrives as its class; a code from the future as the root", () => {
  for (const [name, type] of CLASSES) {
    if (name === "TaskError" || name === "MobulaError") continue;
    const error = errorFromCode(type.code, "words");
    assert.ok(error instanceof type);
    assert.equal(error.message, "words");
  }
  const unknown = errorFromCode("FROM_THE_FUTURE", "words");
  assert.ok(unknown instanceof MobulaError);
  assert.equal(unknown.message, "words");
});
