// The floor measures real round trips between two processes, and leaves neither process nor socket behind.
// Method: start it, run short windows of both kinds, stop it, and look for what remains.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { type Floor, startFloor } from "./floor.js";
import { type FrameHandler, FrameReader, FrameWriter } from "./floor-frame.js";

const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`mobula-floor-${process.pid}-`));

async function withFloor(use: (floor: Floor) => Promise<void>): Promise<void> {
  const floor = await startFloor();
  try {
    await use(floor);
  } finally {
    await floor.stop();
  }
}

test("both kinds of window count round trips, time and the CPU of both processes", async () => {
  await withFloor(async (floor) => {
    for (const inFlight of [1, 1_000]) {
      const { ops, elapsedMs, cpuUs } = await floor.runInFlight(inFlight, 100);
      assert.ok(ops >= inFlight, `${ops} round trips`);
      assert.ok(elapsedMs >= 100 && cpuUs > 0);
    }
    assert.ok((await floor.runOneAtATime(20)).ops > 0);
  });
});

test("a stopped floor leaves nothing behind, refuses to measure, and may be stopped again", async () => {
  const floor = await startFloor();
  await floor.stop();
  await floor.stop();
  assert.deepEqual(leftovers(), []);
  await assert.rejects(floor.runOneAtATime(10), /the floor is stopped/);
});

test("two windows at once are refused", async () => {
  await withFloor(async (floor) => {
    const first = floor.runInFlight(10, 100);
    await assert.rejects(floor.runOneAtATime(10), /one window at a time/);
    assert.ok((await first).ops > 0);
  });
});

test("a window fails when the server goes away in the middle of it", async () => {
  const floor = await startFloor();
  const window = floor.runInFlight(10, 10_000);
  setTimeout(() => void floor.stop(), 50);
  await assert.rejects(window, /the server of the floor is gone/);
});

test("frames survive any cut of the stream, and a wrong length is refused", () => {
  const written: Uint8Array[] = [];
  const socket = { writableLength: 0, write: (bytes: Uint8Array) => written.push(bytes.slice()) };
  const writer = new FrameWriter(socket as never);
  for (let id = 1; id <= 3; id++) writer.add(1, id, 7, id * 2, id / 2);
  writer.flush();
  assert.equal(written.length, 1, "one write per turn");
  const stream = Buffer.concat(written);

  for (let cut = 0; cut <= stream.length; cut++) {
    const seen: number[][] = [];
    const handler: FrameHandler = (...fields) => void seen.push(fields);
    const reader = new FrameReader(handler);
    reader.push(stream.subarray(0, cut));
    reader.push(stream.subarray(cut));
    assert.deepEqual(seen, [
      [1, 1, 7, 2, 0.5],
      [1, 2, 7, 4, 1],
      [1, 3, 7, 6, 1.5],
    ]);
  }
  stream.writeUInt32LE(61, 0);
  assert.throws(() => new FrameReader(() => {}).push(stream), /61 bytes/);
});
