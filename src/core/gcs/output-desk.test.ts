// Workers' output goes to the driver of its job; where nobody is there or wants it, the raylet may send the next at once.
// Method: a GCS with drivers that show output and one that does not, and the messages that it sends.
import assert from "node:assert/strict";
import { test } from "node:test";
import { job, node, process } from "../../../test/support/names.js";
import { rayletOf } from "../../base/ids.js";
import type { Message } from "../../protocol/messages.js";
import { Journey } from "../journey.js";
import { Gcs } from "./gcs.js";

const N2 = rayletOf(node("N2"));

function world() {
  const sent: { readonly to: string; readonly message: Message }[] = [];
  const gcs = new Gcs(
    { send: (to, message) => sent.push({ to: to.processId, message }), wakeUpAfter: () => {}, stop: () => {} },
    new Journey("head", () => 0),
  );
  const attach = (driver: string, showsOutput: boolean) => {
    gcs.receive(process(driver), { type: "attachDriver", namespace: "", showsOutput });
    const started = sent.pop()?.message;
    return started?.type === "jobStarted" ? started.jobId : job("none");
  };
  const write = (jobId: Parameters<typeof job>[0]) => {
    const message: Message = {
      ...{ type: "workerOutput", jobId: jobId as ReturnType<typeof job>, nodeId: N2.nodeId, sequence: 7 },
      ...{ lines: [{ pid: 1, name: "f", stream: "stdout", text: "hello" }], dropped: 0 },
    };
    gcs.receive(N2, message);
    return sent.splice(0).map(({ to, message: { type } }) => `${to}: ${type}`);
  };
  return { gcs, attach, write };
}

test("output goes to the driver of its job until that ends, then it is confirmed", () => {
  const { gcs, attach, write } = world();
  const first = attach("d1", true);
  const second = attach("d2", true);
  assert.deepEqual(write(first), [`${process("d1").processId}: workerOutput`]);
  assert.deepEqual(write(second), [`${process("d2").processId}: workerOutput`]);
  gcs.receive(rayletOf(process("d1").nodeId), {
    type: "processDied",
    process: process("d1"),
    reason: { code: "CONNECTION", message: "" },
  });
  assert.ok(write(first).includes(`${N2.processId}: outputShown`));
  assert.deepEqual(write(second), [`${process("d2").processId}: workerOutput`]);
});

test("a driver that shows no output gets none", () => {
  const { attach, write } = world();
  assert.deepEqual(write(attach("d1", false)), [`${N2.processId}: outputShown`]);
  assert.deepEqual(write("ff"), [`${N2.processId}: outputShown`]);
});
