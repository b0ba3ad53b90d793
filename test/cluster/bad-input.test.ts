// Bad input is a clear error with its class and code; the cluster goes on and nobody else notices.
// Method: one cluster; wrong programs against the API, and strangers of several kinds at the cluster's port.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { after, afterEach, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { encodePreamble } from "../../src/protocol/preamble.js";
import { TestCluster } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const echo = ray.remote((x: number) => x);
const Echo = ray.remote(
  class Echo {
    echo(x: number): number {
      return x;
    }
  },
);
/** What a stranger may cost the head: 64 KiB each, and what the garbage collector leaves lying about. */
const MEMORY_BOUND_BYTES = 64 * 1024 * 1024;
const CLOSED_WITHIN_MS = 6_000;

let cluster: TestCluster;

before(async () => {
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1, resources: { "a=10000,b": 1 } }] });
});

afterEach(() => ray.shutdown());

after(async () => {
  await cluster.stop();
  await nothingLeftBehind();
});

test("everything that needs a cluster says so before init", async () => {
  assert.throws(() => echo.remote(1), hasCode("NOT_INITIALIZED", /init\(\)/));
  assert.throws(() => ray.put(1), hasCode("NOT_INITIALIZED", /init\(\)/));
  assert.throws(() => ray.context(), hasCode("NOT_INITIALIZED", /init\(\)/));
  await assert.rejects(ray.get(echo as never), hasCode("NOT_INITIALIZED", /init\(\)/));
  await assert.rejects(ray.nodes(), hasCode("NOT_INITIALIZED", /init\(\)/));
  await ray.shutdown(); // idempotent
});

test("an address where nobody listens, or that is none", async () => {
  await assert.rejects(ray.init({ address: "127.0.0.1:1" }), hasCode("CONNECTION", /127\.0\.0\.1:1.*ECONNREFUSED/));
  await assert.rejects(ray.init({ address: "nonsense" }), hasCode("INVALID_OPTION", /nonsense/));
  await assert.rejects(ray.init({ address: "" }), hasCode("INVALID_OPTION", /address is empty/));
});

test("a directory for spilled objects that cannot be made", async () => {
  await assert.rejects(ray.init({ spillDirectory: "" }), hasCode("INVALID_OPTION", /spillDirectory is empty/));
  await assert.rejects(
    ray.init({ spillDirectory: "/proc/none/such" }),
    hasCode("INVALID_OPTION", /\/proc\/none\/such/),
  );
});

test("a wrong or missing secret", async () => {
  const { address } = cluster;
  await assert.rejects(ray.init({ address, authToken: "0".repeat(64) }), hasCode("AUTHENTICATION", /./));
  await assert.rejects(ray.init({ address, authToken: "short" }), hasCode("AUTHENTICATION", /16/));
  process.env["MOBULA_AUTH_TOKEN_PATH"] = "/nonexistent/token";
  try {
    await assert.rejects(ray.init({ address }), hasCode("AUTHENTICATION", /nonexistent/));
  } finally {
    delete process.env["MOBULA_AUTH_TOKEN_PATH"];
  }
});

test("unknown options and amounts that are none", async () => {
  await assert.rejects(ray.init({ numCPU: 2 } as never), hasCode("INVALID_OPTION", /did you mean numCpus/));
  await assert.rejects(ray.init({ numCpus: "2" as never }), hasCode("INVALID_OPTION", /numCpus/));
  await assert.rejects(ray.init({ objectStoreMemory: Number.NaN }), hasCode("INVALID_OPTION", /objectStoreMemory/));
  await assert.rejects(ray.init({ resources: { CPU: 1 } }), hasCode("INVALID_OPTION", /numCpus/));
});

test("a second init names the first", async () => {
  await ray.init({ address: cluster.address });
  await assert.rejects(ray.init(), hasCode("ALREADY_INITIALIZED", new RegExp(cluster.address)));
});

test("resources whose names look like several others are not taken for them", async () => {
  await ray.init({ address: cluster.address });
  const odd = echo.options({ resources: { "a=10000,b": 1 } });
  const other = echo.options({ resources: { a: 1, b: 1 }, timeoutMs: 1_000 });
  const [fine, wrong] = [odd.remote(1), other.remote(2)];
  assert.equal(await ray.get(fine), 1);
  await assert.rejects(ray.get(wrong), hasCode("TASK_UNSCHEDULABLE", /needs a 1, has 0/));
});

test("a demand that nobody can meet is told after 10 s, with what is missing on which node", async () => {
  await ray.init({ address: cluster.address });
  const warnings: string[] = [];
  const warn = console.warn;
  console.warn = (text: string) => void warnings.push(text);
  try {
    const startedMs = performance.now();
    const ref = echo.options({ numCpus: 1_000, name: "greedy" }).remote(1);
    while (warnings.length === 0 && performance.now() - startedMs < 15_000) await pause(100);
    const elapsedMs = performance.now() - startedMs;
    assert.ok(elapsedMs > 9_000, `warned after ${elapsedMs} ms`);
    assert.match(warnings.join(), new RegExp(`greedy.*node ${cluster.nodes[0]?.nodeId}: needs CPU 1000, has 1`));
    ref[Symbol.dispose]();
    warnings.length = 0;
    const actor = Echo.options({ numCpus: 1_000 }).remote();
    await assert.rejects(
      ray.get(actor.echo.options({ timeoutMs: 12_000 }).remote(1)),
      hasCode("TASK_UNSCHEDULABLE", /needs CPU 1000, has 1/),
    );
    assert.match(warnings.join(), new RegExp(`actor Echo.*node ${cluster.nodes[0]?.nodeId}: needs CPU 1000, has 1`));
  } finally {
    console.warn = warn;
  }
});

test("strangers at the port are closed within 5 s, cost little, and nobody else notices", async () => {
  await ray.init({ address: cluster.address });
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cluster.nodes[0]?.pid}/status`, "utf8"))?.[1]) * 1024;
  await ray.get(echo.remote(0));
  const before = rss();
  const strangers = [
    speak((socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
    ...Array.from({ length: 50 }, () => speak((socket) => socket.write(randomBytes(100_000)))),
    ...Array.from({ length: 50 }, () => speak((socket) => socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff])))),
    speak((socket) => socket.write(preambleAnd(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])))),
    ...Array.from({ length: 50 }, () => speak((socket) => socket.write("\0"))), // one byte, and then no more
    ...Array.from({ length: 50 }, () => speak(() => {})),
  ];
  const answers = ray.get(Array.from({ length: 200 }, (_, i) => echo.remote(i)));
  const [http, ...others] = await Promise.all(strangers);
  assert.match(http?.said ?? "", /400.*mobula/s);
  for (const stranger of [http, ...others]) {
    assert.ok(stranger !== undefined && stranger.openMs < CLOSED_WITHIN_MS, `open for ${stranger?.openMs} ms`);
  }
  assert.equal((await answers)[199], 199);
  assert.ok(rss() - before < MEMORY_BOUND_BYTES, `the head grew by ${rss() - before} bytes`);
  assert.equal(await ray.get(echo.remote(7)), 7);
});

/** A stranger: connects, speaks, and is closed by the other side. */
async function speak(how: (socket: Socket) => void): Promise<{ readonly said: string; readonly openMs: number }> {
  const [host, port] = cluster.address.split(":");
  const socket = connect(Number(port), host);
  let said = "";
  socket.on("data", (chunk) => {
    said += String(chunk);
  });
  socket.on("error", () => {}); // a reset is one way of being closed
  const startedMs = performance.now();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.once("connect", () => how(socket));
  await closed;
  return { said, openMs: performance.now() - startedMs };
}

/** The right magic, and then something else: the preamble is public. */
function preambleAnd(rest: Buffer): Buffer {
  return Buffer.concat([encodePreamble(), rest]);
}

function hasCode(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ray.MobulaError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
