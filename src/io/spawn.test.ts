// A child reports its output and its end; it leaves nothing behind, and never outlives a parent that was killed.
// Method: real processes; the parent that gets killed is a process of its own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { spawnNode } from "./spawn.js";

const CHILD = fileURLToPath(new URL("../../test/fixtures/orphan-child.js", import.meta.url));
const PARENT = fileURLToPath(new URL("../../test/fixtures/orphan-parent.js", import.meta.url));

function isAlive(pid: number): boolean {
  try {
    // A zombie that nobody has reaped yet answers to signal 0.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function goneWithin(pid: number, ms: number): Promise<number> {
  const startedAt = performance.now();
  while (isAlive(pid)) {
    const elapsed = performance.now() - startedAt;
    if (elapsed > ms) {
      process.kill(pid, "SIGKILL");
      assert.fail(`process ${pid} lives ${ms} ms after its parent`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - startedAt;
}

test("output comes in lines, and the exit with its code and the last lines of stderr", async () => {
  const lines: string[] = [];
  const child = spawnNode(CHILD, { args: ["fail"], onLine: (stream, line) => lines.push(`${stream}: ${line}`) });
  const exit = await child.exited;
  assert.equal(exit.code, 3);
  assert.equal(exit.signal, null);
  assert.equal(exit.stderrTail.length, 20);
  assert.equal(exit.stderrTail.at(-1), "no newline at the end");
  assert.equal(exit.stderrTail[0], "line 11");
  assert.equal(lines.length, 32);
  assert.ok(lines.includes("stdout: to stdout"));
});

test("a killed child reports the signal, even out of an endless loop", async () => {
  const child = spawnNode(CHILD, { args: ["loop"], onMessage: () => child.kill() });
  assert.equal((await child.exited).signal, "SIGKILL");
  child.kill(); // a second time: harmless
});

test("what a child started dies with it", async () => {
  const grandchild = await new Promise<number>((resolve) => {
    const child = spawnNode(CHILD, {
      args: ["grandchild"],
      onMessage: (pid) => {
        child.process.kill("SIGKILL"); // the child alone
        resolve(pid as number);
      },
    });
  });
  await goneWithin(grandchild, 2_000);
});

test("a program that cannot be started is an exit with an error", async () => {
  const child = spawnNode(CHILD, { cwd: "/no/such/directory" });
  assert.match(String((await child.exited).error), /ENOENT/);
});

test("a released child writes to its file and lives on when the channel is closed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
  const file = join(directory, "out");
  const fd = openSync(file, "w");
  const child = spawnNode(CHILD, { args: ["fail"], outputFd: fd, dieWithParent: false });
  closeSync(fd);
  const { code } = await child.exited;
  assert.equal(code, 3);
  assert.match(readFileSync(file, "utf8"), /line 29/);
  rmSync(directory, { recursive: true });
});

const GUARDS: readonly (readonly [guard: string, env: NodeJS.ProcessEnv])[] = [
  ["the kernel, by setpriv", {}],
  ["the kernel, by the addon if there is one", { PATH: "" }],
  ["a watchdog thread", { PATH: "", MOBULA_NATIVE: "0" }],
];
for (const [guard, env] of GUARDS) {
  test(`a child in an endless loop dies with its parent: ${guard}`, async () => {
    const parent = spawn(process.execPath, [PARENT, CHILD], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    for await (const chunk of parent.stdout) {
      output += String(chunk);
      if (output.includes("guarded")) break;
    }
    const pid = Number.parseInt(output, 10);
    assert.ok(isAlive(pid));
    parent.kill("SIGKILL");
    await goneWithin(pid, 2_000);
  });

  test(`a child whose parent dies before it is guarded dies too: ${guard}`, async () => {
    const parent = spawn(process.execPath, [PARENT, CHILD, "die"], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    for await (const chunk of parent.stdout) output += String(chunk);
    await goneWithin(Number.parseInt(output, 10), 5_000);
  });
}
