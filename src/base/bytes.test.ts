// What a writer wrote a reader reads back, in any order of fields; a reader never reads past the end, whatever bytes say.
// Method: random fields written and read; every truncation of them; text against the platform's own UTF-8.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader, ByteWriter, cutText, MalformedBytes, readUtf8, utf8Bytes, writeUtf8 } from "./bytes.js";

const LIMIT = 10_000;

const fields = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("u8" as const), value: fc.integer({ min: 0, max: 0xff }) }),
    fc.record({ type: fc.constant("u16" as const), value: fc.integer({ min: 0, max: 0xffff }) }),
    fc.record({ type: fc.constant("u32" as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
    fc.record({ type: fc.constant("i32" as const), value: fc.integer({ min: -0x80000000, max: 0x7fffffff }) }),
    fc.record({ type: fc.constant("f64" as const), value: fc.double() }),
    fc.record({ type: fc.constant("blob" as const), value: fc.uint8Array({ maxLength: 300 }) }),
    fc.record({ type: fc.constant("text" as const), value: fc.string({ unit: "binary", maxLength: 100 }) }),
  ),
  { maxLength: 30, size: "max" },
);
type Fields = typeof fields extends fc.Arbitrary<infer T> ? T : never;

function write(all: Fields): Uint8Array {
  const writer = new ByteWriter(1);
  for (const field of all) {
    if (field.type === "blob") writer.blob(field.value);
    else if (field.type === "text") writer.text(field.value);
    else writer[field.type](field.value);
  }
  return writer.copy();
}

function read(reader: ByteReader, all: Fields): unknown[] {
  return all.map(({ type }) => {
    if (type === "blob") return reader.blob(LIMIT);
    return type === "text" ? reader.text(LIMIT) : reader[type]();
  });
}

test("fields come back as they were written, wherever in a buffer they lie", () => {
  fc.assert(
    fc.property(fields, fc.nat(20), fc.nat(20), (all, shift, offset) => {
      const bytes = write(all);
      const memory = new Uint8Array(shift + offset + bytes.length + 7).fill(0xff);
      memory.set(bytes, shift + offset);
      const reader = new ByteReader(memory.subarray(shift), offset, offset + bytes.length);
      assert.equal(reader.remaining, bytes.length);
      assert.deepEqual(
        read(reader, all),
        all.map(({ value }) => value),
      );
      reader.finish();
    }),
  );
});

test("fields that are cut short are refused, at every length, and so is a byte too many", () => {
  fc.assert(
    fc.property(fields, (all) => {
      const bytes = write(all);
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => read(new ByteReader(bytes, 0, length), all), MalformedBytes);
      }
      const reader = new ByteReader(new Uint8Array([...bytes, 0]));
      read(reader, all);
      assert.throws(() => reader.finish(), MalformedBytes);
    }),
    { numRuns: 30 },
  );
});

test("a length above the limit is refused before anything is read", () => {
  const writer = new ByteWriter();
  writer.blob(new Uint8Array(11));
  assert.throws(() => new ByteReader(writer.written()).blob(10), /11 bytes where 10 are allowed/);
  assert.throws(() => new ByteReader(writer.written()).text(10), /11 bytes where 10 are allowed/);
  assert.equal(new ByteReader(writer.written()).blob(11).length, 11);
});

test("a writer's memory is used again; what was written is a view, a copy is not", () => {
  const writer = new ByteWriter();
  writer.u8(1);
  const [view, copy] = [writer.written(), writer.copy()];
  writer.reset();
  writer.u8(2);
  assert.deepEqual([view[0], copy[0]], [2, 1]);
});

test("a reader stays inside its bytes", () => {
  assert.throws(() => new ByteReader(new Uint8Array(4), 2, 5), /inside its bytes/);
  assert.throws(() => new ByteReader(new Uint8Array(4), 3, 2), /inside its bytes/);
});

// ── UTF-8 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function utf8(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 3);
  return bytes.subarray(0, writeUtf8(bytes, 0, text));
}

test("text is written as the platform writes it, lone surrogates as U+FFFD", () => {
  const encoder = new TextEncoder();
  for (const text of [
    "",
    "\0",
    "\x7f\x80",
    "\u07ff\u0800",
    "\uffff",
    "\u{10000}",
    "\u{10ffff}",
    "\ud800",
    "\udc00\ud800",
    "\ud83dx",
    "a\ud83d",
  ]) {
    assert.deepEqual(utf8(text), encoder.encode(text), JSON.stringify(text));
  }
  const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 50, size: "max" });
  fc.assert(
    fc.property(units, (codes) => {
      const text = String.fromCharCode(...codes);
      assert.deepEqual(utf8(text), encoder.encode(text));
    }),
  );
});

test("exactly what the platform takes for UTF-8 is read, everything else refused", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const platform = (bytes: Uint8Array) => {
    try {
      return decoder.decode(bytes);
    } catch {
      return undefined;
    }
  };
  const ours = (bytes: Uint8Array) => {
    try {
      return readUtf8(bytes, 0, bytes.length);
    } catch (error) {
      assert.ok(error instanceof MalformedBytes);
      return undefined;
    }
  };
  // Leading and continuation bytes are what matters: choose them more often than chance would.
  const byte = fc.oneof(
    fc.integer({ min: 0, max: 0xff }),
    fc.constantFrom(0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5),
  );
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 6 }), (all) => {
      const bytes = Uint8Array.from(all);
      assert.equal(ours(bytes), platform(bytes));
    }),
    { numRuns: 3_000 },
  );
});

test("overlong forms, surrogates and what lies beyond Unicode are refused", () => {
  const refused = [
    [0xc0, 0x80],
    [0xc1, 0xbf],
    [0xe0, 0x9f, 0xbf],
    [0xed, 0xa0, 0x80],
    [0xed, 0xbf, 0xbf],
    [0xf0, 0x8f, 0xbf, 0xbf],
    [0xf4, 0x90, 0x80, 0x80],
    [0xff],
    [0x80],
    [0xe2, 0x82],
  ];
  for (const bytes of refused) {
    assert.throws(() => readUtf8(Uint8Array.from(bytes), 0, bytes.length), MalformedBytes, bytes.join());
  }
});

test("a text is cut at whole characters, and only when it is too long", () => {
  assert.equal(cutText("short", 5), "short");
  assert.equal(cutText("äöü", 6), "äöü");
  assert.equal(cutText("äöü", 5), "ä…");
  assert.equal(cutText("shorter", 6), "sho…");
  assert.equal(cutText("🙂🙂", 8), "🙂🙂");
  assert.equal(cutText("🙂🙂", 7), "🙂…");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 3, max: 40 }), (text, maxBytes) => {
      const writer = new ByteWriter();
      writer.text(cutText(text, maxBytes));
      assert.ok(writer.length - 4 <= maxBytes);
      writer.reset();
      writer.text(text);
      assert.equal(utf8Bytes(text), writer.length - 4);
    }),
  );
});
