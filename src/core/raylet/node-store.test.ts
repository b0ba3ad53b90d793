// Whatever writers, readers and the disk do: every request is answered, readers see what was written, and when everything
// is freed nothing is left in memory or on disk.
// Method: random programs of processes p and q against a model that knows each page's content and each file's.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sealObject } from "../../../test/support/messages.js";
import { kib, node, object, process, processId } from "../../../test/support/names.js";
import type { ObjectId, ProcessRef } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import type { SpillPart } from "../store/spilling.js";
import { NodeStore } from "./node-store.js";

const NAMES = ["a", "b", "c", "d", "e", "f"];
const PAGE = kib(4);
const LOST = { code: "OBJECT_LOST", message: "damaged" };
const NO_DISK = { code: "OUT_OF_DISK", message: "full" };

type DiskJob =
  | { readonly kind: "write"; readonly file: number; readonly parts: readonly SpillPart[] }
  | { readonly kind: "restore"; readonly objectId: ObjectId; readonly file: number; readonly offset: number };

/** A name has the same size and content whenever it is made. */
const sizeOf = (name: string) => PAGE * (1 + NAMES.indexOf(name));

class World {
  readonly store: NodeStore;
  /** What each page of arena and fallback file has. */
  readonly #pages = new Map<number, string>();
  readonly #files = new Map<number, Set<string>>();
  readonly jobs: DiskJob[] = [];
  /** Blocks that a process was given to write, and objects that it reads. */
  readonly writing: { readonly name: string; readonly who: string; readonly offset: number }[] = [];
  readonly reading: { readonly name: string; readonly who: string; readonly offset: number }[] = [];
  readonly waiting: { readonly name: string; readonly who: string; readonly what: "create" | "get" }[] = [];
  /** What each request for room is for. */
  readonly #requests: string[] = [];
  readonly sealed = new Set<string>();
  /** What the object table was told is no longer here. */
  readonly lost = new Set<string>();
  wakeUps = 0;
  readonly failures: string[] = [];

  constructor() {
    const port: ConstructorParameters<typeof NodeStore>[2] = {
      send: (to, message) => this.#sent(to.processId, message),
      sendToLocal: (to, message) => this.#sent(to, message),
      fetchObject: () => assert.fail("nothing is elsewhere"),
      argumentReady: () => {},
      argumentFailed: () => {},
      wantGarbage: () => {},
      refuse: (_, why) => assert.fail(why),
      nameOf: (who) => who,
      disk: {
        reserveSpace: () => true,
        writeSpill: (file, parts) => void this.jobs.push({ kind: "write", file, parts }),
        restoreSpill: (objectId, file, offset) => void this.jobs.push({ kind: "restore", objectId, file, offset }),
        deleteSpill: (file) => void this.#files.delete(file),
        emptyFallback: () => {},
        wakeUpAfter: () => this.wakeUps++,
      },
    };
    this.store = new NodeStore(node("N1"), kib(48), port, new Journey("N1", () => 0));
  }

  get files(): number {
    return this.#files.size;
  }

  send(who: string, message: Message): void {
    this.store.receive(process(who), message);
  }

  write(name: string, who: string): void {
    if (this.waiting.some((each) => each.name === name && each.what === "create")) return;
    this.waiting.push({ name, who, what: "create" });
    const request = this.#requests.push(name) - 1;
    this.send(who, { type: "leaseExtent", request, minBytes: sizeOf(name), last: true, letGo: false });
  }

  seal(index: number): void {
    const [block] = this.writing.splice(index % Math.max(1, this.writing.length), 1);
    if (block === undefined) return;
    this.sealed.add(block.name);
    this.lost.delete(block.name);
    const { name, who, offset } = block;
    this.send(who, sealObject(name, { offset, sizeBytes: sizeOf(name), holder: process(who) }));
  }

  get(name: string, who: string): void {
    if (!this.sealed.has(name) || this.lost.has(name)) return;
    this.waiting.push({ name, who, what: "get" });
    this.send(who, { type: "getObject", objectId: object(name), fetch: true, waits: false, mustBeHere: false });
  }

  release(index: number): void {
    const [read] = this.reading.splice(index % Math.max(1, this.reading.length), 1);
    if (read === undefined) return;
    this.send(read.who, { type: "releaseBlock", objectId: object(read.name), offset: read.offset });
  }

  /** Nobody holds it: so nobody waits for it either. */
  free(name: string): void {
    if (!this.sealed.has(name) || this.waiting.some((each) => each.name === name)) return;
    this.sealed.delete(name);
    this.send("gcs", { type: "freeObject", objectId: object(name) });
  }

  die(who: string): void {
    for (const list of [this.writing, this.reading, this.waiting]) {
      list.splice(0, list.length, ...((list as { who: string }[]).filter((each) => each.who !== who) as never[]));
    }
    this.store.processDied(processId(who));
  }

  /** The disk has done something, well or not. */
  disk(index: number, outcome: "ok" | "failed" | "damaged"): void {
    const [job] = this.jobs.splice(index % Math.max(1, this.jobs.length), 1);
    if (job?.kind === "write") {
      if (outcome !== "ok") return this.store.written(job.file, NO_DISK);
      for (const part of job.parts) this.#expect(part.objectId, part.offset, part.sizeBytes);
      this.#files.set(job.file, new Set(job.parts.map((part) => part.objectId)));
      this.store.written(job.file, undefined);
    } else if (job?.kind === "restore") {
      assert.ok(this.#files.get(job.file)?.has(job.objectId), "the file of a restore is there");
      if (outcome === "ok") this.#fill(job.objectId, job.offset);
      const failure = outcome === "ok" ? undefined : outcome === "failed" ? NO_DISK : LOST;
      this.store.restored(job.objectId, failure);
    }
  }

  #sent(who: string, message: Message): void {
    switch (message.type) {
      case "extentLeased":
        return this.#leased(who, this.#requests[message.request] ?? "", message.offset, message.sizeBytes);
      case "extentRefused":
        return this.#answered(who, this.#requests[message.request] ?? "", "create");
      case "objectReady":
        this.#answered(who, message.objectId, "get");
        this.#expect(message.objectId, message.offset, message.sizeBytes);
        this.reading.push({ name: message.objectId, who, offset: message.offset });
        return;
      case "objectFailed":
        this.failures.push(message.reason.message);
        return this.#answered(who, message.objectId, "get");
      case "dropLocation":
        this.lost.add(message.objectId);
        return;
      case "subscribeObject":
        return this.#gone(message.objectId);
      default:
        return;
    }
  }

  #leased(who: string, name: string, offset: number, sizeBytes: number): void {
    assert.equal(sizeBytes, sizeOf(name));
    this.#answered(who, name, "create");
    this.#fill(name, offset);
    this.writing.push({ name, who, offset });
  }

  /** The object table's word on what was lost; it comes later, as messages do. */
  #gone(objectId: ObjectId): void {
    this.later.push(() => this.send("gcs", { type: "objectGone", objectId, reason: LOST }));
  }
  readonly later: (() => void)[] = [];

  #answered(who: string, name: string, what: "create" | "get"): void {
    const at = this.waiting.findIndex((each) => each.name === name && each.who === who && each.what === what);
    assert.ok(at >= 0, `${who} waits for ${name}`);
    this.waiting.splice(at, 1);
  }

  #fill(name: string, offset: number): void {
    for (let at = 0; at < sizeOf(name); at += PAGE) this.#pages.set(offset + at, name);
  }

  #expect(name: string, offset: number, sizeBytes: number): void {
    assert.equal(sizeBytes, sizeOf(name));
    for (let at = 0; at < sizeBytes; at += PAGE) assert.equal(this.#pages.get(offset + at), name);
  }

  check(): void {
    for (const action of this.later.splice(0)) action();
    this.store.check();
  }

  /** The disk works, writers finish, readers leave. */
  calmDown(): void {
    for (let round = 0; round < 200 && (this.waiting.length > 0 || this.jobs.length > 0); round++) {
      this.seal(0);
      this.release(0);
      this.disk(0, "ok");
      this.store.wakeUp();
      this.store.tick(1);
      this.check();
    }
  }
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom(
      "write",
      "write",
      "seal",
      "seal",
      "get",
      "get",
      "release",
      "free",
      "disk",
      "disk",
      "fail",
      "die",
      "wake",
    ),
    name: fc.constantFrom(...NAMES),
    who: fc.constantFrom("p", "q"),
    index: fc.nat(5),
  }),
  { maxLength: 120, size: "max" },
);
type Step = typeof steps extends fc.Arbitrary<(infer T)[]> ? T : never;

function play(w: World, { what, name, who, index }: Step): void {
  if (what === "write") w.write(name, who);
  else if (what === "seal") w.seal(index);
  else if (what === "get") w.get(name, who);
  else if (what === "release") w.release(index);
  else if (what === "free") w.free(name);
  else if (what === "disk") w.disk(index, "ok");
  else if (what === "fail") w.disk(index, index % 2 === 0 ? "failed" : "damaged");
  else if (what === "die") w.die(who);
  else w.store.wakeUp();
  w.check();
}

test("every request is answered, readers see what was written, and nothing is left when all is freed", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const w = new World();
      for (const step of todo) play(w, step);
      w.calmDown();
      assert.deepEqual(w.waiting, [], "every request has been answered");
      while (w.writing.length > 0) w.seal(0);
      while (w.reading.length > 0) w.release(0);
      for (const name of NAMES) w.free(name);
      while (w.jobs.length > 0) w.disk(0, "ok");
      w.check();
      assert.equal(w.store.index.usedBytes, 0);
      assert.equal(w.store.index.fallbackBytes, 0);
      assert.equal(w.store.spilling.spilledBytes, 0);
      assert.equal(w.files, 0);
    }),
    { numRuns: 1_000 },
  );
});

test("a promoted replica is written to disk instead of being evicted", () => {
  const sent: string[] = [];
  const gcs: ProcessRef = process("gcs");
  const store = new NodeStore(
    node("N1"),
    kib(8),
    {
      send: (_, message) => void sent.push(message.type),
      sendToLocal: (_, message) => void sent.push(message.type),
      fetchObject: (id) => void sent.push(`fetch ${id}`),
      argumentReady: () => {},
      argumentFailed: () => {},
      wantGarbage: () => {},
      refuse: (_, why) => assert.fail(why),
      nameOf: (who) => who,
      disk: {
        reserveSpace: () => true,
        writeSpill: (file) => void sent.push(`write ${file}`),
        restoreSpill: () => {},
        deleteSpill: () => {},
        emptyFallback: () => {},
        wakeUpAfter: () => {},
      },
    },
    new Journey("N1", () => 0),
  );
  store.receive(process("p"), {
    type: "getObject",
    objectId: object("c"),
    fetch: true,
    waits: false,
    mustBeHere: false,
  });
  store.receive(gcs, {
    type: "objectAvailable",
    objectId: object("c"),
    sizeBytes: kib(4),
    attempt: 0,
    locations: [node("N2")],
    width: 1,
  });
  store.fetched(object("c"), undefined);
  store.receive(gcs, { type: "becomePrimary", objectId: object("c") });
  store.receive(process("p"), { type: "releaseBlock", objectId: object("c"), offset: 0 });
  sent.length = 0;
  store.receive(process("p"), { type: "leaseExtent", request: 1, minBytes: kib(8), last: true, letGo: false });
  assert.deepEqual(sent, ["garbageWanted", "write 1"]);
  store.written(1, undefined);
  assert.deepEqual(sent, ["garbageWanted", "write 1", "extentLeased"]);
  assert.equal(store.spilling.has(object("c")), true);
});

/** "c" is on disk only: "e" and "f" fill the store. The disk is at rest. */
function spilledC(): World {
  const w = new World();
  for (const name of ["c", "e", "f"]) {
    w.write(name, "p");
    while (w.jobs.length > 0) w.disk(0, "ok");
    w.seal(0);
    while (w.jobs.length > 0) w.disk(0, "ok");
  }
  assert.equal(w.sealed.size, 3);
  assert.equal(w.store.index.has(object("c")), false);
  assert.equal(w.store.spilling.has(object("c")), true);
  return w;
}

test("a file system without room for a block that was given is an error that names who keeps the store full", () => {
  const w = spilledC();
  w.get("c", "q");
  while (w.jobs[0]?.kind !== "restore") w.disk(0, "ok");
  w.store.restored(object("c"), { code: "OBJECT_STORE_FULL", message: "the file system is full" });
  assert.match(
    w.failures.at(-1) ?? "",
    /^the file system is full\. The largest in it: .*f of 24576 bytes.*written by p/,
  );
});

test("an object that is freed while it is restored leaves nothing behind", () => {
  const w = spilledC();
  w.get("c", "q");
  assert.equal(w.jobs[0]?.kind, "restore");
  w.die("q");
  w.free("c");
  while (w.jobs.length > 0) w.disk(0, "ok");
  w.check();
  assert.equal(w.store.index.has(object("c")), false);
  for (const name of ["e", "f"]) w.free(name);
  assert.equal(w.store.index.usedBytes, 0);
  assert.equal(w.files, 0);
});

test("an object that is freed while it is restored, and made again, stays when the restore has ended", () => {
  for (const outcome of ["ok", "damaged"] as const) {
    const w = spilledC();
    w.get("c", "q");
    assert.equal(w.jobs[0]?.kind, "restore");
    w.die("q");
    for (const name of ["c", "e", "f"]) w.free(name);
    w.write("c", "p");
    w.seal(0);
    w.disk(0, outcome);
    w.check();
    assert.equal(w.store.index.has(object("c")), true);
    assert.equal(w.lost.has("c"), false);
    w.get("c", "q");
    assert.equal(w.reading.length, 1);
  }
});

test("a copy that was damaged on disk is taken out of the object table, which then decides for who waits", () => {
  const w = spilledC();
  w.get("c", "q");
  w.disk(0, "damaged");
  assert.ok(w.lost.has("c"));
  assert.equal(w.waiting.length, 1);
  w.check(); // the object table's word comes
  assert.deepEqual(w.waiting, []);
});

test("a restore for which there was no room after all fails the reader, and keeps the copy", () => {
  const w = spilledC();
  w.get("c", "q");
  w.disk(0, "failed");
  assert.deepEqual(w.waiting, []);
  assert.equal(w.store.spilling.has(object("c")), true);
  w.get("c", "q");
  w.disk(0, "ok");
  assert.equal(w.reading.length, 1);
});

test("another node reads a spilled object from its file, which stays until then", () => {
  const w = spilledC();
  const source = w.store.openPull(object("c"), processId("N1"));
  assert.equal(source?.kind, "file");
  const files = w.files;
  for (const name of ["c", "e", "f"]) w.free(name);
  assert.ok(w.files > 0 && w.files <= files);
  if (source !== undefined) w.store.closePull(object("c"), processId("N1"), source);
  assert.equal(w.files, 0);
});

/** "c" is on disk in this file, of an earlier time, and in another, where it lies since it was made again. */
function madeAgain(w: World): void {
  w.free("c");
  for (const name of ["e", "f"]) w.free(name);
  for (const name of ["c", "e", "f"]) {
    w.write(name, "p");
    while (w.jobs.some(({ kind }) => kind === "write"))
      w.disk(
        w.jobs.findIndex(({ kind }) => kind === "write"),
        "ok",
      );
    w.seal(0);
    while (w.jobs.some(({ kind }) => kind === "write"))
      w.disk(
        w.jobs.findIndex(({ kind }) => kind === "write"),
        "ok",
      );
  }
  w.check();
  assert.equal(w.store.spilling.has(object("c")), true);
}

test("a puller that cannot read an older file of an object strikes nothing from its newer one", () => {
  const w = spilledC();
  const source = w.store.openPull(object("c"), processId("N1"));
  assert.ok(source?.kind === "file");
  madeAgain(w);
  w.store.damaged(object("c"), source.file);
  assert.equal(w.store.spilling.has(object("c")), true);
  assert.equal(w.lost.has("c"), false);
  w.store.closePull(object("c"), processId("N1"), source);
  const newer = w.store.openPull(object("c"), processId("N1"));
  assert.ok(newer?.kind === "file");
  w.store.damaged(object("c"), newer.file);
  assert.equal(w.lost.has("c"), true);
});

test("a restore from an older file that fails strikes nothing from the newer one, and who waits gets that", () => {
  const w = spilledC();
  w.get("c", "q");
  assert.equal(w.jobs[0]?.kind, "restore");
  w.die("q");
  madeAgain(w);
  w.get("c", "q");
  w.disk(0, "damaged");
  assert.equal(w.store.spilling.has(object("c")), true);
  assert.equal(w.lost.has("c"), false);
});

/** A store that notes what it says, with "c" on its way from node N2, wanted by "p". */
function fetching(): { readonly store: NodeStore; readonly said: Message[] } {
  const said: Message[] = [];
  const store = new NodeStore(
    node("N1"),
    kib(64),
    {
      send: (_, message) => void said.push(message),
      sendToLocal: (_, message) => void said.push(message),
      fetchObject: () => {},
      argumentReady: () => {},
      argumentFailed: () => {},
      wantGarbage: () => {},
      refuse: (_, why) => assert.fail(why),
      nameOf: (who) => who,
      disk: {
        reserveSpace: () => true,
        writeSpill: () => {},
        restoreSpill: () => {},
        deleteSpill: () => {},
        emptyFallback: () => {},
        wakeUpAfter: () => {},
      },
    },
    new Journey("N1", () => 0),
  );
  const objectId = object("c");
  store.receive(process("p"), { type: "getObject", objectId, fetch: true, waits: false, mustBeHere: false });
  const available = { objectId, sizeBytes: kib(4), attempt: 0, locations: [node("N2")], width: 1 };
  store.receive(process("gcs"), { type: "objectAvailable", ...available });
  return { store, said };
}

test("a result that is sealed while an older copy is fetched is registered with its holder, and outlives the fetch", () => {
  const { store, said } = fetching();
  store.receive(process("w"), { type: "leaseExtent", request: 1, minBytes: kib(4), last: false, letGo: false });
  const leased = said.find((message) => message.type === "extentLeased") ?? assert.fail();
  said.length = 0;
  store.receive(process("w"), sealObject("c", { offset: leased.offset, attempt: 1, holder: process("d") }));
  const [registered, ready] = said;
  assert.ok(registered?.type === "registerObject" && ready?.type === "objectReady");
  assert.deepEqual([registered.attempt, registered.holder], [1, process("d")]);
  assert.equal(ready.offset, leased.offset);
  store.receive(process("gcs"), { type: "objectRegistered", objectId: object("c") });
  assert.equal(said[2]?.type, "objectSealed");
  store.fetched(object("c"), LOST);
  store.check();
  assert.equal(store.index.has(object("c")), true);
  assert.deepEqual(
    said.slice(3).map(({ type }) => type),
    ["unsubscribeObject"],
  );
});

test("two who sealed an object are both told, although the first one's copy was freed before the object table answered", () => {
  const { store, said } = fetching();
  const told: string[] = [];
  for (const [who, request] of [
    ["v", 1],
    ["w", 2],
  ] as const) {
    store.receive(process(who), { type: "leaseExtent", request, minBytes: kib(4), last: false, letGo: false });
    const leased = said.find((message) => message.type === "extentLeased" && message.request === request);
    assert.ok(leased?.type === "extentLeased");
    store.receive(process(who), sealObject("c", { offset: leased.offset }));
    if (who === "v") store.receive(process("gcs"), { type: "freeObject", objectId: object("c") });
  }
  said.length = 0;
  store.receive(process("gcs"), { type: "objectRegistered", objectId: object("c") });
  told.push(...said.filter(({ type }) => type === "objectSealed").map(({ type }) => type));
  assert.deepEqual(told, ["objectSealed", "objectSealed"]);
});
