// On one host bytes are copied from the peer's arena, and never counted as right when the peer no longer keeps them.
// Method: two arenas and a real connection; the addon where there is one, and arenas that cannot be mapped.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  MIB,
  objectId,
  pullJob,
  servingNode,
  testArena,
  testClient,
  testStore,
  until,
} from "../../test/support/transfers.js";
import { SAME_HOST_COPY_BYTES } from "../base/limits.js";
import { ConnectionError } from "../errors.js";
import type { ArenaOptions } from "./arena.js";
import { loadNative } from "./native.js";
import { hostIdentity } from "./same-host.js";

const HOST = "this host";
const SIZE = SAME_HOST_COPY_BYTES + 3 * MIB + 5;
const bytes = randomBytes(SIZE);

async function peer(options: ArenaOptions = {}, host = HOST) {
  const arena = testArena(64 * MIB, options);
  arena.write(4096, [bytes]);
  const store = testStore(arena, new Map([[objectId(1), { offset: 4096, sizeBytes: SIZE }]]), host);
  return { arena, ...store, ...(await servingNode((connection) => store.server.serve(connection))) };
}

type Peer = Awaited<ReturnType<typeof peer>>;

async function pulled({ address, openBlocks, opened }: Peer, host = HOST, options?: ArenaOptions): Promise<number> {
  const ours = testArena(64 * MIB, options);
  await testClient(host).pull(pullJob(ours, SIZE, [address], { offset: 8192 }));
  assert.ok(Buffer.from(ours.read(8192, SIZE)).equals(bytes));
  await until(() => openBlocks() === 0);
  return opened.reduce((sum, connection) => sum + connection.bytesSent, 0);
}

test("a host is named where that is possible, and always by the same name", () => {
  assert.equal(hostIdentity(), hostIdentity());
  if (process.platform === "linux") assert.match(hostIdentity(), /^[0-9a-f-]{36}:\d+$/);
});

test("peers of different hosts, or that do not want it, send the bytes", async () => {
  assert.ok((await pulled(await peer(), "another host")) > SIZE);
  assert.ok((await pulled(await peer({}, ""), "")) > SIZE);
});

test("without the addon at one end the bytes are sent", async () => {
  assert.ok((await pulled(await peer({ native: undefined }))) > SIZE);
  assert.ok((await pulled(await peer(), HOST, { native: undefined })) > SIZE);
});

if (loadNative() !== undefined) {
  test("peers of one host send no bytes", async () => {
    assert.ok((await pulled(await peer())) < 2_000);
  });

  test("a file of the same name that is another one is not taken for the peer's arena", async () => {
    const it = await peer();
    const client = testClient(HOST);
    const ours = testArena(64 * MIB);
    // Between its answer and our look at the name.
    renameSync(it.arena.path, `${it.arena.path}-moved`);
    writeFileSync(it.arena.path, "");
    renameSync(it.arena.path, `${it.arena.path}-other`);
    await client.pull(pullJob(ours, SIZE, [it.address]));
    assert.ok(Buffer.from(ours.read(0, SIZE)).equals(bytes));
  });

  test("what was copied counts only when the peer has kept it until then", async () => {
    const it = await peer();
    const ours = testArena(64 * MIB);
    let counted = 0;
    const arrived = (from: number, end: number) => {
      counted += end - from;
      it.opened[0]?.destroy();
    };
    await assert.rejects(testClient(HOST).pull(pullJob(ours, SIZE, [it.address], { arrived })), ConnectionError);
    assert.equal(counted, SAME_HOST_COPY_BYTES);
    await until(() => it.openBlocks() === 0);
  });
}
