// Functions and classes on a real cluster: captured data as objects, classes that stay themselves, modules by reference,
// a program that runs once.
// Method: one cluster for the programs of this file; programs with modules of their own run as processes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, mock, test } from "node:test";
import { promisify } from "node:util";
import * as ray from "../../src/api/index.js";
import { makeProject } from "../functions/support/project.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, put, remote } = ray;
const MIB = 1024 * 1024;
const API = new URL("../../src/api/index.js", import.meta.url).href;
const run = promisify(execFile);

before(async () => {
  await ray.init({ numCpus: 2, objectStoreMemory: 256 * MIB });
});

after(async () => {
  await ray.shutdown();
  await nothingLeftBehind();
});

async function inUse(): Promise<number> {
  const [all, free] = [await ray.clusterResources(), await ray.availableResources()];
  return (all["objectStoreMemory"] ?? 0) - (free["objectStoreMemory"] ?? 0);
}

test("large captured data is one object that every worker reads, and each has its own copy", async () => {
  const table = new Float64Array(MIB).map((_, i) => i);
  const used = await inUse();
  const Reader = remote(
    class {
      read(add: number) {
        table[1] = (table[1] as number) + add;
        return [process.pid, table[1], table.at(-1), table.length] as const;
      }
    },
  );
  const readers = [Reader.remote(), Reader.remote()] as const;
  const [a, b] = await get([readers[0].read.remote(10), readers[1].read.remote(20)]);
  assert.notEqual(a[0], b[0]);
  assert.deepEqual([a[1], b[1]], [11, 21]);
  assert.deepEqual(
    [a.slice(2), b.slice(2)],
    [
      [MIB - 1, MIB],
      [MIB - 1, MIB],
    ],
  );
  const added = (await inUse()) - used;
  assert.ok(added >= 8 * MIB && added < 9 * MIB, `${added} bytes of the store`);
  assert.equal(table[1], 1);
});

test("a worker ships such data on as well", async () => {
  const table = new Uint8Array(2 * MIB).fill(3);
  const outer = remote(async () => {
    const doubled = table.map((each) => 2 * each);
    const inner = ray.remote(() => doubled.at(-1));
    return await ray.get(inner.remote());
  });
  assert.equal(await get(outer.remote()), 6);
});

test("65 the limits of captured data name the variable", async () => {
  const warn = mock.method(console, "warn", () => {});
  const weights = new Uint8Array(11 * MIB);
  assert.equal(await get(remote(() => weights.length).remote()), 11 * MIB);
  warn.mock.restore();
  const [[warning] = []] = warn.mock.calls.map((call) => call.arguments as string[]);
  assert.match(warning ?? "", /^mobula: .*variable "weights" holds 11 MB .*put\(\)/);
  const everything = new Uint8Array(101 * MIB);
  const tooMuch = remote(() => everything.length);
  assert.throws(
    () => tooMuch.remote(),
    (error) => error instanceof ray.ObjectTooLargeError && /variable "everything" holds 101 MB/.test(error.message),
  );
});

test("66 a class is one class in all tasks of a worker, and itself again in the driver", async () => {
  class Point {
    readonly x: number;
    constructor(x: number) {
      this.x = x;
    }
  }
  class Refused extends Error {
    readonly point: Point;
    constructor(point: Point) {
      super("no");
      this.point = point;
    }
  }
  const make = remote((x: number) => new Point(x));
  const check = remote((value: unknown, list: unknown[]) => [value instanceof Point, list[0] instanceof Point]);
  const fail = remote((x: number) => {
    throw new Refused(new Point(x));
  });
  const made = make.remote(4);
  assert.ok((await get(made)) instanceof Point);
  assert.deepEqual(await get(check.remote(made, [new Point(1)])), [true, true]);
  const error = await get(fail.remote(2)).then(assert.fail, (each: unknown) => each);
  assert.ok(error instanceof Refused && error.point instanceof Point && error.point.x === 2);
});

test("mobula.serialize is the way of a class with private fields, in values and in captures", async () => {
  class Temperature {
    readonly #celsius: number;
    constructor(celsius: number) {
      this.#celsius = celsius;
    }
    get fahrenheit() {
      return this.#celsius * 1.8 + 32;
    }
    [Symbol.for("mobula.serialize")]() {
      return [(celsius: number) => new Temperature(celsius), this.#celsius];
    }
  }
  const today = new Temperature(20);
  const both = remote((other: Temperature, nested: { list: Temperature[] }) => [
    today.fahrenheit,
    other.fahrenheit,
    nested.list[0]?.fahrenheit,
    other instanceof Temperature,
  ]);
  const result = await get(both.remote(new Temperature(0), { list: [new Temperature(100)] }));
  assert.deepEqual(result, [68, 32, 212, true]);
  assert.equal((await get(put(new Map([["a", today]])))).get("a")?.fahrenheit, 68);
});

/** Every process that imports this module calls init(): the driver starts a cluster, a worker has its own. */
const START = `
  import { init } from ${JSON.stringify(API)};
  export const started = await init({ numCpus: 1, objectStoreMemory: ${64 * MIB}, runtimeEnv: OPTIONS });`;

const DATABASE = `
  import { started } from "./start.js";
  export const cluster = started;
  let queries = 0;
  const connection = { socket: new Promise(() => {}), pid: process.pid };
  export function query(step = 1) { if (connection.pid !== process.pid) throw new Error("copied"); return (queries += step) }
  export const isDriver = () => process.argv[1].endsWith("/main.js");`;

/** Run a project's main.js as a driver; the last line that it prints is JSON. */
async function driver(files: Readonly<Record<string, string>>): Promise<{ lines: string[]; result: unknown }> {
  await using project = await makeProject({ "package.json": '{ "type": "module" }', ...files });
  // From another directory: paths are then the entry's.
  const { stdout } = await run(process.execPath, [project.path("main.js")], { cwd: "/", timeout: 60_000 });
  const lines = stdout.trim().split("\n");
  return { lines, result: JSON.parse(lines.at(-1) ?? "") as unknown };
}

const MAIN = `
  import { get, init, remote, shutdown } from ${JSON.stringify(API)};
  import { started } from "./start.js";
  import { cluster, isDriver, query } from "./database.js";
  console.log("the program runs");`;

test("67 the entry module runs once; a module by reference calls init() and keeps its state", async () => {
  const main = `
    ${MAIN}
    const first = await get(remote(query).remote(10));
    const second = await get(remote(() => [query(1), isDriver()]).remote());
    const third = await get(remote({ name: "third" }, () => cluster.nodeId).remote());
    const again = remote(async () => { await init(); return (await import("./main.js")).x });
    const refusal = await get(again.remote()).then(String, (error) => error.message);
    await shutdown();
    console.log(JSON.stringify([first, second, third === started.nodeId, refusal, query(0)]));`;
  const start = START.replace("OPTIONS", '{ byReference: ["./database.js"] }');
  const { lines, result } = await driver({ "main.js": main, "database.js": DATABASE, "start.js": start });
  const [first, second, sameNode, refusal, own] = result as [number, unknown, boolean, string, number];
  assert.deepEqual([first, second, sameNode, own], [10, [11, false], true, 0]);
  assert.match(refusal, /the program's entry module file:.*\/main\.js is not imported on a worker/);
  assert.equal(lines.filter((line) => line.includes("the program runs")).length, 1);
});

test("the option of one function, and what get() at a module's top level says", async () => {
  const waits = `
    import { get, put } from ${JSON.stringify(API)};
    if (!globalThis.isDriver) await get(put(1));
    export const f = () => 1;`;
  const main = `
    ${MAIN}
    globalThis.isDriver = true;
    const { f } = await import("./waits.js");
    const runtimeEnv = { byReference: [new URL("./database.js", import.meta.url).href] };
    const byReference = await get(remote({ runtimeEnv }, query).remote(5));
    const byOption = await get(remote(query).options({ runtimeEnv }).remote(5));
    const words = (error) => error.name + ": " + error.message;
    let byValue;
    try { byValue = await get(remote(query).remote(5)) } catch (error) { byValue = words(error) }
    const waiting = await get(remote({ runtimeEnv: { byReference: ["waits.js"] } }, f).remote()).then(String, words);
    await shutdown();
    console.log(JSON.stringify([byReference, byOption, byValue, waiting]));`;
  const start = START.replace("OPTIONS", "undefined");
  const { result } = await driver({ "main.js": main, "database.js": DATABASE, "start.js": start, "waits.js": waits });
  const [byReference, byOption, byValue, waiting] = result as [number, number, string, string];
  assert.deepEqual([byReference, byOption], [5, 10]);
  assert.match(byValue, /SerializationError: .*variable "connection" → \.socket is a Promise/);
  assert.match(waiting, /InvalidOptionError: get\(\) at the top level of file:.*\/waits\.js, which a worker imports/);
});

test("runtimeEnv takes byReference alone, and modules that exist", async () => {
  const fn = () => 1;
  const refused: [unknown, RegExp][] = [
    [{ byReference: ["./nowhere.js"] }, /there is no module \/.*nowhere\.js/],
    [{ byReference: [import.meta.url] }, /the program's entry module, which never runs on a worker/],
    [{ byReference: "./x.js" }, /runtimeEnv\.byReference must be an array/],
    [{ byreference: [] }, /runtimeEnv: unknown option byreference; did you mean byReference\?/],
    [{ npm: ["zod"] }, /runtimeEnv\.npm is not supported yet; of runtimeEnv, only byReference is/],
    ["./x.js", /runtimeEnv must be an object/],
  ];
  for (const [runtimeEnv, message] of refused) {
    const options = { runtimeEnv } as ray.TaskOptions;
    const isRefusal = (error: unknown) => error instanceof ray.InvalidOptionError && message.test(error.message);
    assert.throws(() => remote(options, fn), isRefusal, message.source);
    assert.throws(() => remote(fn).options(options), isRefusal, message.source);
    assert.throws(() => remote(options as ray.ActorOptions, class {}), isRefusal, message.source);
    await assert.rejects(ray.init(options as ray.InitOptions), (error) => error instanceof ray.MobulaError);
  }
});
