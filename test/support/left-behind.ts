/**
 * After a cluster test: no process, shared memory, socket or file of its clusters may be left. `logs/` may stay.
 *
 * Importing this page gives the test file a temporary directory of its own (`MOBULA_TMPDIR`), which every process of its
 * clusters inherits: so each file answers for its own clusters only, and files can run side by side.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** The longest that anything of a cluster may outlive it. */
const LEFT_BEHIND_TIMEOUT_MS = 5_000;

const directory = mkdtempSync(join(tmpdir(), "mt-"));
process.env["MOBULA_TMPDIR"] = directory;
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

const sessions = join(directory, `mobula-${userInfo().uid}`);

/** Everything of this test file's clusters that is there now. */
export function leftBehind(): readonly string[] {
  return [...processes(), ...arenas(), ...sessionFiles()];
}

export async function nothingLeftBehind(timeoutMs = LEFT_BEHIND_TIMEOUT_MS): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (leftBehind().length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(leftBehind(), []);
}

/** Nodes and workers of this file's clusters. */
export function processes(): string[] {
  const mine = `MOBULA_TMPDIR=${directory}\0`;
  return list("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter((pid) => read(`/proc/${pid}/environ`).includes(mine))
    .map((pid) => ({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll("\0", " ") }))
    .filter(({ command }) => /(?:node-main|worker-main)\.js/.test(command))
    .map(({ pid, command }) => `process ${pid}: ${command}`);
}

function arenas(): string[] {
  const names = list(sessions);
  return list("/dev/shm")
    .filter((name) => names.some((session) => name.startsWith(`mobula-${session}`)))
    .map((name) => `/dev/shm/${name}`);
}

function sessionFiles(): string[] {
  return list(sessions)
    .filter((name) => name !== "session-latest")
    .flatMap((name) => list(join(sessions, name)).map((entry) => join(sessions, name, entry)))
    .filter((path) => !path.endsWith("/logs"));
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended while we looked
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
