// `mobula memory`: what tables, stores and processes report becomes one picture, bounded and in order.
// Method: real tables and a real owner make reports; those of other processes are written by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { context, failure, kib, node, process, processId } from "../../../test/support/names.js";
import { template } from "../../../test/support/owner.js";
import { type ObjectId, objectIdOf, taskIdOf } from "../../base/ids.js";
import { MAX_MEMORY_HOLDERS, MAX_MEMORY_ROWS } from "../../base/limits.js";
import { ObjectTable } from "../gcs/object-table.js";
import { Journey } from "../journey.js";
import { Owner } from "../owner/owner.js";
import { StoreIndex } from "../store/store-index.js";
import { arrange } from "./arrange.js";
import { Largest } from "./largest.js";
import { processReport } from "./process-report.js";
import type { ProcessReport, ProcessRow } from "./reports.js";
import { type Holder, memoryOf, type ObjectMemory } from "./summary.js";
import { nodeReport, tableReport } from "./table-report.js";

const CONTEXT = context("c".repeat(24));
const id = (counter: number): ObjectId => objectIdOf(taskIdOf(CONTEXT, counter), 0);
const nodeOf = () => node("N1");
const DRIVER = { ...process("d"), pid: 1, role: "driver", actor: "" } as const;

function newTable(): ObjectTable {
  const quiet = () => {};
  const port = {
    objectAvailable: quiet,
    objectGone: quiet,
    freeObject: quiet,
    promoteResult: quiet,
    lostIsWanted: quiet,
  };
  return new ObjectTable({ ...port, becomePrimary: quiet, unreachable: quiet });
}

function newOwner(): Owner {
  const quiet = () => {};
  return new Owner(
    process("d"),
    {
      sendToRaylet: quiet,
      send: quiet,
      sendToGcs: quiet,
      leaseRequest: () => assert.fail("nothing is leased"),
      connectLease: quiet,
      pushTask: quiet,
      disconnectLease: quiet,
      connectActor: quiet,
      callActor: quiet,
      disconnectActor: quiet,
      takeError: quiet,
      abortTask: quiet,
      storeValue: quiet,
      announceLocal: quiet,
      readLocal: quiet,
      readPinned: quiet,
      doneReadingHere: quiet,
      freeLocal: quiet,
      doneReading: quiet,
      registerLineage: quiet,
      updateLineage: quiet,
      readObject: quiet,
      track: quiet,
      warn: quiet,
      wakeUp: quiet,
    },
    new Journey("N1", () => 0),
  );
}

/** A large put of the driver's, on a line of /app.ts; sealed at once. */
function putAt(owner: Owner, counter: number, line: number, sizeBytes = kib(200)) {
  const entry = owner.references.create(CONTEXT, counter, 0, undefined);
  entry.origin = { call: "put()", site: { file: "/app.js", line, column: 3 }, exact: true };
  entry.localRefs++;
  owner.references.resolveStored(entry, "N1", sizeBytes);
  return entry;
}

/** As a source map does: compiled lines are the author's plus ten. */
const reportOf = (owner: Owner): ProcessReport =>
  processReport(DRIVER, owner, [], ({ line, column }) => ({ file: "/app.ts", line: line - 10, column }));

function uses(object: ObjectMemory | undefined): string[] {
  const words = (holder: Holder) => {
    if (holder.by !== "process") return holder.by;
    return `${holder.role} ${holder.pid}: ${holder.refs} refs ${[...holder.tasks, ...holder.actors].join(" ")}`.trim();
  };
  return object?.holders.map(words) ?? [];
}

test("the largest are kept, in one order for all who rank the same objects", () => {
  const sizes = Array.from({ length: 5_000 }, (_, i) => ({ id: `o${i % 97}-${i}`, sizeBytes: (i * 7_919) % 1_000 }));
  const ranked = [...sizes].sort((a, b) => b.sizeBytes - a.sizeBytes || (a.id < b.id ? -1 : 1));
  for (const order of [sizes, [...sizes].reverse(), ranked]) {
    const largest = new Largest<(typeof sizes)[number]>(100);
    for (const row of order) if (largest.takes(row)) largest.add(row);
    assert.deepEqual(largest.result(), ranked.slice(0, 100));
  }
});

test("the object table's report: states, totals of holders, actors left out, bounded rows and holders", () => {
  const table = newTable();
  table.register(node("N1"), id(1), kib(500), processId("d"), [id(2)]);
  table.declare(processId("d"), id(2));
  table.declare(processId("w"), id(3));
  table.fail(id(3), failure("OWNER_DIED"));
  table.register(node("N2"), id(6), kib(1), processId("w"), []);
  table.dropLocation(node("N2"), id(6));
  table.addHold(processId("d"), taskIdOf(CONTEXT, 4) as string as ObjectId);
  const report = tableReport(table, nodeOf);
  assert.deepEqual(
    report.rows.map((row) => [row.id, row.state, row.holders, /because of \w+|node N\d/.exec(row.why)?.[0] ?? ""]),
    [
      [id(1), "sealed", ["d"], ""],
      [id(6), "lost", ["w"], "node N2"],
      [id(2), "being made", [id(1), "d"], ""],
      [id(3), "lost", ["w"], "because of OWNER_DIED"],
    ],
  );
  assert.deepEqual(report.total, { count: 4, bytes: kib(501) });
  assert.deepEqual(report.holders, [
    { processId: "d", nodeId: "N1", count: 2, bytes: kib(500) },
    { processId: "w", nodeId: "N1", count: 2, bytes: kib(1) },
  ]);
  for (let i = 0; i < MAX_MEMORY_HOLDERS + 5; i++) table.addHold(processId(`w${i}`), id(1));
  for (let i = 0; i < 2 * MAX_MEMORY_ROWS; i++) table.register(node("N1"), id(10 + i), 1, processId("d"), []);
  const full = tableReport(table, nodeOf);
  assert.equal(full.rows.length, MAX_MEMORY_ROWS);
  assert.equal(full.rows[0]?.holders.length, MAX_MEMORY_HOLDERS);
  assert.equal(full.rows[0]?.holderCount, MAX_MEMORY_HOLDERS + 6);
  assert.equal(full.total.count, 2 * MAX_MEMORY_ROWS + 4);
});

test("a node's report: what lies in memory, and what is on disk alone", () => {
  const index = new StoreIndex(kib(1_024));
  index.create(id(1), kib(100), processId("d"));
  index.seal(id(1));
  index.create(id(3), kib(500), processId("d"), "disk");
  index.seal(id(3));
  const spilling = { spilledBytes: kib(300), objects: () => [id(1), id(2)] };
  const report = nodeReport(node("N1"), { index, spilling });
  const { objects, usedBytes, spilledBytes, spilledObjects, spilled } = report;
  assert.deepEqual([objects, usedBytes, spilledBytes, spilledObjects, spilled], [1, kib(100), kib(300), 1, [id(2)]]);
  const { fallbackObjects, fallbackBytes, fallback } = report;
  assert.deepEqual([fallbackObjects, fallbackBytes, fallback], [1, kib(500), [id(3)]]);
});

test("totals of memory, fallback files and spilled bytes are apart; objects in a fallback file say so, also what only their owner knows", () => {
  const owner = newOwner();
  const table = newTable();
  for (const counter of [1, 2]) table.register(node("N1"), id(counter), kib(100), processId("d"), []);
  const index = new StoreIndex(kib(1_024));
  index.create(id(1), kib(100), processId("d"));
  index.create(id(2), kib(100), processId("d"), "disk");
  for (const counter of [1, 2]) index.seal(id(counter));
  const own = owner.references.create(CONTEXT, 3, 0, undefined);
  own.sizeBytes = kib(50);
  owner.references.resolveLocal(own, "block");
  const process = processReport(DRIVER, owner, [[own, "disk"]], ({ line, column }) => ({
    file: "/app.ts",
    line,
    column,
  }));
  const spilling = { spilledBytes: kib(7), objects: () => [] };
  const other = nodeReport(node("N2"), { index: new StoreIndex(kib(8)), spilling });
  const { stores, nodes, objects } = memoryOf([
    tableReport(table, nodeOf),
    nodeReport(node("N1"), { index }),
    other,
    process,
  ]);
  assert.deepEqual(stores, { usedBytes: kib(100), fallbackBytes: kib(100), spilledBytes: kib(7) });
  assert.deepEqual(
    nodes.map(({ fallbackBytes }) => fallbackBytes),
    [kib(100), 0],
  );
  const places = objects.map(({ objectId, copies }) => [objectId, copies.map(({ place }) => place)] as const);
  assert.deepEqual(
    new Map(places),
    new Map([
      [id(1), ["memory"]],
      [id(2), ["fallback"]],
      [id(3), ["fallback"]],
    ]),
  );
});

test("an owner's report: lines as the author wrote them, refs, tasks and constructors that take an object", () => {
  const owner = newOwner();
  const first = putAt(owner, 1, 30);
  putAt(owner, 2, 30);
  const other = putAt(owner, 3, 40, kib(900));
  const call = template("resize");
  const actor = owner.actors.link(taskIdOf(CONTEXT, 9) as never, "Keeper", true);
  owner.submit(call, CONTEXT, 5, 0, undefined, [first], [], actor);
  owner.keepFor(actor, [other]);
  const { sites, rows } = reportOf(owner);
  assert.deepEqual(sites, [
    { call: "put()", file: "/app.ts", line: 30, column: 3, count: 1, bytes: kib(900), approximate: false },
    { call: "put()", file: "/app.ts", line: 20, column: 3, count: 2, bytes: kib(400), approximate: false },
  ]);
  const wordsOf = ({ id: of, refs, tasks, actors, site }: ProcessRow) => [of, refs, tasks, actors, site];
  assert.deepEqual(rows.map(wordsOf), [
    [id(3), 1, [], ["Keeper"], 0],
    [id(1), 1, ["resize"], [], 1],
    [id(2), 1, [], [], 1],
  ]);
  owner.actors.actorState(actor.actorId, "dead", undefined, undefined, failure("ACTOR_DIED"));
  assert.deepEqual([...owner.tasksWithRefs], []);
});

/** Three puts on one line and one on another; the second line's was let go, and a worker that is busy holds it. */
function leak() {
  const owner = newOwner();
  const table = newTable();
  for (const counter of [1, 2, 3]) putAt(owner, counter, 30);
  const lent = putAt(owner, 4, 40, kib(500));
  for (const { id: each, sizeBytes } of owner.references.entries.values()) {
    table.register(node("N1"), each, sizeBytes, processId("d"), []);
  }
  table.register(node("N2"), id(4), kib(500), undefined, []);
  table.addHold(processId("w"), id(4));
  owner.references.dropRef(lent);
  table.release(processId("d"), id(4));
  table.register(node("N1"), id(5), kib(1), processId("gone"), [id(1)]);
  const borrowed = {
    id: id(4),
    sizeBytes: 0,
    owned: false,
    storing: false,
    local: false,
    inFallback: false,
    here: false,
    refs: 2,
    pins: 0,
  };
  const worker: ProcessReport = {
    kind: "process",
    processId: processId("w"),
    nodeId: node("N2"),
    pid: 2,
    role: "worker",
    actor: "Keeper",
    local: { count: 0, bytes: 0 },
    sites: [],
    rows: [{ ...borrowed, tasks: [], actors: [], site: -1, approximate: false }],
    left: [],
  };
  const spilled = { spilledBytes: kib(200), objects: () => [id(2)] };
  const store = nodeReport(node("N1"), { index: new StoreIndex(kib(8)), spilling: spilled });
  return memoryOf([tableReport(table, nodeOf), store, reportOf(owner), worker]);
}

test("the picture: owners tell the line, also of what they have let go; holders tell how", () => {
  const { objects, sites, unknownSites, silent, total, holders } = leak();
  const byId = new Map(objects.map((each) => [each.objectId, each]));
  assert.deepEqual(total, { count: 5, bytes: kib(1_101) });
  assert.deepEqual(uses(byId.get(id(4))), ["worker 2: 2 refs"]);
  assert.equal(byId.get(id(4))?.site?.line, 30);
  assert.deepEqual(
    byId.get(id(4))?.copies.map(({ nodeId, place }) => `${nodeId} ${place}`),
    ["N1 memory", "N2 memory"],
  );
  assert.deepEqual(
    byId.get(id(2))?.copies.map(({ place }) => place),
    ["spilled"],
  );
  assert.deepEqual(uses(byId.get(id(1))), ["driver 1: 1 refs", "object"]);
  assert.equal(byId.get(id(5))?.site, undefined);
  assert.deepEqual(
    sites.map(({ line, count, bytes }) => [line, count, bytes]),
    [
      [20, 3, kib(600)],
      [30, 1, kib(500)],
    ],
  );
  assert.deepEqual(unknownSites, { count: 1, bytes: kib(1) });
  assert.deepEqual(
    silent.map((name) => name.processId),
    ["gone"],
  );
  assert.deepEqual(
    holders.map(({ pid, count }) => [pid, count]),
    [
      [1, 3],
      [2, 1],
      [0, 1],
    ],
  );
});

test("an object on its way into a store is there before the object table knows it", () => {
  const owner = newOwner();
  const entry = owner.references.create(CONTEXT, 1, 0, undefined);
  entry.localRefs++;
  owner.references.resolveLocal(entry, "block");
  owner.references.escape(entry);
  const [only] = memoryOf([tableReport(newTable(), nodeOf), reportOf(owner)]).objects;
  assert.deepEqual([only?.objectId, only?.state, only?.copies[0]?.place], [id(1), "being made", "owner"]);
});

test("order, groups and limits", () => {
  const memory = leak();
  const bySize = arrange(memory, { sort: "size", groupBy: "site", limit: 10 });
  assert.deepEqual(
    bySize.groups.map(({ name, count }) => [name, count]),
    [
      ["put() /app.ts:20", 3],
      ["put() /app.ts:30", 1],
      ["", 1],
    ],
  );
  assert.deepEqual(bySize.leftOut, { sites: 0, holders: 0, objects: { count: 0, bytes: 0 } });
  const byNode = arrange(memory, { sort: "count", groupBy: "node", limit: 10 });
  assert.deepEqual(
    byNode.groups.map(({ name, count }) => [name, count]),
    [
      ["N1", 5],
      ["N2", 1],
    ],
  );
  const few = arrange(memory, { sort: "size", groupBy: "none", limit: 1 });
  assert.deepEqual(
    few.groups.map(({ objects }) => objects.map(({ objectId }) => objectId)),
    [[id(4)]],
  );
  assert.deepEqual(few.leftOut, { sites: 1, holders: 2, objects: { count: 4, bytes: kib(601) } });
});

test("what lies in a store and is known to its owner alone counts like the rest", () => {
  const owner = newOwner();
  const entry = owner.references.create(CONTEXT, 1, 0, undefined);
  entry.origin = { call: "put()", site: { file: "/app.js", line: 15, column: 3 }, exact: true };
  owner.references.resolveLocal(entry, "block");
  owner.references.addRef(entry);
  entry.sizeBytes = kib(300);
  const report = processReport(DRIVER, owner, [[entry, "memory"]], ({ line, column }) => ({
    file: "/app.ts",
    line,
    column,
  }));
  const memory = memoryOf([tableReport(newTable(), nodeOf), report]);
  const [only] = memory.objects;
  assert.deepEqual(memory.total, { count: 1, bytes: kib(300) });
  assert.deepEqual([only?.state, only?.copies[0]?.place, only?.site?.line], ["sealed", "memory", 15]);
  assert.deepEqual(
    memory.holders.map(({ processId, count }) => [processId, count]),
    [["d", 1]],
  );
});
