// A driver that is refused may be busy, and go on writing where it was allowed to: that is nobody else's until it is gone.
// Method: real processes; a driver breaks the protocol and writes on in a synchronous loop, while another fills the store.
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as ray from "../../src/api/index.js";
import { liveNodes } from "../../src/process/node-record.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { collectUntil } from "../support/garbage.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const MIB = 1024 * 1024;
const STORE_BYTES = 64 * MIB;
const BYTES = 3 * MIB;
const PUTS = Math.floor(STORE_BYTES / BYTES);
/** What the refused driver holds: its first extent. */
const EXTENT_BYTES = 4 * MIB;

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
let cluster: TestCluster;

before(async () => {
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1, objectStoreMemory: STORE_BYTES }] });
  await ray.init({ address: cluster.address });
});

after(async () => {
  await ray.shutdown();
  await cluster.stop();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

type Driver = ChildProcessByStdio<null, Readable, null>;

function startDriver(
  until: string,
  end: "exit" | "shutdown" | "stay",
): { child: Driver; says(line: string): Promise<void> } {
  const path = fileURLToPath(new URL("../fixtures/refused-driver.js", import.meta.url));
  const child = spawn(process.execPath, [path, cluster.address, until, end], { stdio: ["ignore", "pipe", "inherit"] });
  const said: string[] = [];
  createInterface(child.stdout).on("line", (line) => said.push(line));
  return { child, says: (line) => waitForCondition(() => said.includes(line), { timeoutMs: 30_000 }) };
}

/** How many drivers the node has refused. */
function refusals(): number {
  const node =
    liveNodes().find(({ record }) => record.nodeId === cluster.nodes[0]?.nodeId) ?? assert.fail("the node lives");
  const log = readFileSync(join(dirname(dirname(node.record.rayletPath)), "logs", "head.log"), "utf8");
  return log.split("which it does not hold").length - 1;
}

/** What is put into the whole store stays as it was put. */
async function fillStore(): Promise<void> {
  const refs = Array.from({ length: PUTS }, (_, i) => ray.put(new Uint8Array(BYTES).fill(i)));
  for (const [i, ref] of refs.entries()) {
    const array = await ray.get(ref);
    assert.ok(
      array.every((byte) => byte === i),
      `object ${i} has its own bytes`,
    );
    ref[Symbol.dispose]();
  }
}

for (const end of ["exit", "shutdown"] as const) {
  test(`what a refused driver may write to is nobody's until its ${end}, and everybody's then`, async (t) => {
    const until = join(directory, end);
    const before = refusals();
    const { child, says } = startDriver(until, end);
    t.after(() => child.kill("SIGKILL"));
    const exited = new Promise((resolve) => child.once("exit", resolve));
    await says("writing");
    await waitForCondition(() => refusals() > before);
    await fillStore();
    await collectUntil(async () => (await usedBytes()) === EXTENT_BYTES);
    writeFileSync(until, "");
    if (end === "shutdown") await says("left");
    else await exited;
    await collectUntil(async () => (await usedBytes()) === 0);
    if (end === "shutdown") assert.equal(child.exitCode ?? child.signalCode, null, "its process lives on");
  });
}
