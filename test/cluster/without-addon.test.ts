// Where the addon is missing everything works, and the driver says so in one line; who switched it off is not told.
// Method: the bundle is copied to where there are no prebuilt binaries, and a driver starts two clusters from it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { nothingLeftBehind } from "../support/left-behind.js";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const DRIVER = `
import { get, init, put, remote, shutdown } from "./dist/bundle/api/index.js";
for (let round = 0; round < 2; round++) {
  await init({ numCpus: 1 });
  const length = remote((array) => array.length);
  process.stdout.write(String(await get(length.remote(put(new Float64Array(50_000))))) + " ");
  await shutdown();
}`;

const root = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(root, { recursive: true }));
cpSync(join(REPOSITORY, "dist/bundle"), join(root, "dist/bundle"), { recursive: true });
symlinkSync(join(REPOSITORY, "node_modules"), join(root, "node_modules"));
writeFileSync(join(root, "package.json"), '{ "type": "module" }');
writeFileSync(join(root, "driver.js"), DRIVER);

for (const [how, setting, warnings] of [
  ["is missing", undefined, 1],
  ["is switched off", "0", 0],
] as const) {
  test(`a driver warns ${warnings} times when the addon ${how}, and works`, async () => {
    const env = { ...process.env, MOBULA_NATIVE: setting };
    const { status, stdout, stderr } = spawnSync(process.execPath, ["driver.js"], { cwd: root, env, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "50000 50000 ");
    assert.equal(
      stderr.split("\n").filter((line) => line.includes("the addon cannot be used")).length,
      warnings,
      stderr,
    );
    await nothingLeftBehind();
  });
}
