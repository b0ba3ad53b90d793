// A pull gives exactly the object's bytes in our arena, or an error; the server's block is let go in every case.
// Method: two arenas and a real TCP connection; bad servers send frames by hand.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
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
import { MAX_IDLE_TRANSFERS_PER_PEER } from "../base/limits.js";
import { ConnectionError, type MobulaError, ObjectLostError, ProtocolError } from "../errors.js";
import type { Address } from "./address.js";
import type { Connection } from "./connection.js";
import { loadCrc32, slowCrc32 } from "./crc32.js";
import { FOUND } from "./transfer-frames.js";

const theirs = testArena(64 * MIB);
const ours = testArena(64 * MIB);
const client = testClient;
const node = servingNode;
const store = (blocks: ReadonlyMap<string, { offset: number; sizeBytes: number }>) => testStore(theirs, blocks);
const job = (sources: readonly Address[], id: string, sizeBytes: number, offset: number) =>
  pullJob(ours, sizeBytes, sources, { objectId: id, offset });

test("objects of every awkward size arrive byte for byte, over one kept connection", async () => {
  const sizes = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 12_345];
  const blocks = new Map(sizes.map((sizeBytes, i) => [objectId(i), { offset: i * 8 * MIB, sizeBytes }]));
  const contents = sizes.map((size) => randomBytes(size));
  for (const [i, bytes] of contents.entries()) theirs.write(i * 8 * MIB, [bytes]);
  const { server, openBlocks } = store(blocks);
  const { address, opened } = await node((connection) => server.serve(connection));
  const transfers = client();
  for (const [i, size] of sizes.entries()) {
    await transfers.pull(job([address], objectId(i), size, 4096));
    assert.ok(Buffer.from(ours.read(4096, size)).equals(contents[i] as Buffer), `${size} bytes`);
  }
  assert.equal(opened.length, 1);
  await until(() => openBlocks() === 0);
});

test("pulls at the same time use connections of their own, of which a few are kept", async () => {
  const blocks = new Map([[objectId(1), { offset: 0, sizeBytes: 3 * MIB }]]);
  const { server, openBlocks } = store(blocks);
  const { address, opened } = await node((connection) => server.serve(connection));
  const transfers = client();
  const many = () =>
    Promise.all(Array.from({ length: 6 }, (_, i) => transfers.pull(job([address], objectId(1), 3 * MIB, i * 4 * MIB))));
  await many();
  assert.equal(opened.length, 6);
  await many();
  assert.equal(opened.length, 12 - MAX_IDLE_TRANSFERS_PER_PEER);
  await until(() => openBlocks() === 0);
});

test("an object that is not there, or has another size, is lost; the connection's end is not", async () => {
  const { server, openBlocks } = store(new Map([[objectId(1), { offset: 0, sizeBytes: 10 }]]));
  const { address, listener } = await node((connection) => server.serve(connection));
  const transfers = client();
  await assert.rejects(transfers.pull(job([address], objectId(2), 10, 0)), ObjectLostError);
  await assert.rejects(transfers.pull(job([address], objectId(1), 11, 0)), ObjectLostError);
  await transfers.pull(job([address], objectId(1), 10, 0));
  await until(() => openBlocks() === 0);
  listener.close();
  await assert.rejects(client().pull(job([address], objectId(1), 10, 0)), ConnectionError);
});

test("a kept connection that the peer has closed is replaced", async () => {
  const { server } = store(new Map([[objectId(1), { offset: 0, sizeBytes: 10 }]]));
  const { address, opened } = await node((connection) => server.serve(connection));
  const transfers = client();
  await transfers.pull(job([address], objectId(1), 10, 0));
  opened[0]?.destroy();
  await transfers.pull(job([address], objectId(1), 10, 0));
  assert.equal(opened.length, 2);
});

test("a puller that goes away in the middle leaves no block open", async () => {
  const { server, openBlocks } = store(new Map([[objectId(1), { offset: 0, sizeBytes: 60 * MIB }]]));
  const { address } = await node((connection) => server.serve(connection));
  const transfers = client();
  const pull = transfers.pull(job([address], objectId(1), 60 * MIB, 0));
  const failed = assert.rejects(pull, ConnectionError);
  await until(() => openBlocks() === 1);
  transfers.close();
  await failed;
  await until(() => openBlocks() === 0);
});

/** A server that answers any pull of four bytes with this. */
function answering(answer: (connection: Connection) => void) {
  return node((connection) => connection.start({ frame: () => answer(connection), closed: () => {} }));
}

function data(connection: Connection, bytes: Uint8Array, sum?: number): void {
  sendFound(connection, 4);
  sendPiece(connection, bytes, sum);
}

test("a damaged piece, too many bytes, unknown frames and an early end are errors", async () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const bad: readonly [(connection: Connection) => void, typeof MobulaError][] = [
    [(connection) => data(connection, bytes, 1), ConnectionError],
    [(connection) => data(connection, new Uint8Array(5)), ProtocolError],
    [(connection) => connection.send(77, bytes), ProtocolError],
    [(connection) => connection.send(FOUND, bytes), ProtocolError],
    [(connection) => connection.close(), ConnectionError],
  ];
  for (const [answer, type] of bad) {
    const { address } = await answering(answer);
    await assert.rejects(client().pull(job([address], objectId(1), 4, 0)), type);
  }
});

test("what the server refuses: no id, a second pull", async () => {
  const { server } = store(new Map());
  const { address } = await node((connection) => server.serve(connection));
  await assert.rejects(client().pull(job([address], "not an id", 4, 0)), ConnectionError);
});

test("our own checksum is zlib's", async () => {
  const crc32 = await loadCrc32();
  const bytes = randomBytes(10_000);
  assert.equal(slowCrc32(bytes, 0), crc32(bytes, 0));
  assert.equal(slowCrc32(bytes.subarray(100), slowCrc32(bytes.subarray(0, 100), 0)), crc32(bytes, 0));
  assert.equal(slowCrc32(Buffer.from("123456789"), 0), 0xcbf43926);
});
