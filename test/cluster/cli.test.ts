// The command does with real processes what its help says, and its exit codes tell failures from wrong usage.
// Method: run it as a user would, in a temporary directory of this file's own, so that `stop` finds only what started here.
import assert from "node:assert/strict";
import { type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Ladder } from "../../src/core/ladder.js";
import { nothingLeftBehind, processes } from "../support/left-behind.js";

const ROOT = new URL("../../..", import.meta.url); // this file runs as dist/test/cluster/cli.test.js
const COMMAND = fileURLToPath(new URL("dist/src/cli/main.js", ROOT));
/** The TypeScript source itself, not what was compiled from it. */
const SCRIPT = fileURLToPath(new URL("test/cluster/fixtures/cli-driver.ts", ROOT));

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[], options: SpawnOptions = {}) {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ["ignore", "pipe", "pipe"], ...options });
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, "close").then(([code]): Result => ({ code: code as number | null, stdout, stderr }));
  return { child, ended, printed: () => stdout };
}

function mobula(...args: readonly string[]): Promise<Result> {
  return start(args).ended;
}

async function done(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await mobula(...args);
  assert.equal(code, 0, `mobula ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function ladders(...task: readonly string[]): Promise<readonly Ladder[]> {
  return (JSON.parse(await done("trace", ...task, "--json")) as { ladders: Ladder[] }).ladders;
}

/** `number step state`, with the reason. */
function lines(ladder: Ladder | undefined): string[] {
  return (ladder?.lines ?? []).map(({ number, step, state, reason }) => `${number} ${step} ${state} ${reason}`.trim());
}

after(async () => {
  await mobula("stop");
  await nothingLeftBehind();
});

test("a cluster from its start to its stop: nodes, a driver, the journey of what it did, nothing left", async (t) => {
  const head = await done("start", "--head", "--num-cpus", "2", "--resources", '{"disk": 1.5}');
  const address = /127\.0\.0\.1:\d+/.exec(head)?.[0] ?? "";
  assert.match(head, new RegExp(`A cluster runs at ${address}`));
  assert.match(await done("start", "--address", address, "--num-cpus", "1", "--labels", '{"zone": "a"}'), /has joined/);

  await t.test("status shows the nodes", async () => {
    const status = JSON.parse(await done("status", "--json")) as {
      address: string;
      nodes: { isHead: boolean; resources: Record<string, number>; labels: Record<string, string> }[];
    };
    assert.equal(status.address, address);
    assert.deepEqual(
      status.nodes.map(({ isHead, resources, labels }) => [
        isHead,
        resources["CPU"],
        resources["disk"],
        labels["zone"],
      ]),
      [
        [true, 2, 1.5, undefined],
        [false, 1, undefined, "a"],
      ],
    );
    assert.match(await done("status", "--address", address), /disk 0\/1\.5/);
  });

  await t.test("a TypeScript driver runs as it is, with its arguments and its exit code", async () => {
    const { code, stdout, stderr } = await mobula("run", "--address", address, SCRIPT, "--json", "x");
    assert.equal(stderr, "");
    assert.deepEqual(JSON.parse(stdout), { total: 3, count: 1, args: ["--json", "x"] });
    assert.equal(code, 3);
  });

  await t.test("trace shows what the driver did, though it has ended, with every step of the lecture", async () => {
    const [task, result] = await ladders("add");
    assert.deepEqual(
      task?.lines.map(({ number }) => number),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.equal(lines(task)[0], "0 registerFunction done");
    assert.equal(lines(task)[9], "9 executeTask done");
    // The worker seals it instead when the driver does not come for it within PROMOTE_UNREAD_AFTER_MS: a busy machine.
    assert.match(
      lines(result)[1] ?? "",
      /^2 subscribeObject skipped (the worker replies to the owner|everything is local)$/,
    );
    const [actor, call] = await ladders(); // the latest is the call
    assert.deepEqual(lines(actor), [
      "1 registerActor done",
      "2 leaseActorWorker done",
      "3 createActor done",
      "4 callActor done",
    ]);
    assert.equal(lines(call)[8], "8 dispatchTask skipped the actor is called directly");
    assert.equal(lines(call)[9], "9 executeTask done");
    assert.match(await done("trace", "add", "--address", address), /N1 = node .*the head[\s\S]*skipped: /);
  });

  await t.test("stop says what it stopped, and leaves nothing", async () => {
    assert.match(await done("stop"), new RegExp(`stopped the cluster at ${address}.* and 1 more`));
    await nothingLeftBehind();
    assert.match(await done("stop"), /nothing to stop/);
  });
});

test("with --block the node ends with the command", async () => {
  const { child, ended, printed } = start(["start", "--head", "--num-cpus", "1", "--block"]);
  while (!printed().includes("A cluster runs")) await once(child.stdout ?? child, "data");
  child.kill("SIGINT");
  assert.equal((await ended).code, 0);
  assert.deepEqual(processes(), []);
});

test("stop ends a cluster that has another secret", async () => {
  const env = { ...process.env, MOBULA_AUTH_TOKEN: "another secret, long enough" };
  const started = await start(["start", "--head", "--num-cpus", "1"], { env }).ended;
  assert.equal(started.code, 0, started.stderr);
  const refused = await mobula("status");
  assert.deepEqual([refused.code, refused.stderr.split(":")[0]], [1, "AUTHENTICATION"]);
  assert.match(await done("stop"), /stopped node/);
  await nothingLeftBehind();
});

test("microbenchmark measures what matches, beside its floor, and leaves nothing", async () => {
  const json = await done("microbenchmark", "--filter", "^(tasks one|get small)", "--seconds", "0.1", "--json");
  const { measurements } = JSON.parse(json) as { measurements: { name: string; median: number; ofFloor?: number }[] };
  const names = measurements.map(({ name }) => name);
  assert.deepEqual(names, ["floor, one at a time", "tasks one at a time", "get small"]);
  for (const { median } of measurements) assert.ok(median > 0);
  assert.ok((measurements[1]?.ofFloor ?? 0) > 0);
  await nothingLeftBehind();
});

const WRONG = [
  ["no command", []],
  ["an unknown command", ["fly"]],
  ["an unknown option", ["status", "--jsn"]],
  ["start of nothing", ["start"]],
  ["a head that joins", ["start", "--head", "--address", "127.0.0.1:1"]],
  ["a number that is none", ["start", "--head", "--num-cpus", "two"]],
  ["resources that are no JSON", ["start", "--head", "--resources", "{disk: 1}"]],
  ["a host that is not on the loopback", ["start", "--head", "--host", "0.0.0.0"]],
  ["an address that is none", ["status", "--address", "here"]],
  ["an order that is none", ["memory", "--sort", "name"]],
  ["groups that are none", ["memory", "--group-by", "job"]],
  ["a limit that is none", ["memory", "--limit", "-1"]],
  ["a filter that matches nothing", ["microbenchmark", "--filter", "nothing"]],
] as const;

for (const [what, args] of WRONG) {
  test(`wrong usage: ${what}`, async () => {
    const { code, stderr } = await mobula(...args);
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /^ {4}at /m);
  });
}

test("what fails exits with 1 and says so in a line, without a stack", async () => {
  const nobody = await mobula("status", "--address", "127.0.0.1:1");
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /^CONNECTION: .+\n$/);
  assert.match((await mobula("trace")).stderr, /^CONNECTION: no cluster of this user runs on this host/);
});

test("every command has its help", async () => {
  for (const command of ["start", "stop", "status", "run", "trace", "memory", "microbenchmark"]) {
    assert.match(await done(command, "--help"), new RegExp(`^Usage: mobula ${command}`));
  }
});
