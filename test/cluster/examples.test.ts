// Every example of the repository runs to its end and prints what it says it does.
// Method: run the compiled example as a user would, in a process of its own, and read its output and exit code.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url)); // this file runs from dist/test/cluster

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(example: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(EXAMPLES, example), ...args], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, stdout, stderr });
    });
  });
}

test("quickstart.ts: a task, an object, an actor", async () => {
  const { code, stdout, stderr } = await run("quickstart.js");
  assert.deepEqual({ code, stdout }, { code: 0, stdout: "3\n[ 1, 3 ]\n" }, stderr);
});

test("nested.ts: a tree of tasks deeper than there are CPUs", async () => {
  const { code, stdout, stderr } = await run("nested.js");
  assert.deepEqual({ code, stdout }, { code: 0, stdout: "a tree of depth 4 has 16 leaves\n" }, stderr);
});

test("main-job.ts: the lecture's ladders, then a word count that agrees with a plain one", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mobula-examples-"));
  try {
    writeFileSync(join(directory, "one.md"), "Manta birostris, manta alfredi; Größe 7_m\n".repeat(3));
    writeFileSync(join(directory, "two.txt"), "MANTA".concat(" größe".repeat(4)));
    writeFileSync(join(directory, "three.bin"), "manta manta manta"); // not one of the extensions
    const { code, stdout, stderr } = await run("main-job.js", directory);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /task add \([0-9a-f]{32}\)\n(.*\n)*.*fetchArgument +N2 +data/);
    assert.match(stdout, /get of object [0-9a-f]{36}\n(.*\n)*.*fetchResult +N1 +data/);
    assert.match(stdout, /actor CounterActor \([0-9a-f]{32}\)\n(.*\n)*.*callActor +N1 +data/);
    assert.match(stdout, /counting 100 %/);
    assert.match(stdout, /1 +7 {2}größe/);
    assert.match(stdout, /2 +7 {2}manta/);
    assert.match(stdout, /Both counts agree on each of 5 words\./);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("main-job.ts: what is no directory is wrong usage", async () => {
  const { code, stderr } = await run("main-job.js", join(EXAMPLES, "quickstart.js"));
  assert.equal(code, 2);
  assert.match(stderr, /is not a directory/);
});
