// A process in synchronous code is busy, not dead: what it does is neither done twice nor given up, by nobody who dials it.
// Method: real workers that compute for longer than a handshake may take.
import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { HANDSHAKE_TIMEOUT_MS } from "../../src/base/limits.js";
import { nothingLeftBehind } from "../support/left-behind.js";

/** Longer than a handshake, and than the patience with a lost connection after it. */
const BUSY_MS = HANDSHAKE_TIMEOUT_MS + 3_000;
const directory = mkdtempSync(join(tmpdir(), "busy-"));

before(async () => {
  await ray.init({ numCpus: 2 });
});

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

test("a task and an actor that compute for longer than a handshake run once, and their callers get the results", async () => {
  const log = join(directory, "starts");
  const compute = ray.remote((ms: number, file: string) => {
    appendFileSync(file, "started\n");
    for (const since = Date.now(); Date.now() - since < ms; );
    return "computed";
  });
  const Computer = ray.remote(
    class Computer {
      compute(ms: number): string {
        for (const since = Date.now(); Date.now() - since < ms; );
        return "actor computed";
      }
    },
  );
  const computer = Computer.remote();
  await ray.get(computer.compute.remote(0));
  const ask = ray.remote((handle: typeof computer) => ray.get(handle.compute.remote(0)));
  // The first task of a lease runs before its owner has dialled; the other task dials an actor that is busy already.
  const task = compute.remote(BUSY_MS, log);
  const call = computer.compute.remote(BUSY_MS + 3_000);
  assert.deepEqual(await ray.get([task, call, ask.remote(computer)]), ["computed", "actor computed", "actor computed"]);
  assert.equal(readFileSync(log, "utf8"), "started\n");
});
