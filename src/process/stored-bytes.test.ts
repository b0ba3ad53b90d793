// A block is let go once, also when it cannot be read or mapped.
// Method: a real arena that is cut, or closed, under its readers.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Arena } from "../io/arena.js";
import { StoredBytes } from "./stored-bytes.js";
import { readStored, StoredFailure, storedPieces } from "./stored-value.js";

const directory = mkdtempSync(join(tmpdir(), "mobula-test-"));
after(() => rmSync(directory, { recursive: true }));

const ARENA_BYTES = 1024 * 1024;
let arenas = 0;

/** An arena with a value at its beginning. */
function arenaWithValue(): Arena {
  const arena = Arena.create(join(directory, `arena${arenas++}`), ARENA_BYTES);
  arena.write(0, storedPieces("a value", false));
  return arena;
}

test("a block that cannot be mapped any more is let go with its last reader", () => {
  const arena = arenaWithValue();
  let released = 0;
  const value = readStored(arena, 0, ARENA_BYTES, () => released++);
  assert.ok(value instanceof StoredBytes);
  arena.close();
  assert.throws(() => value.map(0, 64 * 1024), /the arena is open/);
  assert.equal(released, 0);
  value.release();
  assert.equal(released, 1);
});

test("a block that somebody has cut off is let go at once, and its object is lost", () => {
  const arena = arenaWithValue();
  truncateSync(arena.path, 0);
  let released = 0;
  const value = readStored(arena, 0, ARENA_BYTES, () => released++);
  assert.ok(value instanceof StoredFailure);
  assert.equal(value.failure.code, "OBJECT_LOST");
  assert.equal(released, 1);
  arena.close();
});
