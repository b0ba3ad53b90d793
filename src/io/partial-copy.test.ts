// What has arrived of an object is known byte for byte, in whatever order it comes, and is handed on as it comes.
// Method: the ranges by themselves, against a plain set of bytes; then a chain of two pulls over real connections.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { MIB, pullJob, servingNode, testArena, testClient, until } from "../../test/support/transfers.js";
import { Prng } from "../base/prng.js";
import { ConnectionError } from "../errors.js";
import { PartialCopy } from "./partial-copy.js";
import { TransferServer } from "./transfer.js";

test("what is there is what has arrived", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const prng = new Prng(seed);
    const pieces = Array.from({ length: 12 }, (_, i) => i).sort(() => (prng.chance(0.5) ? 1 : -1));
    const partial = new PartialCopy(0, 12);
    let told = 0;
    const unwatch = partial.watch(() => told++);
    const there = new Set<number>();
    for (const piece of pieces) {
      partial.arrived(piece, piece + 1);
      there.add(piece);
      const from = prng.below(12);
      const end = from + 1 + prng.below(12 - from);
      const expected = Array.from({ length: end - from }, (_, i) => from + i).every((byte) => there.has(byte));
      assert.equal(partial.has(from, end), expected, `seed ${seed}: ${from} to ${end}`);
    }
    assert.equal(told, 12);
    unwatch();
    partial.lose();
    assert.deepEqual([told, partial.isLost], [12, true]);
  }
});

/** A node that has begun to get an object of this size, and serves what it has got; it is expected a little before. */
async function arriving(sizeBytes: number) {
  const arena = testArena(64 * MIB);
  const partial = new PartialCopy(4096, sizeBytes);
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let isBegun = false;
  let open = 0;
  const server = new TransferServer(arena, {
    open: () => {
      if (!isBegun) return undefined;
      open++;
      return { offset: 4096, sizeBytes, partial };
    },
    close: () => open--,
    coming: () => begun,
  });
  const node = await servingNode((connection) => server.serve(connection));
  return {
    ...node,
    partial,
    openBlocks: () => open,
    begin: () => {
      isBegun = true;
      begin();
    },
    put(bytes: Uint8Array, from: number): void {
      arena.write(4096 + from, [bytes]);
      partial.arrived(from, from + bytes.length);
    },
  };
}

test("a puller of a growing copy gets bytes as they arrive there", async () => {
  const bytes = randomBytes(5 * MIB + 7);
  const middle = await arriving(bytes.length);
  const ours = testArena(64 * MIB);
  let got = 0;
  const arrived = (_from: number, end: number) => {
    got = end;
  };
  const pull = testClient().pull(pullJob(ours, bytes.length, [middle.address], { arrived }));
  await until(() => middle.opened.length === 1);
  middle.begin();
  middle.put(bytes.subarray(0, 2 * MIB), 0);
  await until(() => got === 2 * MIB);
  middle.put(bytes.subarray(3 * MIB, 4 * MIB), 3 * MIB);
  middle.put(bytes.subarray(2 * MIB, 3 * MIB), 2 * MIB);
  await until(() => got === 4 * MIB);
  middle.put(bytes.subarray(4 * MIB), 4 * MIB);
  await pull;
  assert.ok(Buffer.from(ours.read(0, bytes.length)).equals(bytes));
  await until(() => middle.openBlocks() === 0);
});

test("when a growing copy is lost, its pullers get nothing from its place any more", async () => {
  const bytes = randomBytes(4 * MIB);
  const middle = await arriving(bytes.length);
  middle.begin();
  const ours = testArena(64 * MIB);
  const failed = assert.rejects(testClient().pull(pullJob(ours, bytes.length, [middle.address])), ConnectionError);
  await until(() => middle.openBlocks() === 1);
  middle.put(bytes.subarray(0, MIB), 0);
  middle.partial.lose();
  await failed;
  await until(() => middle.openBlocks() === 0);
});
