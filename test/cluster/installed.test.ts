// A program that has installed the package can use all that it exports, what runs on workers included; with the binary that
// the package brings it maps what it gets, without it copies. Nobody packs a package without its binary by accident.
// Method: the package is packed and installed by npm in an empty project, without scripts and network; drivers run there.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { nothingLeftBehind } from "../support/left-behind.js";
import { cleanEnvironment, installPacked, npm, REPOSITORY } from "../support/packed.js";

const EXPORTS_DRIVER = `
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

/** A large array there and back; who has loaded the binary of the package, and which one, says so. */
const ARRAY_DRIVER = `
import { get, init, put, remote, shutdown } from "mobula";
await init({ numCpus: 1 });
function addon() {
  return process.report.getReport().sharedObjects.filter((path) => path.endsWith("mobula.node"));
}
const source = Float64Array.from({ length: 1_000_000 }, (_, i) => i);
const doubled = remote(function (array) { return [array.map((x) => 2 * x), addon()]; });
const [array, worker] = await get(doubled.remote(put(source)));
const sum = array.reduce((total, x) => total + x, 0);
process.stdout.write(JSON.stringify({ sum, driver: addon(), worker }));
await shutdown();`;

const root = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(root, { recursive: true }));
let project = "";

before(() => {
  project = installPacked(root);
  writeFileSync(join(project, "exports.js"), EXPORTS_DRIVER);
  writeFileSync(join(project, "array.js"), ARRAY_DRIVER);
});

/** `MOBULA_NATIVE` as given, whatever this test itself runs with. */
async function drive(file: string, setting?: string): Promise<string> {
  const env = cleanEnvironment({ MOBULA_NATIVE: setting });
  const { status, stdout, stderr } = spawnSync(process.execPath, [file], { cwd: project, env, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  await nothingLeftBehind();
  return stdout;
}

function prebuilds(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

test("an installed package: Signal, Semaphore and Barrier, from drivers and from tasks, and errors with their names", async () => {
  assert.equal(await drive("exports.js"), "gated TaskError:");
});

/** What an ELF file says of its processor. */
const PROCESSORS: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

test("an installed package has the binaries that its repository has, each for the machine that it is named after", () => {
  const [packed, built] = [join(project, "node_modules/mobula/prebuilds"), join(REPOSITORY, "prebuilds")];
  assert.deepEqual(prebuilds(packed), prebuilds(built));
  for (const target of prebuilds(packed)) {
    assert.deepEqual(readdirSync(join(packed, target)), ["mobula.node"]);
    const binary = readFileSync(join(packed, target, "mobula.node"));
    const [platform, processor] = target.split("-") as [string, string];
    if (platform !== "linux") continue;
    assert.equal(binary.toString("latin1", 0, 4), "\x7fELF");
    assert.equal(binary.readUInt16LE(18), PROCESSORS[processor], target);
  }
});

test("of an installed package driver and workers use this machine's binary for large arrays", async () => {
  const installed = join(project, "node_modules/mobula/prebuilds");
  const { sum, driver, worker } = JSON.parse(await drive("array.js")) as Record<string, unknown>;
  assert.equal(sum, 999_999 * 1_000_000);
  const own = prebuilds(installed).filter((name) => name.startsWith(`${process.platform}-${process.arch}`));
  const loaded = driver as string[];
  assert.equal(loaded.length, Math.min(own.length, 1), `one of ${own}`); // that for the C library of this machine
  for (const path of loaded) assert.ok(own.map((name) => join(installed, name, "mobula.node")).includes(path), path);
  assert.deepEqual(worker, driver);
});

test("an installed package copies large arrays with MOBULA_NATIVE=0, and its command runs", async () => {
  const { sum, driver, worker } = JSON.parse(await drive("array.js", "0")) as Record<string, unknown>;
  assert.deepEqual({ sum, driver, worker }, { sum: 999_999 * 1_000_000, driver: [], worker: [] });
  const { stdout } = spawnSync(join(project, "node_modules/.bin/mobula"), ["--version"], { encoding: "utf8" });
  assert.match(stdout, /^[0-9]+[.][0-9]+[.][0-9]+$/m);
});

test("without a compiler packing fails and makes no package, and the installation of the repository only says so", () => {
  const copy = join(root, "without-compiler");
  cpSync(join(REPOSITORY, "native"), join(copy, "native"), { recursive: true });
  const description = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { scripts: object };
  const scripts = { ...description.scripts, build: "node --version" }; // the sources are not here: nothing but the addon fails
  writeFileSync(join(copy, "package.json"), JSON.stringify({ ...description, scripts }));
  symlinkSync(join(REPOSITORY, "node_modules"), join(copy, "node_modules"));
  const env = cleanEnvironment({ CXX: "no-such-compiler" });
  const packed = npm(["pack"], copy, env);
  assert.notEqual(packed.status, 0);
  assert.match(packed.stderr, /the addon was not built.*no-such-compiler/);
  assert.deepEqual(
    readdirSync(copy).filter((name) => name.endsWith(".tgz")),
    [],
  );
  const prepared = npm(["run", "prepare"], copy, env);
  assert.equal(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stderr, /the addon was not built.*no-such-compiler/);
});
