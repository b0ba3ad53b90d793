// What was answered before somebody's end is had by a caller that was in synchronous code all the while, although it reads
// of the end first.
// Method: while the driver loops, its raylet has a word for it (a lease), then an actor answers its call and is killed, and
// another process has learned of that.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { waitForCondition } from "../../src/testing/index.js";
import { busyUntil } from "../support/busy.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, remote } = ray;
const LIMIT_MS = 20_000;
let directory = "";

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "answered-before-"));
  await ray.init({ numCpus: 1 });
});

after(async () => {
  await ray.shutdown();
  rmSync(directory, { recursive: true });
  await nothingLeftBehind();
});

const exists = (file: string) => waitForCondition(() => existsSync(file), { timeoutMs: LIMIT_MS });

const Mortal = remote(
  class Mortal {
    ready(): boolean {
      return true;
    }
    /** Its process dies some time after the answer has left. */
    async answer(when: string): Promise<number> {
      await exists(when);
      setTimeout(() => process.kill(process.pid, "SIGKILL"), 50);
      return 42;
    }
    async outliveNobody(): Promise<never> {
      return new Promise(() => {});
    }
  },
);

test("a call that was answered before its actor died has its value, whatever is read first", async () => {
  const file = (name: string) => join(directory, name);
  const mortal = Mortal.remote();
  assert.equal(await get(mortal.ready.remote()), true);
  // The only CPU: free, for the second, when this waits in `get`, which it does when the driver is busy.
  const first = remote(async (handle: typeof mortal, started: string, busy: string) => {
    writeFileSync(started, "");
    await exists(busy);
    await get(handle.outliveNobody.remote()).catch(() => {});
  });
  const second = remote({ numCpus: 0.5 }, async (handle: typeof mortal, when: string, known: string) => {
    writeFileSync(when, ""); // it runs, so its owner has been told of its lease
    await get(handle.outliveNobody.remote()).catch(() => {});
    writeFileSync(known, "");
  });
  const others = [
    first.remote(mortal, file("started"), file("busy")),
    second.remote(mortal, file("when"), file("known")),
  ] as const;
  await exists(file("started"));
  const answer = mortal.answer.remote(file("when"));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve))); // it has left
  busyUntil(file("busy"), file("known"), LIMIT_MS);
  assert.equal(await get(answer), 42);
  await get([...others]);
});
