// Frames come out whole and in order, however the stream is cut; a forbidden length is refused before memory is spent.
// Method: write frames with the writer that connections use, push them in pieces, and read what the handler got.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/bytes.js";
import { ProtocolError } from "../errors.js";
import { beginFrame, endFrame, FrameSplitter } from "./frames.js";

function stream(...frames: readonly (readonly [type: number, body: string])[]): Uint8Array {
  const writer = new ByteWriter();
  for (const [type, body] of frames) {
    const at = beginFrame(writer, type);
    writer.raw(Buffer.from(body));
    endFrame(writer, at);
  }
  return writer.copy();
}

function splitter(limitBytes = 1_000) {
  const got: string[] = [];
  const splitter = new FrameSplitter(limitBytes, (type, bytes, start, end) => {
    got.push(`${type}:${Buffer.from(bytes.subarray(start, end)).toString()}`);
  });
  return { splitter, got };
}

test("frames of one chunk are delivered in place, without a copy", () => {
  const chunk = stream([1, "ab"], [2, ""], [255, "c"]);
  const places: [number, number, number][] = [];
  new FrameSplitter(100, (type, bytes, start, end) => {
    assert.equal(bytes, chunk);
    places.push([type, start, end]);
  }).push(chunk);
  assert.deepEqual(places, [
    [1, 5, 7],
    [2, 12, 12],
    [255, 17, 18],
  ]);
});

test("a frame that spans chunks is put together; the rest of its last chunk goes on in place", () => {
  const { splitter: s, got } = splitter();
  const bytes = stream([1, "hello"], [2, "world"], [3, "!"]);
  s.push(bytes.subarray(0, 3)); // not even a length
  s.push(bytes.subarray(3, 8));
  assert.equal(s.pendingBytes, 8);
  s.push(bytes.subarray(8, 12));
  assert.deepEqual(got, ["1:hello"]);
  s.push(bytes.subarray(12));
  assert.deepEqual(got, ["1:hello", "2:world", "3:!"]);
  assert.equal(s.pendingBytes, 0);
});

test("lengths of 0 and above the limit are refused as soon as they are known", () => {
  for (const length of [0, 101, 0xffffffff]) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length, true);
    const { splitter: s } = splitter(100);
    s.push(bytes.subarray(0, 3));
    assert.throws(() => s.push(bytes.subarray(3)), ProtocolError);
  }
  const { splitter: s, got } = splitter(5);
  s.push(stream([1, "four"])); // type and body: exactly the limit
  assert.deepEqual(got, ["1:four"]);
});

test("memory grows with the bytes that came, not with the length that was announced", () => {
  const limit = 2 ** 30;
  const header = new Uint8Array(5);
  new DataView(header.buffer).setUint32(0, limit, true);
  const before = process.memoryUsage().arrayBuffers;
  new FrameSplitter(limit, () => {}).push(header);
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
});

test("the limit may be changed by the handler and holds for the next frame", () => {
  let count = 0;
  const s: FrameSplitter = new FrameSplitter(3, () => {
    count++;
    s.limitBytes = 100;
  });
  s.push(stream([1, "ok"], [2, "longer now"]));
  assert.equal(count, 2);
});

test("a stopped splitter delivers nothing more, not even from the chunk at hand", () => {
  let count = 0;
  const s: FrameSplitter = new FrameSplitter(100, () => {
    count++;
    s.stop();
  });
  s.push(stream([1, "a"], [2, "b"]));
  s.push(stream([3, "c"]));
  assert.equal(count, 1);
});

test("a handler's exception comes out of push and stops the splitter", () => {
  let count = 0;
  const s = new FrameSplitter(100, () => {
    count++;
    throw new Error("from the handler");
  });
  assert.throws(() => s.push(stream([1, "a"], [2, "b"])), /from the handler/);
  s.push(stream([3, "c"]));
  assert.equal(count, 1);
});
