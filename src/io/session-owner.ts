/**
 * Whose a session is, and whether that process still lives. In doubt it does: what belongs to a live session must
 * never be removed, and what is left once more is removed at the next start.
 */
import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in the kernel's ticks: a pid is used again, a pid with its start time is not. */
  readonly startTime: string | undefined;
}

const OWNER = "owner.json";
/** session-<time>-<pid>-<namespace><random> */
const NAME = /^session-\d{8}T\d{6}-(\d+)-([0-9a-f]{4})[0-9a-f]{4}$/;

export function isSessionName(name: string): boolean {
  return NAME.test(name);
}

/** A fresh name for a session of this process. */
export function newSessionName(): string {
  const time = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replace(/[-:]/g, "");
  const random = Math.floor(Math.random() * 0x10000)
    .toString(16)
    .padStart(4, "0");
  return `session-${time}-${process.pid}-${namespaceTag()}${random}`;
}

export function writeOwner(directory: string): void {
  const owner: Owner = { pid: process.pid, host: hostname(), startTime: startTimeOf(process.pid) };
  writeFileSync(join(directory, OWNER), JSON.stringify(owner), { mode: 0o600 });
}

/** Whether the process that made the session `name` below `base` lives, or may live. */
export function mayBeOwned(base: string, name: string): boolean {
  const owner = readJson<Owner>(join(base, name, OWNER));
  if (owner === undefined) return mayBeOwnedByName(name); // swept already, or being made at this moment
  if (owner.host !== hostname() || !isOurNamespace(name)) return true; // not ours to judge
  return isProcess(owner.pid, owner.startTime);
}

/** The same by the name alone: less sure, as the pid may be another process's by now. */
export function mayBeOwnedByName(name: string): boolean {
  return !isOurNamespace(name) || isProcess(Number(NAME.exec(name)?.[1]), undefined);
}

/** The kernel's flag of a process that runs no code of its own any more. */
const ENDING = 0x4;

function isProcess(pid: number, startTime: string | undefined): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  const [state, , , , , , flags] = statOf(pid);
  if (state === "Z" || state === "X") return false; // killed; nobody has asked for its exit code yet
  if ((Number(flags) & ENDING) !== 0) return false; // its sockets are closed before it is a zombie
  return startTime === undefined || startTimeOf(pid) === startTime;
}

function startTimeOf(pid: number): string | undefined {
  return statOf(pid)[19]; // field 22 of the file
}

/** /proc/<pid>/stat from field 3, the state, on; empty where there is no /proc. The command before may be anything. */
function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

/**
 * Containers may share /tmp or /dev/shm and not their pids: the last digits of the pid namespace's number stand in a
 * session's name, and a name of another namespace is left alone.
 */
function namespaceTag(): string {
  try {
    const inode = Number(/\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0]);
    return (inode & 0xffff).toString(16).padStart(4, "0");
  } catch {
    return "0000";
  }
}

function isOurNamespace(name: string): boolean {
  return NAME.exec(name)?.[2] === namespaceTag();
}

/** Records are written by us; what cannot be read is not there (any more, or yet). */
export function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}
