// What API.md says of functions, objects and errors holds on a real cluster.
// Method: one cluster of two CPUs for the whole file; each test is a small program.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { context, get, put, remote, wait } = ray;
const directory = mkdtempSync(join(tmpdir(), "api-"));

before(async () => {
  await ray.init({ numCpus: 2 });
});

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

class TeapotError extends Error {
  readonly code = "ETEAPOT";
  readonly spout: number;
  constructor(message: string, spout: number) {
    super(message);
    this.spout = spout;
  }
}

const echo = remote((value: unknown) => value);
const sleep = remote(async (ms: number) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return ms;
});

test("the contract's first program", async () => {
  const add = remote((a: number, b: number) => a + b);
  assert.equal(await get(add.remote(1, put(2))), 3);
  assert.equal(add.local(1, 2), 3);
  assert.throws(() => (add as unknown as () => void)(), isInvalidOption(/remote function/));
});

test("what a task throws arrives as the user's own error", async () => {
  const brew = remote(() => {
    throw new TeapotError("short and stout", 7);
  });
  const error = await rejection(get(brew.remote()));
  assert.ok(error instanceof TeapotError && error instanceof ray.TaskError, String(error));
  assert.ok(error instanceof ray.MobulaError && !(error instanceof ray.GetTimeoutError));
  assert.ok(!(new TeapotError("here", 1) instanceof ray.MobulaError));
  assert.equal(error.code, "ETEAPOT");
  assert.equal((error as TeapotError).spout, 7);
  assert.match((error as { task?: { taskId: string } }).task?.taskId ?? "", /^[0-9a-f]{32}$/);
});

test("an error of mobula's that a task throws is the task's error: class, cause and place", async () => {
  class Mine extends ray.MobulaError {
    readonly extra = 1;
  }
  const throwMine = remote({ name: "throwMine" }, () => {
    throw new Mine("mine", { cause: new RangeError("why") });
  });
  const mine = await rejection(get(throwMine.remote()));
  assert.ok(mine instanceof Mine && mine instanceof ray.TaskError, String(mine));
  assert.deepEqual([mine.extra, (mine.cause as Error).message, mine.task.name], [1, "why", "throwMine"]);
  const impatient = remote({ name: "impatient" }, async () => get(sleep.remote(500), { timeoutMs: 1 }));
  const late = await rejection(get(impatient.remote()));
  assert.ok(late instanceof ray.GetTimeoutError && late instanceof ray.TaskError, String(late));
  assert.deepEqual([late.code, (late as unknown as ray.TaskError).task.name], ["GET_TIMEOUT", "impatient"]);
  // What mobula itself has against a result is not thrown by the task.
  const refused = await rejection(get(remote(() => new WeakMap()).remote()));
  assert.ok(refused instanceof ray.SerializationError && !(refused instanceof ray.TaskError));
});

test("an error whose code cannot be read is still the user's error", async () => {
  class Touchy extends Error {
    get code(): string {
      throw new Error("hands off");
    }
  }
  const touch = remote(() => {
    throw new Touchy("touched");
  });
  const error = await rejection(get(touch.remote()));
  assert.ok(error instanceof Touchy && error instanceof ray.TaskError);
  assert.equal(error.message, "touched");
});

test("built-in errors keep their class, other things arrive as TaskError with `thrown`", async () => {
  const builtin = await rejection(get(remote(() => (null as unknown as { x: number }).x).remote()));
  assert.ok(builtin instanceof TypeError && builtin instanceof ray.TaskError);
  assert.equal((builtin as { code?: string }).code, "TASK");
  const thrown = await rejection(
    get(
      remote(() => {
        throw 42;
      }).remote(),
    ),
  );
  assert.ok(thrown instanceof ray.TaskError);
  assert.equal(thrown.thrown, 42);
});

test("a failure upstream fails the tasks downstream with the same error, without running them", async () => {
  const fail = remote((): number => {
    throw new RangeError("upstream");
  });
  const path = join(directory, "downstream-ran");
  const downstream = remote(async (value: number, file: string) => {
    const { writeFileSync: write } = await import("node:fs");
    write(file, "");
    return value;
  });
  const error = await rejection(get(downstream.remote(downstream.remote(fail.remote(), path), path)));
  assert.ok(error instanceof RangeError);
  assert.equal(existsSync(path), false);
});

test("values arrive as they were, and copies are independent", async () => {
  const value = { n: -0, u: undefined, d: new Date(5), m: new Map([["k", new Set([1n])]]), f: new Float32Array([1.5]) };
  assert.deepEqual(await get(echo.remote(value)), value);
  const list = [1, 2];
  const ref = put(list);
  list.push(3);
  assert.deepEqual(await get(ref), [1, 2]);
  assert.notEqual(await get(ref), await get(ref));
});

test("large arguments, results and puts go through the store", async () => {
  const double = remote((array: Float64Array) => array.map((x) => x * 2));
  const once = double.remote(new Float64Array(50_000).fill(2));
  const twice = double.remote(once);
  assert.equal((await get(twice))[49_999], 8);
  const stored = put(new Uint8Array(300_000).fill(9));
  assert.equal(((await get(echo.remote(stored))) as Uint8Array)[299_999], 9);
});

test("a ref inside a value arrives as a ref; a task may return one", async () => {
  const open = remote(async ([ref]: [ray.ObjectRef<number>]) => await get(ref));
  assert.equal(await get(open.remote([put(5)])), 5);
  const make = remote(() => put("inner"));
  assert.equal(await get(await get(make.remote())), "inner");
  const pending = sleep.remote(50);
  assert.equal(await get(open.remote([pending])), 50);
});

test("several results", async () => {
  const pair = remote({ numReturns: 2 }, (): [number, string] => [1, "a"]);
  const [one, letter] = pair.remote();
  assert.equal(await get(one), 1);
  assert.equal(await get(letter), "a");
  assert.equal(pair.options({ numReturns: 0 }).remote(), undefined);
  const error = await rejection(get(pair.options({ numReturns: 3 }).remote()[0] as ray.ObjectRef<unknown>));
  assert.ok(error instanceof ray.InvalidOptionError);
});

test("get keeps order, rejects with the first failure, polls with timeoutMs 0", async () => {
  assert.deepEqual(await get([sleep.remote(60), sleep.remote(1)]), [60, 1]);
  assert.deepEqual(await get([]), []);
  const gate = ray.Signal.remote();
  const slow = gate.wait.remote();
  const fail = remote((): number => {
    throw new Error("at once");
  });
  assert.match((await rejection(get([slow, fail.remote()]))).message, /at once/);
  assert.ok((await rejection(get(slow, { timeoutMs: 0 }))) instanceof ray.GetTimeoutError);
  assert.ok((await rejection(get(slow, { timeoutMs: 30 }))) instanceof ray.GetTimeoutError);
  const abort = new AbortController();
  const aborted = get(slow, { signal: abort.signal });
  abort.abort(new Error("enough"));
  assert.match((await rejection(aborted)).message, /enough/);
  gate.send.remote();
  assert.equal(await get(slow, { timeoutMs: 5_000_000_000 }), undefined);
});

test("a poll finds what lies in the store: results, puts, and refs that came from elsewhere", async () => {
  const large = remote(() => new Float64Array(50_000)).remote();
  await wait([large]);
  assert.equal((await get(large, { timeoutMs: 0 })).length, 50_000);
  assert.deepEqual((await wait([large], { timeoutMs: 0 })).ready, [large]);
  const stored = put(new Float64Array(50_000));
  assert.equal((await get(stored, { timeoutMs: 0 })).length, 50_000);
  const [borrowed] = await get(remote(() => [put("b")]).remote());
  assert.ok(borrowed !== undefined);
  for (let i = 0; i < 2; i++) assert.equal(await get(borrowed, { timeoutMs: 0 }), "b");
  const slow = sleep.remote(500);
  const polled = performance.now();
  assert.deepEqual((await wait([large, slow], { numReturns: 2, timeoutMs: 0 })).ready, [large]);
  assert.ok((await rejection(get([large, slow], { timeoutMs: 0 }))) instanceof ray.GetTimeoutError);
  assert.ok(performance.now() - polled < 400, "it did not wait for the task");
});

test("a task whose time is over is told by its signal, the first of its lease too", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
  const patient = remote(async (path: string) => {
    const { signal } = context();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    writeFileSync(path, "");
  });
  try {
    const path = join(directory, "told");
    const late = patient.options({ timeoutMs: 500, memory: 1 }).remote(path); // a lease of its own
    await assert.rejects(get(late), (e) => e instanceof ray.TaskTimeoutError);
    await waitForCondition(() => existsSync(path));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a signal that is aborted already rejects, though the value is here", async () => {
  const signal = AbortSignal.abort("enough");
  const ref = put(1);
  for (const call of [get(ref, { signal }), get([ref], { signal }), get([], { signal })]) {
    await assert.rejects(call, (reason) => reason === "enough");
  }
  await assert.rejects(wait([ref], { signal }), (reason) => reason === "enough");
});

test("wait gives what is ready, in order, and checks what it is given", async () => {
  const refs = [sleep.remote(1_000), sleep.remote(1)];
  const { ready, pending } = await wait(refs);
  assert.deepEqual([ready, pending], [[refs[1]], [refs[0]]]);
  const timedOut = await wait(refs, { numReturns: 2, timeoutMs: 20 });
  assert.deepEqual(timedOut.ready, [refs[1]]);
  assert.deepEqual(await wait([]), { ready: [], pending: [] });
  for (const bad of [
    wait([refs[0], refs[0]] as ray.ObjectRef<number>[]),
    wait(refs, { numReturns: 3 }),
    wait(refs, { numReturns: 0 }),
    wait(refs, { timeoutMs: -1 }),
    wait([42] as never),
  ]) {
    assert.ok((await rejection(bad)) instanceof ray.InvalidOptionError);
  }
});

test("nested tasks give their CPU back: recursion of any depth ends on two CPUs", async () => {
  const depth: ray.RemoteFunction<(n: number) => Promise<number>> = remote(
    async (n: number): Promise<number> => (n === 0 ? 0 : 1 + (await get(depth.remote(n - 1)))),
  );
  assert.equal(await get(depth.remote(30)), 30);
  const inner = remote((x: number) => x);
  const outer = remote(async (x: number) => await get(inner.remote(x)));
  const values = await get(Array.from({ length: 200 }, (_, i) => outer.remote(i)));
  assert.equal(values[199], 199);
});

test("a gated task never keeps its opener waiting, in any order of submission", async () => {
  for (const order of ["ggo", "gog", "ogg"]) {
    const signal = ray.Signal.remote();
    const gated = remote(async () => {
      await get(signal.wait.remote());
      return "g";
    });
    const opener = remote(async () => {
      await get(signal.send.remote());
      return "o";
    });
    const refs = [...order].map((letter) => (letter === "g" ? gated.remote() : opener.remote()));
    assert.equal((await get(refs, { timeoutMs: 10_000 })).join(""), order);
  }
});

test("a worker that dies: its task is tried again, and fails with the reason when the tries are used up", async () => {
  const flag = join(directory, "died-once");
  const dieOnce = remote(async (path: string) => {
    const { existsSync: exists, writeFileSync: write } = await import("node:fs");
    if (exists(path)) return "second";
    write(path, "");
    process.kill(process.pid, "SIGKILL");
    return "never";
  });
  assert.equal(await get(dieOnce.remote(flag)), "second");
  const exit = remote({ maxRetries: 0 }, () => {
    console.error("my last words");
    process.exit(3);
  });
  const error = await rejection(get(exit.remote()));
  assert.ok(error instanceof ray.WorkerCrashedError, String(error));
  assert.match(error.message, /exit code 3.*my last words/s);
});

test("timeoutMs: a running task fails with TaskTimeoutError and its CPU is free again", async () => {
  const error = await rejection(get(sleep.options({ timeoutMs: 80 }).remote(60_000)));
  assert.ok(error instanceof ray.TaskTimeoutError);
  assert.deepEqual(await get([sleep.remote(1), sleep.remote(2), sleep.remote(3)], { timeoutMs: 10_000 }), [1, 2, 3]);
});

test("a demand that no node can meet says what is missing and where", async () => {
  const error = await rejection(get(echo.options({ numCpus: 1_000, timeoutMs: 200 }).remote(1)));
  assert.ok(error instanceof ray.TaskUnschedulableError);
  assert.match(error.message, /needs CPU 1000, has 2/);
  assert.match(error.message, new RegExp(context().nodeId));
});

test("bad options are refused at once, with what was meant", () => {
  for (const numCpus of [Number.NaN, -1, Number.POSITIVE_INFINITY, "2", 2 ** 53]) {
    assert.throws(() => echo.options({ numCpus: numCpus as number }), isInvalidOption(/numCpus must be/));
  }
  assert.throws(() => echo.options({ num_cpus: 1 } as never), isInvalidOption(/did you mean numCpus/));
  assert.throws(() => echo.options({ colour: 1 } as never), isInvalidOption(/unknown option colour\. Known: name/));
  assert.throws(
    () => echo.options({ schedulingStrategy: { nodeId: "n", sofft: true } as never }),
    isInvalidOption(/soft/),
  );
  assert.throws(() => echo.options({ schedulingStrategy: { nodeId: "n", soft: 1 } as never }), isInvalidOption(/soft/));
  assert.doesNotThrow(() => echo.options({ memory: 8e12 }));
  assert.throws(() => put(put(1)), isInvalidOption(/ObjectRef/));
  assert.throws(() => remote(42 as never), isInvalidOption(/function or a class/));
});

test("bad options of promise-returning functions reject", async () => {
  const handle = ray.Signal.remote();
  for (const bad of [
    ray.getActor("a", { nameSpace: "b" } as never),
    ray.getActor("a", null as never),
    ray.kill(handle, { norestart: true } as never),
    ray.kill(handle, { noRestart: 1 } as never),
    ray.kill(undefined as never),
    ray.init({ objectStoreMemory: 1, ignoreReinitError: true }),
  ]) {
    assert.ok((await rejection(bad)) instanceof ray.InvalidOptionError);
  }
  await get(handle.send.remote());
  await ray.kill(handle, { noRestart: true });
});

test("get of a non-ref and a second init are refused", async () => {
  assert.ok((await rejection(get(42 as never))) instanceof TypeError);
  assert.ok((await rejection(ray.init())) instanceof ray.AlreadyInitializedError);
  assert.equal((await ray.init({ ignoreReinitError: true })).nodeId, context().nodeId);
});

test("what cannot be copied is refused at the call, with the path to it", () => {
  const error = caught(() => echo.remote({ db: { socket: new Socket() } }));
  assert.ok(error instanceof ray.SerializationError);
  assert.match(error.message, /args\[0\]\.db\.socket is a Socket/);
});

test("a released ref cannot be used", async () => {
  const ref = put([1]);
  ref[Symbol.dispose]();
  assert.ok((await rejection(get(ref))) instanceof ray.ReferenceReleasedError);
});

test("context tells a task where it is", async () => {
  const where = remote({ name: "where-am-i" }, () => {
    const { taskId, taskName, nodeId, attempt } = context();
    return { taskId, taskName, nodeId, attempt };
  });
  const ref = where.remote();
  assert.deepEqual(await get(ref), {
    taskId: ref.id.slice(0, 32),
    taskName: "where-am-i",
    nodeId: context().nodeId,
    attempt: 0,
  });
});

test("everything comes back: when nothing runs, all resources are free", async () => {
  writeFileSync(join(directory, "touched"), "");
  const deadline = performance.now() + 10_000;
  let [free, all] = [await ray.availableResources(), await ray.clusterResources()];
  while (free["CPU"] !== all["CPU"] && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    [free, all] = [await ray.availableResources(), await ray.clusterResources()];
  }
  assert.equal(free["CPU"], 2);
});

async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
  throw new assert.AssertionError({ message: "the promise was not rejected" });
}

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "nothing was thrown" });
}

function isInvalidOption(message: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof ray.InvalidOptionError && error instanceof TypeError && message.test((error as Error).message);
}
