/** Nodes that serve objects over real TCP connections, and what tests of transfers ask of them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { Acceptor } from "../../src/io/acceptor.js";
import type { Address } from "../../src/io/address.js";
import { Arena, type ArenaOptions } from "../../src/io/arena.js";
import { CRC32 } from "../../src/io/checksum.js";
import type { Connection } from "../../src/io/connection.js";
import { slowCrc32 } from "../../src/io/crc32.js";
import { listen } from "../../src/io/listener.js";
import type { PullJob } from "../../src/io/object-pull.js";
import { TransferClient, TransferServer } from "../../src/io/transfer.js";
import { DATA, FOUND } from "../../src/io/transfer-frames.js";
import { sharedMemoryDirectory } from "./modes.js";

const secret = Buffer.from("0123456789abcdef");
const identity = { role: "raylet", nodeId: "n1", processId: "0123456789ab" } as const;

export const MIB = 1024 * 1024;
export const objectId = (n: number) => n.toString(16).padStart(36, "0");

export function testArena(capacity: number, options?: ArenaOptions): Arena {
  const directory = mkdtempSync(join(sharedMemoryDirectory(), "mobula-test-"));
  const arena = Arena.create(join(directory, "arena"), capacity, options);
  after(() => {
    arena.close();
    rmSync(directory, { recursive: true });
  });
  return arena;
}

/** A node on a free port that gives each transfer connection to `serve`. */
export async function servingNode(serve: (connection: Connection) => void) {
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

/** A store with objects at given places of an arena, which counts what is open. */
export function testStore(
  arena: Arena,
  blocks: ReadonlyMap<string, { readonly offset: number; readonly sizeBytes: number }>,
  host = "",
) {
  let open = 0;
  const server = new TransferServer(
    arena,
    {
      open: (id) => {
        const block = blocks.get(id);
        if (block !== undefined) open++;
        return block;
      },
      close: () => open--,
      coming: () => undefined,
    },
    host,
  );
  return { server, openBlocks: () => open };
}

export function testClient(host = ""): TransferClient {
  const made = new TransferClient({ identity, secret, host });
  after(() => made.close());
  return made;
}

/** One object, at the beginning of an arena, from all these nodes. */
export function pullJob(arena: Arena, sizeBytes: number, sources: readonly Address[], more: Partial<PullJob> = {}) {
  return { objectId: objectId(1), sizeBytes, sources, width: 4, arena, offset: 0, ...more };
}

export function sendFound(connection: Connection, sizeBytes: number): void {
  const writer = connection.beginFrame(FOUND);
  writer.f64(sizeBytes);
  writer.u8(CRC32);
  connection.endFrame();
}

export function sendPiece(connection: Connection, bytes: Uint8Array, sum = slowCrc32(bytes, 0)): void {
  const writer = connection.beginFrame(DATA);
  writer.u32(sum);
  writer.raw(bytes);
  connection.endFrame();
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}
