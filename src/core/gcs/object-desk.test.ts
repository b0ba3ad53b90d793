// Who is refused because the object table is full learns who fills it.
// Method: a table of a few rows; read the reasons of the refusals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeInfo } from "../../../test/support/messages.js";
import { job, node, object, process } from "../../../test/support/names.js";
import { type ProcessRef, rayletOf } from "../../base/ids.js";
import { HEARTBEAT_MS } from "../../base/limits.js";
import { Journey } from "../journey.js";
import { Gcs } from "./gcs.js";

test("the refusal of a full object table names those who hold most, as they are at the time", () => {
  const reasons: string[] = [];
  const port = {
    send: (_: ProcessRef, message: object) => {
      if ("reason" in message) reasons.push((message.reason as Error).message);
    },
    wakeUpAfter: () => {},
    stop: () => {},
  };
  const gcs = new Gcs(port, new Journey("N1", () => 0), { maxObjects: 3 });
  const N1 = rayletOf(node("N1"));
  const [d, w] = [process("d"), process("w")];
  const hold = (by: ProcessRef, ...names: readonly string[]) =>
    gcs.receive(by, { type: "addHolds", sequence: 1, objects: names.map(object), declare: false, runner: undefined });
  gcs.tick(HEARTBEAT_MS);
  gcs.receive(N1, { type: "registerNode", ...nodeInfo("N1") });
  gcs.receive(d, { type: "attachDriver", namespace: "", showsOutput: true });
  gcs.receive(N1, { type: "processJoined", process: w, jobId: job("00000001") });
  hold(w, "a");
  hold(d, "b", "c");
  hold(w, "x");
  assert.match(reasons[0] ?? "", /room for 3 objects.*Those who hold most: process d 2; process w 1\. Drop refs/);
  gcs.receive(d, { type: "releaseHolds", objects: [object("b"), object("c")] });
  gcs.tick(2 * HEARTBEAT_MS);
  hold(w, "b", "c", "y");
  assert.match(reasons.at(-1) ?? "", /Those who hold most: process w 3\. /);
});
