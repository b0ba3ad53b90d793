// The default size of a store heeds memory and shared memory, and no node starts with a store that can hold nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORE_PAGE_BYTES } from "../base/limits.js";
import { defaultStoreBytes } from "./store-size.js";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const room = { memoryBytes: 10 * GIB, sharedBytes: 10 * GIB, diskBytes: 100 * GIB };

test("30 % of memory, at most 80 % of the shared-memory file system", () => {
  assert.equal(defaultStoreBytes(room), 3 * GIB);
  assert.equal(defaultStoreBytes({ ...room, sharedBytes: GIB }), Math.floor(0.8 * GIB));
});

test("where shared memory has next to nothing the store goes to disk, and is as large as memory allows", () => {
  for (const sharedBytes of [-1, 0, 4096, 64 * MIB]) {
    assert.equal(defaultStoreBytes({ ...room, sharedBytes }), 3 * GIB);
    assert.equal(defaultStoreBytes({ ...room, sharedBytes, diskBytes: GIB }), Math.floor(0.8 * GIB));
  }
  assert.equal(defaultStoreBytes({ ...room, sharedBytes: 0, diskBytes: 0 }), STORE_PAGE_BYTES);
});

test("a machine with little memory needs little shared memory", () => {
  assert.equal(defaultStoreBytes({ memoryBytes: 100 * MIB, sharedBytes: 64 * MIB, diskBytes: GIB }), 30 * MIB);
});
