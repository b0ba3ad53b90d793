// Under deaths of workers and raylets nothing is lost that can be made again, no value differs, no block leaks.
// Method: a short run of what `npm run chaos` does for minutes, with real processes and SIGKILL.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nothingLeftBehind } from "../support/left-behind.js";
import { runChaos } from "./chaos.js";

test("workers die five times a second and a raylet every four seconds: every value is right, every block comes back", async () => {
  const report = await runChaos({ seed: 1, durationMs: 9_000, workerKillEveryMs: 200, nodeKillEveryMs: 4_000 });
  assert.ok(report.workersKilled > 0 && report.nodesKilled > 0 && report.checked > 0, JSON.stringify(report));
  await nothingLeftBehind();
});
