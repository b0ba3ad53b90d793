/**
 * The session directory: where one raylet keeps its sockets, spilled objects and logs, and how nothing of it is left.
 *
 *     $MOBULA_TMPDIR or the system's   /mobula-<uid>/session-<time>-<pid>-<tag>/   logs/ sockets/ spill/
 *                                                                                  owner.json cluster.json
 *                                      /mobula-<uid>/session-latest  →  the newest
 *     /dev/shm                         /mobula-session-<time>-<pid>-<tag>-<node>   (arenas)
 *
 * A session ends with `removeSession`, which leaves only its logs. One whose owner was killed is swept by the next
 * process that starts a session: the owner's record names its pid and that process's start time, so that a recycled
 * pid is not taken for it.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir, userInfo } from "node:os";
import { basename, join } from "node:path";
import { MAX_KEPT_LOG_DIRECTORIES } from "../base/limits.js";
import { ConnectionError } from "../errors.js";
import { ARENA_PREFIX, SHARED_MEMORY } from "./arena.js";

export interface Session {
  readonly name: string;
  readonly directory: string;
  readonly logs: string;
  readonly sockets: string;
  readonly spill: string;
}

/** How a second process of this user finds a running cluster. */
export interface ClusterRecord {
  readonly address: string;
  readonly pid: number;
  readonly nodeId: string;
  readonly startedAt: string;
}

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in the kernel's ticks; pids are used again. */
  readonly startTime: string | undefined;
}

const OWNER = "owner.json";
const CLUSTER = "cluster.json";
const LATEST = "session-latest";
/** time, pid, tag */
const NAME = /^session-(\d{8}T\d{6})-(\d+)-([0-9a-f]{8})$/;

// ── One session ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Make a session for this process, after sweeping those of dead ones. */
export function createSession(base = sessionBase()): Session {
  makePrivate(base);
  sweepSessions(base);
  const time = new Date().toISOString().replace(/\.\d+Z$/, "").replace(/[-:]/g, "");
  const session = sessionAt(join(base, `session-${time}-${process.pid}-${namespaceTag()}${randomTag()}`));
  for (const directory of [session.directory, session.logs, session.sockets, session.spill]) {
    mkdirSync(directory, { mode: 0o700 });
  }
  const owner: Owner = { pid: process.pid, host: hostname(), startTime: startTimeOf(process.pid) };
  writeFileSync(join(session.directory, OWNER), JSON.stringify(owner), { mode: 0o600 });
  pointLatest(base, session.name);
  return session;
}

/** The session that lies at `directory`. */
export function sessionAt(directory: string): Session {
  const at = (name: string) => join(directory, name);
  return { name: basename(directory), directory, logs: at("logs"), sockets: at("sockets"), spill: at("spill") };
}

/** Remove everything of a session but its logs. Synchronous, for use on every way out; never throws. */
export function removeSession(session: Session): void {
  for (const arena of arenasOf(session.name)) quietly(() => unlinkSync(arena));
  quietly(() => {
    for (const name of readdirSync(session.directory)) {
      if (name !== basename(session.logs)) rmSync(join(session.directory, name), { recursive: true, force: true });
    }
  });
  // rmdir refuses a directory with something in it: logs stay, and the session with them.
  quietly(() => rmdirSync(session.logs));
  quietly(() => rmdirSync(session.directory));
  const latest = join(session.directory, "..", LATEST);
  quietly(() => {
    if (readlinkSync(latest) === session.name) lstatSync(session.directory);
  }, () => unlinkSync(latest));
}

// ── Clusters of this user ───────────────────────────────────────────────────────────────────────────────────────────

/** Let other processes of this user find the cluster. */
export function writeClusterRecord(session: Session, record: ClusterRecord): void {
  const path = join(session.directory, CLUSTER);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path); // nobody reads half a record
}

/** The clusters of this user whose head lives, newest first. */
export function runningClusters(base = sessionBase()): ClusterRecord[] {
  const records: ClusterRecord[] = [];
  for (const name of sessionNames(base).reverse()) {
    const record = readJson<ClusterRecord>(join(base, name, CLUSTER));
    if (record !== undefined && isOwned(base, name)) records.push(record);
  }
  return records;
}

// ── The janitor ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Remove what dead sessions have left, and the oldest of their logs. Live ones are not touched. */
export function sweepSessions(base = sessionBase()): void {
  const names = sessionNames(base);
  const dead = names.filter((name) => !isOwned(base, name));
  for (const name of dead) removeSession(sessionAt(join(base, name)));
  const withLogs = dead.filter((name) => readdir(join(base, name)).length > 0);
  for (const name of withLogs.slice(0, -MAX_KEPT_LOG_DIRECTORIES)) {
    quietly(() => rmSync(join(base, name), { recursive: true, force: true }));
  }
  sweepArenas(new Set(names));
}

/** Arenas without a session directory: somebody cleaned the temporary directory after their owner was killed. */
function sweepArenas(known: ReadonlySet<string>): void {
  const mine = process.getuid?.();
  for (const file of readdir(SHARED_MEMORY)) {
    const name = /^mobula-(session-\d{8}T\d{6}-\d+-[0-9a-f]{8})-/.exec(file)?.[1];
    if (name === undefined || known.has(name) || isOwnedByName(name)) continue;
    const path = join(SHARED_MEMORY, file);
    quietly(() => {
      if (lstatSync(path).uid === mine) unlinkSync(path);
    });
  }
}

/** Whether the process that made this session lives, or may live. */
function isOwned(base: string, name: string): boolean {
  const owner = readJson<Owner>(join(base, name, OWNER));
  if (owner === undefined) return isOwnedByName(name); // swept, or being made at this moment
  if (owner.host !== hostname() || !isOurNamespace(name)) return true; // not ours to judge
  return isProcess(owner.pid, owner.startTime);
}

function isOwnedByName(name: string): boolean {
  const pid = Number(NAME.exec(name)?.[2]);
  return !isOurNamespace(name) || isProcess(pid, undefined);
}

function isProcess(pid: number, startTime: string | undefined): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return startTime === undefined || startTimeOf(pid) === startTime;
}

/** Field 22 of /proc/<pid>/stat; undefined where there is no /proc. The command before it may contain anything. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
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
  return NAME.exec(name)?.[3]?.startsWith(namespaceTag()) === true;
}

// ── Directories ─────────────────────────────────────────────────────────────────────────────────────────────────────

export function sessionBase(): string {
  return join(process.env["MOBULA_TMPDIR"] || tmpdir(), `mobula-${process.getuid?.() ?? userInfo().username}`);
}

/** The directory must be ours alone: /tmp is open to all, and somebody else may have made it first. */
function makePrivate(base: string): void {
  mkdirSync(base, { recursive: true, mode: 0o700 });
  const { mode, uid } = lstatSync(base);
  const isDirectory = (mode & 0o170000) === 0o040000;
  if (isDirectory && uid === process.getuid?.() && (mode & 0o077) === 0) return;
  throw new ConnectionError(
    `${base} must be a directory of this user alone; run: chmod 700 ${base}, or set MOBULA_TMPDIR to another place`,
  );
}

function pointLatest(base: string, name: string): void {
  const link = join(base, LATEST);
  quietly(() => {
    symlinkSync(name, `${link}.${process.pid}`);
    renameSync(`${link}.${process.pid}`, link); // in one step: two sessions may start together
  });
}

/** Names of sessions, oldest first. */
function sessionNames(base: string): string[] {
  return readdir(base).filter((name) => NAME.test(name)).sort();
}

function arenasOf(session: string): string[] {
  const prefix = `${ARENA_PREFIX}${session}-`;
  return readdir(SHARED_MEMORY).filter((name) => name.startsWith(prefix)).map((name) => join(SHARED_MEMORY, name));
}

function randomTag(): string {
  return Math.floor(Math.random() * 0x10000).toString(16).padStart(4, "0");
}

function readdir(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Records are written by us and moved into place whole; what cannot be read is not there. */
function readJson<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch {
    return undefined;
  }
}

/** Clearing up goes on whatever fails: a missing file was the aim, and another error must not hide the first one. */
function quietly(action: () => void, otherwise: () => void = () => {}): void {
  try {
    action();
  } catch {
    if (otherwise !== undefined) quietly(otherwise);
  }
}
