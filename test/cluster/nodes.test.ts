// Work goes where its arguments and options send it, and survives the death of workers and nodes.
// Method: clusters of real nodes, each with its own store; workers and raylets are killed while tasks run.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { NODE_TIMEOUT_MS } from "../../src/base/limits.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { context, get, init, put, remote, wait } = ray;

let cluster: TestCluster;

async function start(...cpus: number[]): Promise<readonly string[]> {
  cluster = await TestCluster.start({ nodes: cpus.map((numCpus) => ({ numCpus })) });
  await init({ address: cluster.address });
  return cluster.nodes.map((node) => node.nodeId);
}

afterEach(async () => {
  await ray.shutdown();
  await cluster.stop();
  await nothingLeftBehind();
});

const where = remote((_argument?: unknown) => context().nodeId);
const whereAfter = remote(async (ms: number) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return context().nodeId;
});

test("nodeId, spread and the place of large arguments decide where a task runs", async () => {
  const [n1, n2] = (await start(1, 1)) as [string, string];
  // Without CPUs: a lease that is still on its way back would make n2 look busy, and a task insists only for a moment.
  const onNode = (nodeId: string) => ({ schedulingStrategy: { nodeId }, numCpus: 0 });
  assert.equal(await get(where.options(onNode(n2)).remote()), n2);
  assert.equal(await get(where.options(onNode(n1)).remote()), n1);

  const make = remote((bytes: number) => new Uint8Array(bytes));
  const large = make.options(onNode(n2)).remote(2_000_000);
  await wait([large], { fetchLocal: false });
  assert.equal(await get(where.remote(large)), n2);

  const spread = await get([0, 1].map(() => whereAfter.options({ schedulingStrategy: "spread" }).remote(200)));
  assert.deepEqual(new Set(spread), new Set([n1, n2]));

  const nowhere = where.options({ schedulingStrategy: { nodeId: "0123456789ab" } }).remote();
  await assert.rejects(get(nowhere), (error) => error instanceof ray.TaskUnschedulableError);
  const soft = where.options({ schedulingStrategy: { nodeId: "0123456789ab", soft: true } }).remote();
  assert.ok([n1, n2].includes(await get(soft)));
});

test("objects travel between stores, from tasks to tasks and to the driver", async () => {
  const [n1, n2] = (await start(1, 1)) as [string, string];
  const on = (nodeId: string) => ({ schedulingStrategy: { nodeId } });
  const fill = remote((length: number, value: number) => new Float64Array(length).fill(value));
  const sum = remote((a: Float64Array, b: Float64Array) => a.reduce((s, x) => s + x, 0) + b.reduce((s, x) => s + x, 0));
  const a = fill.options(on(n1)).remote(200_000, 1);
  const b = fill.options(on(n2)).remote(300_000, 2);
  assert.equal(await get(sum.options(on(n1)).remote(a, b)), 800_000);
  assert.equal(await get(sum.options(on(n2)).remote(a, b)), 800_000);
  assert.equal((await get(b)).length, 300_000);
  const mine = put(new Uint8Array(1_000_000).fill(3));
  const last = remote((bytes: Uint8Array) => bytes.at(-1));
  assert.equal(await get(last.options(on(n2)).remote(mine)), 3);
});

test("custom resources and a node that joins later", async () => {
  await start(1);
  const special = where.options({ resources: { special: 1 } }).remote();
  const early = await wait([special], { timeoutMs: 300 });
  assert.equal(early.ready.length, 0);
  const node = await cluster.addNode({ numCpus: 1, resources: { special: 2 } });
  assert.equal(await get(special, { timeoutMs: 10_000 }), node.nodeId);
  assert.equal((await ray.clusterResources())["special"], 2);
});

test("context().resources is what the task or actor holds, wherever it runs", async () => {
  cluster = await TestCluster.start({
    nodes: [{ numCpus: 1 }, { numCpus: 2, resources: { custom: 1 }, memory: 1_000_000 }],
  });
  await init({ address: cluster.address });
  assert.deepEqual(context().resources, {});
  const held = remote(() => context().resources);
  const later = remote(async () => {
    await get(put(1));
    return context().resources;
  });
  const options = { numCpus: 1.5, resources: { custom: 0.5 }, memory: 1_000 };
  const own = { CPU: 1.5, custom: 0.5, memory: 1_000 };
  assert.deepEqual(await get([held.remote(), later.remote()]), [{ CPU: 1 }, { CPU: 1 }]);
  // The first goes by way of the raylet, those that follow straight to the worker.
  const many = Array.from({ length: 20 }, () => held.options(options).remote());
  for (const resources of await get(many)) assert.deepEqual(resources, own);
  assert.deepEqual(await get(later.options(options).remote()), own);
  assert.deepEqual(await get(held.options({ numCpus: 0 }).remote()), {});

  class Holder {
    readonly #atFirst = context().resources;
    now() {
      return [this.#atFirst, context().resources];
    }
  }
  const Actor = remote(Holder);
  assert.deepEqual(await get(Actor.remote().now.remote()), [{}, {}]);
  const special = Actor.options({ numCpus: 1, resources: { custom: 0.5 } }).remote();
  assert.deepEqual(await get(special.now.remote()), Array(2).fill({ CPU: 1, custom: 0.5 }));
});

test("work waits for room and uses every node", async () => {
  const ids = await start(1, 1);
  const places = await get(Array.from({ length: 6 }, () => whereAfter.remote(500)));
  assert.deepEqual(new Set(places), new Set(ids));
});

test("options of a cluster and of its nodes are checked before anything starts", async () => {
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }], storage: "memory" });
  for (const bad of [
    () => TestCluster.start({ node: [] } as never),
    () => TestCluster.start({ nodes: 5 } as never),
    () => TestCluster.start({ nodes: [{}, { numCpu: 1 } as never] }),
    () => TestCluster.start({ storage: "/tmp/tables" } as never),
    () => cluster.addNode({ numCpus: -1 }),
  ]) {
    await assert.rejects(bad(), ray.InvalidOptionError);
  }
});

test("bytes are counted as they were given, also above 100 GB, and add up", async () => {
  const sizes = { memory: 600e9, objectStoreMemory: 64 * 1024 * 1024 };
  cluster = await TestCluster.start({ nodes: [sizes, sizes, { ...sizes, numCpus: 0 }] });
  await init({ address: cluster.address });
  const { memory, objectStoreMemory } = await ray.clusterResources();
  assert.deepEqual({ memory, objectStoreMemory }, { memory: 1800e9, objectStoreMemory: 192 * 1024 * 1024 });
  assert.equal((await get(where.options({ memory: 500e9 }).remote())) !== "", true);
  const all = (await ray.availableResources())["objectStoreMemory"];
  const ref = put(new Uint8Array(1_000_000));
  await wait([remote((list: unknown[]) => list.length).remote([ref])]);
  const free = await ray.availableResources();
  assert.equal((all ?? 0) - (free["objectStoreMemory"] ?? 0) > 1_000_000, true);
});

test("a worker that is killed from outside: its task runs again", async () => {
  await start(1);
  const slow = whereAfter.remote(1_500);
  await waitForCondition(async () => (await ray.availableResources())["CPU"] === 0);
  for (const pid of (await cluster.nodes[0]?.workerPids()) ?? []) process.kill(pid, "SIGKILL");
  assert.equal(await get(slow, { timeoutMs: 15_000 }), cluster.nodes[0]?.nodeId);
});

test("a node that dies: its tasks run elsewhere, its objects are lost with their node's name, its actors are dead", async () => {
  const [n1, n2] = (await start(1, 1)) as [string, string];
  const soft = { schedulingStrategy: { nodeId: n2, soft: true } };
  const whereUntilLost = remote(async () => {
    if (context().attempt === 0) await new Promise((resolve) => setTimeout(resolve, 60_000));
    return context().nodeId;
  });
  const running = whereUntilLost.options(soft).remote();
  const Counter = remote(
    class Counter {
      #n = 0;
      increment(): number {
        return ++this.#n;
      }
    },
  );
  const actor = Counter.options({ schedulingStrategy: { nodeId: n2 }, numCpus: 0 }).remote();
  assert.equal(await get(actor.increment.remote()), 1);
  const make = remote(() => put(new Uint8Array(500_000)));
  const lost = await get(make.options({ schedulingStrategy: { nodeId: n2 }, numCpus: 0 }).remote());
  await cluster.nodes[1]?.kill();
  assert.equal(await get(running, { timeoutMs: 15_000 }), n1);
  await assert.rejects(
    get(actor.increment.remote(), { timeoutMs: 10_000 }),
    (error) => error instanceof ray.ActorDiedError,
  );
  await assert.rejects(
    get(lost, { timeoutMs: 10_000 }),
    (error) => error instanceof ray.ObjectLostError && error.message.includes(n2),
  );
});

test("a dead node stays listed as dead, offers nothing, and a node that was removed too", async () => {
  const [n1, n2] = (await start(1, 2)) as [string, string];
  const states = async () => (await ray.nodes()).map(({ nodeId, alive, isHead }) => [nodeId, alive, isHead]);
  const head = [n1, true, true];
  assert.deepEqual(await states(), [head, [n2, true, false]]);
  const before = (await ray.nodes())[1];
  assert.equal((await ray.clusterResources())["CPU"], 3);
  await cluster.nodes[1]?.kill();
  await waitForCondition(async () => (await ray.nodes())[1]?.alive === false);
  const dead = [n2, false, false];
  assert.deepEqual(await states(), [head, dead]);
  assert.deepEqual((await ray.nodes())[1], { ...before, alive: false, resources: {}, available: {} });
  assert.equal((await ray.clusterResources())["CPU"], 1);
  assert.equal((await ray.availableResources())["CPU"], 1);
  const shown = await (await cluster.tool()).nodeIds();
  assert.deepEqual(shown, [n1]);

  const later = await cluster.addNode({ numCpus: 4 });
  assert.deepEqual(await states(), [head, [later.nodeId, true, false], dead]);
  await later.remove();
  await waitForCondition(async () => (await ray.clusterResources())["CPU"] === 1);
  assert.deepEqual(await states(), [head, dead, [later.nodeId, false, false]]);
});

test("a head that was stopped for a while takes no node for dead: it had not listened", async () => {
  await start(1, 1);
  const [head, other] = cluster.nodes;
  assert.ok(head !== undefined && other !== undefined);
  process.kill(head.pid, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, NODE_TIMEOUT_MS + 1_000));
  process.kill(head.pid, "SIGCONT");
  assert.equal(await get(where.options({ schedulingStrategy: { nodeId: other.nodeId } }).remote()), other.nodeId);
  assert.deepEqual(
    (await ray.nodes()).map(({ alive }) => alive),
    [true, true],
  );
});

test("remove() lets running tasks finish", async () => {
  const [, n2] = (await start(1, 1)) as [string, string];
  const started = ray.Signal.options({ schedulingStrategy: { nodeId: cluster.nodes[0]?.nodeId ?? "" } }).remote();
  const tellAndWait = remote(async (ms: number) => {
    await get(started.send.remote());
    await new Promise((resolve) => setTimeout(resolve, ms));
    return context().nodeId;
  });
  const running = tellAndWait.options({ schedulingStrategy: { nodeId: n2 } }).remote(800);
  await get(started.wait.remote());
  const removed = cluster.nodes[1]?.remove();
  assert.equal(await get(running, { timeoutMs: 10_000 }), n2);
  await removed;
  assert.notEqual(await get(where.remote(), { timeoutMs: 10_000 }), n2);
});
