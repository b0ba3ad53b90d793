// Refs that cross from one job to another are as good as those within one.
// Method: two drivers in one namespace; the actor of one is in synchronous code when the other calls it and is killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as ray from "../../src/api/index.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { busyUntil } from "../support/busy.js";
import { nothingLeftBehind } from "../support/left-behind.js";
import { usedBytes } from "../support/store.js";

const LARGE_BYTES = 400_000;
const LIMIT_MS = 20_000;
const NAMESPACE = "shared";
const DRIVER = fileURLToPath(new URL("./fixtures/passing-driver.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "jobs-"));

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

const Keeper = ray.remote(
  class Keeper {
    #kept: readonly ray.ObjectRef<Uint8Array>[] = [];
    loop(started: string, go: string, limitMs: number): void {
      busyUntil(started, go, limitMs);
    }
    keep(refs: readonly ray.ObjectRef<Uint8Array>[]): void {
      this.#kept = refs;
    }
    async read(): Promise<number> {
      const [ref] = this.#kept;
      return ref === undefined ? 0 : (await ray.get(ref)).length;
    }
  },
);

/** Ends with the error of a worker that was killed under its task. */
async function loseWorker(): Promise<void> {
  const pidFile = join(directory, "pid");
  const lost = ray.remote({ maxRetries: 0 }, async (path: string) => {
    writeFileSync(path, String(process.pid));
    await new Promise(() => {});
  });
  const result = assert.rejects(ray.get(lost.remote(pidFile)), ray.WorkerCrashedError);
  await waitForCondition(() => existsSync(pidFile) && readFileSync(pidFile, "utf8") !== "", { timeoutMs: LIMIT_MS });
  process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
  await result;
}

/** `disturb` happens while the actor is busy, before the other job's driver calls it. */
async function passesToBusyActor(disturb: () => Promise<void>): Promise<void> {
  const steps = mkdtempSync(join(directory, "steps-"));
  const file = (name: string) => join(steps, name);
  const exists = (name: string) => waitForCondition(() => existsSync(file(name)), { timeoutMs: LIMIT_MS });
  await using cluster = await TestCluster.start({ nodes: [{ numCpus: 2, objectStoreMemory: 64 * 1024 * 1024 }] });
  const { address } = cluster;
  await ray.init({ address, namespace: NAMESPACE });
  const tool = await cluster.tool();
  const keeper = Keeper.options({ name: "keeper" }).remote();
  assert.equal(await ray.get(keeper.read.remote()), 0);
  const driver = spawn(process.execPath, [DRIVER, address, NAMESPACE, steps, String(LARGE_BYTES)], {
    stdio: "inherit",
  });
  await exists("connected");
  const looped = keeper.loop.remote(file("busy"), file("go"), LIMIT_MS);
  await exists("busy");
  await disturb();
  writeFileSync(file("started"), "");
  await exists("called");
  assert.ok((await usedBytes()) >= LARGE_BYTES);
  driver.kill("SIGKILL");
  await once(driver, "exit");
  const isKnown = async () => (await tool.memory()).some((each) => each.kind === "process" && each.pid === driver.pid);
  await waitForCondition(async () => !(await isKnown()), { timeoutMs: LIMIT_MS });
  writeFileSync(file("go"), "");
  await ray.get(looped);
  await waitForCondition(async () => (await ray.get(keeper.read.remote())) === LARGE_BYTES, { timeoutMs: LIMIT_MS });
  await ray.shutdown();
}

test("what a driver passed to another job's actor before it was killed is there when the actor comes to read it", () =>
  passesToBusyActor(async () => {}));

// The actor's process has had something to read from its raylet before the call: it comes to that first, and finds there
// that the driver has died.
test("the same when the actor learns of the driver's death before it reads the call", () =>
  passesToBusyActor(loseWorker));
