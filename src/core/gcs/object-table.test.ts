// Who waits for an object is told once that it exists or never will; it is freed when nobody can reach it, and then it is.
// Method: drive the table by hand, each message twice, and read what it asked of the world; then random calls and a model.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lines } from "../../../test/support/messages.js";
import { failure, kib, node, object, process, processId, task } from "../../../test/support/names.js";
import type { ObjectId } from "../../base/ids.js";
import { MIN_DISTRIBUTED_BYTES } from "../../base/limits.js";
import { ObjectTable } from "./object-table.js";

class World {
  readonly table: ObjectTable;
  readonly #lines = new Lines();

  constructor() {
    const say = this.#lines.add;
    this.table = new ObjectTable({
      objectAvailable: (to, id, _entry, { locations }) => say(`${to}: ${id} is on ${[...locations].join(", ")}`),
      objectGone: (to, id, { code }) => say(`${to}: ${id} is gone, ${code}`),
      freeObject: (on, id) => say(`${on}: free ${id}`),
      promoteResult: (worker, id) => say(`${worker.processId}: promote ${id}`),
      becomePrimary: (on, id) => say(`${on}: primary ${id}`),
      unreachable: (id) => say(`${id} is unreachable`),
      lostIsWanted: (id) => say(`${id} is lost and wanted`),
    });
  }

  /** A store sealed a copy. Without a holder it is a replica. */
  register(on: string, name: string, holder?: string, contains: readonly string[] = [], sizeBytes = kib(200)): boolean {
    const by = holder === undefined ? undefined : processId(holder);
    return this.table.register(node(on), object(name), sizeBytes, by, contains.map(object));
  }

  subscribe(from: string, name: string, fetch = true): string {
    return this.table.subscribe(node(from), object(name), fetch);
  }

  hold(holder: string, name: string): void {
    this.table.addHold(processId(holder), object(name));
  }

  release(holder: string, name: string): void {
    this.table.release(processId(holder), object(name));
  }

  declare(maker: string, name: string, runner?: string): void {
    this.table.declare(processId(maker), object(name), runner === undefined ? undefined : process(runner));
  }

  died(holder: string): void {
    this.table.makerDied(processId(holder), failure("OWNER_DIED"));
    this.table.holderDied(processId(holder));
  }

  asked(): string[] {
    this.table.check();
    return this.#lines.take();
  }
}

// ── Callbacks ───────────────────────────────────────────────────────────────────────────────────────────────────────

test("a waiter is told when the object is registered, and only once", () => {
  const w = new World();
  assert.equal(w.subscribe("N1", "c"), "waiting");
  assert.equal(w.subscribe("N1", "c"), "waiting");
  assert.deepEqual(w.asked(), []);
  assert.equal(w.register("N2", "c", "d"), true);
  assert.equal(w.register("N2", "c", "d"), false);
  w.register("N1", "c"); // the replica that the waiter made
  assert.deepEqual(w.asked(), ["N1: c is on N2"]);
  assert.equal(w.subscribe("N3", "c"), "answered");
  assert.deepEqual(w.asked(), ["N3: c is on N2, N1"]);
});

test("a large object is handed on by those who are pulling it; who only asks pulls nothing", () => {
  const w = new World();
  w.register("S", "c", "d", [], MIN_DISTRIBUTED_BYTES);
  w.subscribe("ask", "c", false);
  for (const name of ["N1", "N2", "N3", "N4"]) w.subscribe(name, "c");
  assert.deepEqual(w.asked(), [
    "ask: c is on S",
    "N1: c is on S",
    "N2: c is on S",
    "N3: c is on N1, S",
    "N4: c is on N1, S",
  ]);
  w.table.nodeDied(node("N1"));
  w.table.unsubscribe(node("N2"), object("c"));
  w.subscribe("N5", "c");
  w.register("N5", "c", undefined, [], MIN_DISTRIBUTED_BYTES);
  w.subscribe("N6", "c");
  assert.deepEqual(w.asked(), ["N5: c is on S", "N6: c is on S, N5"]);
  w.release("d", "c");
  w.subscribe("N3", "c");
  assert.deepEqual(w.asked(), ["S: free c", "N5: free c", "c is unreachable"]);
});

test("who took its wish back is not told", () => {
  const w = new World();
  w.subscribe("N1", "c");
  w.subscribe("N3", "c");
  w.table.unsubscribe(node("N1"), object("c"));
  w.table.unsubscribe(node("N1"), object("c"));
  w.register("N2", "c", "d");
  assert.deepEqual(w.asked(), ["N3: c is on N2"]);
});

// ── Holders ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("the last holder to let go frees every copy", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.register("N1", "c");
  w.hold("w", "c");
  w.hold("w", "c");
  w.release("d", "c");
  w.release("d", "c");
  assert.deepEqual(w.asked(), []);
  w.release("w", "c");
  assert.deepEqual(w.asked(), ["N2: free c", "N1: free c", "c is unreachable"]);
  assert.equal(w.table.size, 0);
});

test("a hold may come before its object: they arrive on different ways", () => {
  const w = new World();
  w.hold("w", "c");
  w.register("N2", "c", "d");
  w.release("d", "c");
  assert.deepEqual(w.asked(), []);
  w.release("w", "c");
  assert.deepEqual(w.asked(), ["N2: free c", "c is unreachable"]);
});

test("only the adder takes a hold back", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.release("stranger", "c");
  w.release("d", "unknown");
  assert.deepEqual(w.asked(), []);
});

test("a replica of an object that was freed meanwhile is freed too", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.release("d", "c");
  w.asked();
  assert.equal(w.register("N1", "c"), false);
  assert.deepEqual(w.asked(), ["N1: free c"]);
});

test("what an object contains lives as long as it does, at any depth", () => {
  const w = new World();
  w.register("N1", "inner", "d");
  w.register("N1", "middle", "d", ["inner"]);
  w.register("N1", "outer", "d", ["middle", "inner", "inner"]);
  w.register("N1", "outer", "d", ["middle", "inner", "inner"]);
  w.release("d", "inner");
  w.release("d", "middle");
  assert.deepEqual(w.asked(), []);
  w.release("d", "outer");
  const freed = w.asked().filter((said) => said.includes("free"));
  assert.deepEqual(freed.sort(), ["N1: free inner", "N1: free middle", "N1: free outer"]);
});

test("an actor is held like an object and has no copies: its table is told", () => {
  const w = new World();
  w.hold("d", "counter");
  w.hold("w", "counter");
  w.release("d", "counter");
  w.died("w");
  assert.deepEqual(w.asked(), ["counter is unreachable"]);
});

test("who waits for a value that was on its way before its ref left has its worker asked, whose owner may be busy", () => {
  const w = new World();
  w.declare("d", "early", "w1");
  w.subscribe("N2", "early");
  w.subscribe("N2", "late");
  w.declare("d", "late");
  assert.deepEqual(w.asked(), ["w1: promote early"]);
  w.declare("d", "late", "w2"); // the raylet had sent it ahead: now its owner knows where
  w.register("N1", "early");
  w.declare("d", "early", "w1");
  assert.deepEqual(w.asked(), ["w2: promote late", "N1: primary early", "N2: early is on N1"]);
});

// ── Deaths ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test("with a process end its holds, and what it alone was going to make", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.declare("d", "promised");
  w.hold("w", "promised");
  w.subscribe("N1", "promised");
  w.died("d");
  w.died("d");
  assert.deepEqual(w.asked(), ["N1: promised is gone, OWNER_DIED", "N2: free c", "c is unreachable"]);
});

test("who asks for a promised object after its maker's death is told so, not left waiting", () => {
  const w = new World();
  w.declare("d", "promised");
  w.hold("w", "promised");
  w.died("d");
  assert.equal(w.subscribe("N1", "promised"), "answered");
  assert.deepEqual(w.asked(), ["N1: promised is gone, OWNER_DIED"]);
});

test("an object that was lost and made again holds what its new value names, and still what the old one named", () => {
  const w = new World();
  w.register("N1", "old", "w1");
  w.register("N1", "list", "d", ["old"]);
  w.died("w1");
  w.table.nodeDied(node("N1"));
  w.register("N2", "new", "w2");
  w.register("N2", "list", "d", ["new"]);
  w.register("N3", "list", undefined, ["new"]);
  w.died("w2");
  assert.deepEqual(w.asked(), []); // "old" too: for who has read the first value
  assert.equal(w.subscribe("N3", "new"), "answered");
  w.release("d", "list");
  assert.equal(w.table.size, 0);
});

test("a promised object whose value came before its maker died is there", () => {
  const w = new World();
  w.declare("d", "c");
  w.declare("d", "c");
  w.hold("w", "c");
  w.register("N2", "c", "d");
  w.died("d");
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["N1: c is on N2"]);
});

test("a value that comes after its maker's death is there for those who hold it", () => {
  const w = new World();
  w.declare("d", "c");
  w.hold("w", "c");
  w.died("d");
  w.register("N2", "c"); // the task was running on a worker that lives
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["N2: primary c", "N1: c is on N2"]);
});

test("an object whose last copy dies with its node is lost, for who waits and for who asks later", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.register("N3", "c");
  w.table.nodeDied(node("N2"));
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["N3: primary c", "N1: c is on N3"]);
  w.table.nodeDied(node("N3"));
  w.table.nodeDied(node("N3"));
  assert.equal(w.subscribe("N1", "c"), "waiting");
  assert.equal(w.subscribe("N4", "c"), "waiting");
  assert.deepEqual(w.asked(), ["c is lost and wanted", "c is lost and wanted"]);
  assert.ok(w.table.isLost(object("c")));
  w.table.failLost(object("c"), undefined);
  assert.deepEqual(w.asked(), ["N1: c is gone, OBJECT_LOST", "N4: c is gone, OBJECT_LOST"]);
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["N1: c is gone, OBJECT_LOST"]);
  w.register("N1", "c", "d"); // made again
  assert.ok(!w.table.isLost(object("c")));
  w.subscribe("N4", "c");
  assert.deepEqual(w.asked(), ["N4: c is on N1"]);
});

test("a raylet that cannot read its copy any more takes it back", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.table.dropLocation(node("N3"), object("c"));
  w.table.dropLocation(node("N2"), object("c"));
  w.table.dropLocation(node("N2"), object("c"));
  w.table.dropLocation(node("N2"), object("unknown"));
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["c is lost and wanted"]);
  assert.equal(w.table.howLost(object("c")), "its last copy, on node N2, is gone");
});

test("who could not fetch a copy gets another, or the same when time has passed", () => {
  const w = new World();
  w.register("N2", "c", "d");
  w.table.subscribe(node("N1"), object("c"), true, node("N2"));
  assert.deepEqual(w.asked(), []);
  w.table.tick();
  w.table.tick();
  assert.deepEqual(w.asked(), ["N1: c is on N2"]);
  w.register("N3", "c");
  w.table.subscribe(node("N1"), object("c"), true, node("N2"));
  assert.deepEqual(w.asked(), ["N1: c is on N3"]);
  w.table.subscribe(node("N3"), object("c"), true, node("N2"));
  w.table.dropLocation(node("N3"), object("c"));
  w.asked();
  w.table.subscribe(node("N1"), object("c"), true, node("N2"));
  w.table.nodeDied(node("N2"));
  assert.deepEqual(w.asked(), ["c is lost and wanted"]);
});

test("copies of two runs of a task never stand beside each other, and what both made is held", () => {
  const w = new World();
  const copy = (on: string, run: number, inner: string) =>
    w.table.register(node(on), object("c"), 10, process("d").processId, [object(inner)], run);
  w.hold("d", "a");
  w.hold("d", "b");
  copy("N1", 0, "a");
  copy("N2", 1, "b");
  assert.deepEqual(w.asked(), ["N2: free c"]);
  w.table.nodeDied(node("N1"));
  copy("N2", 1, "b");
  copy("N3", 0, "a"); // a late copy of the first run
  assert.deepEqual(w.asked(), ["N3: free c"]);
  w.release("d", "a");
  w.release("d", "b");
  assert.equal(w.table.size, 3);
  w.release("d", "c");
  assert.equal(w.table.size, 0);
  assert.deepEqual(w.asked().sort(), ["N2: free c", "a is unreachable", "b is unreachable", "c is unreachable"]);
});

test("an object that was let go has an entry again when a task needs it once more", () => {
  const w = new World();
  w.table.revive(task("t"), object("c"));
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["c is lost and wanted"]);
  assert.equal(w.table.howLost(object("c")), "it had been let go");
  w.table.release(task("t"), object("c"));
  assert.equal(w.table.size, 0);
});

test("a node that died waits for nothing any more", () => {
  const w = new World();
  w.subscribe("N1", "c");
  w.table.nodeDied(node("N1"));
  w.register("N2", "c", "d");
  assert.deepEqual(w.asked(), []);
});

test("the first result of a task stands: what another attempt made of another size is freed where it lies", () => {
  const w = new World();
  w.register("N2", "c", "d");
  assert.equal(w.table.register(node("N3"), object("c"), kib(1), processId("d"), []), false);
  w.subscribe("N1", "c");
  assert.deepEqual(w.asked(), ["N3: free c", "N1: c is on N2"]);
});

// ── In every order ──────────────────────────────────────────────────────────────────────────────────────────────────

const names = ["a", "b", "c", "e"] as const;
const steps = fc.array(
  fc.record({
    what: fc.constantFrom(
      "register",
      "register",
      "replica",
      "hold",
      "release",
      "release",
      "subscribe",
      "die",
      "nodeDied",
    ),
    // What contains comes later in the alphabet than what it contains: values cannot contain themselves.
    which: fc.nat(3),
    inside: fc.nat(3),
    who: fc.constantFrom("p", "q"),
    on: fc.constantFrom("N1", "N2"),
  }),
  { maxLength: 60, size: "max" },
);

/** Everything that can be reached from processes, by holds and containment: the naive answer to what must live. */
function reachable(holds: ReadonlySet<string>, contains: ReadonlyMap<string, readonly string[]>): Set<string> {
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    for (const inner of contains.get(name) ?? []) visit(inner);
  };
  for (const hold of holds) visit(hold.split(" ")[1] ?? "");
  return found;
}

test("whatever is held, contained, let go and lost, exactly what can be reached is in the table", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const w = new World();
      const holds = new Set<string>();
      const contains = new Map<string, readonly string[]>();
      for (const { what, which, inside, who, on } of todo) {
        const name = names[which] ?? "a";
        const inner = inside < which ? [names[inside] ?? "a"] : [];
        const row = [...w.table.objects()].find(([id]) => id === name)?.[1];
        const isThere = row !== undefined;
        const hasCopy = (row?.locations.size ?? 0) > 0;
        if (what === "register") {
          w.register(on, name, who, inner);
          holds.add(`${who} ${name}`);
          const named = contains.get(name) ?? [];
          if (!hasCopy || named.length === 0) contains.set(name, [...named, ...inner]);
        } else if (what === "replica") {
          w.register(on, name);
        } else if (what === "hold") {
          w.hold(who, name);
          holds.add(`${who} ${name}`);
        } else if (what === "release") {
          w.release(who, name);
          holds.delete(`${who} ${name}`);
        } else if (what === "die") {
          w.died(who);
          for (const hold of [...holds]) if (hold.startsWith(who)) holds.delete(hold);
        } else if (what === "nodeDied") {
          w.table.nodeDied(node(on));
        } else if (isThere) {
          w.subscribe(on, name);
        }
        w.asked();
        const alive = reachable(holds, contains);
        for (const known of [...contains.keys()]) if (!alive.has(known)) contains.delete(known);
        assert.deepEqual(new Set([...w.table.objects()].map(([id]) => id)), alive as Set<ObjectId>);
      }
    }),
    { numRuns: 300 },
  );
});

test("who pulls what another run has made is not sent to those who still pull what the first had made", () => {
  const w = new World();
  const copy = (on: string, attempt: number) =>
    w.table.register(node(on), object("c"), MIN_DISTRIBUTED_BYTES, processId("d"), [], attempt);
  copy("S", 0);
  for (const name of ["N1", "N2", "N3"]) w.table.subscribe(node(name), object("c"), true);
  assert.deepEqual(w.asked(), ["N1: c is on S", "N2: c is on S", "N3: c is on N1, S"]);
  assert.equal(w.table.dropLocation(node("N1"), object("c")), false);
  w.table.nodeDied(node("S"));
  copy("T", 1);
  for (const name of ["N4", "N5", "N6"]) w.table.subscribe(node(name), object("c"), true);
  assert.deepEqual(w.asked(), ["N4: c is on T", "N5: c is on T", "N6: c is on N4, T"]);
});
