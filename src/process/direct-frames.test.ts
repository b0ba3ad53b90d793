// Leases are told apart by small numbers on a connection: none is given twice at a time, and one given back rests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_LEASE, nextLeaseNumber } from "./direct-frames.js";

test("numbers go round, past those that leases still have", () => {
  const taken = new Map([[1, "an old lease"]]);
  const given: number[] = [];
  for (let last = NO_LEASE - 3; given.length < 4; ) {
    last = nextLeaseNumber(taken, last);
    given.push(last);
  }
  assert.deepEqual(given, [NO_LEASE - 2, NO_LEASE - 1, 0, 2]);
  assert.equal(nextLeaseNumber(new Map(), -1), 0, "the first");
});

test("more leases than numbers are a mistake of ours", () => {
  const taken = new Map(Array.from({ length: NO_LEASE }, (_, number) => [number, "a lease"] as const));
  assert.throws(() => nextLeaseNumber(taken, 5), /fewer leases/);
});
