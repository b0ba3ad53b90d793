// A waiter is told once; an object's hold is taken when its ref arrives or leaves, and let go with its last local use.
// Method: play the raylet, the GCS and the user by hand, and read what the table asked of them, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, line } from "../../../test/support/messages.js";
import { actor, context, failure, node, object, process } from "../../../test/support/names.js";
import { namedTask } from "../../../test/support/owner.js";
import type { ObjectEntry, Task, Waiter } from "./records.js";
import { ReferenceTable } from "./reference-table.js";

function world() {
  const lines = new Lines();
  const names = new Map<string, string>();
  const say = (text: string) => lines.add([...names].reduce((said, [id, name]) => said.replaceAll(id, name), text));
  const table = new ReferenceTable({
    sendToRaylet: (message) => say(line(message)),
    sendToGcs: (message) => say(line(message)),
    storeValue: (entry) => say(`store ${entry.id}`),
    announceLocal: (entry) => say(`announce ${entry.id}`),
    readLocal: (entry) => entry.value,
    readPinned: () => undefined,
    doneReadingHere: (entry) => say(`done with ${entry.id}`),
    freeLocal: (entry) => say(`free ${entry.id}`),
    readObject: (id) => {
      say(`read ${id}`);
      return `bytes of ${names.get(id) ?? id}`;
    },
    doneReading: (id) => say(`releaseBlock ${id}`),
    track: (entry) => say(`track ${entry.id}`),
    dependencyReady: (task) => say(`${task.template.name} can go`),
    keepOrigin: () => {},
    runnerOf: () => process("w1"),
    resultEscapes: () => {},
    wakeUp: () => {},
  });
  let counter = 0;
  return {
    table,
    /** What was asked since the last time, the turn having ended. */
    asked: () => {
      table.flush();
      table.check();
      return lines.take();
    },
    /** What was asked so far in this turn. */
    soFar: () => lines.take(),
    /** An object of this process to which the user has a ref. */
    own: (name: string, task?: Task): ObjectEntry => {
      const entry = table.create(context("0".repeat(24)), counter++, 0, task);
      names.set(entry.id, name);
      table.addRef(entry);
      entry.handle = {};
      return entry;
    },
    /** Another's object to which the user got a ref. */
    borrowed: (name: string): ObjectEntry => {
      const entry = table.borrow(object(name));
      table.addRef(entry);
      return entry;
    },
    get: (entry: ObjectEntry): Waiter => waiter(entry, false),
    exists: (entry: ObjectEntry): Waiter => waiter(entry, true),
  };

  function waiter(entry: ObjectEntry, onlyExistence: boolean): Waiter {
    const entryReady = (of: ObjectEntry, value: unknown) =>
      say(of.state === "failed" ? `got ${of.failure?.code}` : onlyExistence ? `${of.id} exists` : `got ${value}`);
    const made: Waiter = { onlyExistence, entryReady };
    table.want(entry, made);
    return made;
  }
}

// ── Objects that stay at home ───────────────────────────────────────────────────────────────────────────────────────

test("a small object that never leaves its owner costs no message", () => {
  const w = world();
  const c = w.own("c");
  w.get(c);
  w.table.resolveInline(c, "value");
  w.get(c);
  assert.deepEqual(w.asked(), ["got value", "got value"]);
  w.table.dropRef(c);
  assert.deepEqual(w.asked(), []);
  assert.equal(w.table.size, 0);
});

test("the first result stands: a late attempt's value is dropped", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveInline(c, "first");
  w.table.resolveInline(c, "second");
  w.table.resolveStored(c, "N2", 1_000_000);
  w.get(c);
  assert.deepEqual(w.asked(), ["got first"]);
});

test("a failure is told to who waits and to who asks later", () => {
  const w = world();
  const c = w.own("c");
  w.get(c);
  w.table.fail(c, failure("WORKER_CRASHED"));
  w.table.fail(c, failure("NODE_DIED"));
  w.get(c);
  assert.deepEqual(w.asked(), ["got WORKER_CRASHED", "got WORKER_CRASHED"]);
});

test("a waiter that gave up is not told", () => {
  const w = world();
  const c = w.own("c");
  w.table.unwant(c, w.get(c));
  w.table.resolveInline(c, "value");
  assert.deepEqual(w.asked(), []);
});

// ── Objects in a store ──────────────────────────────────────────────────────────────────────────────────────────────

test("a large result is fetched when somebody gets it, and let go with its last ref", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveStored(c, "N2", 1_000_000);
  assert.deepEqual(w.asked(), ["track c"]);
  w.get(c);
  w.get(c);
  assert.deepEqual(w.asked(), ["getObject c"]); // one question for both
  w.table.objectReady(c.id, true, 4096, 1_000_000);
  assert.deepEqual(w.asked(), ["read c", "got bytes of c", "got bytes of c", "releaseBlock c"]);
  w.table.dropRef(c);
  assert.deepEqual(w.asked(), ["releaseHolds c"]);
  assert.equal(w.table.size, 0);
});

test("who only asks whether an object exists moves no bytes", () => {
  const w = world();
  const c = w.own("c");
  w.exists(c);
  w.table.resolveStored(c, "N2", 1_000_000);
  assert.deepEqual(w.asked(), ["track c", "c exists"]);

  const b = w.borrowed("b");
  w.exists(b);
  assert.deepEqual(w.asked(), ["getObject b", "addHolds b"]);
  w.table.objectReady(b.id, false, 0, 0);
  assert.deepEqual(w.asked(), ["b exists"]);
});

test("a get that joins a question about existence asks again for the bytes", () => {
  const w = world();
  const b = w.borrowed("b");
  w.exists(b);
  w.get(b);
  w.asked();
  w.table.objectReady(b.id, false, 0, 0);
  assert.deepEqual(w.asked(), ["b exists", "getObject b"]);
  w.table.objectReady(b.id, true, 0, 10);
  assert.deepEqual(w.asked(), ["read b", "got bytes of b", "releaseBlock b"]);
});

test("a get that gave up is taken back; an answer that crosses it only releases its block", () => {
  const w = world();
  const b = w.borrowed("b");
  w.table.unwant(b, w.get(b));
  w.table.objectReady(b.id, true, 0, 10);
  assert.deepEqual(w.asked(), ["getObject b", "cancelGet b", "releaseBlock b", "addHolds b"]);
});

test("every answer releases its block once, also when a get was repeated across its cancellation", () => {
  const w = world();
  const b = w.borrowed("b");
  w.table.unwant(b, w.get(b));
  w.get(b);
  w.asked();
  w.table.objectReady(b.id, true, 0, 10); // to the first question
  w.table.objectReady(b.id, true, 0, 10); // to the second
  assert.deepEqual(w.asked(), ["read b", "got bytes of b", "releaseBlock b", "releaseBlock b"]);
});

test("a ref that was dropped while somebody waited goes with the wait", () => {
  const w = world();
  const b = w.borrowed("b");
  const waiting = w.get(b);
  w.table.dropRef(b);
  assert.deepEqual(w.asked(), ["getObject b", "addHolds b"]);
  w.table.unwant(b, waiting);
  assert.deepEqual(w.asked(), ["cancelGet b", "releaseHolds b"]);
  assert.equal(w.table.size, 0);
});

test("a large put that never leaves costs no message: it is read where it lies, and freed with its last ref", () => {
  const w = world();
  const p = w.own("p");
  w.table.resolveLocal(p, "block");
  w.get(p);
  w.exists(p);
  w.table.pin(p);
  w.table.dropRef(p);
  assert.deepEqual(w.asked(), ["got block", "done with p", "p exists"]);
  w.table.unpin(p);
  assert.deepEqual(w.asked(), ["free p"]);
  w.table.pin(p);
  w.table.unpin(p); // freed once
  assert.deepEqual(w.asked(), []);
  assert.equal(w.table.size, 0);
});

test("a large put that leaves is announced once, and read by way of the raylet from then on", () => {
  const w = world();
  const p = w.own("p");
  w.table.resolveLocal(p, "block");
  w.table.escape(p);
  w.table.escape(p);
  w.table.announce(p);
  assert.deepEqual(w.asked(), ["addHolds p", "announce p"]);
  w.get(p);
  w.exists(p);
  assert.deepEqual(w.asked(), ["p exists"]); // its bytes may move: the store must have it first
  w.table.stored(p.id, "N1", 1_000_000);
  assert.deepEqual(w.asked(), ["getObject p"]);
  w.table.objectReady(p.id, true, 4096, 1_000_000);
  w.table.dropRef(p);
  assert.deepEqual(w.asked(), ["read p", "got bytes of p", "releaseBlock p", "releaseHolds p"]);
  assert.equal(w.table.size, 0);
});

test("a put whose ref went while it was being announced is let go when the object table has it", () => {
  const w = world();
  const p = w.own("p");
  w.table.resolveLocal(p, "block");
  w.table.announce(p); // the raylet needs room: nobody else knows the object
  w.table.dropRef(p);
  assert.deepEqual(w.asked(), ["announce p"]);
  w.table.stored(p.id, "N1", 1_000_000);
  assert.deepEqual(w.asked(), ["releaseHolds p"]);
  assert.equal(w.table.size, 0);
});

test("a large put that leaves, and that the object table has no room for, fails; nothing of it stays", () => {
  const w = world();
  const p = w.own("p");
  w.table.resolveLocal(p, "block");
  w.table.escape(p);
  w.get(p);
  w.table.storeFailed(p.id, failure("OBJECT_STORE_FULL"));
  assert.deepEqual(w.asked(), ["addHolds p", "announce p", "track p", "got OBJECT_STORE_FULL", "store p"]);
  w.table.storeFailed(p.id, failure("OBJECT_STORE_FULL")); // nor for its failure
  assert.deepEqual(w.asked(), ["objectFailed p OBJECT_STORE_FULL"]);
  w.table.dropRef(p);
  assert.deepEqual(w.asked(), ["releaseHolds p"]);
  assert.equal(w.table.size, 0);
});

test("an object that is lost fails for who waits and for who asks later", () => {
  const w = world();
  const b = w.borrowed("b");
  w.get(b);
  w.asked();
  w.table.objectFailed(b.id, failure("OBJECT_LOST"));
  w.get(b);
  assert.deepEqual(w.asked(), ["got OBJECT_LOST", "got OBJECT_LOST"]);
});

// ── Tasks that went through the global scheduler ────────────────────────────────────────────────────────────────────

test("the result of a forwarded task comes by the store or by its worker, whichever is first", () => {
  const byStore = world();
  const task = namedTask("add");
  const c = byStore.own("c", task);
  task.forwarded = true;
  byStore.get(c);
  byStore.table.objectReady(c.id, true, 0, 10);
  assert.deepEqual(byStore.asked(), ["getObject c", "read c", "got bytes of c", "releaseBlock c"]);
  byStore.table.resolveStored(c, "N2", 10);
  assert.deepEqual(byStore.asked(), ["track c"]);

  const byWorker = world();
  const d = byWorker.own("d", task);
  byWorker.get(d);
  byWorker.table.resolveInline(d, "small");
  assert.deepEqual(byWorker.asked(), ["getObject d", "cancelGet d", "got small"]);
  byWorker.table.dropRef(d);
  assert.deepEqual(byWorker.asked(), []);
  assert.equal(byWorker.table.size, 0); // it had been asked for by name; the name is forgotten
});

test("a get that began before its task was forwarded asks the store from then on", () => {
  const w = world();
  const task = namedTask("add");
  const [c] = task.returns;
  assert.ok(c !== undefined);
  w.get(c);
  assert.deepEqual(w.soFar(), []);
  w.table.taskForwarded(task);
  w.table.taskForwarded(task);
  assert.deepEqual(w.soFar(), [`getObject ${c.id}`]);
});

test("an object table that gives up does not fail an object whose task still runs", () => {
  const w = world();
  const task = namedTask("add");
  task.forwarded = true;
  const c = w.own("c", task);
  w.get(c);
  w.table.objectFailed(c.id, failure("OBJECT_LOST"));
  assert.deepEqual(w.soFar(), ["getObject c"]);
  w.table.resolveInline(c, "value");
  assert.deepEqual(w.asked(), ["got value"]);
});

// ── Refs that leave and arrive ──────────────────────────────────────────────────────────────────────────────────────

test("a ref that leaves before its value exists is declared; the value follows it to the store", () => {
  const w = world();
  const task = namedTask("add");
  const c = w.own("c", task);
  w.table.escape(c);
  w.table.escape(c);
  assert.deepEqual(w.asked(), ["addHolds c"]);
  assert.equal(task.storeResult, true);
  w.table.resolveInline(c, "value"); // the task was on its way already
  assert.deepEqual(w.asked(), ["track c", "store c"]);
  w.table.stored(c.id, "N1", 10);
  w.table.dropRef(c);
  assert.deepEqual(w.asked(), ["releaseHolds c"]);
});

test("a small value that leaves is promoted, and still read from this process", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveInline(c, "value");
  w.table.escape(c);
  w.get(c);
  assert.deepEqual(w.asked(), ["addHolds c", "store c", "got value"]);
});

test("a ref that leaves while its task is with a worker says which", () => {
  const w = world();
  const task = namedTask("t");
  task.state = "pushed";
  const early = task.returns[0] as ObjectEntry;
  w.table.escape(early);
  assert.equal(task.storeResult, true);
  assert.deepEqual(w.asked(), [`addHolds ${early.id} w1`]);
  w.table.runsAt(task, process("w2"));
  assert.deepEqual(w.asked(), [`addHolds ${early.id} w2`]);
});

test("the promoted copy may be lost: the value here is as good as before", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveInline(c, "value");
  w.table.escape(c);
  w.table.stored(c.id, "N1", 10);
  w.asked();
  w.table.objectFailed(c.id, failure("OBJECT_LOST")); // a task of this process had asked for it by name
  w.get(c);
  assert.deepEqual(w.asked(), ["got value"]);
});

test("a small value that no store has room for stays usable here; others are told; the next departure tries again", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveInline(c, "value");
  w.table.escape(c);
  w.asked();
  w.table.storeFailed(c.id, failure("OBJECT_STORE_FULL"));
  w.get(c);
  assert.deepEqual(w.asked(), ["objectFailed c OBJECT_STORE_FULL", "got value"]);
  w.table.escape(c);
  assert.deepEqual(w.asked(), ["store c"]);
  w.table.stored(c.id, "N1", 10);
  w.table.dropRef(c);
  assert.deepEqual(w.asked(), ["releaseHolds c"]);
  assert.equal(w.table.size, 0);
});

test("a failure that no store has room for is told to others all the same", () => {
  const w = world();
  const c = w.own("c", namedTask("add"));
  w.table.escape(c);
  w.table.fail(c, failure("WORKER_CRASHED"));
  w.asked();
  w.table.storeFailed(c.id, failure("OBJECT_STORE_FULL"));
  assert.deepEqual(w.asked(), ["objectFailed c WORKER_CRASHED"]);
});

test("a failure follows an escaped ref to the store, so that others are told", () => {
  const w = world();
  const c = w.own("c", namedTask("add"));
  w.table.escape(c);
  w.table.fail(c, failure("WORKER_CRASHED"));
  assert.deepEqual(w.asked(), ["addHolds c", "track c", "store c"]);
});

test("an object whose last ref went before its value came is kept until the store has it", () => {
  const w = world();
  const c = w.own("c", namedTask("add"));
  w.table.escape(c);
  w.table.dropRef(c);
  assert.deepEqual(w.asked(), ["addHolds c"]);
  w.table.resolveInline(c, "value");
  assert.deepEqual(w.asked(), ["store c"]);
  w.table.stored(c.id, "N1", 10);
  assert.deepEqual(w.asked(), ["releaseHolds c"]);
});

test("a borrowed object is one entry, held once, and let go with its last ref or pin", () => {
  const w = world();
  const b = w.borrowed("b");
  assert.equal(w.borrowed("b"), b);
  assert.deepEqual(w.asked(), ["addHolds b"]);
  w.table.pin(b);
  w.table.dropRef(b);
  w.table.dropRef(b);
  assert.deepEqual(w.asked(), []);
  w.table.unpin(b);
  assert.deepEqual(w.asked(), ["releaseHolds b"]);
});

test("a ref that comes and goes within one turn costs no message, nor one that goes and comes back", () => {
  const w = world();
  w.table.dropRef(w.borrowed("b"));
  assert.deepEqual(w.asked(), []);
  w.borrowed("b");
  assert.deepEqual(w.asked(), ["addHolds b"]);
  w.table.dropRef(w.table.borrow(object("b")));
  w.borrowed("b");
  assert.deepEqual(w.asked(), []);
});

test("an object of this process that comes back after it was let go is borrowed like any other", () => {
  const w = world();
  const c = w.own("c");
  w.table.resolveStored(c, "N1", 10);
  w.table.dropRef(c);
  w.asked();
  const again = w.table.borrow(c.id);
  w.table.addRef(again);
  assert.equal(again.owned, false);
  assert.deepEqual(w.asked(), ["addHolds c"]);
});

test("an actor's handle is held like an object's ref", () => {
  const w = world();
  w.table.holds.take(actor("counter"));
  assert.deepEqual(w.asked(), ["addHolds counter"]);
  w.table.holds.letGo(actor("counter"));
  assert.deepEqual(w.asked(), ["releaseHolds counter"]);
});

// ── Confirmations ───────────────────────────────────────────────────────────────────────────────────────────────────

test("an action waits for the holds asked for before it, and for no later ones", () => {
  const w = world();
  const done: string[] = [];
  w.table.holds.whenSettled(() => done.push("none"));
  w.borrowed("a");
  w.table.holds.whenSettled(() => done.push("a")); // sends its hold, number 1
  w.borrowed("b");
  w.table.flush(); // number 2
  assert.equal(w.table.holds.areSettled, false);
  assert.deepEqual(done, ["none"]);
  w.table.holds.added(1);
  w.table.holds.added(1);
  assert.deepEqual(done, ["none", "a"]);
  w.table.holds.added(2);
  assert.deepEqual(done, ["none", "a"]);
  assert.equal(w.table.holds.areSettled, true);
});

test("asked to flush, it sends what it has gathered before it says so", () => {
  const w = world();
  w.borrowed("b");
  w.table.holds.flushFor(7);
  assert.deepEqual(w.asked(), ["addHolds b", "holdsFlushed 7"]);
});

// ── Dependencies and arguments ──────────────────────────────────────────────────────────────────────────────────────

test("a task goes when the last of its own process's objects can be sent; another's it waits for elsewhere", () => {
  const w = world();
  const [a, b] = [w.own("a"), w.own("b")];
  const task = namedTask("add", {}, [a, b, a, w.borrowed("x")]);
  assert.equal(w.table.awaitDependencies(task), false);
  w.table.resolveInline(b, 1);
  assert.deepEqual(w.soFar(), []);
  w.table.resolveInline(a, 2);
  assert.deepEqual(w.soFar(), ["add can go"]);
});

test("a task that takes a local object has it announced, and goes when the object table has it", () => {
  const w = world();
  const p = w.own("p");
  w.table.resolveLocal(p, "block");
  assert.equal(w.table.awaitDependencies(namedTask("add", {}, [p, p])), false);
  assert.deepEqual(w.soFar(), ["announce p"]);
  w.table.stored(p.id, "N1", 1_000_000);
  assert.deepEqual(w.soFar(), ["add can go"]);
});

test("a dependency that failed is ready: its task fails with it", () => {
  const w = world();
  const a = w.own("a");
  const task = namedTask("add", {}, [a]);
  w.table.awaitDependencies(task);
  w.table.fail(a, failure("WORKER_CRASHED"));
  assert.deepEqual(w.soFar(), ["add can go"]);
});

test("an argument is read once for all who read it, without a hold", () => {
  const w = world();
  const read: unknown[] = [];
  const reader = { read: (value: unknown) => read.push(value), failed: () => read.push("failed") };
  w.table.argumentReaders.add(object("a"), reader);
  w.table.argumentReaders.add(object("a"), reader);
  w.table.objectReady(object("a"), true, 0, 10);
  assert.deepEqual(w.asked(), ["getObject a", "read a", "releaseBlock a"]);
  assert.deepEqual(read, ["bytes of a", "bytes of a"]);
  w.table.argumentReaders.add(object("b"), reader);
  w.table.objectFailed(object("b"), failure("OBJECT_LOST"));
  assert.deepEqual(read.slice(2), ["failed"]);
});

test("a task that holds resources does not wait for an argument that is gone; others do", () => {
  const w = world();
  const told: string[] = [];
  const patient = { read: () => told.push("read"), failed: () => told.push("failed") };
  w.table.argumentReaders.add(object("a"), { ...patient, missing: () => told.push("missing") });
  w.table.argumentReaders.add(object("a"), patient);
  w.table.argumentReaders.missing(object("a"));
  w.table.argumentReaders.missing(object("b"));
  assert.deepEqual(told, ["missing"]);
  assert.deepEqual(w.asked(), ["getObject a", "getObject a"]);
  w.table.objectReady(object("a"), true, 0, 10);
  assert.deepEqual(told, ["missing", "read"]);
});

test("what lay on a node that died is there only when the object table says so", () => {
  const w = world();
  const a = w.own("a");
  w.table.resolveStored(a, "N2", 10);
  w.asked();
  w.exists(a);
  w.table.nodeLost(node("N2"));
  w.exists(a);
  assert.deepEqual(w.asked(), ["a exists", "getObject a"]);
  w.table.objectReady(a.id, false, 0, 10);
  assert.deepEqual(w.asked(), ["a exists"]);
});

test("a get that gives up leaves a task's argument alone", () => {
  const w = world();
  const b = w.borrowed("b");
  const read: unknown[] = [];
  w.table.argumentReaders.add(b.id, { read: (value) => read.push(value), failed: () => {} });
  w.table.unwant(b, w.get(b));
  assert.deepEqual(w.soFar(), ["getObject b", "getObject b"]);
  w.table.objectReady(b.id, true, 0, 10);
  assert.deepEqual(read, ["bytes of b"]);
});
