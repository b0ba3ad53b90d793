// What a spec needs leaves before it, and its owner lets go after it, by the same way and without waiting for an answer.
// Method: the test is that way; arguments are encoded ones. Sealed for real: `test/cluster/lineage.test.ts`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines } from "../../test/support/messages.js";
import { context, job, process } from "../../test/support/names.js";
import { template } from "../../test/support/owner.js";
import { indexOfObject } from "../base/ids.js";
import { MAX_LINEAGE_ARGUMENT_BYTES } from "../base/limits.js";
import { Task } from "../core/owner/records.js";
import { ObjectStoreFullError } from "../errors.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { LineageWriter } from "./lineage-writer.js";

const LARGE = new EncodedBytes(Buffer.alloc(MAX_LINEAGE_ARGUMENT_BYTES + 1));

/** What leaves for the spec of a task with these arguments, when the store has room for so many objects. */
function handedOver(args: readonly unknown[], room: number): readonly string[] {
  const lines = new Lines();
  let free = room;
  const writer = new LineageWriter({
    self: process("d"),
    jobId: job("j1"),
    send: (_, message) => {
      if (message.type === "registerLineage") {
        const kinds = message.task.arguments.map(({ kind }) => kind);
        lines.add(`spec with ${kinds.join(", ")}; ${message.running ? "running" : "done"}`);
      } else if (message.type === "releaseHolds") {
        lines.add(`let go of ${message.objects.length}`);
      } else if (message.type === "updateLineage") {
        lines.add(`${message.state}, ${message.lostAttempts} lost`);
      }
    },
    sealArgument: (objectId) => {
      if (free-- <= 0) throw new ObjectStoreFullError("no room");
      lines.add(`seal ${indexOfObject(objectId).toString(16)}`);
    },
  });
  const task = new Task(template("add"), context("c".repeat(24)), 1, 0, args, [], []);
  writer.update(task);
  task.lineage = "running";
  writer.register(task);
  task.attempt = 1;
  writer.update(task);
  return lines.take();
}

test("small arguments are in the spec", () => {
  assert.deepEqual(handedOver([1, "two"], 0), ["spec with value, value; running", "running, 1 lost"]);
});

test("large arguments are sealed, the spec follows at once, and then they are let go", () => {
  assert.deepEqual(handedOver([LARGE, 1, LARGE], 2), [
    "seal 8000",
    "seal 8002",
    "spec with object, value, object; running",
    "let go of 2",
    "running, 1 lost",
  ]);
});

test("without room for one of them there is no spec, and those before it are let go", () => {
  assert.deepEqual(handedOver([LARGE, LARGE], 1), ["seal 8000", "let go of 2", "running, 1 lost"]);
});
