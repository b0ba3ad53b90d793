// What a process says before a question to its store is not lost with the question.
// Method: a channel to a raylet that is not there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { process } from "../../test/support/names.js";
import type { Message } from "../protocol/messages.js";
import { StoreChannel } from "./store-channel.js";

test("where the raylet cannot be asked there is no answer, at last the reason, and what stood before the question goes another way", () => {
  const unsent: Message[] = [];
  const channel = new StoreChannel({
    self: process("d"),
    role: "driver",
    rayletPath: "/nonexistent/raylet.sock",
    secret: Buffer.from("0123456789abcdef"),
    late: () => assert.fail("nothing comes from there"),
    unsent: (messages) => unsent.push(...messages),
  });
  const before: Message[] = [{ type: "returnExtent", offset: 4096, sizeBytes: 4096 }];
  const question = { type: "leaseExtent", request: 1, minBytes: 1, letGo: false } as const;
  assert.equal(channel.ask({ ...question, last: false }, before), undefined);
  assert.deepEqual(unsent, before);
  const reason = channel.ask({ ...question, last: true }, []);
  assert.ok(reason !== undefined && "code" in reason);
  assert.equal(reason.code, "CONNECTION");
  assert.match(reason.message, /\/nonexistent\/raylet\.sock/);
  channel.close();
});
