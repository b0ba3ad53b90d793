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
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { MAX_KEPT_LOG_DIRECTORIES } from "../base/limits.js";
import { ConnectionError, InvalidOptionError } from "../errors.js";
import { ARENA_PREFIX, SHARED_MEMORY } from "./arena.js";
import { isSessionName, mayBeOwned, mayBeOwnedByName, newSessionName, readJson, writeOwner } from "./session-owner.js";

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

const CLUSTER = "cluster.json";
const LATEST = "session-latest";

// ── One session ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Make a session for this process, after sweeping those of dead ones. */
export function createSession(base = sessionBase(), spillDirectory = ""): Session {
  makePrivate(base);
  sweepSessions(base);
  const session = sessionAt(join(base, newSessionName()));
  for (const directory of [session.directory, session.logs, session.sockets]) mkdirSync(directory, { mode: 0o700 });
  if (spillDirectory === "") mkdirSync(session.spill, { mode: 0o700 });
  else spillElsewhere(session, spillDirectory);
  writeOwner(session.directory);
  pointLatest(base, session.name);
  return session;
}

/** Spilled objects go to another disk: the session has a link to their directory, which ends with the session. */
function spillElsewhere(session: Session, spillDirectory: string): void {
  const directory = join(spillDirectory, `${ARENA_PREFIX}${session.name}`);
  symlinkSync(directory, session.spill); // first, so that whoever sweeps finds what we make
  try {
    makeAll(spillDirectory);
    mkdirSync(directory, { mode: 0o700 });
  } catch (cause) {
    removeSession(session);
    throw new InvalidOptionError(`spillDirectory ${spillDirectory} cannot be used: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A directory and those above it. Node's own recursion never ends where the file system refuses one, as `/proc` does. */
function makeAll(directory: string, mode?: number): void {
  if (existsSync(directory)) return;
  makeAll(dirname(directory), mode);
  try {
    mkdirSync(directory, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another node of this host was faster
  }
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
    const spill = readlinkSync(session.spill); // it throws where the directory is our own
    if (basename(spill) === `${ARENA_PREFIX}${session.name}`) rmSync(spill, { recursive: true, force: true });
  });
  quietly(() => {
    for (const name of readdirSync(session.directory)) {
      if (name !== basename(session.logs)) rmSync(join(session.directory, name), { recursive: true, force: true });
    }
  });
  // rmdir refuses a directory with something in it: logs stay, and the session with them.
  quietly(() => rmdirSync(session.logs));
  quietly(() => rmdirSync(session.directory));
  quietly(() => {
    const latest = join(session.directory, "..", LATEST);
    if (readlinkSync(latest) === session.name && !existsSync(session.directory)) unlinkSync(latest);
  });
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
  const records = liveSessions(base).map((session) => readJson<ClusterRecord>(join(session.directory, CLUSTER)));
  return records.filter((record) => record !== undefined).reverse();
}

/** The sessions of this user whose process lives, oldest first. */
export function liveSessions(base = sessionBase()): Session[] {
  const names = sessionNames(base).filter((name) => mayBeOwned(base, name));
  return names.map((name) => sessionAt(join(base, name)));
}

// ── The janitor ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Remove what dead sessions have left, and the oldest of their logs. Live ones are not touched. */
export function sweepSessions(base = sessionBase()): void {
  const names = sessionNames(base);
  const dead = names.filter((name) => !mayBeOwned(base, name));
  for (const name of dead) removeSession(sessionAt(join(base, name)));
  const withLogs = dead.filter((name) => existsSync(join(base, name)));
  for (const name of withLogs.slice(0, -MAX_KEPT_LOG_DIRECTORIES)) {
    quietly(() => rmSync(join(base, name), { recursive: true, force: true }));
  }
  sweepArenas(new Set(names));
}

/** Arenas without a session directory: somebody cleaned the temporary directory after their owner was killed. */
function sweepArenas(known: ReadonlySet<string>): void {
  const mine = process.getuid?.();
  for (const file of readdir(SHARED_MEMORY)) {
    const name = sessionOfArena(file);
    if (name === undefined || known.has(name) || mayBeOwnedByName(name)) continue;
    const path = join(SHARED_MEMORY, file);
    quietly(() => {
      if (lstatSync(path).uid === mine) unlinkSync(path);
    });
  }
}

function sessionOfArena(file: string): string | undefined {
  if (!file.startsWith(ARENA_PREFIX)) return undefined;
  const name = file.slice(ARENA_PREFIX.length, file.lastIndexOf("-"));
  return isSessionName(name) ? name : undefined;
}

// ── Directories ─────────────────────────────────────────────────────────────────────────────────────────────────────

export function sessionBase(): string {
  return join(process.env["MOBULA_TMPDIR"] || tmpdir(), `mobula-${process.getuid?.() ?? userInfo().username}`);
}

/** The directory must be ours alone: /tmp is open to all, and somebody else may have made it first. */
function makePrivate(base: string): void {
  makeAll(base, 0o700);
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

/** Names of sessions, oldest first: a name begins with its time. */
function sessionNames(base: string): string[] {
  return readdir(base).filter(isSessionName).sort();
}

function arenasOf(session: string): string[] {
  const prefix = `${ARENA_PREFIX}${session}-`;
  return readdir(SHARED_MEMORY)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(SHARED_MEMORY, name));
}

function readdir(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Clearing up goes on whatever fails: a missing file was the aim, and another error must not hide the first one. */
function quietly(action: () => void): void {
  try {
    action();
  } catch {
    // the next start tries again
  }
}
