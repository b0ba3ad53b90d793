// The test command never calls a broken tree healthy: failures, crashes, hangs and empty runs all end in exit code 1.
// Method: run the command on small trees made for the purpose, and read its exit code and closing line.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const RUNNER = fileURLToPath(new URL("../run.js", import.meta.url));
const PASSING = 'import { test } from "node:test"; test("passes", () => {});';
const roots: string[] = [];
after(() => {
  for (const root of roots) rmSync(root, { recursive: true });
});

/** A tree with these compiled test files; each has an empty source, as the sources decide what runs. */
function tree(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "mobula-runner-test-"));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    write(join(root, `${name}.ts`), "");
    write(join(root, "dist", `${name}.mjs`), text);
    write(join(root, "dist", `${name}.js`), `import "./${name.split("/").at(-1)}.mjs";`);
  }
  return root;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

async function runTests(root: string, ...args: string[]) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // else node:test takes the command for a part of this test
  const child = spawn(process.execPath, [RUNNER, "--no-checks", "--root", root, ...args], { env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, output, closing: output.trimEnd().split("\n").at(-1) };
}

test("a passing tree ends with exit code 0", async () => {
  const { code, closing } = await runTests(tree({ "src/a.test": PASSING, "test/cluster/b.test": PASSING }));
  assert.deepEqual({ code, closing }, { code: 0, closing: "2 passed, 0 failed" });
});

test("a failing test is named with its cause, and what contains it is not counted again", async () => {
  const failing = `import { describe, test } from "node:test";
    describe("outer", () => { test("inner", () => { throw new Error("broken", { cause: new TypeError("deep") }); }); });
    test("parent", async (t) => { await t.test("child", () => { throw "thrown string"; }); await t.test("well", () => {}); });
    console.log("said on the way");`;
  const { code, closing, output } = await runTests(tree({ "test/a.test": failing }));
  assert.deepEqual({ code, closing }, { code: 1, closing: "1 passed, 2 failed" });
  assert.match(output, /outer > inner.*Error: broken.*\[cause\] TypeError: deep/s);
  assert.match(output, /parent > child.*thrown string/s);
  assert.match(output, /said on the way/);
});

test("a file that throws while loading, exits early, or has no test fails", async () => {
  const files = {
    "test/throws.test": 'throw new Error("while loading");',
    "test/exits.test": 'import { test } from "node:test"; test("a", () => process.exit(3)); test("b", () => {});',
    "test/empty.test": "export {};",
  };
  const { code, closing, output } = await runTests(tree(files));
  assert.deepEqual({ code, closing }, { code: 1, closing: "0 passed, 3 failed" });
  assert.match(output, /while loading/);
  assert.match(output, /exited with code 3/);
  assert.match(output, /the file contains no test/);
});

test("a file that hangs, or leaves something open, is ended at its time limit", async () => {
  const files = {
    "test/hangs.test": 'import { test } from "node:test"; test("a", () => { for (;;); });',
    "test/open.test": `${PASSING} setInterval(() => {}, 1000);`,
  };
  const { code, closing, output } = await runTests(tree(files), "--timeout-ms", "4000");
  assert.deepEqual({ code, closing }, { code: 1, closing: "1 passed, 2 failed" });
  assert.match(output, /still running after 4000 ms/);
});

test("filters choose files, repeat multiplies them, and a run of no test fails", async () => {
  const root = tree({ "src/a.test": PASSING, "test/b.test": PASSING });
  assert.equal((await runTests(root, "src/a")).closing, "1 passed, 0 failed");
  assert.equal((await runTests(root, "--repeat", "3", "test/b", "src/a")).closing, "6 passed, 0 failed");
  const { code, closing } = await runTests(root, "nothing-is-called-so");
  assert.deepEqual({ code, closing }, { code: 1, closing: "0 passed, 0 failed" });
});

test("a compiled test without its source does not run", async () => {
  const root = tree({ "src/a.test": PASSING });
  write(join(root, "dist/src/renamed.test.js"), "throw new Error('stale');");
  assert.equal((await runTests(root)).closing, "1 passed, 0 failed");
});

test("bad options are refused with the usage", async () => {
  const root = tree({});
  for (const args of [["--repeat", "0"], ["--repeat", "x"], ["--unknown"]]) {
    const { code, output } = await runTests(root, ...args);
    assert.equal(code, 1);
    assert.match(output, /usage: npm test/);
  }
});
