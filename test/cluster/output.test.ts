// What workers print appears on the driver of their job, wherever they run: behind their task's or actor's name, repeated
// lines once, and never at the cost of a node's memory.
// Method: a cluster of two nodes; drivers of their own, attached to the first, whose tasks print on the second.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TestCluster } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const DRIVER = fileURLToPath(new URL("./fixtures/output-driver.js", import.meta.url));
let cluster: TestCluster;
let where = "";

before(async () => {
  cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, { numCpus: 2 }] });
  where = cluster.nodes[1]?.nodeId ?? "";
});

after(async () => {
  await cluster.stop();
  await nothingLeftBehind();
});

/** What a driver shows, by stream; process ids as `N`, the second node as `NODE`. */
async function shownBy(mode: string, ...more: string[]): Promise<{ stdout: string[]; stderr: string[] }> {
  const env = { ...process.env, MOBULA_ADDRESS: cluster.address };
  const driver = spawn(process.execPath, [DRIVER, mode, ...more], { env, stdio: ["ignore", "pipe", "pipe"] });
  const text = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    driver[stream].setEncoding("utf8").on("data", (chunk: string) => {
      text[stream] += chunk;
    });
  }
  await new Promise((resolve) => driver.once("close", resolve));
  assert.ok(text.stdout.endsWith("done\n"), `the driver came to its end: ${text.stdout}${text.stderr}`);
  for (const each of Object.values(text)) assert.ok(!each.includes("\u001e"), "no mark is shown");
  const lines = (all: string) =>
    all
      .replaceAll(/pid=\d+/g, "pid=N")
      .replaceAll(where, "NODE")
      .split("\n")
      .slice(0, -1);
  return { stdout: lines(text.stdout).slice(0, -1), stderr: lines(text.stderr) };
}

test("every line stands behind its task's or actor's name, in the order of its worker", async () => {
  const { stdout, stderr } = await shownBy("names");
  const count = Array.from({ length: 20 }, (_, i) => i);
  const of = (name: string) => stdout.filter((line) => line.startsWith(`(${name} `));
  // Two workers share the tasks: each prints its own in order.
  assert.deepEqual(of("add").sort(), count.map((i) => `(add pid=N node=NODE) add ${i}`).sort());
  assert.deepEqual(stderr.sort(), count.map((i) => `(sub pid=N node=NODE) sub ${i}`).sort());
  assert.deepEqual(of("named"), ["(named pid=N node=NODE) add 100"]);
  assert.deepEqual(of("Talker").slice(0, 2), ["(Talker pid=N node=NODE) made", "(Talker pid=N node=NODE) on and on"]);
  assert.deepEqual(of("boss").slice(0, 2), ["(boss pid=N node=NODE) made", "(boss pid=N node=NODE) up and on"]);
});

test("a line that a finished task has not ended is shown at shutdown", async () => {
  const { stdout, stderr } = await shownBy("unended");
  assert.deepEqual(stdout, ["(ask pid=N node=NODE) a question? "]);
  assert.deepEqual(stderr, ["(ask pid=N node=NODE) an answer"]);
});

test("tasks that take turns at a worker keep their lines apart", async () => {
  const { stdout } = await shownBy("turns");
  assert.deepEqual(stdout, [
    "(outer pid=N node=NODE) a line that nobody ends",
    "(inner pid=N node=NODE) inner x",
    "(outer pid=N node=NODE) outer x",
  ]);
});

test("the last words of a worker that ends arrive, on the driver and in its error", async () => {
  const { stdout, stderr } = await shownBy("crash");
  assert.equal(stdout[0], "(die pid=N node=NODE) so far so good");
  assert.deepEqual(stderr, ["(die pid=N node=NODE) last words"]);
  assert.match(stdout[1] ?? "", /WorkerCrashedError: .*exit code 3.*its last words on stderr:\\nlast words"$/);
});

test("what Node says of an error that nobody caught has the task's name", async () => {
  const { stderr } = await shownBy("uncaught");
  assert.ok(
    stderr.some((line) => line.startsWith("(fail pid=N node=NODE)") && line.includes("nobody catches this")),
    stderr.join("\n"),
  );
});

test("repeated lines are collapsed, of one worker and of many", async () => {
  const { stdout } = await shownBy("repeats");
  assert.deepEqual(stdout.sort(), [
    "(Greeter pid=N node=NODE) good day",
    "(Greeter pid=N node=NODE) good day [repeated 3× across cluster]",
    "(hello pid=N node=NODE) hello",
    "(hello pid=N node=NODE) hello [repeated 9×]",
  ]);
});

test("a long line comes in pieces, whatever its characters", async () => {
  const { stdout } = await shownBy("long");
  const pieces = stdout.map((line) => line.replace("(shout pid=N node=NODE) ", ""));
  assert.equal(pieces.slice(0, -1).join(""), "é".repeat(200_000));
  assert.equal(pieces.at(-1), "after");
});

test("a driver that is busy is not waited for: what is too much is dropped, and it is told how much", async () => {
  const { stdout, stderr } = await shownBy("flood");
  const told = [...stderr.join("\n").matchAll(/\(node=NODE\) (\d+) lines? dropped/g)]; // where it takes long, more than once
  const dropped = told.reduce((sum, [, lines]) => sum + Number(lines), 0);
  assert.ok(dropped > 100, stderr.join("\n"));
  assert.equal(stdout.length - 1 + dropped, 400);
  assert.ok(stdout.length > 10, "what was kept is shown");
  assert.equal(stdout.at(-1), "(said pid=N node=NODE) after the flood");
});

test("logToDriver: false shows nothing", async () => {
  const { stdout, stderr } = await shownBy("names", "silent");
  assert.deepEqual([...stdout, ...stderr], []);
});
