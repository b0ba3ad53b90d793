// A sealed object never changes, its block is reused only after its last reader, and in the end every byte is free.
// Method: stories by hand, then random sequences of calls against a naive model of who reads which block.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { kib, object, processId } from "../../../test/support/names.js";
import { type Block, StoreIndex } from "./store-index.js";

const w = processId("w");
const r = processId("r");

function sealed(store: StoreIndex, name: string, sizeBytes = kib(4)): Block {
  const block = store.create(object(name), sizeBytes, w);
  assert.ok(typeof block === "object", `${name} is created`);
  store.seal(object(name));
  return block;
}

test("an object is there from its seal on, and its size is known", () => {
  const store = new StoreIndex(kib(64));
  store.create(object("c"), 5_000, w);
  assert.equal(store.has(object("c")), false);
  assert.equal(store.pin(object("c"), r), undefined);
  assert.equal(store.seal(object("c")), 5_000);
  assert.equal(store.seal(object("c")), 5_000);
  assert.equal(store.has(object("c")), true);
  assert.deepEqual(
    [...store.sealed()].map(([id]) => id),
    ["c"],
  );
  assert.equal(store.seal(object("unknown")), undefined);
});

test("an object is made once; a store without room says so", () => {
  const store = new StoreIndex(kib(8));
  sealed(store, "a", kib(8));
  assert.equal(store.create(object("a"), kib(8), w), "exists");
  assert.equal(store.create(object("b"), 1, w), "full");
});

test("a block under a reader stays when its object is freed, and goes with the reader", () => {
  const store = new StoreIndex(kib(64));
  const { offset } = sealed(store, "c");
  store.pin(object("c"), r);
  store.pin(object("c"), r);
  store.free(object("c"));
  store.free(object("c"));
  assert.equal(store.has(object("c")), false);
  assert.equal(store.usedBytes, kib(4));
  store.unpin(object("c"), r, offset);
  assert.equal(store.usedBytes, kib(4));
  store.unpin(object("c"), r, offset);
  assert.equal(store.usedBytes, 0);
  store.unpin(object("c"), r, offset);
  store.check();
});

test("an object that is made again while its old block is read gets another block", () => {
  const store = new StoreIndex(kib(64));
  const old = sealed(store, "c");
  store.pin(object("c"), r);
  store.free(object("c"));
  const fresh = sealed(store, "c");
  assert.notEqual(fresh.offset, old.offset);
  store.check();
  store.unpin(object("c"), r, old.offset);
  assert.equal(store.usedBytes, kib(4));
  assert.equal(store.has(object("c")), true);
});

test("each block of an object that was made again is released by its place, in any order", () => {
  const store = new StoreIndex(kib(64));
  const old = sealed(store, "c", kib(4));
  store.pin(object("c"), r);
  store.free(object("c"));
  const fresh = sealed(store, "c", kib(8));
  store.pin(object("c"), r);
  store.free(object("c"));
  store.unpin(object("c"), r, fresh.offset);
  assert.equal(store.usedBytes, kib(4)); // the old block is still read
  store.unpin(object("c"), r, old.offset);
  assert.equal(store.usedBytes, 0);
});

test("a block for which the file system has no room is not handed out, and its place stays free", () => {
  let room = 1;
  const store = new StoreIndex(kib(64), () => room-- > 0);
  const first = sealed(store, "a");
  assert.equal(store.create(object("b"), 1, w), "full");
  assert.equal(store.usedBytes, kib(4));
  room = 1;
  assert.notEqual(sealed(store, "b").offset, first.offset);
  store.check();
});

test("releasing one freed object leaves another's block to its reader", () => {
  const store = new StoreIndex(kib(64));
  const a = sealed(store, "a");
  const b = sealed(store, "b", kib(8));
  store.pin(object("a"), r);
  store.pin(object("b"), r);
  store.free(object("a"));
  store.free(object("b"));
  store.unpin(object("b"), r, b.offset);
  assert.equal(store.usedBytes, kib(4));
  assert.notEqual(sealed(store, "new").offset, a.offset);
});

test("with a process go its unfinished blocks and its pins, and nothing else", () => {
  const store = new StoreIndex(kib(64));
  store.create(object("unfinished"), kib(4), w);
  sealed(store, "finished");
  sealed(store, "read");
  store.pin(object("read"), r);
  store.free(object("read"));
  store.processDied(w);
  assert.equal(store.usedBytes, kib(8));
  store.processDied(r);
  store.processDied(r);
  assert.equal(store.usedBytes, kib(4));
  assert.equal(store.has(object("finished")), true);
});

test("a writer may give up, but not take back what is sealed", () => {
  const store = new StoreIndex(kib(64));
  store.create(object("c"), kib(4), w);
  store.abort(object("c"));
  store.abort(object("c"));
  assert.equal(store.usedBytes, 0);
  sealed(store, "c");
  store.abort(object("c"));
  assert.equal(store.has(object("c")), true);
});

test("a seal while the object is still written elsewhere wins; the other block is free when its write ends", () => {
  for (const end of ["seal", "abort"] as const) {
    const store = new StoreIndex(kib(64));
    const fetched = store.create(object("c"), kib(8), r);
    const extent = store.leaseExtent(w, kib(8));
    assert.ok(extent !== undefined && typeof fetched === "object");
    assert.equal(store.adopt(object("c"), w, { offset: extent.offset, sizeBytes: kib(8) }, 0), "sealed");
    store.check();
    assert.equal(store.has(object("c")), true);
    assert.equal(store.pin(object("c"), r)?.offset, extent.offset);
    assert.equal(store.usedBytes, kib(16), "the write still goes to its block");
    assert.equal(store.adopt(object("c"), w, { offset: extent.offset, sizeBytes: kib(8) }, 0), "known", "said twice");
    assert.equal(store[end](object("c")), undefined);
    assert.equal(store.usedBytes, kib(8));
    assert.equal(store.unsealedBlocks, 0);
    store.unpin(object("c"), r, extent.offset);
    store.free(object("c"));
    assert.equal(store.usedBytes, 0);
    store.check();
  }
});

/** The model: one record for each block ever made, and which of them the store may not reuse. */
interface Made {
  readonly name: string;
  readonly block: Block;
  readonly writer: string;
  /** "outrun": it is still written, and the object was sealed in another block. */
  state: "writing" | "outrun" | "sealed" | "freed";
  readers: string[];
}

const names = fc.constantFrom("a", "b", "c");
const processes = fc.constantFrom("p", "q");
const steps = fc.array(
  fc.record({
    what: fc.constantFrom("create", "create", "adopt", "seal", "seal", "abort", "pin", "pin", "unpin", "free", "die"),
    name: names,
    who: processes,
    sizeBytes: fc.integer({ min: 1, max: kib(10) }),
  }),
  { maxLength: 80, size: "max" },
);
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never;

function mayNotBeReused(made: Made): boolean {
  return made.state !== "freed" || made.readers.length > 0;
}

/** Do one step in both; the model says what must be in use afterwards. */
function play(store: StoreIndex, model: Made[], { what, name, who, sizeBytes }: Steps[number]): void {
  const current = model.find((made) => made.name === name && (made.state === "writing" || made.state === "sealed"));
  const outrun = model.find((made) => made.name === name && made.state === "outrun");
  const drop = (made: Made) => model.splice(model.indexOf(made), 1);
  if (what === "create" || what === "adopt") {
    if (outrun !== undefined) return; // one at a time
    if (what === "adopt") return adopt(store, model, current, { name, who, sizeBytes });
    const block = store.create(object(name), sizeBytes, processId(who));
    assert.equal(block === "exists", current !== undefined);
    if (typeof block === "object") model.push({ name, block, writer: who, state: "writing", readers: [] });
  } else if (what === "seal") {
    assert.equal(store.seal(object(name)), outrun === undefined ? current?.block.sizeBytes : undefined);
    if (outrun !== undefined) drop(outrun);
    else if (current !== undefined) current.state = "sealed";
  } else if (what === "abort") {
    store.abort(object(name));
    if (outrun !== undefined) drop(outrun);
    else if (current?.state === "writing") drop(current);
  } else if (what === "pin") {
    const block = store.pin(object(name), processId(who));
    assert.equal(block?.offset, current?.state === "sealed" ? current.block.offset : undefined);
    if (block !== undefined) current?.readers.push(who);
  } else if (what === "unpin") {
    const read = model.find((made) => made.name === name && made.readers.includes(who));
    store.unpin(object(name), processId(who), read?.block.offset ?? 0);
    if (read !== undefined) read.readers.splice(read.readers.indexOf(who), 1);
  } else if (what === "free") {
    store.free(object(name));
    if (current?.state === "sealed") current.state = "freed";
  } else {
    store.processDied(processId(who));
    for (const made of [...model]) {
      made.readers = made.readers.filter((reader) => reader !== who);
      if ((made.state === "writing" || made.state === "outrun") && made.writer === who) drop(made);
    }
  }
}

/** A writer seals a block of its own: also while the object is written elsewhere. */
function adopt(
  store: StoreIndex,
  model: Made[],
  current: Made | undefined,
  { name, who, sizeBytes }: Pick<Steps[number], "name" | "who" | "sizeBytes">,
): void {
  const extent = store.leaseExtent(processId(who), sizeBytes);
  if (extent === undefined) return;
  const block = { offset: extent.offset, sizeBytes };
  const adopted = store.adopt(object(name), processId(who), block, 0);
  assert.equal(adopted, current?.state === "sealed" ? "known" : "sealed");
  const rest = { offset: extent.offset + pagesOf(sizeBytes), sizeBytes: extent.sizeBytes - pagesOf(sizeBytes) };
  if (rest.sizeBytes > 0) store.returnExtent(processId(who), rest.offset, rest.sizeBytes);
  if (adopted === "known") return;
  if (current !== undefined) current.state = "outrun";
  model.push({ name, block, writer: who, state: "sealed", readers: [] });
}

function pagesOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / kib(4)) * kib(4);
}

test("whatever happens, no two blocks in use share a byte, and unused bytes are free", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const store = new StoreIndex(kib(40));
      const model: Made[] = [];
      for (const step of todo) {
        play(store, model, step);
        store.check();
        const used = model.filter(mayNotBeReused).map(({ block }) => block);
        used.sort((a, b) => a.offset - b.offset);
        let end = 0;
        for (const { offset, sizeBytes } of used) {
          assert.ok(offset >= end, "two blocks share a byte");
          end = offset + sizeBytes;
        }
        const pages = used.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / kib(4)), 0);
        assert.equal(store.usedBytes, pages * kib(4));
        for (const name of ["a", "b", "c"]) {
          const is = model.some((made) => made.name === name && made.state === "sealed");
          assert.equal(store.has(object(name)), is);
        }
      }
    }),
    { numRuns: 500 },
  );
});
