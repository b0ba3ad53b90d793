// What a node takes with it is made again for whoever wants it: chains, diamonds, after the owner's death, twice in a row.
// Method: clusters of real nodes, each with its own store; nodes that hold the only copies are killed.
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, init, put, remote, wait } = ray;
const LENGTH = 50_000;
const TIMEOUT = { timeoutMs: 30_000 };

let cluster: TestCluster;
let directory = "";

before(() => {
  directory = mkdtempSync(join(tmpdir(), "mobula-lineage-test-"));
});

after(() => {
  rmSync(directory, { recursive: true });
});

afterEach(async () => {
  await ray.shutdown();
  await cluster.stop();
  await nothingLeftBehind();
});

/** The head, where the driver is, and nodes that may die; tasks with `on(i)` run there while they live. */
async function start(nodes: number): Promise<void> {
  const shapes = Array.from({ length: nodes }, () => ({ numCpus: 1 }));
  cluster = await TestCluster.start({ nodes: shapes });
  await init({ address: cluster.address });
}

function on(node: number) {
  return { schedulingStrategy: { nodeId: cluster.nodes[node]?.nodeId ?? "", soft: true } };
}

async function kill(node: number): Promise<void> {
  const { nodeId } = cluster.nodes[node] ?? {};
  await cluster.nodes[node]?.kill();
  await waitForCondition(async () => (await ray.nodes()).every((each) => each.nodeId !== nodeId || !each.alive));
}

/** Each run of a task leaves a line in its file. */
function runsOf(file: string): number {
  return readFileSync(file, "utf8").split("\n").length - 1;
}

const fill = remote((file: string, length: number, value: number) => {
  appendFileSync(file, "run\n");
  return new Float64Array(length).fill(value);
});
const addAll = remote((file: string, ...parts: Float64Array[]) => {
  appendFileSync(file, "run\n");
  const [first = new Float64Array(0)] = parts;
  return first.map((_, i) => parts.reduce((sum, part) => sum + (part[i] ?? 0), 1));
});

async function exists(...refs: readonly ray.ObjectRef<unknown>[]): Promise<void> {
  await wait(refs, { numReturns: refs.length, fetchLocal: false });
}

test("a chain of five tasks whose results were all on a node that died, the inner ones long let go", async () => {
  await start(2);
  const file = join(directory, "chain");
  let last = fill.options(on(1)).remote(file, LENGTH, 1);
  for (let i = 0; i < 4; i++) {
    const next = addAll.options(on(1)).remote(file, last);
    await exists(next);
    last[Symbol.dispose]();
    last = next;
  }
  assert.equal(runsOf(file), 5);
  await kill(1);
  const value = await get(last, TIMEOUT);
  assert.deepEqual([value.length, value[0], value.at(-1)], [LENGTH, 5, 5]);
  assert.equal(runsOf(file), 10);
});

test("a diamond: the lost middle is made again once, for a task that is submitted after the loss", async () => {
  await start(2);
  const [top, middle] = [join(directory, "top"), join(directory, "middle")];
  const source = fill.options(on(1)).remote(top, LENGTH, 2);
  const left = addAll.options(on(1)).remote(middle, source);
  const right = addAll.options(on(1)).remote(middle, source);
  await exists(left, right);
  await kill(1);
  const both = addAll.remote(join(directory, "bottom"), left, right);
  assert.equal((await get(both, TIMEOUT))[0], 7);
  assert.equal((await get(left, TIMEOUT))[0], 3);
  assert.deepEqual([runsOf(top), runsOf(middle)], [2, 4]);
});

test("a running task dies with the node of its argument: both run again", async () => {
  await start(2);
  const file = join(directory, "retry");
  const source = fill.options(on(1)).remote(file, LENGTH, 3);
  await exists(source);
  const marks = join(directory, "marks");
  const slow = remote(async (part: Float64Array, path: string) => {
    appendFileSync(path, "started\n");
    await new Promise((resolve) => setTimeout(resolve, 700));
    return part[7];
  });
  appendFileSync(marks, "");
  const result = slow.options(on(1)).remote(source, marks);
  await waitForCondition(() => runsOf(marks) === 1);
  await kill(1);
  assert.equal(await get(result, TIMEOUT), 3);
  assert.deepEqual([runsOf(file), runsOf(marks)], [2, 2]);
});

test("what cannot be made again is lost with its reason: maxRetries 0, a put, a result of an actor, a task that throws", async () => {
  await start(2);
  const nodeId = cluster.nodes[1]?.nodeId ?? "";
  const once = fill.options({ ...on(1), maxRetries: 0 }).remote(join(directory, "once"), LENGTH, 1);
  const holder = remote((length: number) => put(new Uint8Array(length)));
  const lost = await get(holder.options(on(1)).remote(LENGTH * 8));
  const Maker = remote(
    class Maker {
      make(length: number): Uint8Array {
        return new Uint8Array(length);
      }
    },
  );
  const maker = Maker.options({ ...on(1), numCpus: 0 }).remote();
  const made = maker.make.remote(LENGTH * 8);
  const picky = remote((file: string, length: number) => {
    appendFileSync(file, "run\n");
    if (readFileSync(file, "utf8").length > 4) throw new RangeError("not a second time");
    return new Uint8Array(length);
  });
  const twice = picky.options(on(1)).remote(join(directory, "picky"), LENGTH * 8);
  await exists(once, made, twice);
  await kill(1);
  for (const ref of [once, lost, made]) {
    await assert.rejects(
      get(ref as ray.ObjectRef<unknown>, TIMEOUT),
      (error) => error instanceof ray.ObjectLostError && error.message.includes(nodeId),
    );
  }
  await assert.rejects(get(twice, TIMEOUT), (error) => {
    assert.ok(error instanceof ray.ObjectReconstructionError);
    return error.message.includes("RangeError: not a second time") && error.message.includes(nodeId);
  });
});

/**
 * A task's child makes an object on another node, out of a large argument; then the owner dies, and that node. `keepsThread`:
 * the owner reads nothing of what is answered to its result.
 */
async function madeAgainFor(name: string, keepsThread: boolean): Promise<void> {
  await start(3);
  const file = join(directory, name);
  const parent = remote(async (path: string, length: number, nodeId: string, reads: boolean) => {
    const seed = new Uint8Array(20_000).fill(4);
    const child = remote((mark: string, bytes: Uint8Array, count: number) => {
      appendFileSync(mark, "run\n");
      return new Float64Array(count).fill(bytes[19_999] ?? 0);
    });
    const ref = child.options({ schedulingStrategy: { nodeId, soft: true } }).remote(path, seed, length);
    await wait([ref], { fetchLocal: false });
    // The result goes to the store, and leaves at the end of this turn.
    const loop = () => {
      for (;;);
    };
    if (!reads) setImmediate(() => setImmediate(loop));
    return { ref, pid: process.pid };
  });
  const result = parent.options(on(1)).remote(file, LENGTH, cluster.nodes[2]?.nodeId ?? "", !keepsThread);
  const { ref, pid } = await get(result, TIMEOUT);
  process.kill(pid, "SIGKILL");
  await kill(2);
  assert.deepEqual([(await get(ref, TIMEOUT))[5], runsOf(file)], [4, 2]);
}

test("the owner has died: its object is made again for the driver, with the large argument that it had", () =>
  madeAgainFor("orphan", false));

test("an owner keeps its thread as soon as its result is known, and dies: how its object is made was said before", () =>
  madeAgainFor("said before", true));

test("an owner is killed that had not read the answer yet: its object is made again all the same", async () => {
  await start(2);
  const [file, go, busy] = [join(directory, "unread"), join(directory, "go"), join(directory, "busy")];
  const Parent = remote(
    class Parent {
      readonly #kept: unknown[] = [];
      begin(path: string, gate: string, length: number, nodeId: string): readonly ray.ObjectRef<Float64Array>[] {
        const child = remote(async (mark: string, wanted: string, count: number) => {
          appendFileSync(mark, "run\n");
          while (!existsSync(wanted)) await new Promise((resolve) => setTimeout(resolve, 5));
          return new Float64Array(count).fill(8);
        });
        const ref = child.options({ schedulingStrategy: { nodeId, soft: true } }).remote(path, gate, length);
        this.#kept.push(ref);
        return [ref];
      }
      keepThread(started: string): void {
        appendFileSync(started, "");
        for (;;);
      }
    },
  );
  const parent = Parent.options(on(0)).remote();
  const [ref] = await get(parent.begin.remote(file, go, LENGTH, cluster.nodes[1]?.nodeId ?? ""));
  assert.ok(ref !== undefined);
  await waitForCondition(() => existsSync(file));
  const kept = parent.keepThread.remote(busy);
  await waitForCondition(() => existsSync(busy));
  appendFileSync(go, "");
  await exists(ref);
  await ray.kill(parent);
  await assert.rejects(get(kept, TIMEOUT), ray.ActorDiedError);
  await kill(1);
  assert.deepEqual([(await get(ref, TIMEOUT))[5], runsOf(file)], [8, 2]);
});

test("two losses in a row are made good, within maxRetries; a third is not", async () => {
  const away = { numCpus: 1, resources: { away: 1 } };
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, away, away, away] });
  await init({ address: cluster.address });
  const file = join(directory, "again");
  const make = remote((path: string, length: number) => {
    appendFileSync(path, `${ray.context().nodeId}\n`);
    return new Float64Array(length).fill(6);
  });
  const ref = make.options({ resources: { away: 1 }, maxRetries: 2 }).remote(file, LENGTH);
  for (let run = 0; run < 3; run++) {
    const there = await wait([ref], { fetchLocal: false, ...TIMEOUT });
    assert.equal(there.ready.length, 1);
    const nodeId = readFileSync(file, "utf8").split("\n")[run];
    await kill(cluster.nodes.findIndex((node) => node.nodeId === nodeId));
  }
  await assert.rejects(get(ref, TIMEOUT), (error) => {
    assert.ok(error instanceof ray.ObjectReconstructionError);
    return error.message.includes("3 attempts (maxRetries 2)");
  });
  assert.equal(runsOf(file), 3);
});
