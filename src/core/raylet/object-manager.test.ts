// Whoever wants an object is told that it is here, or why it will never be, whatever fetches and writers do.
// Method: play the object table, the other nodes' stores and the local writers by hand; read what was asked, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../../test/support/messages.js";
import { failure, kib, lease, node, object, processId, task } from "../../../test/support/names.js";
import {
  FETCH_PATIENCE_MS,
  MAX_CONCURRENT_FETCHES,
  MAX_FETCH_ATTEMPTS,
  MAX_FETCHING_BYTES,
  MAX_PULLS,
} from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { Room } from "../store/room.js";
import { Spilling } from "../store/spilling.js";
import { StoreIndex } from "../store/store-index.js";
import { ObjectManager } from "./object-manager.js";
import type { Want } from "./pull.js";

const get = (process: string): Want => ({ kind: "get", process: processId(process), fetch: true, waits: false });
const ask = (process: string): Want => ({ kind: "get", process: processId(process), fetch: false, waits: false });
const patient = (process: string): Want => ({ kind: "get", process: processId(process), fetch: true, waits: true });
const argument = (name: string): Want => ({ kind: "argument", leaseId: lease(name), taskId: task(name) });

class World {
  readonly store: StoreIndex;
  readonly spilling: Spilling;
  readonly room: Room;
  readonly manager: ObjectManager;
  readonly journey = new Journey("N1", () => 0);
  readonly #lines = new Lines();

  constructor(storeBytes = kib(1024), maxPulls = MAX_PULLS) {
    const say = this.#lines.add;
    const who = (want: Want) => (want.kind === "get" ? want.process : want.leaseId);
    const port: ConstructorParameters<typeof ObjectManager>[1] = {
      subscribeObject: (id, forTask, _fetch, failedAt) =>
        say(
          `subscribe ${id}${forTask === undefined ? "" : ` for ${forTask}`}${failedAt === undefined ? "" : `, not from ${failedAt}`}`,
        ),
      unsubscribeObject: (id) => say(`unsubscribe ${id}`),
      registerReplica: (id) => say(`register ${id}`),
      fetchObject: (id, from) => say(`fetch ${id} from ${from.locations}`),
      restoreObject: (id) => say(`restore ${id}`),
      dropLocation: (id, from) => say(from === "N1" ? `drop ${id}` : `drop ${id} of ${from}`),
      objectMissing: (process, id) => say(`${process}: ${id} is missing`),
      objectReady: (want, id) => say(`${who(want)}: ${id} is ready`),
      objectFailed: (want, id, reason) => say(`${who(want)}: ${id} failed ${reason.code}`),
    };
    this.store = new StoreIndex(storeBytes);
    this.spilling = new Spilling(this.store, {
      writeSpill: (file, parts) => say(`write ${parts.map((part) => part.objectId)} to ${file}`),
      deleteSpill: (file) => say(`delete ${file}`),
    });
    this.room = new Room(this.store, this.spilling, {
      revoke: () => {},
      dropLocation: (id) => this.manager.evicted(id),
      wakeUpAfter: () => say("wait for writers"),
      holders: () => "",
    });
    const parts = { index: this.store, spilling: this.spilling, room: this.room };
    this.manager = new ObjectManager(node("N1"), port, parts, this.journey, maxPulls);
  }

  want(name: string, want: Want): void {
    this.manager.want(object(name), want);
  }

  /** The object table says where it is. */
  available(name: string, ...nodes: readonly string[]): void {
    this.large(name, kib(200), ...nodes);
  }

  large(name: string, sizeBytes: number, ...nodes: readonly string[]): void {
    this.manager.objectAvailable(object(name), sizeBytes, 0, { locations: nodes.map(node), width: 1 });
  }

  fetched(name: string, reason?: Failure): void {
    this.manager.fetched(object(name), reason);
  }

  /** A local process has written and sealed it. */
  seal(name: string): void {
    this.store.create(object(name), kib(200), processId("w"));
    this.store.seal(object(name));
    this.manager.sealedHere(object(name));
  }

  /** A local process hands over what it has written in an extent of its own. */
  adopt(name: string): void {
    const extent = this.store.leaseExtent(processId("w"), kib(200));
    assert.equal(this.store.adopt(object(name), processId("w"), extent ?? assert.fail(), 0), "sealed");
    this.manager.sealedHere(object(name));
  }

  asked(): string[] {
    this.manager.check();
    this.store.check();
    return this.#lines.take();
  }

  fetches(): string[] {
    return this.asked().filter((line) => line.startsWith("fetch"));
  }
}

test("an object that is here is given at once", () => {
  const w = new World();
  w.seal("c");
  w.want("c", get("p"));
  assert.deepEqual(w.asked(), ["p: c is ready"]);
});

test("an object elsewhere is subscribed to, fetched and registered once, however many want it", () => {
  const w = new World();
  w.want("c", get("p"));
  w.want("c", get("q"));
  w.want("c", argument("L1"));
  assert.deepEqual(w.asked(), ["subscribe c"]);
  w.available("c", "N2");
  w.available("c", "N2");
  assert.deepEqual(w.asked(), ["fetch c from N2"]);
  w.want("c", get("late"));
  w.fetched("c");
  assert.deepEqual(w.asked(), ["register c", "p: c is ready", "q: c is ready", "L1: c is ready", "late: c is ready"]);
  w.want("c", get("later"));
  assert.deepEqual(w.asked(), ["later: c is ready"]);
});

test("who only asks whether it exists is told so, and no bytes move", () => {
  const w = new World();
  w.want("c", ask("p"));
  w.available("c", "N2");
  assert.deepEqual(w.asked(), ["subscribe c", "p: c is ready"]);
  w.want("c", ask("p"));
  w.want("c", get("q"));
  w.available("c", "N2");
  assert.deepEqual(w.asked(), ["subscribe c", "p: c is ready", "fetch c from N2"]);
});

test("an object that a process here makes meanwhile is not fetched", () => {
  const w = new World();
  w.want("c", get("p"));
  w.seal("c");
  assert.deepEqual(w.asked(), ["subscribe c", "unsubscribe c", "p: c is ready"]);
  w.available("c", "N1"); // the callback crossed it
  assert.deepEqual(w.asked(), []);
});

test("a process here that makes an object while it is fetched serves those who wait, and the fetch is in vain", () => {
  for (const reason of [undefined, failure("OBJECT_LOST"), failure("CONNECTION")]) {
    const w = new World();
    w.want("c", get("p"));
    w.want("c", argument("L1"));
    w.available("c", "N2");
    w.adopt("c");
    assert.deepEqual(w.asked(), ["subscribe c", "fetch c from N2", "p: c is ready", "L1: c is ready"]);
    w.want("c", get("q"));
    w.fetched("c", reason);
    assert.deepEqual(w.asked(), ["q: c is ready", "unsubscribe c"]);
    assert.equal(w.store.has(object("c")), true);
    assert.equal(w.store.usedBytes, kib(200));
    w.want("c", get("r"));
    assert.deepEqual(w.asked(), ["r: c is ready"]);
  }
});

test("who wants an object after the copy that outran its fetch has gone asks anew when the fetch has ended", () => {
  for (const reason of [undefined, failure("OBJECT_LOST")]) {
    const w = new World();
    w.want("c", get("p"));
    w.available("c", "N2");
    w.adopt("c");
    w.store.free(object("c"));
    w.want("c", get("q"));
    assert.deepEqual(w.asked(), ["subscribe c", "fetch c from N2", "p: c is ready"]);
    w.fetched("c", reason);
    assert.deepEqual(w.asked(), [reason === undefined ? "subscribe c" : "subscribe c, not from N2"]);
    assert.equal(w.store.usedBytes, 0);
    w.available("c", "N3");
    w.fetched("c");
    assert.deepEqual(w.asked(), ["fetch c from N3", "register c", "q: c is ready"]);
  }
});

test("another replica is tried when a fetch fails; a copy that nobody can read is given up", () => {
  const w = new World();
  w.want("c", get("p"));
  const tried: string[] = [];
  for (let attempt = 0; attempt < MAX_FETCH_ATTEMPTS; attempt++) {
    w.available("c", "N2", "N3");
    tried.push(...w.asked().filter((line) => line.startsWith("fetch")));
    w.fetched("c", failure("OBJECT_LOST"));
  }
  const [two, three] = ["fetch c from N2,N3", "fetch c from N3,N2"];
  assert.deepEqual(tried, [two, three, two, three, two]);
  assert.deepEqual(w.asked(), ["drop c of N2", "subscribe c, not from N2"]);
  assert.equal(w.store.usedBytes, 0);
  w.manager.objectGone(object("c"), failure("OBJECT_LOST"));
  assert.deepEqual(w.asked(), ["p: c failed OBJECT_LOST"]);
});

test("a copy that cannot be reached, or not be written here, is kept: this rests, and tells who waits in the end", () => {
  const w = new World();
  w.want("c", get("p"));
  const failOften = () => {
    for (let attempt = 0; attempt < MAX_FETCH_ATTEMPTS; attempt++) {
      w.available("c", "N2");
      w.fetched("c", failure(attempt % 2 === 0 ? "OUT_OF_DISK" : "CONNECTION"));
    }
    return w.asked().slice(-1);
  };
  w.manager.tick(1_000);
  assert.deepEqual(failOften(), ["unsubscribe c"]);
  w.manager.tick(2_000);
  assert.deepEqual(w.asked(), ["subscribe c, not from N2"]);
  assert.deepEqual(failOften(), ["unsubscribe c"]);
  w.manager.tick(1_001 + FETCH_PATIENCE_MS);
  assert.deepEqual(failOften(), ["p: c failed OBJECT_LOST"]);
  assert.equal(w.store.usedBytes, 0);
  w.want("c", get("p"));
  w.available("c", "N2");
  w.fetched("c");
  assert.deepEqual(w.asked(), ["subscribe c", "fetch c from N2", "register c", "p: c is ready"]);
});

test("an object table that names only this node, which has no copy, learns so after a few times", () => {
  const w = new World();
  w.want("c", get("p"));
  for (let attempt = 0; attempt < MAX_FETCH_ATTEMPTS; attempt++) w.available("c", "N1");
  assert.deepEqual(w.asked().slice(-2), ["drop c", "subscribe c"]);
});

test("an object that will never be is told to all; a fetch under way decides for itself", () => {
  const w = new World();
  w.want("c", get("p"));
  w.want("c", argument("L1"));
  w.manager.objectGone(object("c"), failure("OWNER_DIED"));
  w.manager.objectGone(object("c"), failure("OWNER_DIED"));
  assert.deepEqual(w.asked(), ["subscribe c", "p: c failed OWNER_DIED", "L1: c failed OWNER_DIED"]);
  w.want("d", get("p"));
  w.available("d", "N2");
  w.manager.objectGone(object("d"), failure("OBJECT_LOST"));
  w.fetched("d");
  assert.deepEqual(w.asked(), ["subscribe d", "fetch d from N2", "register d", "p: d is ready"]);
});

test("a wish that is taken back ends the subscription with the last one", () => {
  const w = new World();
  w.want("c", get("p"));
  w.want("c", get("q"));
  w.manager.cancel(object("c"), (want) => want.kind === "get" && want.process === "p");
  assert.deepEqual(w.asked(), ["subscribe c"]);
  w.manager.processDied(processId("q"));
  w.manager.processDied(processId("q"));
  assert.deepEqual(w.asked(), ["unsubscribe c"]);
  w.available("c", "N2");
  assert.deepEqual(w.asked(), []);
});

test("a fetch whose reader left goes on: the replica serves whoever comes next", () => {
  const w = new World();
  w.want("c", get("p"));
  w.available("c", "N2");
  w.manager.processDied(processId("p"));
  w.asked();
  w.fetched("c");
  assert.deepEqual(w.asked(), ["register c"]);
  w.want("d", get("p"));
  w.available("d", "N2");
  w.manager.processDied(processId("p"));
  w.asked();
  w.fetched("d", failure("OBJECT_LOST"));
  assert.deepEqual(w.asked(), ["unsubscribe d"]); // nobody is to be sent here for it
});

/** So many fetches as may be under way, one more, and what was begun of them. */
function fetchAll(w: World, name: string, want: Want): string[] {
  for (let i = 0; i <= MAX_CONCURRENT_FETCHES; i++) {
    w.want(`${name}${i}`, want);
    w.available(`${name}${i}`, "N2");
  }
  return w.fetches();
}

const all = (name: string) => Array.from({ length: MAX_CONCURRENT_FETCHES }, (_, i) => `fetch ${name}${i} from N2`);

test("fetches under way are bounded, and a get or wait finds its place at once although arguments have taken all of theirs", () => {
  const w = new World(kib(200) * 40);
  assert.deepEqual(fetchAll(w, "argument", argument("L1")), all("argument"));
  assert.deepEqual(fetchAll(w, "waited", patient("p")), all("waited"));
  assert.deepEqual(fetchAll(w, "got", get("p")), all("got"));
});

test("while a get or wait is on its way no argument takes a place that has become free, and of those that wait get comes first", () => {
  const w = new World(kib(200) * 40);
  fetchAll(w, "argument", argument("L1"));
  fetchAll(w, "waited", patient("p"));
  fetchAll(w, "got", get("p"));
  for (let i = 0; i < MAX_CONCURRENT_FETCHES; i++) w.fetched(`argument${i}`);
  assert.deepEqual(w.fetches(), []);
  w.fetched("got0");
  w.fetched("got1", failure("OBJECT_LOST"));
  assert.deepEqual(w.fetches(), [`fetch got${MAX_CONCURRENT_FETCHES} from N2`]);
  for (let i = 2; i <= MAX_CONCURRENT_FETCHES; i++) w.fetched(`got${i}`);
  for (let i = 0; i < MAX_CONCURRENT_FETCHES; i++) w.fetched(`waited${i}`);
  const last = ["waited", "argument"].map((name) => `fetch ${name}${MAX_CONCURRENT_FETCHES} from N2`);
  assert.deepEqual(w.fetches(), last);
});

test("a small get does not wait until as many bytes of arguments as may be under way have arrived", () => {
  const w = new World(MAX_FETCHING_BYTES * 4);
  w.want("argument", argument("L1"));
  w.large("argument", MAX_FETCHING_BYTES, "N2");
  w.want("got", get("p"));
  w.available("got", "N2");
  assert.deepEqual(w.fetches(), ["fetch argument from N2", "fetch got from N2"]);
});

test("a fetch waits until the store has room; a replica that nobody reads gives way", () => {
  const w = new World(kib(300));
  w.want("c", get("p"));
  w.available("c", "N2");
  w.want("d", get("p"));
  w.available("d", "N2");
  assert.deepEqual(w.asked(), ["subscribe c", "fetch c from N2", "subscribe d", "wait for writers"]);
  w.fetched("c");
  w.room.pump();
  assert.deepEqual(w.asked(), ["register c", "p: c is ready", "drop c", "fetch d from N2"]);
});

test("bytes under way are bounded; the next in turn waits, and smaller ones behind it too", () => {
  const w = new World(MAX_FETCHING_BYTES * 4);
  for (const [name, sizeBytes] of [
    ["a", MAX_FETCHING_BYTES - kib(1)],
    ["b", kib(2)],
    ["c", kib(1)],
    ["huge", MAX_FETCHING_BYTES * 2],
  ] as const) {
    w.want(name, argument(name));
    w.large(name, sizeBytes, "N2");
  }
  const fetches = () => w.asked().filter((line) => line.startsWith("fetch"));
  assert.deepEqual(fetches(), ["fetch a from N2"]);
  w.fetched("a");
  assert.deepEqual(fetches(), ["fetch b from N2", "fetch c from N2"]);
  w.fetched("b");
  assert.deepEqual(fetches(), []);
  w.fetched("c");
  assert.deepEqual(fetches(), ["fetch huge from N2"]);
});

test("get comes before wait, and wait before task arguments", () => {
  const w = new World(MAX_FETCHING_BYTES * 4);
  w.want("first", get("p"));
  w.large("first", MAX_FETCHING_BYTES, "N2");
  w.want("argument", argument("L1"));
  w.want("wait", patient("p"));
  w.want("get", get("p"));
  for (const name of ["argument", "wait", "get"]) w.available(name, "N2");
  w.asked();
  w.fetched("first");
  const fetches = w.asked().filter((line) => line.startsWith("fetch"));
  assert.deepEqual(fetches, ["fetch get from N2", "fetch wait from N2", "fetch argument from N2"]);
});

/** Two blocks, both of them being written: whoever asks for more waits. */
function fullStore(): World {
  const w = new World(kib(400));
  for (const name of ["x", "y"]) w.store.create(object(name), kib(200), processId("w"));
  return w;
}

/** A writer gives up its block. */
function giveRoom(w: World, name: string): string[] {
  w.asked();
  w.store.abort(object(name));
  w.room.pump();
  w.room.check();
  return w.asked().filter((line) => line.startsWith("fetch") || line.startsWith("unsubscribe"));
}

test("who waits for room: a get comes before a wait, and this before arguments, though these have taken all turns", () => {
  const w = fullStore();
  for (let i = 0; i < MAX_CONCURRENT_FETCHES; i++) {
    w.want(`argument${i}`, argument("L1"));
    w.available(`argument${i}`, "N2");
  }
  w.want("waited", patient("p"));
  w.available("waited", "N2");
  w.want("got", get("p"));
  w.available("got", "N2");
  assert.deepEqual(giveRoom(w, "x"), ["fetch got from N2"]);
  assert.deepEqual(giveRoom(w, "y"), ["fetch waited from N2"]);
  w.fetched("got"); // a replica that gives way
  w.room.pump();
  assert.ok(w.asked().includes("fetch argument0 from N2"));
});

test("a pull that waits for room, or for its turn to do so, moves up when somebody is in get for it", () => {
  const w = fullStore();
  for (let i = 0; i < MAX_CONCURRENT_FETCHES + 2; i++) {
    w.want(`argument${i}`, argument("L1"));
    w.available(`argument${i}`, "N2");
  }
  w.want("argument3", get("p"));
  w.want("argument9", get("p"));
  assert.deepEqual(giveRoom(w, "x"), ["fetch argument3 from N2"]);
  assert.deepEqual(giveRoom(w, "y"), ["fetch argument9 from N2"]);
});

test("a pull that waits for room and that nobody wants any more makes way; one whose get has ended is an argument again", () => {
  const w = fullStore();
  const isGet = (want: Want) => want.kind === "get";
  for (let i = 0; i < MAX_CONCURRENT_FETCHES; i++) {
    w.want(`got${i}`, get("p"));
    w.available(`got${i}`, "N2");
  }
  w.want("got1", argument("L1"));
  w.want("waited", patient("q"));
  w.available("waited", "N2");
  w.asked();
  w.manager.cancel(object("got0"), isGet);
  assert.deepEqual(w.asked(), ["unsubscribe got0", "wait for writers"]);
  for (let i = 1; i < MAX_CONCURRENT_FETCHES; i++) w.manager.cancel(object(`got${i}`), isGet);
  assert.deepEqual(giveRoom(w, "x"), ["fetch waited from N2"]);
  const others = Array.from({ length: MAX_CONCURRENT_FETCHES - 2 }, (_, i) => `unsubscribe got${i + 2}`);
  assert.deepEqual(giveRoom(w, "y"), ["fetch got1 from N2", ...others]);
});

test("a pull that waits for room passes its turn on as soon as nobody is in get for it", () => {
  const w = fullStore();
  w.want("large", get("p"));
  w.large("large", kib(400), "N2");
  w.want("small", argument("L1"));
  w.available("small", "N2");
  assert.deepEqual(giveRoom(w, "x"), []);
  w.manager.cancel(object("large"), (want) => want.kind === "get");
  assert.deepEqual(w.asked(), ["fetch small from N2", "unsubscribe large"]);
  w.room.check();
});

test("a large get that does not fit beside arguments which wait for room comes before them", () => {
  const w = new World(MAX_FETCHING_BYTES);
  w.store.create(object("x"), MAX_FETCHING_BYTES, processId("w"));
  for (const name of ["a", "b"]) {
    w.want(name, argument(name));
    w.large(name, MAX_FETCHING_BYTES / 4, "N2");
  }
  w.want("got", get("p"));
  w.large("got", MAX_FETCHING_BYTES, "N2");
  assert.deepEqual(giveRoom(w, "x"), ["fetch got from N2"]);
  w.asked();
  w.fetched("got");
  w.room.pump();
  assert.deepEqual(
    w.asked().filter((line) => line.startsWith("fetch")),
    ["fetch a from N2", "fetch b from N2"],
  );
});

test("a fetch of more than the store has is refused at once", () => {
  const w = new World(kib(100));
  w.want("c", get("p"));
  w.available("c", "N2");
  assert.deepEqual(w.asked(), ["subscribe c", "unsubscribe c", "p: c failed OBJECT_STORE_FULL"]);
});

test("the steps of get and of an argument are recorded where they are done", () => {
  const w = new World();
  w.want("c", get("p"));
  w.available("c", "N2");
  w.fetched("c");
  w.want("a", argument("add"));
  w.available("a", "N2");
  w.fetched("a");
  const steps = [...w.journey.records()].map(({ step, subject, detail }) => `${step} ${subject} ${detail}`.trim());
  assert.deepEqual(steps, ["checkLocalStore c", "fetchResult c", "returnValue c", "fetchArgument add a"]);
});

test("a task that holds resources waits for the way back from disk or another node, not for what is nowhere", () => {
  const w = new World();
  const started = (process: string): Want => ({ ...get(process), mustBeHere: true }) as Want;
  w.want("lost", started("p"));
  assert.deepEqual(w.asked(), ["p: lost is missing"]);
  w.manager.evicted(object("c"));
  w.want("c", started("p"));
  w.available("c", "N2");
  w.fetched("c");
  assert.deepEqual(w.asked(), ["drop c", "subscribe c", "fetch c from N2", "register c", "p: c is ready"]);
  w.manager.evicted(object("e"));
  w.want("e", started("p"));
  w.want("e", get("q"));
  w.manager.tick(0);
  assert.deepEqual(w.asked(), ["drop e", "subscribe e"]);
  w.manager.tick(0); // nobody has said where it is: it may have to be made again, with what the task holds
  assert.deepEqual(w.asked(), ["p: e is missing"]);
  w.manager.evicted(object("f"));
  w.want("f", started("p"));
  w.manager.tick(0);
  w.manager.tick(0);
  assert.deepEqual(w.asked(), ["drop f", "subscribe f", "unsubscribe f", "p: f is missing"]);
});

test("who waits for more objects than the node may wait for is told so", () => {
  const w = new World(kib(1024), 1);
  w.want("a", get("p"));
  w.want("b", get("p"));
  w.want("a", argument("L1"));
  w.want("c", argument("L1"));
  const refused = ["p: b failed PENDING_CALLS_LIMIT", "L1: c failed PENDING_CALLS_LIMIT"];
  assert.deepEqual(w.asked(), ["subscribe a", ...refused]);
  w.seal("a");
  w.want("b", get("p"));
  assert.deepEqual(w.asked().slice(-1), ["subscribe b"]);
});
