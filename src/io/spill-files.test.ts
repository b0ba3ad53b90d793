// Objects come back from spill files byte for byte, or with an error that says what happened; files end with their objects.
// Method: a real arena and real files; damage and a full file system are made by hand.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, openSync, readdirSync, rmSync, truncateSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { SPILL_PIECE_BYTES } from "../base/limits.js";
import { ObjectLostError, OutOfDiskError } from "../errors.js";
import { Arena } from "./arena.js";
import { SpillFiles } from "./spill-files.js";

const MIB = 1024 * 1024;
const root = mkdtempSync(join(tmpdir(), "mobula-test-"));
const arena = Arena.create(join(root, "arena"), 64 * MIB);
after(() => {
  arena.close();
  rmSync(root, { recursive: true });
});

let directory = "";
let files = new SpillFiles(root, arena, 0);
beforeEach(() => {
  directory = mkdtempSync(join(root, "spill-"));
  files = new SpillFiles(directory, arena, 100 * MIB);
});

/** Objects of these sizes, one behind the other in the arena, written into file 1. */
async function spilled(...sizes: number[]) {
  let offset = 0;
  const parts = sizes.map((sizeBytes, i) => {
    const part = { objectId: `o${i}`, offset, sizeBytes };
    offset += Math.ceil(sizeBytes / 4096) * 4096;
    return part;
  });
  const contents = parts.map((part) => {
    const bytes = randomBytes(part.sizeBytes);
    arena.write(part.offset, [bytes]);
    return bytes;
  });
  await files.write(1, parts);
  return { parts, contents };
}

test("objects of every awkward size come back byte for byte, whole and piece by piece", async () => {
  const sizes = [1, 4_095, SPILL_PIECE_BYTES, SPILL_PIECE_BYTES + 1, 22 * SPILL_PIECE_BYTES + 12_345];
  const { contents } = await spilled(...sizes);
  for (const [i, content] of contents.entries()) {
    await files.restore(1, `o${i}`, 32 * MIB);
    assert.ok(content.equals(arena.read(32 * MIB, content.length)));
    for (let from = 0; from < content.length; from += SPILL_PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(SPILL_PIECE_BYTES, content.length - from));
      await files.readPiece(1, `o${i}`, from, piece);
      assert.ok(content.subarray(from, from + piece.length).equals(piece));
    }
  }
});

test("a changed byte and a file that was cut are noticed; other objects of the file are as they were", async () => {
  await spilled(3 * MIB, 2 * MIB);
  const path = join(directory, "1.spill");
  writeSync(openSync(path, "r+"), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0, 8, MIB + 100);
  await assert.rejects(
    files.restore(1, "o0", 32 * MIB),
    (e) => e instanceof ObjectLostError && /damaged/.test(e.message),
  );
  await files.readPiece(1, "o0", 0, new Uint8Array(MIB));
  await assert.rejects(files.readPiece(1, "o0", MIB, new Uint8Array(MIB)), ObjectLostError);
  await files.restore(1, "o1", 32 * MIB);
  truncateSync(path, 4 * MIB);
  await assert.rejects(files.restore(1, "o1", 32 * MIB), (e) => e instanceof ObjectLostError && /cut/.test(e.message));
});

test("a file is gone when it is deleted, and all are when the node stops; a read under way ends well", async () => {
  const { contents } = await spilled(6 * MIB);
  const reading = files.restore(1, "o0", 32 * MIB);
  files.delete(1);
  files.delete(1);
  assert.deepEqual(readdirSync(directory), []);
  await reading.then(
    () => assert.ok((contents[0] as Buffer).equals(arena.read(32 * MIB, 6 * MIB))),
    (error) => assert.ok(error instanceof ObjectLostError), // it had not begun
  );
  await spilled(MIB);
  files.close();
  assert.deepEqual(readdirSync(directory), []);
  await assert.rejects(files.write(2, []), OutOfDiskError);
});

test("what may still be written is the smaller of the disk's room and the limit", async () => {
  const before = await files.freeBytes(0);
  assert.ok(before <= 100 * MIB);
  await spilled(10 * MIB);
  assert.ok((await files.freeBytes(0)) <= 90 * MIB);
  assert.ok((await files.freeBytes(30 * MIB)) <= 60 * MIB);
  files.delete(1);
  assert.ok((await new SpillFiles(directory, arena, Number.MAX_SAFE_INTEGER).freeBytes(0)) > before);
});

test("a full file system is an OutOfDiskError", async () => {
  const mount = join(root, "small");
  const mounted = spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=1m none ${mount}`]);
  if (mounted.status !== 0) return; // only root may make a file system that is nearly full
  try {
    const small = new SpillFiles(mount, arena, 100 * MIB);
    assert.ok((await small.freeBytes(0)) < MIB, "something is kept free");
    await assert.rejects(small.write(1, [{ objectId: "o", offset: 0, sizeBytes: 4 * MIB }]), OutOfDiskError);
    small.delete(1);
    await small.write(2, [{ objectId: "o", offset: 0, sizeBytes: MIB / 2 }]);
    small.close();
  } finally {
    spawnSync("sh", ["-c", `umount ${mount}`]);
  }
});
