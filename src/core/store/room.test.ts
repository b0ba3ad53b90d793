// Every request for a block is answered: with a block of the arena, with one on disk, or with the reason why not.
// Method: a small store whose writers, readers and disk the test plays by hand; read who was given what, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lines } from "../../../test/support/messages.js";
import { failure, kib, object, processId } from "../../../test/support/names.js";
import {
  ALLOCATION_WAIT_MS,
  FALLBACK_OFFSET,
  GARBAGE_AGAIN_MS,
  MAX_WAITING_ALLOCATIONS,
  ROUNDS_BEFORE_REFUSAL,
} from "../../base/limits.js";
import { holdersInWords } from "./holders.js";
import { Room } from "./room.js";
import { Spilling } from "./spilling.js";
import { StoreIndex } from "./store-index.js";

const w = processId("w");
const r = processId("r");

class World {
  readonly store = new StoreIndex(kib(16));
  readonly spilling: Spilling;
  readonly room: Room;
  readonly refusals: string[] = [];
  /** How often writers were asked for what they do not use. */
  revoked = 0;
  readonly #lines = new Lines();

  constructor() {
    const say = this.#lines.add;
    this.spilling = new Spilling(this.store, {
      writeSpill: (file, parts) => say(`write ${parts.map((part) => part.objectId)} to ${file}`),
      deleteSpill: (file) => say(`delete ${file}`),
    });
    this.room = new Room(this.store, this.spilling, {
      revoke: () => void this.revoked++,
      dropLocation: (id) => say(`drop ${id}`),
      wakeUpAfter: () => say("wake up later"),
      holders: () => holdersInWords(this.store, (process) => `process ${process}`),
    });
  }

  /** `urgency` of a pull, which may change; absent: a writer's. */
  ask(name: string, sizeBytes = kib(4), process = w, urgency?: () => number, hasLetGo = false): void {
    const pull = urgency && { urgency, postponed: () => this.#lines.add(`${name} is postponed`) };
    this.room.ask({
      ...(pull === undefined ? {} : { pull }),
      hasLetGo,
      process,
      objectId: object(name),
      sizeBytes,
      take: (place) => {
        const block = this.store.create(object(name), sizeBytes, process, place);
        if (typeof block !== "object") return false;
        this.#lines.add(`${name} in ${block.offset < FALLBACK_OFFSET ? "memory" : "the file"}`);
        return true;
      },
      refuse: ({ code, message }) => {
        this.#lines.add(`${name}: ${code}`);
        this.refusals.push(message);
      },
    });
  }

  seal(name: string, copy: "primary" | "replica" = "primary"): void {
    this.ask(name);
    this.store.seal(object(name), copy);
  }

  fill(copy: "primary" | "replica" = "primary"): void {
    for (const name of ["a", "b", "c", "d"]) this.seal(name, copy);
    this.asked();
  }

  /** Nobody found garbage, and nobody wrote anything else. */
  waitInVain(rounds = 1): void {
    for (let round = 0; round < rounds; round++) {
      assert.equal(this.asked().at(-1), "wake up later");
      this.room.wakeUp();
    }
  }

  written(file: number, code?: string): void {
    this.spilling.written(file, code === undefined ? undefined : failure(code));
    this.room.pump();
  }

  asked(): string[] {
    this.store.check();
    this.spilling.check();
    this.room.check();
    return this.#lines.take();
  }
}

test("replicas that nobody reads give way at once, the least recently used first", () => {
  const w = new World();
  w.fill("replica");
  w.store.pin(object("a"), r);
  w.ask("x");
  w.ask("y", kib(8));
  assert.deepEqual(w.asked(), ["drop b", "x in memory", "drop c", "drop d", "y in memory"]);
});

test("without replicas a request waits until primaries are on disk; the order of asking holds", () => {
  const w = new World();
  w.fill();
  w.ask("large", kib(12));
  w.ask("small");
  assert.deepEqual(w.asked(), ["write a to 1", "write b to 2"]);
  w.written(1);
  assert.deepEqual(w.asked(), ["write c to 3"]);
  w.written(3);
  w.written(2);
  assert.deepEqual(w.asked().at(-1), "large in memory");
  assert.equal(w.room.waiting, 1);
  w.written(4);
  assert.deepEqual(w.asked(), ["small in memory"]);
});

test("what is larger than the whole store is refused at once", () => {
  const w = new World();
  w.ask("x", kib(16) + 1);
  assert.deepEqual(w.asked(), ["x: OBJECT_STORE_FULL"]);
  assert.match(w.refusals[0] ?? "", /larger than the whole store of 16384/);
});

test("everything is read: the new block lies in the file on disk", () => {
  const w = new World();
  w.fill();
  for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
  w.ask("x");
  w.waitInVain();
  assert.deepEqual(w.asked(), ["x in the file"]);
  w.store.seal(object("x"));
  assert.equal(w.store.fallbackBytes, kib(4));
  w.store.free(object("x"));
  assert.equal(w.store.fallbackBytes, 0);
});

test("blocks that are being written may be sealed soon: that is waited for, and not for long", () => {
  const w = new World();
  for (const name of ["a", "b", "c", "d"]) w.ask(name);
  w.ask("x");
  w.ask("y");
  w.asked();
  w.store.seal(object("a"));
  w.room.pump();
  assert.deepEqual(w.asked(), ["write a to 1"]);
  w.written(1);
  assert.deepEqual(w.asked(), ["x in memory", "wake up later"]);
  w.room.wakeUp(); // the one that x had asked for
  assert.deepEqual(w.asked(), []);
  w.room.wakeUp();
  assert.deepEqual(w.asked(), ["y in the file"]);
});

test("garbage is waited for once; then again when something gave way, or after a time", () => {
  const w = new World();
  w.fill();
  w.spilling.diskHas(kib(8)); // for the fallback file
  for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
  w.ask("x");
  w.waitInVain();
  assert.deepEqual(w.asked(), ["x in the file"]);
  w.store.seal(object("x"));
  w.ask("y");
  assert.deepEqual(w.asked(), ["y in the file"]);
  w.store.seal(object("y"));
  w.room.tick(1);
  w.room.tick(2 + GARBAGE_AGAIN_MS);
  w.ask("v");
  assert.deepEqual(w.asked(), ["wake up later"]);
  w.store.unpin(object("a"), r, 0);
  w.store.free(object("a")); // somebody's ref was garbage
  w.room.pump();
  assert.deepEqual(w.asked(), ["v in memory"]);
  w.store.seal(object("v"));
  w.store.pin(object("v"), r);
  w.ask("u");
  assert.deepEqual(w.asked(), ["wake up later"]);
});

/** All blocks are being read, and there is no disk; `x` was refused after all rounds. */
function refusing(): World {
  const w = new World();
  w.fill();
  for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
  w.spilling.diskHas(0);
  w.ask("x");
  w.waitInVain(ROUNDS_BEFORE_REFUSAL);
  assert.deepEqual(w.asked(), ["x: OBJECT_STORE_FULL"]);
  return w;
}

/** The last ref of it was garbage. */
function collect(w: World, name: string): void {
  const { offset = 0 } = w.store.pin(object(name), r) ?? {};
  for (const _read of ["before", "now"]) w.store.unpin(object(name), r, offset);
  w.store.free(object(name));
  w.room.pump();
}

test("before a refusal garbage is waited for in several rounds, and everybody is asked in each: it comes late beside other work", () => {
  const w = new World();
  w.fill();
  for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
  w.spilling.diskHas(0);
  w.ask("x");
  w.waitInVain(ROUNDS_BEFORE_REFUSAL - 1);
  assert.deepEqual([w.asked(), w.revoked], [["wake up later"], ROUNDS_BEFORE_REFUSAL]);
  collect(w, "a");
  assert.deepEqual(w.asked(), ["x in memory"]);
});

test("what one request has waited for in vain the next ones do not wait for: until something gave way, or for a time", () => {
  const w = refusing();
  w.ask("y");
  w.ask("z");
  assert.deepEqual(w.asked(), ["y: OBJECT_STORE_FULL", "z: OBJECT_STORE_FULL"]);
  collect(w, "a");
  w.ask("v");
  w.ask("u");
  assert.deepEqual(w.asked(), ["v in memory", "wake up later"]);
  const later = refusing();
  for (const nowMs of [1, 2 + GARBAGE_AGAIN_MS]) later.room.tick(nowMs);
  later.ask("y");
  assert.deepEqual(later.asked(), ["wake up later"]);
});

test("news of what the asker itself has let go of is waited for, whatever others have waited for in vain", () => {
  const w = refusing();
  w.ask("y", kib(4), processId("p"), undefined, true);
  assert.deepEqual(w.asked(), ["wake up later"]);
  collect(w, "a");
  assert.deepEqual(w.asked(), ["y in memory"]);
  const later = refusing();
  later.ask("y", kib(4), processId("p"), undefined, true);
  later.waitInVain();
  assert.deepEqual(later.asked(), ["y: OBJECT_STORE_FULL"]);
});

test("one round that was in vain is enough for the fallback file, not for a refusal", () => {
  const w = new World();
  w.fill();
  for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
  w.spilling.diskHas(kib(4));
  w.ask("x");
  w.waitInVain();
  assert.deepEqual(w.asked(), ["x in the file"]);
  w.store.seal(object("x"));
  w.ask("y");
  w.waitInVain(ROUNDS_BEFORE_REFUSAL);
  assert.deepEqual(w.asked(), ["y: OBJECT_STORE_FULL"]);
});

test("while others write, everybody waits a round for them, and only the first waits several", () => {
  const w = new World();
  for (const name of ["a", "b", "c", "d"]) w.ask(name);
  w.spilling.diskHas(0);
  w.asked();
  w.ask("x");
  w.ask("y");
  w.waitInVain(ROUNDS_BEFORE_REFUSAL);
  assert.deepEqual(w.asked(), ["x: OBJECT_STORE_FULL", "wake up later"]);
  w.room.wakeUp();
  assert.deepEqual(w.asked(), ["y: OBJECT_STORE_FULL"]);
});

test("a full disk is told as such when something could have been spilled", () => {
  const w = new World();
  w.fill();
  w.spilling.diskHas(kib(3));
  w.ask("x");
  w.waitInVain(ROUNDS_BEFORE_REFUSAL);
  assert.deepEqual(w.asked(), ["x: OUT_OF_DISK"]);
  assert.match(w.refusals[0] ?? "", /object x of 4096 bytes .* disk/);
});

test("a disk that refuses a write although it seemed to have room: the request goes to the fallback file", () => {
  const w = new World();
  w.fill();
  w.ask("x");
  w.written(1, "OUT_OF_DISK");
  w.written(2, "OUT_OF_DISK");
  assert.deepEqual(w.asked(), ["write a to 1", "write b to 2", "delete 1", "delete 2", "wake up later"]);
  w.room.wakeUp();
  assert.deepEqual(w.asked(), ["x in the file"]);
});

test("nothing can be spilled and there is no disk: the error names the largest and who reads them", () => {
  const w = new World();
  w.ask("big", kib(12));
  w.store.seal(object("big"));
  w.store.pin(object("big"), r);
  w.spilling.diskHas(0);
  w.asked();
  w.ask("x", kib(8));
  w.waitInVain(ROUNDS_BEFORE_REFUSAL);
  assert.deepEqual(w.asked(), ["x: OBJECT_STORE_FULL"]);
  assert.match(w.refusals[0] ?? "", /12288 of 16384 bytes in use.*big of 12288 bytes, read by process r/);
});

test("whatever the reason of a refusal, but for what no store could hold, it names the largest objects and their processes", () => {
  const reasons = {
    "nothing in it can be spilled": (w: World) => {
      for (const name of ["a", "b", "c", "d"]) w.store.pin(object(name), r);
      w.spilling.diskHas(0);
      w.ask("x");
      w.waitInVain(ROUNDS_BEFORE_REFUSAL);
    },
    "would leave too little disk": (w: World) => {
      w.store.pin(object("a"), r);
      w.spilling.diskHas(kib(3));
      w.ask("x");
      w.waitInVain(ROUNDS_BEFORE_REFUSAL);
    },
    "nothing gave way within": (w: World) => {
      w.store.pin(object("a"), r);
      w.ask("x");
      for (const nowMs of [1, 2 + ALLOCATION_WAIT_MS]) w.room.tick(nowMs);
    },
    "requests wait for room already": (w: World) => {
      w.store.pin(object("a"), r);
      for (let i = 0; i <= MAX_WAITING_ALLOCATIONS; i++) w.ask(`x${i}`);
    },
  };
  for (const [reason, bring] of Object.entries(reasons)) {
    const w = new World();
    w.fill();
    bring(w);
    assert.equal(w.refusals.length, 1, reason);
    const [message = ""] = w.refusals;
    assert.ok(message.includes(reason), message);
    assert.match(message, /The largest in it: a of 4096 bytes, read by process r; b of 4096 bytes/);
  }
});

test("of many blocks the largest are named, those that cannot give way first, and who wrote what lies idle", () => {
  const store = new StoreIndex(kib(400));
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  for (const [i, name] of names.entries()) store.create(object(name), kib(4 * (i + 1)), w);
  for (const name of names.slice(1)) store.seal(object(name));
  store.pin(object("b"), r);
  const words = holdersInWords(store, (process) => process);
  const named = words.replace("The largest in it: ", "").split("; ");
  assert.deepEqual(named, [
    "b of 8192 bytes, read by r",
    "a of 4096 bytes, being written by w",
    "g of 28672 bytes, in scope, written by w",
    "f of 24576 bytes, in scope, written by w",
    "e of 20480 bytes, in scope, written by w",
  ]);
  assert.equal(
    holdersInWords(new StoreIndex(kib(4)), () => ""),
    "No object lies in it now",
  );
});

test("a request ends with its process, and when nothing is done for a time", () => {
  const w = new World();
  w.fill();
  w.ask("x", kib(4), r);
  w.ask("y");
  w.asked();
  w.room.processDied(r);
  assert.equal(w.room.waiting, 1);
  w.room.tick(1);
  w.room.tick(1 + ALLOCATION_WAIT_MS);
  assert.deepEqual(w.asked(), []);
  w.room.tick(2 + ALLOCATION_WAIT_MS);
  assert.deepEqual(w.asked(), ["y: OBJECT_STORE_FULL"]);
});

test("a long queue on a slow disk is no reason to refuse anybody: what counts is that something is done", () => {
  const w = new World();
  w.fill();
  for (const name of ["w", "x", "y"]) w.ask(name, kib(8));
  for (const file of [1, 2]) {
    w.room.tick(file * ALLOCATION_WAIT_MS);
    w.written(file);
  }
  w.room.tick(3 * ALLOCATION_WAIT_MS);
  assert.equal(w.room.waiting, 2);
  assert.ok(!w.asked().some((line) => line.endsWith("FULL")));
});

test("of the pulls that wait the most urgent comes first, and no writer waits longer for it", () => {
  const w = new World();
  w.fill();
  let urgency = 0;
  w.ask("argument", kib(4), r, () => 0);
  w.ask("put");
  w.ask("rising", kib(4), r, () => urgency);
  w.ask("waited", kib(4), r, () => 1);
  w.ask("result");
  urgency = 2;
  w.room.pump();
  for (const file of [1, 2, 3, 4]) w.written(file);
  for (const name of ["rising", "put", "waited", "argument"]) w.store.seal(object(name), "replica");
  w.room.pump();
  const served = w.asked().filter((line) => line.endsWith("in memory"));
  const order = ["rising", "put", "waited", "argument", "result"];
  assert.deepEqual(
    served,
    order.map((name) => `${name} in memory`),
  );
});

test("a pull that makes way leaves its turn to the more urgent one; equals and writers do not make way", () => {
  const w = new World();
  w.fill();
  w.ask("first", kib(4), r, () => 0);
  w.ask("last", kib(4), r, () => 0);
  w.ask("put");
  w.asked();
  assert.deepEqual([w.room.hasLessUrgent(0), w.room.postpone(0)], [false, undefined]);
  assert.deepEqual([w.room.hasLessUrgent(1), w.room.postpone(1)], [true, 2]);
  assert.deepEqual([w.asked(), w.room.waiting], [["last is postponed"], 2]);
  assert.deepEqual([w.room.postpone(1), w.room.postpone(1), w.room.waiting], [1, undefined, 1]);
});

/** Turns as they were asked for: a writer's is its own, one of a pull is for the most urgent pull. */
class Turns {
  readonly #turns: ("writer" | "pull")[] = [];
  readonly #writers: string[] = [];
  readonly #pulls: (readonly [string, number])[] = [];

  ask(name: string, urgency: number | undefined): void {
    this.#turns.push(urgency === undefined ? "writer" : "pull");
    if (urgency === undefined) this.#writers.push(name);
    else this.#pulls.push([name, urgency]);
  }

  serve(): string | undefined {
    if (this.#turns.shift() !== "pull") return this.#writers.shift();
    const most = Math.max(...this.#pulls.map(([, urgency]) => urgency));
    const at = this.#pulls.findIndex(([, urgency]) => urgency === most);
    return this.#pulls.splice(at, 1)[0]?.[0];
  }
}

test("in any order of asking and serving, writers keep their turns and pulls share theirs by urgency", () => {
  const step = fc.option(fc.record({ urgency: fc.option(fc.nat(2), { nil: undefined }) }), { nil: "serve" as const });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World();
      const turns = new Turns();
      world.fill();
      for (const name of ["a", "b", "c", "d"]) world.store.pin(object(name), r); // nothing gives way but what is freed
      let last = "a";
      for (const [i, each] of steps.entries()) {
        if (each !== "serve") {
          const { urgency } = each;
          turns.ask(`o${i}`, urgency);
          world.ask(`o${i}`, kib(4), w, urgency === undefined ? undefined : () => urgency);
          world.asked();
          continue;
        }
        const next = turns.serve();
        if (next === undefined) continue;
        world.store.unpin(object(last), r, 0);
        world.store.seal(object(last));
        world.store.free(object(last));
        world.room.pump();
        assert.deepEqual(
          world.asked().filter((line) => line.endsWith("in memory")),
          [`${next} in memory`],
        );
        last = next;
      }
    }),
  );
});
