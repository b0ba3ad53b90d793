// Connections that come in at a node's port for one of its workers reach that worker, every one of them.
// Method: dial the node's workers by the node's port some hundred times; each handshake is the worker's own. (While a socket
// was open in both processes the raylet read on, and 3 in 100 handshakes lost their answer.)
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "../../src/io/address.js";
import { dial } from "../../src/io/dial.js";
import { loadSecret } from "../../src/io/secret.js";
import { TestCluster, waitForCondition } from "../../src/testing/index.js";
import { nothingLeftBehind } from "../support/left-behind.js";

const DIALS = 300;

test("every connection that is passed on completes its handshake", async () => {
  const cluster = await TestCluster.start({ nodes: [{ numCpus: 2 }] });
  try {
    const tool = await cluster.tool();
    const ready = async () => (await tool.workers()).filter((worker) => worker.state === "ready");
    await waitForCondition(async () => (await ready()).length === 2);
    const workers = await ready();
    for (let i = 1; i <= DIALS; i++) {
      const { workerId } = workers[i % workers.length] ?? { workerId: "" };
      const identity = { role: "driver", nodeId: "0".repeat(12), processId: i.toString(16).padStart(12, "0") } as const;
      const connection = await dial(parseAddress(cluster.address), {
        identity,
        secret: loadSecret(),
        target: workerId,
      });
      assert.equal(connection.peer.processId, workerId);
      connection.destroy();
    }
  } finally {
    await cluster.stop();
  }
  await nothingLeftBehind();
});
