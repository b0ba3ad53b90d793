// A recall that is asked through the pipe is answered in order, however the stream is cut, and never asked without bound.
// Method: the two sides joined by streams that cut what they carry into single bytes.
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { MAX_RECALLS_PER_WORKER } from "../base/limits.js";
import { RecallPipe, RecallRequests, recallAnswer } from "./recall-pipe.js";

/** What the raylet writes goes to `written`; `say` is what it reads. */
function pipe(written: (bytes: Uint8Array) => void) {
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _, done) => {
      written(chunk);
      done();
    },
  });
  const say = (bytes: Uint8Array) => {
    for (const byte of bytes) stream.push(Uint8Array.of(byte));
  };
  return { stream, say };
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("requests arrive whole, and each answer goes to who asked", async () => {
  const handled: string[] = [];
  const requests = new RecallRequests((claim, upTo) => {
    handled.push(`${claim} ${upTo}`);
    say(recallAnswer(claim === 2 ? undefined : upTo - 1));
  });
  const { stream, say } = pipe((bytes) => {
    for (const byte of bytes) requests.push(Uint8Array.of(byte));
  });
  const raylet = new RecallPipe(stream);
  const answers: unknown[] = [];
  for (const [claim, upTo] of [
    [1, 5],
    [2, 0x7fff_ffff],
    [0x7fff_ffff, 1],
  ] as const) {
    raylet.recall(claim, upTo, (started) => answers.push(`${claim}: ${started}`));
  }
  assert.deepEqual(answers, [], "never within the call");
  await turn();
  assert.deepEqual(handled, ["1 5", "2 2147483647", "2147483647 1"]);
  assert.deepEqual(answers, ["1: 4", "2: undefined", "2147483647: 0"]);
});

test("of a worker that answers nothing only so many are asked", async () => {
  let bytes = 0;
  const { stream, say } = pipe((chunk) => {
    bytes += chunk.length;
  });
  const raylet = new RecallPipe(stream);
  for (let i = 0; i < 2 * MAX_RECALLS_PER_WORKER; i++) raylet.recall(1, i, () => {});
  await turn();
  assert.equal(bytes, 8 * MAX_RECALLS_PER_WORKER);
  say(recallAnswer(0));
  await turn();
  raylet.recall(1, 1, () => {});
  assert.equal(bytes, 8 * MAX_RECALLS_PER_WORKER + 8);
});

test("a worker that has ended is asked no more", async () => {
  const { stream } = pipe(() => assert.fail("nothing is written"));
  const raylet = new RecallPipe(stream);
  stream.destroy(new Error("ECONNRESET"));
  await turn();
  raylet.recall(1, 1, () => assert.fail("there is no answer"));
});
