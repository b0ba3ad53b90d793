// The frame splitter gives the same frames however the stream is cut, and only ProtocolError on bytes that are none.
// Method: every pair of cuts of a short stream; seeded random cuts of a long one; seeded random bytes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../../src/base/bytes.js";
import { Prng } from "../../src/base/prng.js";
import { ProtocolError } from "../../src/errors.js";
import { beginFrame, endFrame, FrameSplitter } from "../../src/protocol/frames.js";

const LIMIT = 200_000;

function makeStream(bodies: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  bodies.forEach((body, type) => {
    const at = beginFrame(writer, type % 256);
    writer.raw(body);
    endFrame(writer, at);
  });
  return writer.copy();
}

/** The frames that come out of these chunks. Each chunk is overwritten afterwards, as a reused read buffer would be. */
function split(chunks: readonly Uint8Array[]): string[] {
  const frames: string[] = [];
  const splitter = new FrameSplitter(LIMIT, (type, bytes, start, end) => {
    frames.push(`${type} ${Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("hex")}`);
  });
  for (const chunk of chunks) {
    const own = chunk.slice();
    splitter.push(own);
    own.fill(0xee);
  }
  assert.equal(splitter.pendingBytes, 0);
  return frames;
}

function randomBytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.below(256));
}

test("every pair of cuts gives the same frames", () => {
  const bytes = makeStream([
    new Uint8Array(0),
    Uint8Array.of(1, 2, 3),
    new Uint8Array(0),
    new Uint8Array(17).fill(9),
    Uint8Array.of(5),
  ]);
  const whole = split([bytes]);
  assert.equal(whole.length, 5);
  for (let first = 0; first <= bytes.length; first++) {
    for (let second = first; second <= bytes.length; second++) {
      const cut = split([bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]);
      assert.deepEqual(cut, whole, `cut at ${first} and ${second}`);
    }
  }
  assert.deepEqual(split([...bytes].map((byte) => Uint8Array.of(byte))), whole, "byte by byte");
});

test("random cuts of random frames give the same frames", () => {
  for (let seed = 0; seed < 200; seed++) {
    const prng = new Prng(seed);
    const bodies = Array.from({ length: 1 + prng.below(30) }, () =>
      randomBytes(prng, prng.chance(0.05) ? 70_000 + prng.below(10_000) : prng.below(100)),
    );
    const bytes = makeStream(bodies);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + prng.below(prng.chance(0.5) ? 20 : 65_536));
      chunks.push(bytes.subarray(at, end));
      at = end;
    }
    assert.deepEqual(split(chunks), split([bytes]), `seed ${seed}`);
  }
});

test("random bytes give frames within the limit or a ProtocolError, nothing else", () => {
  let refused = 0;
  for (let seed = 0; seed < 5_000; seed++) {
    const prng = new Prng(seed);
    const bytes = randomBytes(prng, prng.below(300));
    for (let i = 0; i < bytes.length; i++) if (prng.chance(0.5)) bytes[i] = 0; // small lengths now and then
    let delivered = 0;
    const splitter = new FrameSplitter(64, (_type, at, start, end) => {
      assert.ok(start <= end && end <= at.length && end - start < 64, `seed ${seed}`);
      delivered += end - start + 5;
    });
    try {
      splitter.push(bytes);
      assert.equal(delivered + splitter.pendingBytes, bytes.length, `seed ${seed}: no byte is lost`);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, `seed ${seed}: ${String(error)}`);
      refused++;
    }
  }
  assert.ok(refused > 1_000);
});
