// A pull gives exactly the object's bytes in our arena, or an error; the server's block is let go in every case.
// Method: two arenas and a real TCP connection; bad servers send frames by hand.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { MAX_IDLE_TRANSFERS_PER_PEER } from "../base/limits.js";
import { ConnectionError, type MobulaError, ObjectLostError, ProtocolError } from "../errors.js";
import { Acceptor } from "./acceptor.js";
import { Arena } from "./arena.js";
import type { Connection } from "./connection.js";
import { loadCrc32, slowCrc32 } from "./crc32.js";
import { listen } from "./listener.js";
import { TransferClient, TransferServer } from "./transfer.js";
import { DATA, FOUND } from "./transfer-frames.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
const MIB = 1024 * 1024;
const theirs = Arena.create(join(directory, "theirs"), 64 * MIB);
const ours = Arena.create(join(directory, "ours"), 64 * MIB);
after(() => {
  theirs.close();
  ours.close();
  rmSync(directory, { recursive: true });
});
const secret = Buffer.from("0123456789abcdef");
const identity = { role: "raylet", nodeId: "n1", processId: "0123456789ab" } as const;
const objectId = (n: number) => n.toString(16).padStart(36, "0");

/** A node on a free port that gives each transfer connection to `serve`. */
async function node(serve: (connection: Connection) => void) {
  const opened: Connection[] = [];
  const acceptor = new Acceptor({
    identity: { role: "raylet", nodeId: "n2", processId: "0123456789cd" },
    secret,
    accept: (connection) => {
      assert.equal(connection.purpose, "objects");
      opened.push(connection);
      serve(connection);
    },
  });
  const listener = await listen({ host: "127.0.0.1", port: 0 }, acceptor);
  after(() => {
    listener.close();
    for (const connection of opened) connection.destroy();
  });
  return { address: listener.address, opened, listener };
}

/** A store with objects at given places, which counts what is open. */
function store(blocks: ReadonlyMap<string, { offset: number; sizeBytes: number }>) {
  let open = 0;
  const server = new TransferServer(theirs, {
    open: (id) => {
      const block = blocks.get(id);
      if (block !== undefined) open++;
      return block;
    },
    close: () => open--,
  });
  return { server, openBlocks: () => open };
}

function client(): TransferClient {
  const made = new TransferClient({ identity, secret });
  after(() => made.close());
  return made;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test("objects of every awkward size arrive byte for byte, over one kept connection", async () => {
  const sizes = [0, 1, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 12_345];
  const blocks = new Map(sizes.map((sizeBytes, i) => [objectId(i), { offset: i * 8 * MIB, sizeBytes }]));
  const contents = sizes.map((size) => randomBytes(size));
  for (const [i, bytes] of contents.entries()) theirs.write(i * 8 * MIB, [bytes]);
  const { server, openBlocks } = store(blocks);
  const { address, opened } = await node((connection) => server.serve(connection));
  const transfers = client();
  for (const [i, size] of sizes.entries()) {
    await transfers.pull(address, objectId(i), size, ours, 4096);
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
    Promise.all(Array.from({ length: 6 }, (_, i) => transfers.pull(address, objectId(1), 3 * MIB, ours, i * 4 * MIB)));
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
  await assert.rejects(transfers.pull(address, objectId(2), 10, ours, 0), ObjectLostError);
  await assert.rejects(transfers.pull(address, objectId(1), 11, ours, 0), ObjectLostError);
  await transfers.pull(address, objectId(1), 10, ours, 0);
  await until(() => openBlocks() === 0);
  listener.close();
  await assert.rejects(client().pull(address, objectId(1), 10, ours, 0), ConnectionError);
});

test("a kept connection that the peer has closed is replaced", async () => {
  const { server } = store(new Map([[objectId(1), { offset: 0, sizeBytes: 10 }]]));
  const { address, opened } = await node((connection) => server.serve(connection));
  const transfers = client();
  await transfers.pull(address, objectId(1), 10, ours, 0);
  opened[0]?.destroy();
  await transfers.pull(address, objectId(1), 10, ours, 0);
  assert.equal(opened.length, 2);
});

test("a puller that goes away in the middle leaves no block open", async () => {
  const { server, openBlocks } = store(new Map([[objectId(1), { offset: 0, sizeBytes: 60 * MIB }]]));
  const { address } = await node((connection) => server.serve(connection));
  const transfers = client();
  const pull = transfers.pull(address, objectId(1), 60 * MIB, ours, 0);
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

function data(connection: Connection, bytes: Uint8Array, crc: number): void {
  connection.beginFrame(FOUND).f64(4);
  connection.endFrame();
  const writer = connection.beginFrame(DATA);
  writer.u32(crc);
  writer.raw(bytes);
  connection.endFrame();
}

test("a damaged piece, too many bytes, unknown frames and an early end are errors", async () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const bad: readonly [(connection: Connection) => void, typeof MobulaError][] = [
    [(connection) => data(connection, bytes, 1), ConnectionError],
    [(connection) => data(connection, new Uint8Array(5), slowCrc32(new Uint8Array(5), 0)), ProtocolError],
    [(connection) => connection.send(77, bytes), ProtocolError],
    [(connection) => connection.send(FOUND, bytes), ProtocolError],
    [(connection) => connection.close(), ConnectionError],
  ];
  for (const [answer, type] of bad) {
    const { address } = await answering(answer);
    await assert.rejects(client().pull(address, objectId(1), 4, ours, 0), type);
  }
});

test("what the server refuses: no id, a second pull", async () => {
  const { server } = store(new Map());
  const { address } = await node((connection) => server.serve(connection));
  await assert.rejects(client().pull(address, "not an id", 4, ours, 0), ConnectionError);
});

test("our own checksum is zlib's", async () => {
  const crc32 = await loadCrc32();
  const bytes = randomBytes(10_000);
  assert.equal(slowCrc32(bytes, 0), crc32(bytes, 0));
  assert.equal(slowCrc32(bytes.subarray(100), slowCrc32(bytes.subarray(0, 100), 0)), crc32(bytes, 0));
  assert.equal(slowCrc32(Buffer.from("123456789"), 0), 0xcbf43926);
});
