// `mobula memory` shows what a real cluster holds: sizes, places, holders, and the lines of this file that made the objects.
// Method: a driver that leaks on one line, lends to actors and puts refs into objects; then the command, as a user runs it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as ray from "../../src/api/index.js";
import type { ArrangedMemory } from "../../src/core/memory/arrange.js";
import type { ObjectMemory } from "../../src/core/memory/summary.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, put, remote } = ray;
const ROOT = new URL("../../..", import.meta.url); // this file runs as dist/test/cluster/memory.test.js
const COMMAND = fileURLToPath(new URL("dist/src/cli/main.js", ROOT));
const FILE = fileURLToPath(new URL("test/cluster/memory.test.ts", ROOT));
const SOURCE = readFileSync(FILE, "utf8").split("\n");
const LARGE_BYTES = 200_000;

const large = () => new Uint8Array(LARGE_BYTES);
const make = remote(function make(sizeBytes: number) {
  return new Uint8Array(sizeBytes);
});
const gate = remote(
  class Gate {
    #open: () => void = () => {};
    readonly #opened = new Promise<void>((resolve) => {
      this.#open = resolve;
    });
    open(): void {
      this.#open();
    }
    async pass(): Promise<void> {
      await this.#opened;
    }
  },
);
const Keeper = remote(
  class Keeper {
    #kept: unknown[] = [];
    keep(value: unknown): void {
      this.#kept.push(value);
    }
    puts(count: number): void {
      for (let i = 0; i < count; i++) this.#kept.push(put(new Uint8Array(200_000))); // MARK leak of an actor
    }
    drop(): void {
      for (const value of this.#kept.flat() as Disposable[]) value[Symbol.dispose]();
      this.#kept = [];
    }
  },
);

let cluster: TestCluster;

before(async () => {
  const store = { objectStoreMemory: 128 * 1024 * 1024 };
  cluster = await TestCluster.start({
    nodes: [
      { numCpus: 4, ...store },
      { numCpus: 1, resources: { far: 1 }, ...store },
    ],
  });
  await ray.init({ address: cluster.address });
});

after(async () => {
  await ray.shutdown();
  await cluster.stop();
  await nothingLeftBehind();
});

/** The command must not wait for this process: it is the driver, and is asked too. */
async function mobula(...args: readonly string[]): Promise<string> {
  const all = [COMMAND, "memory", "--address", cluster.address, ...args];
  return (await promisify(execFile)(process.execPath, all)).stdout;
}

async function memory(...args: readonly string[]): Promise<ArrangedMemory> {
  return JSON.parse(await mobula("--json", ...args)) as ArrangedMemory;
}

function objectIn({ groups }: ArrangedMemory, ref: ray.ObjectRef<unknown> | string): ObjectMemory {
  const id = typeof ref === "string" ? ref : /[0-9a-f]{36}/.exec(String(ref))?.[0];
  const found = groups.flatMap(({ objects }) => objects).find(({ objectId }) => objectId === id);
  assert.ok(found !== undefined, `object ${id} is listed`);
  return found;
}

/** `call file:line` must be this file's line with the mark. */
function assertMadeAt(site: ObjectMemory["site"], call: string, mark: string): void {
  const line = SOURCE.findIndex((text) => text.endsWith(`// MARK ${mark}`)) + 1;
  assert.ok(line > 0);
  assert.deepEqual([site?.call, site?.file, site?.line], [call, FILE, line]);
}

function holdersOf({ holders }: ObjectMemory): string[] {
  const words = holders.map((holder) => {
    if (holder.by !== "process") return holder.by;
    const { role, actor, refs, tasks, actors } = holder;
    return [role, actor, refs, ...tasks, ...actors].filter((word) => word !== "").join(" ");
  });
  return words.sort();
}

async function becomesEmpty(): Promise<void> {
  await waitForCondition(async () => (await memory()).total.count === 0);
}

test("a line that leaks stands out, in a driver and in an actor", async () => {
  const leaked = [];
  for (let i = 0; i < 40; i++) leaked.push(put(large())); // MARK leak
  const other = put(large());
  const keeper = Keeper.remote();
  await get(keeper.puts.remote(20));
  await waitForCondition(async () => (await memory()).total.count === 61);
  const { sites, holders, unknownSites, nodes, silent } = await memory("--limit", "2");
  assertMadeAt(sites[0] && { ...sites[0] }, "put()", "leak");
  assertMadeAt(sites[1] && { ...sites[1] }, "put()", "leak of an actor");
  assert.deepEqual(
    sites.map(({ count, approximate }) => [count, approximate]),
    [
      [40, false],
      [20, false],
    ],
  );
  assert.deepEqual(unknownSites, { count: 0, bytes: 0 });
  assert.deepEqual(
    holders.map(({ role, actor, count }) => [role, actor, count]),
    [
      ["driver", "", 41],
      ["worker", "Keeper", 20],
    ],
  );
  assert.equal(holders[0]?.pid, process.pid);
  assert.deepEqual(silent, []);
  assert.equal(nodes.length, 2);
  assert.ok(nodes.reduce((sum, { usedBytes }) => sum + usedBytes, 0) >= 61 * large().byteLength);
  const words = await mobula("--limit", "3");
  assert.match(words, /\n +40 +7\.\d MiB +put\(\) .*test\/cluster\/memory\.test\.ts:\d+:\d+\n/);
  assert.match(words, /… and 58 objects, \d+\.\d MiB more/);
  for (const ref of [...leaked, other]) ref[Symbol.dispose]();
  await get(keeper.drop.remote());
  await becomesEmpty();
});

test("an object that its owner has let go and an actor holds still has its line", async () => {
  const keeper = Keeper.remote();
  const lent = put(large()); // MARK lent
  const id = /[0-9a-f]{36}/.exec(String(lent))?.[0] ?? "";
  await get(keeper.keep.remote([lent]));
  assert.deepEqual(holdersOf(objectIn(await memory(), id)), ["driver 1", "worker Keeper 1"]);
  lent[Symbol.dispose]();
  await waitForCondition(async () => objectIn(await memory(), id).holderCount === 1);
  const kept = objectIn(await memory(), id);
  assert.deepEqual(holdersOf(kept), ["worker Keeper 1"]);
  assertMadeAt(kept.site, "put()", "lent");
  await get(keeper.drop.remote());
  await becomesEmpty();
});

test("what an object contains, a task waits with and a constructor was given says so", async () => {
  const door = gate.remote();
  const inner = put(large());
  const outer = put({ inner }); // MARK outer
  const argument = put(large());
  const waits = remote(async function waits(_bytes: Uint8Array, at: { pass: { remote(): ray.ObjectRef<void> } }) {
    await get(at.pass.remote());
  });
  const pending = waits.remote(argument, door);
  const Taker = remote(
    class Taker {
      readonly size: number;
      constructor([ref]: [unknown]) {
        this.size = String(ref).length;
      }
      ready(): number {
        return this.size;
      }
    },
  );
  const given = put(large());
  const taker = Taker.remote([given]);
  await get(taker.ready.remote());
  const found = await memory();
  assert.deepEqual(holdersOf(objectIn(found, inner)), ["driver 1", "object"]);
  assertMadeAt(objectIn(found, outer).site, "put()", "outer");
  assert.ok(holdersOf(objectIn(found, argument)).includes("driver 1 waits"));
  assert.ok(holdersOf(objectIn(found, given)).includes("driver 1 Taker"), holdersOf(objectIn(found, given)).join());
  const words = await mobula("--group-by", "none");
  assert.match(words, /argument of waits/);
  assert.match(words, /constructor argument of Taker/);
  assert.match(words, /contained in [0-9a-f]{36}/);
  await get(door.open.remote());
  await get(pending);
  await ray.kill(taker);
  await ray.kill(door);
  for (const ref of [inner, outer, argument, given]) ref[Symbol.dispose]();
  taker[Symbol.dispose]();
  await becomesEmpty();
});

test("large results and arguments have the line of their call; copies are on their nodes; what is lost says so", async () => {
  const far = make.options({ resources: { far: 1 } });
  const result = far.remote(LARGE_BYTES); // MARK result
  await ray.wait([result], { fetchLocal: false });
  const [head, other] = cluster.nodes;
  assert.ok(head !== undefined && other !== undefined);
  const alone = objectIn(await memory("--group-by", "node"), result);
  assert.deepEqual(alone.copies, [{ nodeId: other.nodeId, place: "memory" }]);
  assertMadeAt(alone.site, "make.remote()", "result");
  await get(result);
  const places = objectIn(await memory("--group-by", "none"), result).copies.map(({ nodeId }) => nodeId);
  assert.deepEqual(places.sort(), [head.nodeId, other.nodeId].sort());
  const pair = remote({ numReturns: 2, maxRetries: 0, resources: { far: 1 } }, function pair(sizeBytes: number) {
    return [sizeBytes, new Uint8Array(sizeBytes)] as [number, Uint8Array];
  });
  const [answered, lost] = pair.remote(LARGE_BYTES + 1);
  await get(answered); // it comes with the answer: the task will not run again for want of one
  await other.kill();
  await waitForCondition(async () => objectIn(await memory(), lost).state !== "sealed", { timeoutMs: 20_000 });
  assert.equal(objectIn(await memory(), lost).state, "lost");
  assert.match(await mobula(), / lost .*is gone/);
  for (const ref of [result, answered, lost]) ref[Symbol.dispose]();
  await becomesEmpty();
});
