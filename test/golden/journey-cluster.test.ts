// The lecture's program on two real nodes makes exactly the lecture's steps in their places.
// Method: run it with real processes, collect every process's records, compare the transcript with the one kept here;
// the body of `add` waits for a file that is written once `subscribeObject` has been recorded.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { availableResources, get, init, put, remote, shutdown, wait } from "../../src/api/index.js";
import type { JourneyRecord } from "../../src/core/journey.js";
import { causalViolations, transcriptOf } from "../../src/core/transcript.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const EXPECTED = new URL("../../../test/golden/journey.txt", import.meta.url); // this file runs from dist
/** Clocks of processes on one machine agree to this. */
const CLOCK_TOLERANCE_MS = 5;

const add = remote(async function add(a: Float64Array, b: Float64Array, gate: string) {
  while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
  return a.map((x, i) => x + (b[i] ?? 0));
});
const makeB = remote((length: number) => new Float64Array(length).fill(2));
const Counter = remote(
  class Counter {
    #counts = 0;
    increment(): number {
      return ++this.#counts;
    }
  },
);

test("two real nodes make the golden journey of the lecture's program", async () => {
  const directory = mkdtempSync(join(tmpdir(), "journey-"));
  const cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, { numCpus: 1 }] });
  try {
    await init({ address: cluster.address });
    const [n1, n2] = cluster.nodes.map((node) => node.nodeId) as [string, string];
    const tool = await cluster.tool();
    const recordsOf = async (subject: string) =>
      (JSON.parse(await tool.query("trace", subject)) as JourneyRecord[][]).flat();

    const a = put(new Float64Array(25_000).fill(1));
    const b = makeB.options({ schedulingStrategy: { nodeId: n2 } }).remote(50_000);
    await wait([a, b], { numReturns: 2, fetchLocal: false });
    // The lease of `makeB` goes back when it has been idle: a node that stays busy loses `add`, whatever lies there.
    await waitForCondition(async () => (await availableResources())["CPU"] === 2);
    const gate = join(directory, "open");
    const c = add.remote(a, b, gate);
    const value = get(c);
    await waitForCondition(async () => (await recordsOf(c.id)).some((record) => record.step === "subscribeObject"));
    writeFileSync(gate, "");
    assert.equal((await value)[24_999], 3);

    const counter = Counter.options({ schedulingStrategy: { nodeId: n2 } }).remote();
    const call = counter.increment.remote();
    assert.equal(await get(call), 1);

    const records = await recordsOf("");
    const actor = records.find((record) => record.step === "registerActor");
    const subjects = {
      functionId:
        records.find((record) => record.step === "registerFunction" && record.detail === "add")?.subject ?? "",
      taskId: c.id.slice(0, 32),
      objectId: c.id,
      actorId: actor?.subject ?? "",
      callId: call.id.slice(0, 32),
    };
    const nodes = new Map([
      [n1, "N1"],
      [n2, "N2"],
    ]);
    const expected = readFileSync(EXPECTED, "utf8").trimEnd().split("\n");
    assert.deepEqual(transcriptOf(records, subjects, { nodes }), expected);
    assert.deepEqual(causalViolations(records, subjects, CLOCK_TOLERANCE_MS), []);
  } finally {
    await shutdown();
    await cluster.stop();
    rmSync(directory, { recursive: true });
  }
  await nothingLeftBehind();
});
