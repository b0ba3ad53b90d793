// Large captured data: binary data of 1 MiB or more travels as an object of its own; above 10 MB in all the user is
// warned, above 100 MB refused, both with the name of the variable.
// Method: capture with hooks that keep such objects in a map, and revive from there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ObjectTooLargeError, SerializationError } from "../../src/errors.js";
import { type CaptureHooks, capture, type External, Reviver } from "../../src/functions/index.js";

const MIB = 1024 * 1024;
const inline: CaptureHooks = { describe: () => undefined, warn: () => undefined };

/** A store of implicit objects. */
class Objects {
  readonly #bytes: Uint8Array[] = [];
  readonly warnings: string[] = [];
  readonly hooks: CaptureHooks = {
    describe: () => undefined,
    externalize: (bytes) => ({ kind: "ref", data: this.#bytes.push(bytes.slice()) - 1 }),
    warn: (message) => this.warnings.push(message),
  };

  get sizes(): readonly number[] {
    return this.#bytes.map((bytes) => bytes.byteLength);
  }

  reviver(): Reviver {
    const fetch = async ({ data }: External) => this.#bytes[Number(data)] ?? assert.fail(String(data));
    return new Reviver({ revive: () => undefined, fetch });
  }

  async ship<T extends CallableFunction>(fn: T): Promise<T> {
    const { hash, payload } = capture(fn, this.hooks);
    assert.ok(payload.byteLength < 10_000, `a payload of ${payload.byteLength} bytes`);
    return (await this.reviver().revive(hash, payload)) as T;
  }
}

function refusal(fn: CallableFunction, hooks: CaptureHooks = inline): ObjectTooLargeError {
  try {
    capture(fn, hooks);
  } catch (error) {
    assert.ok(error instanceof ObjectTooLargeError, String(error));
    assert.match(error.message, /^cannot ship reads to a worker: /);
    assert.match(error.message, /a function may capture at most 100 MB \(hint: put\(\) the data once and pass the ref/);
    return error;
  }
  return assert.fail("nothing was refused");
}

test("large binary data becomes objects, and comes back as it was", async () => {
  const objects = new Objects();
  const table = new Float64Array(MIB).map((_, i) => i / 2);
  const bytes = Buffer.alloc(2 * MIB, 7);
  const small = new Uint8Array(MIB - 1).fill(1);
  const shared = new Int32Array(new SharedArrayBuffer(MIB)).fill(5);
  const reads = () => [table, bytes, small.length, shared] as const;
  const hooks = { ...objects.hooks };
  const { payload, externals } = capture(reads, hooks);
  assert.deepEqual(objects.sizes, [8 * MIB, 2 * MIB, MIB]);
  assert.equal(externals.length, 3);
  assert.ok(payload.byteLength < MIB + 10_000);
  const [a, b, c, d] = ((await objects.reviver().revive("0".repeat(32), payload)) as typeof reads)();
  assert.deepEqual(a, table);
  assert.ok(Buffer.isBuffer(b) && b.equals(bytes));
  assert.equal(c, small.length);
  assert.ok(d.buffer instanceof SharedArrayBuffer && d[1] === 5);
});

test("views of one large buffer keep sharing it; a part of one is an object of its own", async () => {
  const objects = new Objects();
  const buffer = new ArrayBuffer(2 * MIB);
  const [whole, again, part] = [new Uint8Array(buffer), new Uint16Array(buffer), new Uint8Array(buffer, 8, MIB)];
  const fn = await objects.ship(() => {
    whole[0] = 3;
    return [again[0], part.length, part.buffer.byteLength];
  });
  assert.deepEqual(fn(), [3, MIB, MIB]);
  assert.deepEqual([...objects.sizes].sort(), [MIB, 2 * MIB]);
});

test("a function with captured objects cannot be revived where there are none", async () => {
  const table = new Uint8Array(MIB);
  const { hash, payload } = capture(() => table.length, new Objects().hooks);
  await assert.rejects(new Reviver({ revive: () => undefined }).revive(hash, payload), SerializationError);
});

test("65 data that is too large names the variable", () => {
  const table = new Uint8Array(200 * MIB);
  const reads = () => table.length;
  assert.match(refusal(reads).message, /reads → variable "table" holds 200 MB, a function may/);
  const objects = new Objects();
  assert.match(refusal(reads, objects.hooks).message, /reads → variable "table" holds 200 MB/);
  assert.deepEqual(objects.sizes, [], "nothing is stored of what is refused");
});

test("65 so does much data in many pieces, and of other kinds", () => {
  const piece = new Uint8Array(10 * MIB);
  const list = Array.from({ length: 10 }, () => piece.slice());
  const reads: Record<string, CallableFunction> = {};
  reads["pieces"] = function reads() {
    return [piece, list];
  };
  const objects = new Objects();
  assert.match(refusal(reads["pieces"], objects.hooks).message, /variable "list" holds \d+ MB of 10\d MB in all/);
  assert.deepEqual(objects.sizes, [], "nothing is stored of what is refused");
  const texts = ["x".repeat(60 * MIB), "y".repeat(60 * MIB)];
  reads["texts"] = function reads() {
    return texts;
  };
  assert.match(refusal(reads["texts"]).message, /variable "texts" holds 120 MB/);
  const numbers = new Array<number>(20 * MIB).fill(0);
  reads["numbers"] = function reads() {
    return numbers.length;
  };
  assert.match(refusal(reads["numbers"]).message, /variable "numbers" holds 160 MB/);
});

test("large data warns, naming the variable", async () => {
  const objects = new Objects();
  const table = new Uint8Array(11 * MIB);
  const text = "a".repeat(1_000);
  await objects.ship(() => [table.length, text.length]);
  assert.equal(objects.warnings.length, 1);
  assert.match(
    objects.warnings[0] ?? "",
    /^anonymous → variable "table" holds 11 MB that travel with the function; put\(\)/,
  );
  const less = new Uint8Array(9 * MIB);
  await objects.ship(() => less.length);
  assert.equal(objects.warnings.length, 1);
});
