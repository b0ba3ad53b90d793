// An object comes from several replicas at the same time, and whole, although some of them die, lie or fall silent.
// Method: real servers and servers that give two pieces by hand and then misbehave; with the addon and without it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { arenaModes } from "../../test/support/modes.js";
import {
  MIB,
  objectId,
  pullJob,
  sendFound,
  sendPiece,
  servingNode,
  testArena,
  testClient,
  testStore,
  until,
} from "../../test/support/transfers.js";
import { MULTI_SOURCE_BYTES, TRANSFER_CHUNK_BYTES, TRANSFER_RANGE_BYTES } from "../base/limits.js";
import { ConnectionError, ObjectLostError } from "../errors.js";
import { FRAME_HEADER_BYTES } from "../protocol/frames.js";
import type { ArenaOptions } from "./arena.js";
import { Checksums, CRC32, CRC32C } from "./checksum.js";
import type { Connection } from "./connection.js";
import { loadNative } from "./native.js";
import { DATA } from "./transfer-frames.js";

const LARGE = MULTI_SOURCE_BYTES + TRANSFER_RANGE_BYTES + 12_345;

/** Where each misbehaving server stops: two pieces after the first byte of an object. */
const GIVEN = 2 * TRANSFER_CHUNK_BYTES;
type Misdeed = (connection: Connection, bytes: Uint8Array) => void;
const MISDEEDS: ReadonlyMap<string, Misdeed> = new Map<string, Misdeed>([
  ["dies between two pieces", (connection) => connection.close()],
  ["dies within a piece", (connection, bytes) => cutPiece(connection, bytes)],
  ["falls silent", () => {}],
  ["sends a damaged piece", (connection, bytes) => sendPiece(connection, bytes.subarray(GIVEN, GIVEN + 100), 1)],
]);

function cutPiece(connection: Connection, bytes: Uint8Array): void {
  const writer = connection.beginFrame(DATA);
  const start = writer.length - FRAME_HEADER_BYTES;
  writer.u32(0);
  writer.raw(bytes.subarray(GIVEN, GIVEN + 500));
  connection.endFrame();
  writer.view.setUint32(start, FRAME_HEADER_BYTES + TRANSFER_CHUNK_BYTES, true);
  connection.close();
}

async function good(bytes: Uint8Array, options: ArenaOptions) {
  const arena = testArena(128 * MIB, options);
  arena.write(4096, [bytes]);
  const store = testStore(arena, new Map([[objectId(1), { offset: 4096, sizeBytes: bytes.length }]]));
  return { ...(await servingNode((connection) => store.server.serve(connection))), ...store };
}

function bad(bytes: Uint8Array, misdeed: Misdeed) {
  return servingNode((connection) =>
    connection.start({
      frame: () => {
        sendFound(connection, bytes.length);
        for (let at = 0; at < GIVEN; at += TRANSFER_CHUNK_BYTES) {
          sendPiece(connection, bytes.subarray(at, at + TRANSFER_CHUNK_BYTES));
        }
        misdeed(connection, bytes);
      },
      closed: () => {},
    }),
  );
}

const sentBy = (node: { readonly opened: readonly Connection[] }) =>
  node.opened.reduce((sum, connection) => sum + connection.bytesSent, 0);

for (const [mode, options] of arenaModes()) {
  test(`${mode}: several replicas give parts of a large object, and one gives all of a small one`, async () => {
    const bytes = randomBytes(LARGE);
    const nodes = await Promise.all([good(bytes, options), good(bytes, options), good(bytes, options)]);
    const ours = testArena(128 * MIB, options);
    const sources = nodes.map((node) => node.address);
    await testClient().pull(pullJob(ours, LARGE, sources, { offset: 8192 }));
    assert.ok(Buffer.from(ours.read(8192, LARGE)).equals(bytes));
    for (const node of nodes) assert.ok(sentBy(node) >= TRANSFER_RANGE_BYTES, `${sentBy(node)} bytes`);
    const total = nodes.reduce((sum, node) => sum + sentBy(node), 0);
    assert.ok(total < LARGE + MIB, "no byte is sent twice");
    await until(() => nodes.every((node) => node.openBlocks() === 0));

    const [first, second] = [await good(bytes.subarray(0, MIB), options), await good(bytes.subarray(0, MIB), options)];
    await testClient().pull(pullJob(ours, MIB, [first.address, second.address]));
    assert.equal(second.opened.length, 0);
  });

  for (const [what, misdeed] of MISDEEDS) {
    test(`${mode}: a replica that ${what}: another goes on at that byte`, async () => {
      const bytes = randomBytes(8 * MIB + 1);
      const [dying, living] = [await bad(bytes, misdeed), await good(bytes, options)];
      const ours = testArena(64 * MIB, options);
      await testClient().pull(pullJob(ours, bytes.length, [dying.address, living.address], { stallMs: 200 }));
      assert.ok(Buffer.from(ours.read(0, bytes.length)).equals(bytes));
      const sent = sentBy(living);
      assert.ok(sent > bytes.length - GIVEN && sent < bytes.length - GIVEN + 10_000, `${sent} bytes`);
    });
  }

  test(`${mode}: without a replica that is left the error says what happened`, async () => {
    const bytes = randomBytes(4 * MIB);
    const dying = await bad(bytes, (connection) => connection.close());
    const empty = await servingNode((connection) =>
      testStore(testArena(MIB, options), new Map()).server.serve(connection),
    );
    const ours = testArena(64 * MIB, options);
    const pull = (...nodes: readonly { readonly address: (typeof dying)["address"] }[]) =>
      testClient().pull(
        pullJob(
          ours,
          bytes.length,
          nodes.map((node) => node.address),
        ),
      );
    await assert.rejects(pull(dying, empty), ConnectionError);
    await assert.rejects(pull(empty, empty), ObjectLostError);
  });
}

test("the two ends agree on the best checksum that both have", async () => {
  const without = await Checksums.load({ native: undefined });
  assert.equal(without.offer, CRC32);
  assert.equal(without.choose(CRC32 | CRC32C), CRC32);
  assert.equal(without.get(CRC32C), undefined);
  const native = loadNative();
  if (native === undefined) return;
  const withAddon = await Checksums.load({ native });
  assert.equal(withAddon.offer, CRC32 | CRC32C);
  assert.deepEqual([withAddon.choose(CRC32), withAddon.choose(CRC32 | CRC32C)], [CRC32, CRC32C]);
  assert.equal(withAddon.get(CRC32C)?.(Buffer.from("123456789"), 0), 0xe3069283);
});
