// What is written at a place is read from there, by any process that opens the file; a full file system is an error.
// Method: arenas in real shared memory and, where it may be mounted, a file system of one megabyte.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FALLBACK_OFFSET } from "../base/limits.js";
import { InvariantError, ObjectLostError, ObjectStoreFullError, OutOfDiskError } from "../errors.js";
import { Arena, chooseArenaPath } from "./arena.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));
const MIB = 1024 * 1024;

function arena(name: string, capacity = 64 * MIB): Arena {
  const made = Arena.create(join(directory, name), capacity);
  after(() => made.close());
  return made;
}

test("pieces are written one after the other and read back as one, also through a second opening", () => {
  const a = arena("pieces");
  a.write(4096, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
  const other = Arena.open(a.path, a.capacity);
  assert.deepEqual(other.read(4096, 3), Uint8Array.of(1, 2, 3));
  assert.deepEqual(other.read(4095, 1), Uint8Array.of(0));
  other.write(0, [Uint8Array.of(9)]);
  assert.deepEqual(a.read(0, 1), Uint8Array.of(9));
  assert.equal(a.read(0, 0).length, 0);
  other.close();
});

test("thousands of pieces go in one call, whatever the kernel takes at a time", () => {
  const a = arena("many");
  const pieces = Array.from({ length: 5_000 }, (_, i) => new Uint8Array(1 + (i % 7)).fill(i));
  a.write(10, pieces);
  assert.deepEqual(
    Buffer.from(
      a.read(
        10,
        pieces.reduce((n, p) => n + p.length, 0),
      ),
    ),
    Buffer.concat(pieces),
  );
});

test("each read has memory of its own", () => {
  const a = arena("own");
  const first = a.read(0, 8);
  first.fill(7);
  assert.deepEqual(a.read(0, 8), new Uint8Array(8));
  assert.equal(first.buffer.byteLength, 8);
});

test("the file is sparse, for its owner only, and gone after unlink", () => {
  const a = arena("sparse", 1024 * MIB);
  const { mode, blocks, size } = statSync(a.path);
  assert.equal(mode & 0o777, 0o600);
  assert.equal(size, 1024 * MIB);
  assert.ok(blocks * 512 < MIB);
  a.unlink();
  a.unlink(); // a second time: harmless
  assert.ok(!existsSync(a.path));
  a.write(0, [Uint8Array.of(1)]); // who has it open goes on
});

test("a block outside the arena is a bug of ours; a file that was cut is a lost object", () => {
  const a = arena("places", 100);
  assert.throws(() => a.write(99, [Uint8Array.of(1, 2)]), InvariantError);
  assert.throws(() => a.read(-1, 1), InvariantError);
  truncateSync(a.path, 10);
  assert.throws(() => a.read(0, 11), ObjectLostError);
  assert.throws(() => Arena.create(a.path, 100), /EEXIST/);
});

test("a full file system is an ObjectStoreFullError", () => {
  const full = Arena.open("/dev/full", 100);
  assert.throws(() => full.write(0, [Uint8Array.of(1)]), ObjectStoreFullError);
  full.close();
});

test("blocks beyond the arena's offsets lie in the fallback file, for every process that opens it", () => {
  const path = join(directory, "with-fallback");
  const a = Arena.create(path, MIB, `${path}.fallback`);
  const other = Arena.open(path, MIB, `${path}.fallback`);
  other.write(FALLBACK_OFFSET + 8_192, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
  assert.deepEqual(a.read(FALLBACK_OFFSET + 8_192, 3), Uint8Array.of(1, 2, 3));
  a.emptyFallback();
  assert.equal(statSync(`${path}.fallback`).size, 0);
  assert.throws(() => a.read(FALLBACK_OFFSET + 8_192, 3), ObjectLostError);
  const full = Arena.open(path, MIB, "/dev/full");
  assert.throws(() => full.write(FALLBACK_OFFSET, [Uint8Array.of(1)]), OutOfDiskError);
  for (const each of [a, other, full]) each.close();
});

test("what fits is written before the file system is found full", () => {
  const mount = join(directory, "small");
  const mounted = spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=1m none ${mount}`]);
  if (mounted.status !== 0) return; // only root may make a file system that is nearly full
  try {
    const a = Arena.create(join(mount, "arena"), 8 * MIB);
    const pieces = [new Uint8Array(MIB / 4).fill(1), new Uint8Array(2 * MIB).fill(2)];
    assert.throws(() => a.write(MIB, pieces), ObjectStoreFullError);
    assert.deepEqual(a.read(MIB + MIB / 4 - 1, 2), Uint8Array.of(1, 2)); // the write was cut inside the second piece
    a.close();
  } finally {
    spawnSync("sh", ["-c", `umount ${mount}`]);
  }
});

test("shared memory is taken when it has room, else the session's directory with a warning", () => {
  const session = { name: "session-x", directory };
  const warnings: string[] = [];
  assert.equal(
    chooseArenaPath(session, "n1", 4096, (line) => warnings.push(line)),
    "/dev/shm/mobula-session-x-n1",
  );
  assert.equal(warnings.length, 0);
  assert.equal(
    chooseArenaPath(session, "n1", 2 ** 52, (line) => warnings.push(line)),
    join(directory, "mobula-session-x-n1"),
  );
  assert.equal(warnings.length, 1);
});
