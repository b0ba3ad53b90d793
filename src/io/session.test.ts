// A session leaves nothing but its logs, however its process ended; a live one is never touched.
// Method: sessions of real processes, some killed, in a base directory of the test's own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { MAX_KEPT_LOG_DIRECTORIES } from "../base/limits.js";
import { ConnectionError, InvalidOptionError } from "../errors.js";
import {
  createSession,
  removeSession,
  runningClusters,
  type Session,
  sessionAt,
  sessionBase,
  sweepSessions,
  writeClusterRecord,
} from "./session.js";

const MAKER = fileURLToPath(new URL("../../test/fixtures/session-maker.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));

/** Each test has a base of its own. */
let count = 0;
let base = "";
beforeEach(() => {
  process.env["MOBULA_TMPDIR"] = join(directory, `${++count}`);
  base = sessionBase();
});

/** A session made by another process; `gone` when that process has ended. */
async function made(manner: "die" | "wait", logLine = ""): Promise<{ name: string; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, [MAKER, manner, ...(logLine === "" ? [] : [logLine])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const name = await new Promise<string>((resolve) =>
    child.stdout.once("data", (text) => resolve(String(text).trim())),
  );
  const kill = () => {
    child.kill("SIGKILL");
    return gone;
  };
  after(kill);
  if (manner === "die") await gone;
  return { name, kill };
}

const arenasOf = (name: string) => readdirSync("/dev/shm").filter((file) => file.startsWith(`mobula-${name}-`));

test("objects that are spilled to another disk go with their session, whoever removes it", () => {
  const disk = join(directory, "disk");
  const spillOf = (session: Session) => join(disk, `mobula-${session.name}`);
  const session = createSession(base, disk);
  writeFileSync(join(session.spill, "1.spill"), "bytes");
  assert.deepEqual(readdirSync(spillOf(session)), ["1.spill"]);
  assert.equal(statSync(spillOf(session)).mode & 0o777, 0o700);
  removeSession(session);
  assert.deepEqual(readdirSync(disk), []);

  const dead = createSession(base, disk);
  const owner = JSON.parse(readFileSync(join(dead.directory, "owner.json"), "utf8")) as object;
  writeFileSync(join(dead.directory, "owner.json"), JSON.stringify({ ...owner, startTime: "an earlier process's" }));
  sweepSessions(base);
  assert.deepEqual(readdirSync(disk), []);
});

test("a spill directory that cannot be made is refused, and nothing is left", () => {
  writeFileSync(join(directory, "a-file"), "");
  assert.throws(() => createSession(base, join(directory, "a-file")), InvalidOptionError);
  assert.deepEqual(readdirSync(base), []);
});

test("a session has its directories for this user alone, and the newest is linked", () => {
  const first = createSession();
  const second = createSession();
  for (const path of [base, second.directory, second.logs, second.sockets, second.spill]) {
    assert.equal(statSync(path).mode & 0o777, 0o700, path);
  }
  assert.equal(readlinkSync(join(base, "session-latest")), second.name);
  removeSession(first);
  removeSession(second);
  removeSession(second); // a second time: harmless
  assert.deepEqual(readdirSync(base), []);
});

test("removing a session leaves its logs only", () => {
  const session = createSession();
  writeFileSync(join(session.logs, "head.log"), "a line");
  writeFileSync(join(session.spill, "objects"), "bytes");
  const arena = `/dev/shm/mobula-${session.name}-n1`;
  writeFileSync(arena, "bytes");
  writeClusterRecord(session, { address: "127.0.0.1:1", pid: process.pid, nodeId: "n1", startedAt: "now" });
  removeSession(session);
  assert.deepEqual(readdirSync(session.directory), ["logs"]);
  assert.ok(!existsSync(arena));
});

test("what a killed process left is swept by the next start; live sessions stay whole", async () => {
  const dead = await made("die", "last words");
  const live = await made("wait");
  assert.equal(arenasOf(live.name).length, 1);
  assert.ok(existsSync(join(base, dead.name, "logs", "raylet.log")));
  assert.deepEqual(readdirSync(join(base, dead.name)), ["logs"], "swept when the live one started");
  assert.equal(arenasOf(dead.name).length, 0);

  sweepSessions();
  assert.deepEqual(readdirSync(join(base, live.name)).sort(), [
    "cluster.json",
    "logs",
    "owner.json",
    "sockets",
    "spill",
  ]);
  assert.equal(readdirSync(join(base, live.name, "sockets")).length, 1);
  await live.kill();
  sweepSessions();
  assert.deepEqual(
    readdirSync(base).filter((name) => name.startsWith("session-2")),
    [dead.name],
  );
  assert.equal(arenasOf(live.name).length, 0);
});

test("whoever notices a process's death by its sockets can sweep at once, though the process is still ending", async () => {
  for (let round = 0; round < 20; round++) {
    const live = await made("wait");
    const socket = connect(join(base, live.name, "sockets", "raylet.sock")).on("error", () => {});
    await once(socket, "connect");
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    process.kill(Number(live.name.split("-")[2]), "SIGKILL");
    await closed;
    sweepSessions();
    assert.deepEqual(arenasOf(live.name), [], `round ${round}`);
    await live.kill();
  }
});

test("an arena whose session directory was cleaned away is swept when its process is gone", async () => {
  const live = await made("wait");
  rmSync(join(base, live.name), { recursive: true });
  sweepSessions();
  assert.equal(arenasOf(live.name).length, 1);
  await live.kill();
  sweepSessions();
  assert.equal(arenasOf(live.name).length, 0);
});

test("a recycled pid is not taken for the owner; another host's sessions are not ours to judge", () => {
  const record = (session: Session, changes: object) => {
    const path = join(session.directory, "owner.json");
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, "utf8")) as object), ...changes }));
  };
  const recycled = createSession();
  const foreign = createSession();
  record(recycled, { startTime: "1" });
  record(foreign, { startTime: "1", host: "another.example" });
  sweepSessions();
  assert.equal(existsSync(recycled.directory), false);
  assert.equal(existsSync(foreign.sockets), true);
});

test("a killed owner whose exit code nobody has asked for is dead", async () => {
  const session = createSession(base);
  // The shell becomes a program that never asks for the exit code of the child it has.
  const parent = spawn("sh", ["-c", "sleep 0 & exec sleep 30"]);
  try {
    const children = `/proc/${parent.pid}/task/${parent.pid}/children`;
    const stateOf = (pid: string) => readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1] ?? "";
    let child = "";
    while (child === "" || !stateOf(child).startsWith("Z")) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      child = readFileSync(children, "latin1").trim();
    }
    const path = join(session.directory, "owner.json");
    const owner = JSON.parse(readFileSync(path, "utf8")) as object;
    const startTime = stateOf(child).split(" ")[19];
    writeFileSync(path, JSON.stringify({ ...owner, pid: Number(child), startTime }));
    sweepSessions(base);
    assert.equal(existsSync(path), false);
  } finally {
    parent.kill("SIGKILL");
  }
});

test("running clusters are those whose process lives, newest first", async () => {
  await made("die");
  const live = await made("wait");
  const own = createSession();
  writeClusterRecord(own, { address: "127.0.0.1:2", pid: process.pid, nodeId: "n2", startedAt: "later" });
  assert.deepEqual(new Set(runningClusters().map(({ address }) => address)), new Set(["127.0.0.1:1", "127.0.0.1:2"]));
  await live.kill();
  assert.deepEqual(runningClusters(), [{ address: "127.0.0.1:2", pid: process.pid, nodeId: "n2", startedAt: "later" }]);
  removeSession(own);
  assert.deepEqual(runningClusters(), []);
});

test("only the newest logs are kept", () => {
  mkdirSync(base, { recursive: true, mode: 0o700 });
  const tag = createSession().name.slice(-8);
  for (let i = 0; i < MAX_KEPT_LOG_DIRECTORIES + 5; i++) {
    const { logs } = sessionAt(join(base, `session-20200101T0000${String(i).padStart(2, "0")}-4194305-${tag}`));
    mkdirSync(logs, { recursive: true });
    writeFileSync(join(logs, "raylet.log"), "a line");
  }
  sweepSessions();
  const kept = readdirSync(base)
    .filter((name) => name.startsWith("session-2020"))
    .sort();
  assert.equal(kept.length, MAX_KEPT_LOG_DIRECTORIES);
  assert.match(kept[0] ?? "", /T000005-/);
});

test("a base directory that others may enter is refused", () => {
  mkdirSync(base, { recursive: true, mode: 0o755 });
  assert.throws(
    () => createSession(),
    (error) => error instanceof ConnectionError && error.message.includes(`chmod 700 ${base}`),
  );
});
