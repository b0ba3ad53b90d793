// Extents grow with their writer's use while there is plenty, and never beyond what is needed when there is not.
// Method: lease, and read sizes; take and return ranges across the borders of extents.
import assert from "node:assert/strict";
import { test } from "node:test";
import { kib, processId } from "../../../test/support/names.js";
import { FIRST_EXTENT_BYTES, MAX_EXTENT_BYTES } from "../../base/limits.js";
import { Allocator } from "./allocator.js";
import { ExtentLedger } from "./extent-ledger.js";

const w = processId("w");
const v = processId("v");
const MIB = kib(1024);

function leasedBytes(ledger: ExtentLedger, minBytes: number): number | undefined {
  const sizeBytes = ledger.lease(w, minBytes)?.sizeBytes;
  ledger.check();
  return sizeBytes;
}

test("extents double up to their limit; one large object gets exactly its size", () => {
  const ledger = new ExtentLedger(new Allocator(2048 * MIB));
  assert.equal(leasedBytes(ledger, 1), FIRST_EXTENT_BYTES);
  assert.equal(leasedBytes(ledger, 1), 2 * FIRST_EXTENT_BYTES);
  assert.equal(leasedBytes(ledger, 100 * MIB), 100 * MIB);
  assert.equal(leasedBytes(ledger, 1), 4 * FIRST_EXTENT_BYTES);
  assert.equal(leasedBytes(ledger, 1), 8 * FIRST_EXTENT_BYTES);
  assert.equal(leasedBytes(ledger, 1), MAX_EXTENT_BYTES);
  assert.equal(leasedBytes(ledger, 1), MAX_EXTENT_BYTES);
});

test("a writer that gave everything back begins small again", () => {
  const ledger = new ExtentLedger(new Allocator(2048 * MIB));
  ledger.lease(w, 1);
  const second = ledger.lease(w, 1);
  assert.ok(second !== undefined);
  assert.equal(ledger.giveBack(w, 0, second.offset + second.sizeBytes), true);
  assert.deepEqual([...ledger.holdings()], []);
  assert.equal(leasedBytes(ledger, 1), FIRST_EXTENT_BYTES);
});

test("a small store gives small extents, and when it is half full what is needed and no more", () => {
  const ledger = new ExtentLedger(new Allocator(16 * MIB));
  assert.equal(leasedBytes(ledger, 1), MIB); // a sixteenth
  assert.equal(leasedBytes(ledger, 7 * MIB), 7 * MIB);
  assert.equal(leasedBytes(ledger, 5_000), kib(8));
  assert.equal(leasedBytes(ledger, 8 * MIB), undefined);
});

test("a range is taken or returned across extents by who holds it, once, and whole", () => {
  const space = new Allocator(kib(64));
  const ledger = new ExtentLedger(space);
  for (const who of [w, w, v]) ledger.lease(who, kib(4)); // w: 0 to 8 KiB
  assert.equal(ledger.take(w, kib(4), kib(8)), false); // v's
  assert.equal(ledger.take(v, 0, kib(4)), false);
  assert.equal(ledger.take(w, 100, kib(4)), false); // within a page
  assert.equal(ledger.take(processId("stranger"), 0, kib(4)), false);
  assert.equal(ledger.take(w, 0, kib(8)), true);
  assert.equal(ledger.take(w, 0, kib(8)), false);
  assert.equal(ledger.giveBack(w, 0, kib(4)), false);
  ledger.processDied(w);
  assert.equal(space.freeBytes, kib(52)); // what was sealed is not the dead writer's
  ledger.processDied(v);
  assert.equal(space.freeBytes, kib(56));
});
