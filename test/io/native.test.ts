// The addon: its mappings live exactly as long as their last view, and nothing that it is given can crash the process.
// Method: a file in shared memory, private mappings of it in every kind of use, and garbage collection on demand.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { loadNative, type Native, nativeProblem } from "../../src/io/native.js";
import { mapPrivately } from "../../src/io/private-maps.js";
import { collectGarbage, collectUntil } from "../support/garbage.js";
import { sharedMemoryDirectory } from "../support/modes.js";

const MAPS_IN_THREAD = fileURLToPath(new URL("../fixtures/mapping-thread.js", import.meta.url));
const MANY_MAPS = fileURLToPath(new URL("../fixtures/many-maps.js", import.meta.url));
const WAIT = fileURLToPath(new URL("../fixtures/wait-readable.js", import.meta.url));
const PAGE = 64 * 1024; // a multiple of every page size
const native = loadNative();

if (native === undefined) test("without the addon, the loader says why, unless it was switched off", withoutAddon);
else testAddon(native);

function withoutAddon(): void {
  assert.equal(nativeProblem() === undefined, process.env["MOBULA_NATIVE"] === "0");
}

/** A file of 16 pages; each byte is the number of its page. */
function pagesFile(): number {
  const directory = mkdtempSync(join(sharedMemoryDirectory(), "mobula-test-"));
  const fd = openSync(join(directory, "file"), "w+");
  after(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  ftruncateSync(fd, 16 * PAGE);
  for (let page = 0; page < 16; page++) writeSync(fd, new Uint8Array(PAGE).fill(page), 0, PAGE, page * PAGE);
  return fd;
}

function testAddon(native: Native): void {
  const fd = pagesFile();
  const map = (page: number, sizeBytes = PAGE): ArrayBuffer => {
    const buffer = native.mapPrivate(fd, page * PAGE, sizeBytes, -1);
    assert.ok(buffer !== undefined);
    return buffer;
  };
  const allGone = () => collectUntil(() => native.liveMaps() === 0);

  test("a private mapping shows the file, and what is written to it stays its own", async () => {
    const useMaps = () => {
      const [one, other] = [new Uint8Array(map(3)), new Uint8Array(map(3))];
      one.fill(99);
      assert.equal(other[0], 3);
      assert.equal(new Uint8Array(map(3))[PAGE - 1], 3);
      assert.equal(map(1, 5).byteLength, 5);
    };
    useMaps(); // a frame of its own: what an async function has in a variable lives as long as it waits
    await allGone();
  });

  test("a mapping begins at any multiple of 4 KiB, also inside a larger page, and shows not a byte before it", async () => {
    const useMaps = () => {
      for (const offset of [4_096, 3 * 4_096, PAGE + 4_096, 3 * PAGE - 4_096]) {
        const bytes = new Uint8Array(native.mapPrivate(fd, offset, PAGE, -1) as ArrayBuffer);
        const expected = Uint8Array.from({ length: PAGE }, (_, at) => Math.floor((offset + at) / PAGE));
        assert.deepEqual(bytes, expected);
        assert.equal(bytes.buffer.byteLength, PAGE);
        assert.equal(new Float64Array(bytes.buffer).fill(0.5).at(-1), 0.5);
      }
    };
    useMaps();
    await allGone();
  });

  test("a thousand views of all kinds keep the memory after the buffer itself is garbage", async () => {
    const makeViews = () => {
      const buffer = map(7, 4 * PAGE);
      return Array.from({ length: 1_000 }, (_, i) => viewOf(buffer, i));
    };
    const views = makeViews();
    for (let round = 0; round < 5; round++) {
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(native.liveMaps(), 1);
    const pagesSeen = () => views.map((view) => (view instanceof DataView ? view.getUint8(0) : view[0]));
    assert.deepEqual(
      pagesSeen(),
      Array.from({ length: 1_000 }, (_, i) => 7 + Math.floor(i / 250)),
    );
    views.length = 0;
    await allGone();
  });

  test("structuredClone, with or without transfer, never leaves anybody with memory that is gone", async () => {
    for (const transfer of [false, true]) {
      let buffer: ArrayBuffer | undefined = map(5);
      let copy: ArrayBuffer | undefined = structuredClone(buffer, transfer ? { transfer: [buffer] } : {});
      buffer = undefined;
      for (let round = 0; round < 5; round++) {
        collectGarbage();
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(new Uint8Array(copy), new Uint8Array(PAGE).fill(5));
      copy = undefined;
      await allGone();
    }
  });

  test("a mapping that pins a block is not handed on to other threads: they get a copy, or the sender an error", async () => {
    const pinned = () => mapPrivately(native, fd, 5 * PAGE, PAGE, () => {}) as ArrayBuffer;
    const send = () => {
      const buffer = pinned();
      try {
        const copy = structuredClone(buffer, { transfer: [buffer] });
        assert.deepEqual(new Uint8Array(copy), new Uint8Array(PAGE).fill(5));
      } catch (error) {
        assert.equal((error as Error).name, "DataCloneError"); // since Node 22
      }
      assert.equal(buffer.byteLength, PAGE);
    };
    send();
    await allGone();
  });

  test("transfer() hands the mapping on, and it ends with the new buffer", async () => {
    type Transferable = ArrayBuffer & { readonly transfer?: (size?: number) => ArrayBuffer };
    const transferred: ArrayBuffer[] = [];
    for (const size of [PAGE, PAGE / 2]) {
      const buffer: Transferable = map(6);
      const next = tryTransfer(() => buffer.transfer?.(size));
      if (next !== undefined) transferred.push(next); // since Node 22
    }
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
    for (const buffer of transferred) assert.equal(new Uint8Array(buffer).at(-1), 6);
    transferred.length = 0;
    await allGone();
  });

  test("the callback is told the token once, after the last view is gone", async () => {
    const told: number[] = [];
    native.onReleased(() => told.push(...native.takeReleased()));
    let view: Uint8Array | undefined = new Uint8Array(native.mapPrivate(fd, 0, PAGE, 42) as ArrayBuffer, 8, 8);
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    assert.deepEqual(told, []);
    assert.equal(view[0], 0);
    view = undefined;
    await collectUntil(() => told.length > 0);
    await allGone();
    assert.deepEqual(told, [42]);
  });

  test("tokens can be taken in the middle of synchronous code, and are not told again", async () => {
    const told: number[] = [];
    native.onReleased(() => told.push(...native.takeReleased()));
    (() => {
      for (const token of [7, 8]) new Uint8Array(native.mapPrivate(fd, 0, PAGE, token) as ArrayBuffer)[0] = token;
    })();
    await new Promise((resolve) => setImmediate(resolve));
    const taken: number[] = [];
    for (let attempt = 0; attempt < 100 && taken.length < 2; attempt++) {
      collectGarbage();
      taken.push(...native.takeReleased());
    }
    assert.deepEqual(taken.sort(), [7, 8]);
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual([told, native.takeReleased()], [[], []]);
    await allGone();
  });

  test("a worker thread that is terminated leaves no mapping", async () => {
    const thread = new Worker(MAPS_IN_THREAD, { workerData: { fd, count: 100, sizeBytes: PAGE } });
    await new Promise<void>((resolve, reject) => thread.once("message", () => resolve()).once("error", reject));
    assert.equal(native.liveMaps(), 100);
    await thread.terminate();
    assert.equal(native.liveMaps(), 0);
  });

  test("60,000 maps in one synchronous loop: the cap holds, values are copied, nothing crashes", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MANY_MAPS], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.equal(
      stdout.trim(),
      "held: mapped 16384 copied 43616, then 0\ndropped: 60000 of both, never more than the cap, then 0",
    );
  });

  test("shared words: two mappings of one file add and exchange atomically", () => {
    const words = Array.from({ length: 2 }, () => new Int32Array(native.mapShared(fd, 15 * PAGE, 64) as ArrayBuffer));
    const [one, other] = words as [Int32Array, Int32Array];
    one.fill(0);
    assert.equal(Atomics.add(one, 1, 5), 0);
    assert.equal(Atomics.compareExchange(other, 1, 5, 9), 5);
    assert.equal(Atomics.load(one, 1), 9);
    native.unmap(one.buffer as ArrayBuffer);
    assert.equal(one.length, 0);
    assert.equal(other[1], 9);
  });

  test("CRC-32C by instruction, by table and bit by bit agree, whole and in parts", () => {
    assert.equal(native.crc32c(Buffer.from("123456789"), 0), 0xe3069283);
    const bytes = Uint8Array.from({ length: 60_000 }, (_, i) => (i * i * 31 + (i >> 3)) & 0xff);
    for (const [from, to] of [0, 1, 7, 8, 255, 767, 768, 769, 24_575, 24_576, 24_583, 59_999].map((n) => [n % 5, n])) {
      const part = bytes.subarray(from, to);
      const whole = native.crc32c(part, 7);
      assert.equal(whole, native.crc32cTable(part, 7));
      if (part.length < 1_000) assert.equal(whole, slowCrc32c(part, 7));
      const half = part.length >> 1;
      assert.equal(native.crc32c(part.subarray(half), native.crc32c(part.subarray(0, half), 7)), whole);
    }
  });

  test("what the system refuses is thrown by its name, and nonsense is a TypeError", () => {
    const readOnly = openSync("/dev/null", "r");
    after(() => closeSync(readOnly));
    assert.throws(() => native.mapPrivate(fd, 1, PAGE, -1), { code: "EINVAL" });
    assert.throws(() => native.mapShared(readOnly, 0, PAGE), { code: "EACCES" });
    assert.throws(() => native.reserve(1_000_000, 0, PAGE), { code: "EBADF" });
    assert.throws(() => native.waitReadable(1_000_000, 0), { code: "EBADF" });
    const nonsense: unknown[] = [undefined, null, "x", {}, -1, 0.5, Number.NaN, 2 ** 60, Symbol("s")];
    for (const bad of nonsense) {
      const call = (name: keyof Native, ...args: unknown[]) => Reflect.apply(native[name] as never, native, args);
      assert.throws(() => call("mapShared", bad, 0, PAGE), TypeError);
      assert.throws(() => call("mapPrivate", fd, bad, PAGE, -1), TypeError);
      assert.throws(() => call("mapPrivate", fd, 0, bad, -1), TypeError);
      assert.throws(() => call("reserve", fd, 0, bad), TypeError);
      assert.throws(() => call("crc32c", bad, 0), TypeError);
      assert.throws(() => call("populate", bad), TypeError);
      assert.throws(() => call("unmap", bad), TypeError);
      assert.throws(() => call("onReleased", bad), TypeError);
    }
    assert.throws(() => Reflect.apply(native.crc32c, native, []), TypeError);
    assert.equal(native.liveMaps(), 0);
  });

  test("waiting for a descriptor ends with its bytes, its end, or the time", () => {
    const zero = openSync("/dev/zero", "r");
    assert.equal(native.waitReadable(zero, 10_000), true);
    closeSync(zero);
    const answers = (input: string) => spawnSync(process.execPath, [WAIT], { input, encoding: "utf8" }).stdout;
    assert.equal(answers("x"), "true true false"); // a byte; the end of the pipe; a socket where nothing comes
  });
}

function viewOf(buffer: ArrayBuffer, i: number): Uint8Array | DataView {
  const offset = Math.floor(i / 250) * PAGE + (i % 250);
  if (i % 3 === 0) return Buffer.from(buffer, offset, 10);
  return i % 3 === 1 ? new DataView(buffer, offset) : new Uint8Array(buffer).subarray(offset);
}

function tryTransfer(transfer: () => ArrayBuffer | undefined): ArrayBuffer | undefined {
  try {
    return transfer();
  } catch (error) {
    assert.ok(error instanceof TypeError); // a runtime that does not let go of it
    return undefined;
  }
}

function slowCrc32c(bytes: Uint8Array, before: number): number {
  let crc = ~before;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}
