// Where workers end at their start, tasks and actors fail with the reason, after some attempts; and work again when it is gone.
// Method: a preload that ends every worker, and nothing else, as long as a file is there.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { MAX_FAILED_STARTS } from "../../src/base/limits.js";
import { waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const directory = mkdtempSync(join(tmpdir(), "no-workers-"));
const preload = join(directory, "preload.mjs");
const broken = join(directory, "broken");

before(async () => {
  writeFileSync(broken, "");
  writeFileSync(
    preload,
    `import { existsSync } from "node:fs";
     if (/worker-main/.test(process.argv[1] ?? "") && existsSync(${JSON.stringify(broken)})) throw new Error("no worker today");`,
  );
  process.env["NODE_OPTIONS"] = `--import ${preload}`;
  await ray.init({ numCpus: 2, logToDriver: false });
  delete process.env["NODE_OPTIONS"];
});

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

test("tasks fail with the last words of the workers that did not start, and run again when they do", async () => {
  const one = ray.remote(() => 1);
  const error = await ray.get(one.remote()).catch((e: unknown) => e);
  assert.ok(error instanceof ray.WorkerCrashedError, String(error));
  assert.match(error.message, new RegExp(`${MAX_FAILED_STARTS} failed in a row.*no worker today`, "s"));
  rmSync(broken);
  const works = () =>
    ray.get(one.remote()).then(
      (value) => value === 1,
      (e) => assert.ok(e instanceof ray.WorkerCrashedError, String(e)) ?? false,
    );
  await waitForCondition(works, { timeoutMs: 30_000 });
});
