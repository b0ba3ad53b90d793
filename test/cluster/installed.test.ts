// A program that has installed the package can use all that it exports, what runs on workers included.
// Method: the bundle is copied into `node_modules` of an empty project, as npm would, and a driver there uses it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { nothingLeftBehind } from "../support/left-behind.js";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const DRIVER = `
import { Barrier, get, init, remote, Semaphore, shutdown, Signal } from "mobula";
import * as mobula from "mobula";
import * as testing from "mobula/testing";
for (const [name, value] of Object.entries(mobula)) {
  if (name.endsWith("Error") && value.name !== name) throw new Error(name + " is called " + value.name);
}
await init({ numCpus: 2 });
const gate = Signal.remote();
const gated = remote(async (gate) => { await get(gate.wait.remote()); return "gated"; }).remote(gate);
const opened = remote(async () => { const own = testing.Signal.remote(); await get(own.send.remote()); await get(own.wait.remote()); });
await get(opened.remote());
gate.send.remote();
const barrier = Barrier.remote(2);
await get([barrier.wait.remote(), barrier.wait.remote()]);
const semaphore = Semaphore.remote(1);
await get(semaphore.acquire.remote());
semaphore.release.remote();
await get(semaphore.acquire.remote());
const thrown = await get(remote(() => { throw 5; }).remote()).catch((error) => error);
process.stdout.write((await get(gated)) + " " + String(thrown).split(" ")[0]);
await shutdown();`;

const root = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(root, { recursive: true }));
const installed = join(root, "node_modules/mobula");
mkdirSync(installed, { recursive: true });
for (const part of ["package.json", "dist/bundle"]) {
  cpSync(join(REPOSITORY, part), join(installed, part), { recursive: true });
}
symlinkSync(join(REPOSITORY, "node_modules/acorn"), join(root, "node_modules/acorn"));
writeFileSync(join(root, "package.json"), '{ "type": "module" }');
writeFileSync(join(root, "driver.js"), DRIVER);

test("an installed package: Signal, Semaphore and Barrier, from drivers and from tasks, and errors with their names", async () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["driver.js"], { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  assert.equal(stdout, "gated TaskError:", stderr);
  await nothingLeftBehind();
});
