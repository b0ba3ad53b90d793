/** After a cluster test: no process, shared memory, socket or file of a cluster may be left. `logs/` may stay. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** The longest that anything of a cluster may outlive it. */
const LEFT_BEHIND_TIMEOUT_MS = 5_000;

/** Everything of this test process's clusters that is still there. Other tests run beside it: only children count. */
export function leftBehind(sessionsBefore: ReadonlySet<string> = new Set()): readonly string[] {
  return [...processesOf(), ...arenas(sessionsBefore), ...sessionFiles(sessionsBefore)];
}

/** Sessions that exist now: what a test is not to be blamed for. */
export function sessionsNow(): ReadonlySet<string> {
  return new Set(list(sessionBase()));
}

export async function nothingLeftBehind(sessionsBefore?: ReadonlySet<string>): Promise<void> {
  const deadline = performance.now() + LEFT_BEHIND_TIMEOUT_MS;
  while (leftBehind(sessionsBefore).length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.deepEqual(leftBehind(sessionsBefore), []);
}

/** Raylets and workers, by their command lines. */
function processesOf(): string[] {
  return list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid, command: commandOf(pid) }))
    .filter(({ command }) => /(?:node-main|worker-main)\.js/.test(command))
    .map(({ pid, command }) => `process ${pid}: ${command}`);
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // it ended while we looked
  }
}

function arenas(before: ReadonlySet<string>): string[] {
  return list("/dev/shm")
    .filter((name) => name.startsWith("mobula-"))
    .filter((name) => ![...before].some((session) => name.includes(session)))
    .map((name) => `/dev/shm/${name}`);
}

function sessionFiles(before: ReadonlySet<string>): string[] {
  const base = sessionBase();
  return list(base)
    .filter((name) => name.startsWith("session-2") && !before.has(name))
    .flatMap((name) => list(join(base, name)).filter((entry) => entry !== "logs").map((entry) => join(base, name, entry)));
}

function sessionBase(): string {
  return join(process.env["MOBULA_TMPDIR"] ?? tmpdir(), `mobula-${userInfo().uid}`);
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
