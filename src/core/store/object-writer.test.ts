// A writer's blocks never share a byte with anybody's, are used again without a message, and all space comes back.
// Method: stories by hand against a raylet in a few lines; then random programs of two writers on one store index, with
// their messages under way, against an arena that remembers which block was last written to each page.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { kib, object, process, processId } from "../../../test/support/names.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { COLLECT_AFTER_BYTES, EXTENT_IDLE_MS, STORE_PAGE_BYTES } from "../../base/limits.js";
import type { Failure, Message } from "../../protocol/messages.js";
import { LocalBlock } from "./extent-space.js";
import { ObjectWriter } from "./object-writer.js";
import { StoreIndex } from "./store-index.js";

const REASON = { code: "OBJECT_STORE_FULL", message: "full" };

/** One process of a node whose store is `store`: what it says waits in `said` until it is delivered. */
class Writer {
  readonly id: ProcessId;
  readonly store: StoreIndex;
  readonly writer: ObjectWriter;
  readonly said: Message[] = [];
  /** Requests for extents, in words. */
  readonly asked: string[] = [];
  readonly blocks = new Set<LocalBlock>();
  /** What a collection finds, and other objects of the store that this process has dropped. */
  garbage: LocalBlock[] = [];
  dropped: ObjectId[] = [];
  collections = 0;
  /** What the raylet does for a last question: it makes room, if it can. */
  spill: () => void = () => {};
  /** The raylet answers. */
  answers = true;
  hasDisk = true;
  nowMs = 1;
  wakeMs = 0;

  constructor(store: StoreIndex, name = "w") {
    this.id = processId(name);
    this.store = store;
    this.writer = new ObjectWriter({
      send: (message) => this.said.push(message),
      ask: ({ request, minBytes, last, letGo }, before) => {
        const words = `${minBytes}${last ? " at last" : ""}${letGo ? " after letting go" : ""}`;
        this.asked.push([...before.map(({ type }) => type), words].join(", "));
        for (const message of before) this.#take(message);
        if (last) this.spill();
        if (!this.answers) return undefined;
        const extent = store.leaseExtent(this.id, minBytes);
        const reason = last || this.hasDisk ? REASON : { ...REASON, code: "OUT_OF_DISK" };
        if (extent === undefined) return { type: "extentRefused", request, reason };
        return { type: "extentLeased", request, ...extent };
      },
      collect: () => {
        this.collections++;
        const dropped = this.dropped.splice(0);
        for (const id of dropped) store.free(id);
        const garbage = this.garbage.splice(0);
        for (const block of garbage) this.free(block);
        return dropped.length + garbage.length > 0;
      },
      announce: (block) => this.handOver(block, object(`o${block.offset}`)),
      nowMs: () => this.nowMs,
      wakeUpAfter: (delayMs) => {
        this.wakeMs = this.nowMs + delayMs;
      },
    });
  }

  make(sizeBytes: number): LocalBlock | undefined {
    const block = this.writer.allocate(sizeBytes);
    if (!(block instanceof LocalBlock)) return undefined;
    this.writer.written(block);
    this.blocks.add(block);
    return block;
  }

  free(block: LocalBlock): void {
    this.writer.free(block);
    this.blocks.delete(block);
  }

  handOver(block: LocalBlock, id: ObjectId, done: (failure: Failure | undefined) => void = () => {}): void {
    this.writer.handOver(block, { objectId: id, attempt: 0, holder: process("d"), contains: [] }, done);
    this.blocks.delete(block);
  }

  /** The raylet takes the oldest message; false without one. */
  deliver(): boolean {
    const message = this.said.shift();
    if (message !== undefined) this.#take(message);
    return message !== undefined;
  }

  check(): void {
    this.writer.check();
    for (const { offset, length } of this.writer.ranges()) {
      assert.ok(this.store.holdsExtent(this.id, offset, length), "what a writer may touch is leased to it");
    }
  }

  #take(message: Message): void {
    if (message.type === "sealObject") {
      assert.notEqual(this.store.adopt(message.objectId, this.id, message, message.pins), "foreign");
    } else if (message.type === "returnExtent") {
      assert.ok(this.store.returnExtent(this.id, message.offset, message.sizeBytes));
    } else if (message.type === "releaseBlock") {
      this.store.unpin(message.objectId, this.id, message.offset);
    }
  }
}

function writerOf(capacityBytes: number): Writer {
  return new Writer(new StoreIndex(capacityBytes));
}

function made(w: Writer, sizeBytes = kib(4)): LocalBlock {
  const block = w.make(sizeBytes);
  assert.ok(block !== undefined, "there is room");
  return block;
}

// ── Stories ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test("a raylet that does not answer cannot say who keeps its store full; the process says what it has there itself", () => {
  const w = writerOf(kib(1024));
  made(w, kib(8));
  w.answers = false;
  const failure = w.writer.allocate(kib(512));
  assert.ok(!(failure instanceof LocalBlock));
  assert.equal(failure.code, "OBJECT_STORE_FULL");
  assert.match(failure.message, /524288 bytes of its store, where 8192 bytes are of objects that it alone knows/);
});

test("one request serves many blocks; what never leaves the process is used again, warm and without a message", () => {
  const w = writerOf(kib(128 * 1024));
  const [a, b] = [made(w, kib(100)), made(w, kib(200))];
  w.free(b);
  assert.equal(made(w, kib(150)).offset, b.offset);
  w.free(a);
  assert.equal(made(w, kib(50)).offset, a.offset);
  assert.deepEqual(w.asked, [`${kib(100)}`]);
  assert.deepEqual(w.said, []);
});

test("what is not used for a while goes back, and nothing else", () => {
  const w = writerOf(kib(128 * 1024));
  const a = made(w);
  w.nowMs += EXTENT_IDLE_MS - 1;
  w.free(made(w));
  w.nowMs = w.wakeMs;
  w.writer.tick();
  assert.deepEqual(w.said, []); // it was used a millisecond ago
  w.nowMs = w.wakeMs;
  w.writer.tick();
  while (w.deliver());
  assert.equal(w.store.usedBytes, kib(4));
  w.check();
  w.free(a);
  w.nowMs = w.wakeMs;
  w.writer.tick();
  while (w.deliver());
  assert.equal(w.store.usedBytes, 0);
});

test("an object that is handed over leaves the extent; whoever made it hears when the object table has it", () => {
  const w = writerOf(kib(64));
  const heard: string[] = [];
  w.handOver(made(w), object("c"), () => heard.push("first"));
  w.handOver(made(w), object("c"), () => heard.push("second attempt"));
  while (w.deliver());
  assert.equal(w.store.usedBytes, kib(4)); // the second attempt's block was free at once
  w.writer.receive({ type: "objectSealed", objectId: object("c") });
  w.writer.receive({ type: "objectSealed", objectId: object("c") });
  assert.deepEqual(heard, ["first", "second attempt"]);
});

test("what waits for all that was handed over so far does not wait for what comes later", () => {
  const w = new Writer(new StoreIndex(kib(64)));
  const [a, b, c] = [w.make(kib(4)), w.make(kib(4)), w.make(kib(4))];
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const said: string[] = [];
  w.writer.whenAnnounced(() => said.push("nothing"));
  w.handOver(a, object("a"));
  w.handOver(b, object("b"));
  w.writer.whenAnnounced(() => said.push("a and b"));
  w.handOver(c, object("c"));
  w.writer.receive({ type: "objectSealed", objectId: object("a") });
  assert.deepEqual(said, ["nothing"]);
  w.writer.receive({ type: "objectRefused", objectId: object("b"), reason: REASON });
  assert.deepEqual(said, ["nothing", "a and b"]);
});

test("whoever made an object that the object table has no room for is told why", () => {
  const w = writerOf(kib(64));
  const told: unknown[] = [];
  w.handOver(made(w), object("c"), (failure) => told.push(failure));
  w.handOver(made(w), object("c"), (failure) => told.push(failure)); // its task runs here twice
  w.writer.receive({ type: "objectRefused", objectId: object("c"), reason: REASON });
  w.writer.receive({ type: "objectSealed", objectId: object("c") });
  assert.deepEqual(told, [REASON, REASON]);
});

test("a reader in place keeps a freed block, and goes with a block that is handed over", () => {
  const w = writerOf(kib(8));
  const [a, b] = [made(w), made(w)];
  w.writer.pin(a);
  w.writer.pin(b);
  w.free(a);
  w.handOver(b, object("b"));
  while (w.deliver());
  w.store.free(object("b"));
  assert.equal(w.make(kib(4)), undefined);
  w.writer.unpin(a);
  assert.equal(made(w).offset, a.offset);
  w.writer.unpin(b);
  assert.equal(w.store.usedBytes, kib(8));
  while (w.deliver());
  assert.equal(w.store.usedBytes, kib(4));
});

test("without room it looks for garbage, then announces what only it knows, then asks for the last time", () => {
  const w = writerOf(kib(16));
  const [a, b, c] = [made(w), made(w), made(w)];
  w.free(made(w));
  w.garbage = [a];
  w.asked.length = 0;
  assert.ok(made(w, kib(4))); // it had a free page
  made(w, kib(4)); // of the garbage
  assert.deepEqual(w.asked, [`${kib(4)}`]);
  assert.equal(w.make(kib(8)), undefined);
  assert.deepEqual(w.asked.slice(1), [
    `${kib(8)}`,
    `sealObject, sealObject, sealObject, sealObject, ${kib(8)} at last`,
  ]);
  assert.deepEqual(
    [b, c].map(({ state }) => state),
    ["handedOver", "handedOver"],
  );
  assert.equal([...w.store.sealed()].length, 4); // all can be spilled now
});

test("garbage is looked for now and then, and less often while there is none", () => {
  const half = COLLECT_AFTER_BYTES / 2;
  const w = writerOf(64 * COLLECT_AFTER_BYTES);
  const putFor = (collections: number) => {
    let bytes = 0;
    for (; w.collections < collections; bytes += half) made(w, half);
    return bytes / COLLECT_AFTER_BYTES;
  };
  assert.equal(putFor(1), 1.5); // the third found that it was time
  assert.equal(putFor(2), 2);
  assert.equal(putFor(3), 4);
  w.garbage = [...w.blocks];
  putFor(4);
  assert.ok(putFor(5) < 20, "what was found is used first, and the next look comes as early as at the beginning");
});

test("in a full store that gives room one by one, garbage is not looked for at each object when there is none", () => {
  const w = writerOf(kib(64));
  const ids: ObjectId[] = [];
  w.spill = () => w.store.free(ids.shift() as ObjectId);
  for (let i = 0; i < 1000; i++) {
    ids.push(object(`s${i}`));
    w.handOver(made(w), ids.at(-1) as ObjectId);
    while (w.deliver());
  }
  assert.ok(w.collections < 20, `${w.collections} collections`);
});

/** A full store of four objects that others may know, and whose writer's collections have found nothing. */
function fullOfOthers(): Writer {
  const w = writerOf(kib(16));
  for (const name of ["a", "b", "c", "d"]) w.handOver(made(w), object(name));
  while (w.deliver());
  assert.equal(w.make(kib(4)), undefined);
  w.asked.length = 0;
  w.collections = 0;
  return w;
}

test("without disk garbage is looked for at each object, whatever earlier collections have found; the raylet is told of it", () => {
  const w = fullOfOthers();
  w.hasDisk = false;
  for (const name of ["a", "b"]) {
    w.dropped = [object(name)];
    w.handOver(made(w), object(`instead of ${name}`));
    while (w.deliver());
  }
  const each = [`${kib(4)}`, `${kib(4)} at last after letting go`];
  assert.deepEqual(w.asked, [...each, ...each]);
  assert.equal(w.make(kib(4)), undefined);
  assert.deepEqual([w.asked.slice(4), w.collections], [[`${kib(4)}`, `${kib(4)} at last`], 3]);
});

test("who has only read so far looks for garbage, too, when it first finds the store full", () => {
  const w = writerOf(kib(16));
  const other = new Writer(w.store, "other");
  for (const name of ["a", "b", "c", "d"]) other.handOver(made(other), object(name));
  while (other.deliver());
  w.dropped = [object("a")];
  made(w);
  assert.deepEqual(w.asked, [`${kib(4)}`, `${kib(4)} at last after letting go`]);
});

test("what one collection has let go of is under way, although the next one finds nothing more", () => {
  const w = writerOf(COLLECT_AFTER_BYTES);
  w.hasDisk = false;
  for (const name of ["a", "b"]) w.handOver(made(w, COLLECT_AFTER_BYTES / 2), object(name));
  while (w.deliver());
  w.asked.length = 0;
  w.dropped = [object("of another node")];
  w.spill = () => w.store.free(object("a")); // the news has come
  made(w);
  assert.deepEqual([w.collections, w.asked], [2, [`${kib(4)}`, `${kib(4)} at last after letting go`]]);
});

test("where the disk turns out to be full, garbage is looked for, and room asked for once more if there was any", () => {
  const w = fullOfOthers();
  w.dropped = [object("a")];
  w.handOver(made(w), object("e"));
  assert.deepEqual(w.asked, [`${kib(4)}`, `${kib(4)} at last`, `${kib(4)} at last after letting go`]);
  assert.equal(w.make(kib(4)), undefined);
  assert.equal(w.asked.length, 5);
});

test("who is asked for room gives back what it does not use, and announces the rest", () => {
  const w = writerOf(kib(128 * 1024));
  const a = made(w);
  w.writer.receive({ type: "extentsWanted" });
  assert.deepEqual(
    w.said.map(({ type }) => type),
    ["sealObject", "returnExtent"],
  );
  assert.equal(a.state, "handedOver");
  while (w.deliver());
  assert.equal(w.store.usedBytes, kib(4));
});

test("an answer that comes late is not lost", () => {
  const w = writerOf(kib(8));
  const extent = w.store.leaseExtent(w.id, kib(8));
  assert.ok(extent !== undefined);
  w.writer.receive({ type: "extentLeased", request: 0, ...extent });
  made(w, kib(8));
  assert.deepEqual(w.asked, []);
});

// ── Random programs ─────────────────────────────────────────────────────────────────────────────────────────────────

const CAPACITY_PAGES = 24;

interface Live {
  readonly token: number;
  readonly block: LocalBlock;
  readonly by: Writer;
  readonly id: ObjectId;
  pins: number;
  /** Freed by its process, or everywhere. */
  freed: boolean;
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom(
      "make",
      "make",
      "make",
      "free",
      "hand",
      "pin",
      "unpin",
      "deliver",
      "gone",
      "idle",
      "want",
      "die",
    ),
    who: fc.nat(1),
    which: fc.nat(50),
    sizeBytes: fc.integer({ min: 1, max: 6 * STORE_PAGE_BYTES }),
  }),
  { maxLength: 120, size: "max" },
);
type Step = (typeof steps extends fc.Arbitrary<infer T> ? T : never)[number];

class Model {
  readonly store = new StoreIndex(CAPACITY_PAGES * STORE_PAGE_BYTES);
  readonly writers = [new Writer(this.store, "p0"), new Writer(this.store, "p1")];
  readonly live: Live[] = [];
  /** What was written last to each page. */
  readonly pages: number[] = [];
  #next = 1;

  play({ what, who, which, sizeBytes }: Step): void {
    const by = this.writers[who] as Writer;
    const mine = this.live.filter((one) => one.by === by);
    const local = mine.filter(({ block }) => block.state === "local");
    const one = local[which % local.length];
    if (what === "make") this.#make(by, sizeBytes);
    else if (what === "deliver") by.deliver();
    else if (what === "want") by.writer.receive({ type: "extentsWanted" });
    else if (what === "idle") this.#idle(by);
    else if (what === "die") this.#die(who);
    else if (what === "gone") this.#gone(which);
    else if (what === "unpin") this.#unpin(mine.filter(({ pins }) => pins > 0)[0]);
    else if (one === undefined) return;
    else if (what === "hand") by.handOver(one.block, one.id);
    else if (what === "pin") {
      by.writer.pin(one.block);
      one.pins++;
    } else {
      by.free(one.block);
      one.freed = true;
    }
  }

  check(): void {
    this.store.check();
    for (const writer of this.writers) writer.check();
    for (const { token, block, pins, freed } of this.live) {
      if (freed && pins === 0) continue;
      for (const page of pagesOf(block)) assert.equal(this.pages[page], token, "nobody else writes to a block in use");
    }
  }

  /** Everybody lets go of everything. */
  end(): void {
    for (const one of this.live) while (one.pins > 0) this.#unpin(one);
    for (const one of this.live) if (one.block.state === "local") one.by.free(one.block);
    for (const writer of this.writers) {
      this.#idle(writer);
      while (writer.deliver());
    }
    for (const [id] of [...this.store.sealed()]) this.store.free(id);
    assert.equal(this.store.usedBytes, 0, "all space is back");
  }

  #make(by: Writer, sizeBytes: number): void {
    const block = by.make(sizeBytes);
    if (block === undefined) return;
    const token = this.#next++;
    for (const page of pagesOf(block)) this.pages[page] = token;
    // Under pressure blocks are announced by their place, which one object has at a time.
    this.live.push({ token, block, by, id: object(`o${block.offset}`), pins: 0, freed: false });
  }

  #unpin(one: Live | undefined): void {
    if (one === undefined) return;
    one.pins--;
    one.by.writer.unpin(one.block);
  }

  #idle(by: Writer): void {
    by.nowMs += 2 * EXTENT_IDLE_MS;
    by.writer.tick();
  }

  /** An object that is sealed is freed everywhere. */
  #gone(which: number): void {
    const sealed = this.live.filter(({ block, freed }) => block.state === "handedOver" && !freed);
    const one = sealed[which % sealed.length];
    if (one === undefined || one.by.said.some((said) => said.type === "sealObject" && said.objectId === one.id)) return;
    this.store.free(one.id);
    one.freed = true;
  }

  /** SIGKILL: what it sealed stays, if the raylet had heard of it. */
  #die(who: number): void {
    const dead = this.writers[who] as Writer;
    const unheard = new Set(dead.said.flatMap((said) => (said.type === "sealObject" ? [said.objectId] : [])));
    this.store.processDied(dead.id);
    for (const one of this.live.filter(({ by }) => by === dead)) {
      const stays = one.block.state === "handedOver" && !one.freed && !unheard.has(one.id);
      if (!stays) this.live.splice(this.live.indexOf(one), 1);
      one.pins = 0;
    }
    this.writers[who] = new Writer(this.store, `heir${this.#next++}`);
  }
}

function pagesOf({ offset, sizeBytes }: LocalBlock): number[] {
  const count = Math.max(1, Math.ceil(sizeBytes / STORE_PAGE_BYTES));
  return Array.from({ length: count }, (_, i) => offset / STORE_PAGE_BYTES + i);
}

test("whatever two writers do, nobody writes to a block in use, and in the end all space is back", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const model = new Model();
      for (const step of todo) {
        model.play(step);
        model.check();
      }
      model.end();
    }),
    { numRuns: 500 },
  );
});
