// A value is written where its raylet said. Where the file system has no room for it all the same, the error says who holds
// what, as far as this process knows, and the block is free again.
// Method: a store whose raylet the test plays, with an arena on a device that is always full.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { kib, object } from "../../test/support/names.js";
import type { ContextId } from "../base/ids.js";
import { FALLBACK_OFFSET } from "../base/limits.js";
import { ObjectEntry } from "../core/owner/records.js";
import { ObjectStoreFullError, OutOfDiskError } from "../errors.js";
import { Arena } from "../io/arena.js";
import type { Message } from "../protocol/messages.js";
import { LocalStore } from "./local-store.js";

const STORE_BYTES = kib(64);
const NAMES_NOTHING = { contains: [], held: [] };
const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));

function open(path: string): Arena {
  const arena = Arena.open(path, STORE_BYTES, { native: undefined, fallbackPath: "/dev/full" });
  after(() => arena.close());
  return arena;
}

/** The raylet gives what is asked for, from `offset` on. */
class World {
  arena = open("/dev/full");
  offset = 0;
  readonly stored = [{ id: object("known to all"), sizeBytes: kib(32) }];
  readonly store = new LocalStore({
    arena: () => this.arena,
    keep: () => {},
    letGo: () => {},
    stored: () => this.stored,
    port: {
      send: () => {},
      ask: ({ request, minBytes }) => this.#give(request, minBytes),
      collect: () => false,
      announce: () => {},
      nowMs: () => 0,
    },
  });

  #give(request: number, sizeBytes: number): Message {
    const { offset } = this;
    this.offset += kib(32);
    return { type: "extentLeased", request, offset, sizeBytes };
  }

  put(sizeBytes: number): ObjectEntry {
    const entry = new ObjectEntry("put" as ContextId, 1, 1, undefined, object(`of ${sizeBytes}`));
    this.store.place([new Uint8Array(sizeBytes)], NAMES_NOTHING).block.owner = entry;
    entry.sizeBytes = sizeBytes;
    return entry;
  }
}

test("a file system without room for a block that was given: the error names the largest objects that this process holds", () => {
  const w = new World();
  const path = join(directory, "arena");
  Arena.create(path, STORE_BYTES, { native: undefined }).close();
  const full = w.arena;
  w.arena = open(path);
  w.put(kib(16));
  w.arena = full;
  assert.throws(() => w.put(kib(20)), {
    name: "ObjectStoreFullError",
    message:
      /\/dev\/full is full: of it the store takes \d+ bytes\. The largest that this process holds in the store: known to all of 32768 bytes; of 16384 of 16384 bytes\. Free space there, or drop refs/,
  });
  w.arena = open(path);
  assert.equal(w.offset, 2 * kib(32));
  w.put(kib(20));
  assert.equal(w.offset, 2 * kib(32), "its block was free again");
});

test("the same for a block on disk; a process that holds nothing says so", () => {
  const w = new World();
  w.stored.length = 0;
  assert.throws(
    () => w.put(kib(4)),
    (error) =>
      error instanceof ObjectStoreFullError && error.message.includes("This process holds nothing in the store"),
  );
  w.offset = FALLBACK_OFFSET;
  assert.throws(
    () => w.put(kib(8)),
    (error) => error instanceof OutOfDiskError && error.message.includes("This process holds nothing in the store"),
  );
});
