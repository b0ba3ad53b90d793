// What is on disk is accounted for: blocks stay while they are written, files while somebody needs an object in them.
// Method: a small store, and a disk that the test plays by hand; read what was asked of it, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../../test/support/messages.js";
import { failure, kib, object, processId } from "../../../test/support/names.js";
import { MAX_SPILL_WRITES } from "../../base/limits.js";
import { Spilling } from "./spilling.js";
import { StoreIndex } from "./store-index.js";

const w = processId("w");
const r = processId("r");

/** A store of 80 KiB: files of about 10 KiB, and spilling ahead of need from 64 KiB on. */
class World {
  readonly store = new StoreIndex(kib(80));
  readonly spilling: Spilling;
  readonly #lines = new Lines();

  constructor() {
    this.spilling = new Spilling(this.store, {
      writeSpill: (file, parts) => this.#lines.add(`write ${parts.map((part) => part.objectId)} to ${file}`),
      deleteSpill: (file) => this.#lines.add(`delete ${file}`),
    });
  }

  seal(name: string, sizeBytes = kib(4)): void {
    assert.ok(typeof this.store.create(object(name), sizeBytes, w) === "object", `${name} has a block`);
    this.store.seal(object(name));
  }

  free(name: string): void {
    this.spilling.free(object(name));
    this.store.free(object(name));
  }

  /** Write all that can be written, as if somebody waited for room. */
  spillAll(): void {
    for (let file = 1; ; file++) {
      this.spilling.spill(true);
      if (!this.spilling.isWriting) return;
      this.spilling.written(file, undefined);
    }
  }

  asked(): string[] {
    this.store.check();
    this.spilling.check();
    return this.#lines.take();
  }
}

test("the least recently used go first, fused into files; what is read stays; a large one has a file alone", () => {
  const w = new World();
  for (const name of ["a", "b", "c", "d"]) w.seal(name);
  w.seal("large", kib(12));
  w.store.pin(object("b"), r);
  w.store.pin(object("a"), r);
  w.store.unpin(object("a"), r, 0); // used a moment ago: the last in the queue
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), ["write c,d to 1", "write large to 2"]);
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), [], `${MAX_SPILL_WRITES} writes at a time`);
  w.spilling.written(2, undefined);
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), ["write a to 3"]);
});

test("writing begins by itself above 80 % of what could not give way at once", () => {
  const w = new World();
  for (let i = 0; i < 16; i++) w.seal(`o${i}`);
  w.spilling.spill(false);
  assert.deepEqual(w.asked(), []);
  w.seal("o16");
  w.spilling.spill(false);
  assert.deepEqual(w.asked(), ["write o0,o1 to 1"]);
  w.spilling.written(1, undefined);
  w.spilling.spill(false);
  assert.deepEqual(w.asked(), [], "what is on disk as well can give way");
  assert.deepEqual(
    [...w.store.idle("spilled")].map((block) => block.object),
    ["o0", "o1"],
  );
  assert.equal(w.spilling.spilledBytes, kib(8));
});

test("a block stays in place while it is written, also when its object is freed meanwhile", () => {
  const w = new World();
  w.seal("a");
  w.seal("b");
  w.spilling.spill(true);
  w.free("a");
  assert.equal(w.store.usedBytes, kib(8));
  w.seal("a"); // made again: another object than the one that is being written
  w.spilling.written(1, undefined);
  assert.deepEqual(w.asked(), ["write a,b to 1"]);
  assert.equal(w.store.usedBytes, kib(8));
  assert.equal(w.spilling.has(object("a")), false);
  assert.equal(w.spilling.has(object("b")), true);
  w.free("b");
  assert.deepEqual(w.asked(), ["delete 1"]);
});

test("a file is deleted with its last object, and only when its last reader is done", () => {
  const w = new World();
  w.seal("a");
  w.seal("b");
  w.spillAll();
  const file = w.spilling.open(object("b")) ?? 0;
  w.free("a");
  w.free("b");
  w.free("b");
  assert.deepEqual(w.asked(), ["write a,b to 1"]);
  assert.equal(w.spilling.spilledBytes, 0);
  w.spilling.close(file);
  assert.deepEqual(w.asked(), ["delete 1"]);
  assert.equal(w.spilling.open(object("b")), undefined);
});

test("every object of a file freed while it is written: the file goes as soon as it is there", () => {
  const w = new World();
  w.seal("a");
  w.spilling.spill(true);
  w.free("a");
  w.spilling.written(1, undefined);
  assert.deepEqual(w.asked(), ["write a to 1", "delete 1"]);
  assert.equal(w.store.usedBytes, 0);
});

test("a write that fails leaves its objects in memory; the next is tried after a while", () => {
  const w = new World();
  w.seal("a");
  w.spilling.spill(true);
  w.spilling.written(1, failure("OUT_OF_DISK"));
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), ["write a to 1", "delete 1"]);
  assert.equal(w.spilling.obstacle()?.code, "OUT_OF_DISK");
  assert.equal(w.store.idleBytes("primary"), kib(4));
  w.spilling.retry();
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), ["write a to 2"]);
});

test("the disk is not filled beyond what it has; writes under way are counted", () => {
  const w = new World();
  for (const name of ["a", "b", "c", "d"]) w.seal(name);
  w.spilling.diskHas(kib(12));
  w.spilling.spill(true);
  assert.deepEqual(w.asked(), ["write a,b to 1"]);
  assert.match(w.spilling.obstacle()?.message ?? "", /8192 bytes .* 4096 may be taken/);
  assert.equal(w.spilling.takeDisk(kib(4)), true);
  assert.equal(w.spilling.takeDisk(1), false);
  w.spilling.diskHas(kib(12));
  assert.equal(w.spilling.takeDisk(kib(8)), false, "8 KiB are being written");
  w.spilling.written(1, undefined);
  w.free("a");
  w.free("b");
  assert.equal(w.spilling.takeDisk(kib(12)), true, "a deleted file gives its space back");
});

test("bytes that were damaged on disk: a copy in memory is the only one again, else the object is lost", () => {
  const w = new World();
  w.seal("a");
  w.seal("b");
  w.spillAll();
  w.store.evict(object("b"));
  assert.equal(w.spilling.lose(object("a")), "in memory");
  assert.equal(w.spilling.lose(object("b")), "lost");
  assert.deepEqual(w.asked(), ["write a,b to 1", "delete 1"]);
  assert.throws(() => w.store.evict(object("a")), /last copy/);
});
