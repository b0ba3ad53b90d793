// A shared-memory file system that is small, or that others fill, is a store that is full early: with the addon and without
// it, puts and results are spilled or go to the fallback file. None fails. Where it is tiny, the store is a file elsewhere.
// Method: drivers on a file system of 32 MiB, mounted in a namespace of their own where this user may do that; and always on
// one that seems so small to the processes of the cluster.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ArrangedMemory } from "../../src/core/memory/arrange.js";
import { loadNative } from "../../src/io/native.js";
import { leftBehind, nothingLeftBehind } from "../support/left-behind.js";

const MIB = 1024 * 1024;
const SHARED_BYTES = 32 * MIB;
/** Of the array that `mobula memory` is asked about. */
const LARGE_BYTES = 10 * MIB;
const FILLER = `/dev/shm/test-filler-${process.pid}`;
const DRIVER = fileURLToPath(new URL("fixtures/full-memory-driver.js", import.meta.url));
const LIMITER = new URL("fixtures/small-file-system.js", import.meta.url).href;
const DEFAULTS_DRIVER = `
import { get, init, put, shutdown } from ${JSON.stringify(new URL("../../src/api/index.js", import.meta.url).href)};
await init({ numCpus: 1 });
process.stdout.write(String((await get(put(new Uint8Array(${2 * SHARED_BYTES}).fill(1)))).length));
await shutdown();`;

after(() => rmSync(FILLER, { force: true }));

interface Outcome {
  readonly whole: number;
  readonly memory: ArrangedMemory;
  readonly words: string;
  readonly left: readonly string[];
}

type Command = readonly [string, ...string[]];
/** Runs a command where the shared memory is small; with settings. */
type Place = (command: Command) => { readonly command: Command; readonly env?: Readonly<Record<string, string>> };

function places(): ReadonlyMap<string, Place> {
  const found = new Map<string, Place>();
  found.set("seems small", (command) => ({
    command,
    env: { NODE_OPTIONS: `--import=${LIMITER}`, MOBULA_TEST_SHARED_BYTES: String(SHARED_BYTES) },
  }));
  const mount = `mount -t tmpfs -o size=${SHARED_BYTES} none /dev/shm && exec "$@"`;
  for (const flags of ["-m", "-Urm"]) {
    const mounted = (command: Command): Command => ["unshare", flags, "sh", "-c", mount, "sh", ...command];
    if (run(mounted(["true"]), {}).status !== 0) continue;
    found.set("is small", (command) => ({ command: mounted(command) }));
    break;
  }
  return found;
}

function run([program, ...args]: Command, env: Readonly<Record<string, string>>) {
  const all = { ...process.env, MOBULA_TEST_FILLER: FILLER, ...env };
  return spawnSync(program, args, { env: all, encoding: "utf8" });
}

for (const [how, place] of places()) {
  for (const setting of loadNative() === undefined ? ["0"] : ["1", "0"]) {
    const words = `shared memory ${how}, ${setting === "0" ? "without" : "with"} the addon`;
    const drive = async (...args: string[]) => {
      const { command, env } = place([process.execPath, ...args]);
      const { status, stdout, stderr } = run(command, { ...env, MOBULA_NATIVE: setting });
      assert.equal(status, 0, stderr);
      await nothingLeftBehind();
      return { stdout, stderr };
    };

    test(`${words}: all that others leave no room for is spilled or lies on disk, and comes back`, async () => {
      const { stdout, stderr } = await drive(DRIVER);
      const { whole, memory, words: said, left } = JSON.parse(stdout) as Outcome;
      assert.deepEqual({ whole, left }, { whole: 44, left: [] }, stderr);
      const { stores, nodes, groups } = memory;
      const places = groups.flatMap(({ objects }) => objects.map(({ copies }) => copies[0]?.place));
      assert.deepEqual(places, ["fallback"]);
      assert.equal(nodes[0]?.fallbackBytes, stores.fallbackBytes);
      assert.ok(stores.fallbackBytes >= LARGE_BYTES && stores.usedBytes < LARGE_BYTES, JSON.stringify(stores));
      assert.match(said, /on all nodes .* of memory, 10\.\d MiB in fallback files, .* spilled/);
      assert.match(said, /N1, fallback file/);
    });

    test(`${words}: by default the store is a file in the temporary directory, and the driver is told`, async () => {
      const { stdout, stderr } = await drive("--input-type=module", "--eval", DEFAULTS_DRIVER);
      assert.equal(stdout, String(2 * SHARED_BYTES));
      assert.match(stderr, /\/dev\/shm has \d+ bytes free .*objects go to .* instead, which is slower/);
    });
  }
}

test("nothing of all that is left", () => {
  assert.deepEqual(leftBehind(), []);
});
