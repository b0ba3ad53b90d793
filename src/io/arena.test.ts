// What is written at a place is read from there, by any process that opens the file; a full file system is an error.
// Method: arenas in real shared memory and, where it may be mounted, a file system of one megabyte.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test as nodeTest } from "node:test";
import { collectUntil } from "../../test/support/garbage.js";
import { arenaModes } from "../../test/support/modes.js";
import { FALLBACK_OFFSET } from "../base/limits.js";
import { InvariantError, ObjectLostError, ObjectStoreFullError, OutOfDiskError } from "../errors.js";
import { Arena, type ArenaOptions, chooseArenaPath } from "./arena.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));
const MIB = 1024 * 1024;

for (const [mode, options] of arenaModes()) testArena(mode, options);

function testArena(mode: string, options: ArenaOptions): void {
  const native = "native" in options ? options.native : undefined;
  const test = (name: string, body: () => void | Promise<void>) => nodeTest(`${mode}: ${name}`, body);
  const arena = (name: string, capacity = 64 * MIB, more: ArenaOptions = {}): Arena => {
    const made = Arena.create(join(directory, `${name}-${mode}`), capacity, { ...options, ...more });
    after(() => made.close());
    return made;
  };

  test("pieces are written one after the other and read back as one, also through a second opening", () => {
    const a = arena("pieces");
    a.write(4096, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
    const other = Arena.open(a.path, a.capacity, options);
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
    assert.throws(() => Arena.create(a.path, 100, options), /EEXIST/);
  });

  test("a full file system is an ObjectStoreFullError", () => {
    const full = Arena.open("/dev/full", 100, options);
    assert.throws(() => full.write(0, [Uint8Array.of(1)]), ObjectStoreFullError);
    full.close();
  });

  test("blocks beyond the arena's offsets lie in the fallback file, for every process that opens it", async () => {
    const fallbackPath = join(directory, `fallback-${mode}`);
    const a = arena("with-fallback", MIB, { fallbackPath });
    const other = Arena.open(a.path, MIB, { ...options, fallbackPath });
    other.write(FALLBACK_OFFSET + 8_192, [Uint8Array.of(1, 2), Uint8Array.of(3)]);
    assert.deepEqual(a.read(FALLBACK_OFFSET + 8_192, 3), Uint8Array.of(1, 2, 3));
    assert.equal(a.writable(FALLBACK_OFFSET + 8_192, 3), undefined);
    await mapsFallback(a);
    a.emptyFallback();
    assert.equal(statSync(fallbackPath).size, 0);
    assert.throws(() => a.read(FALLBACK_OFFSET + 8_192, 3), ObjectLostError);
    other.close();
    const full = Arena.open(a.path, MIB, { ...options, fallbackPath: "/dev/full" });
    assert.throws(() => full.write(FALLBACK_OFFSET, [Uint8Array.of(1)]), OutOfDiskError);
    full.close();
  });

  /** Readers map it like the arena. */
  async function mapsFallback(a: Arena): Promise<void> {
    let released = 0;
    const look = () => {
      const mapped = a.map(FALLBACK_OFFSET + 8_192, 3, () => void released++);
      assert.equal(mapped !== undefined, native !== undefined);
      if (mapped !== undefined) assert.deepEqual(new Uint8Array(mapped), Uint8Array.of(1, 2, 3));
    };
    look();
    if (native !== undefined) await collectUntil(() => released === 1);
  }

  test("a process that keeps its arrays leaves alone what lay in a fallback file that has been cut", () => {
    if (native === undefined) return;
    const a = arena("cut", MIB, { fallbackPath: join(directory, `cut-fallback-${mode}`) });
    a.write(0, [new Uint8Array(8_192).fill(5)]);
    a.write(FALLBACK_OFFSET, [new Uint8Array(3 * MIB).fill(6)]);
    const [own, others] = [a, Arena.open(a.path, MIB, options)].map(
      (each) => new Uint8Array(each.map(0, 8_192, () => {}) as ArrayBuffer),
    ) as [Uint8Array, Uint8Array];
    const looked = [
      a.view(FALLBACK_OFFSET, 3 * MIB),
      new Uint8Array(a.map(FALLBACK_OFFSET, 4_096, () => {}) as ArrayBuffer),
    ];
    assert.deepEqual(
      looked.map((view) => view?.[4_000]),
      [6, 6],
    );
    a.emptyFallback();
    a.keepPrivateCopies(); // a touch of what is gone would kill this process
    a.write(0, [new Uint8Array(8_192).fill(7)]);
    assert.deepEqual([own[8_000], others[8_000]], [5, 5]);
  });

  test("a block that was reserved can be written, however little room its file system has beside it", () => {
    const mount = join(directory, `tight-${mode}`);
    const mounted = spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=1m none ${mount}`]);
    if (mounted.status !== 0) return; // only root may make a file system that is nearly full
    try {
      for (let pages = 0; pages < 16; pages++) fillsAllThatIsLeft(mount, pages * 4_096);
    } finally {
      spawnSync("sh", ["-c", `umount -l ${mount}`]);
    }
  });

  function fillsAllThatIsLeft(mount: string, othersBytes: number): void {
    writeFileSync(join(mount, "of-others"), new Uint8Array(othersBytes));
    const a = Arena.create(join(mount, "arena"), 8 * MIB, options);
    const blockBytes = 7 * 4_096;
    let at = 4_096;
    for (; a.reserve(at, blockBytes); at += blockBytes) a.write(at, [new Uint8Array(blockBytes).fill(7)]);
    assert.ok(at > MIB / 2, `${at} bytes were written`);
    a.close();
    a.unlink();
  }

  test("a file system that becomes full is an error, never a signal", () => {
    const mount = join(directory, `small-${mode}`);
    const mounted = spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=1m none ${mount}`]);
    if (mounted.status !== 0) return; // only root may make a file system that is nearly full
    const a = Arena.create(join(mount, "arena"), 8 * MIB, options);
    try {
      const pieces = [new Uint8Array(MIB / 4).fill(1), new Uint8Array(2 * MIB).fill(2)];
      assert.equal(a.reserve(4 * MIB, 2 * MIB), false);
      assert.equal(a.reserve(4 * MIB, MIB / 2), true); // the block fits, if not all that would be taken with it
      a.write(4 * MIB, [new Uint8Array(MIB / 2).fill(3)]);
      assert.equal(a.reserve(4 * MIB, MIB / 2), true);
      assert.deepEqual(a.read(4 * MIB + MIB / 2 - 1, 1), Uint8Array.of(3));
      if (native !== undefined) assert.throws(() => a.writable(6 * MIB, MIB), ObjectStoreFullError);
      assert.equal(a.reserve(MIB, 2 * MIB), false);
      assert.throws(() => a.write(MIB, pieces), ObjectStoreFullError);
      // Without a mapping, what fits is written before the end is found, here inside the second piece.
      if (native === undefined) assert.deepEqual(a.read(MIB + MIB / 4 - 1, 2), Uint8Array.of(1, 2));
    } finally {
      a.close();
      spawnSync("sh", ["-c", `umount -l ${mount}`]);
    }
  });

  test("reserved space is there before anybody writes", () => {
    const a = arena("reserved");
    assert.equal(a.reserve(20 * MIB, 3 * MIB), true);
    assert.equal(a.reserve(20 * MIB, 3 * MIB), true);
    const { blocks } = statSync(a.path);
    assert.ok(blocks * 512 >= 3 * MIB);
    a.write(20 * MIB, [new Uint8Array(3 * MIB).fill(9)]);
    assert.equal(a.reserve(19 * MIB, 5 * MIB), true); // what is reserved is left as it is
    assert.deepEqual([a.read(20 * MIB, 1)[0], a.read(23 * MIB - 1, 2)], [9, Uint8Array.of(9, 0)]);
  });

  test("a large block is promised where there is plenty: whoever writes it takes its space", () => {
    const large = 64 * MIB;
    const a = Arena.create(join(directory, `promised-${mode}`), 4 * large, options);
    if (native === undefined) return; // zeros are written, whatever the size
    try {
      assert.equal(a.reserve(0, large), true);
      assert.ok(statSync(a.path).blocks * 512 < large, "the raylet did not wait for it");
      a.write(0, [new Uint8Array(large).fill(7)]);
      assert.ok(statSync(a.path).blocks * 512 >= large);
      assert.deepEqual(a.read(large - 1, 1), Uint8Array.of(7));
    } finally {
      a.close();
      a.unlink();
    }
  });

  test("a large block is reserved at once, or refused, where what was promised leaves no plenty", () => {
    const mount = join(directory, `promises-${mode}`);
    const mounted = spawnSync("sh", ["-c", `mkdir ${mount} && mount -t tmpfs -o size=192m none ${mount}`]);
    if (mounted.status !== 0) return; // only root may make a file system of this size
    const a = Arena.create(join(mount, "arena"), 512 * MIB, options);
    try {
      const sizeBytes = 64 * MIB;
      const takenBytes = (offset: number) => {
        if (!a.reserve(offset, sizeBytes)) return "refused";
        return statSync(a.path).blocks * 512;
      };
      const isPromised = native !== undefined;
      assert.equal(takenBytes(0), isPromised ? 0 : sizeBytes);
      assert.equal(takenBytes(sizeBytes), isPromised ? sizeBytes : 2 * sizeBytes);
      a.write(0, [new Uint8Array(sizeBytes).fill(1)]);
      a.write(sizeBytes, [new Uint8Array(sizeBytes).fill(2)]);
      assert.equal(takenBytes(0), 2 * sizeBytes); // it stays reserved
      assert.equal(takenBytes(2 * sizeBytes), 3 * sizeBytes);
      assert.equal(takenBytes(3 * sizeBytes), "refused");
    } finally {
      a.close();
      spawnSync("sh", ["-c", `umount -l ${mount}`]);
    }
  });

  test("space that a file system refuses is not reserved, and is asked for again", () => {
    if (native !== undefined) return; // a device cannot be mapped
    const full = Arena.open("/dev/full", MIB, options);
    assert.deepEqual([full.reserve(0, 8_192), full.reserve(0, 8_192)], [false, false]);
    full.close();
  });

  test("a block is written in place where it can be mapped, and read through memory that is the reader's own", async () => {
    const a = arena("maps");
    const released: string[] = [];
    const target = a.writable(MIB, 100_000);
    assert.equal(target === undefined, native === undefined);
    if (target === undefined) {
      assert.equal(
        a.map(MIB, 4096, () => released.push("never")),
        undefined,
      );
      return;
    }
    target.fill(8);
    assert.deepEqual(a.read(MIB + 99_999, 2), Uint8Array.of(8, 0));
    const useMap = () => {
      const own = new Uint8Array(a.map(MIB, 100_000, () => released.push("first")) as ArrayBuffer);
      own.fill(1);
      assert.equal(own.buffer.byteLength, 100_000);
      assert.deepEqual(a.read(MIB, 1), Uint8Array.of(8));
      assert.equal(
        a.map(MIB + 1, 10, () => released.push("inside a page")),
        undefined,
      );
      assert.equal(
        a.map(MIB, 0, () => released.push("nothing")),
        undefined,
      );
    };
    useMap();
    await collectUntil(() => released.length > 0);
    assert.deepEqual(released, ["first"]);
  });

  test("private mappings outlive the arena, views of the shared one do not", () => {
    if (native === undefined) return;
    const a = arena("closing");
    a.write(0, [new Uint8Array(8192).fill(4)]);
    const shared = a.writable(0, 8192);
    const own = new Uint8Array(a.map(0, 8192, () => {}) as ArrayBuffer);
    a.close();
    a.unlink();
    assert.equal(shared?.length, 0);
    assert.equal(own[8191], 4);
  });

  test("an arena larger than a window is written through several, and a block larger than half a one without", () => {
    const a = arena("windows", 8 * MIB, { windowBytes: 2 * MIB });
    for (const offset of [0, MIB - 4096, 3 * MIB + 4096, 7 * MIB]) {
      const block = new Uint8Array(MIB).fill(offset / 4096 + 1);
      a.write(offset, [block]);
      assert.deepEqual(a.read(offset, MIB), block);
      assert.equal(a.writable(offset, MIB) === undefined, native === undefined);
    }
    const long = new Uint8Array(3 * MIB).fill(77);
    assert.equal(a.writable(MIB, long.length), undefined);
    a.write(MIB, [long]);
    assert.deepEqual(a.read(MIB, long.length), long);
  });
}

nodeTest("shared memory is taken when it has room, else the session's directory with a warning", () => {
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
