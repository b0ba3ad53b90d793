// A task that keeps its worker's thread does not keep the task waiting that it waits for, nor any other: what stands behind
// it in the same worker runs elsewhere, once. With the addon and without it.
// Method: two CPUs; hundreds of quick tasks, so that several go to a worker at a time; then tasks of the same function that
// look for a file without a turn of their event loop, and behind them one that makes it. A time limit ends the loop: that is
// the failure.
import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import * as ray from "../../src/api/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const { get, remote } = ray;
const LIMIT_MS = 15_000;

/** `look` keeps the thread until the file is there and says whether it came; `make` makes it. Each run leaves a line. */
const act = remote((what: "nothing" | "look" | "make", file: string, log: string): string => {
  if (log !== "") appendFileSync(log, `${what}\n`);
  if (what === "make") writeFileSync(file, "");
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const endMs = Date.now() + LIMIT_MS;
  while (what === "look" && !existsSync(file)) {
    if (Date.now() > endMs) return "nobody made it";
    Atomics.wait(pause, 0, 0, 1);
  }
  return what;
});

for (const native of [undefined, "0"]) {
  describe(native === undefined ? "with claim words in shared memory" : "without the addon", () => {
    let directory = "";
    let files = 0;
    const newFile = () => join(directory, `${++files}`);

    before(async () => {
      directory = mkdtempSync(join(tmpdir(), "recall-"));
      const before = process.env["MOBULA_NATIVE"];
      if (native !== undefined) process.env["MOBULA_NATIVE"] = native;
      await ray.init({ numCpus: 2 });
      if (before === undefined) delete process.env["MOBULA_NATIVE"];
      else process.env["MOBULA_NATIVE"] = before;
    });

    after(async () => {
      await ray.shutdown();
      rmSync(directory, { recursive: true });
      await nothingLeftBehind();
    });

    /** Both leases are there, and known to be fast. */
    async function warmUp(): Promise<void> {
      for (let i = 0; i < 5; i++) {
        await get(Array.from({ length: 200 }, () => act.remote("nothing", "", "")));
      }
    }

    test("whatever stands before, between and behind it, a gated task is let through, and every task runs once", async () => {
      for (let round = 0; round < 6; round++) {
        await warmUp();
        const [file, log] = [newFile(), newFile()];
        const whats = ["look", "nothing", "make"].flatMap((what) =>
          what === "nothing" ? Array.from({ length: round * 3 }, () => what) : [what],
        ) as ("nothing" | "look" | "make")[];
        if (round % 2 === 1) whats.unshift("nothing", "nothing");
        assert.deepEqual(await get(whats.map((what) => act.remote(what, file, log))), whats);
        const ran = readFileSync(log, "utf8").trimEnd().split("\n");
        assert.deepEqual(ran.sort(), [...whats].sort());
      }
    });

    test("tasks behind one that computes for long are done long before it", async () => {
      await warmUp();
      const file = newFile();
      const long = act.remote("look", file, "");
      await get(Array.from({ length: 50 }, () => act.remote("nothing", "", "")));
      writeFileSync(file, "");
      assert.equal(await get(long), "look");
    });

    test("the task that makes the file may be of a function that its worker has yet to fetch", async () => {
      await warmUp();
      const file = newFile();
      const late = remote((path: string) => {
        writeFileSync(path, "");
        return "made";
      });
      // Two workers take them in turns: the first and the third stand behind each other.
      const refs = [late.remote(file), act.remote("nothing", file, ""), act.remote("look", file, "")] as const;
      assert.deepEqual(await get(refs), ["made", "nothing", "look"]);
    });

    test("what ended before a task that keeps the thread is answered before that task ends", async () => {
      const hold = remote((path: string) => {
        const pause = new Int32Array(new SharedArrayBuffer(4));
        const endMs = Date.now() + LIMIT_MS;
        do Atomics.wait(pause, 0, 0, 2);
        while (!existsSync(path) && Date.now() < endMs);
        return existsSync(path) ? "let go" : "nobody made it";
      });
      const there = newFile();
      writeFileSync(there, "");
      await get(Array.from({ length: 8 }, () => hold.remote(there))); // both workers know it by now
      await warmUp();
      const file = newFile();
      const quick = act.remote("nothing", "", "");
      const others = [act.remote("nothing", "", ""), hold.remote(file)] as const;
      assert.equal(await get(quick), "nothing");
      writeFileSync(file, "");
      assert.deepEqual(await get(others), ["nothing", "let go"]);
    });

    test("a task that is an owner itself has its tasks recalled, too", async () => {
      await warmUp();
      const file = newFile();
      const parent = remote({ numCpus: 0 }, async (path: string) => {
        for (let i = 0; i < 5; i++) await get(Array.from({ length: 100 }, () => act.remote("nothing", "", "")));
        const refs = [act.remote("look", path, ""), act.remote("nothing", path, ""), act.remote("make", path, "")];
        return await get(refs);
      });
      assert.deepEqual(await get(parent.remote(file)), ["look", "nothing", "make"]);
    });
  });
}
