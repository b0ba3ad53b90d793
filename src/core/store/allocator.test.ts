// Blocks never overlap, free bytes add up, and everything that was freed can be allocated again in one piece.
// Method: random sequences of allocations and frees against a model that remembers every page's owner.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { STORE_PAGE_BYTES } from "../../base/limits.js";
import { Allocator } from "./allocator.js";

const PAGES = 32;

/** Allocate so many bytes, or free the block made so many allocations ago. */
const steps = fc.array(
  fc.oneof(
    fc.record({ allocate: fc.integer({ min: 0, max: 6 * STORE_PAGE_BYTES }) }),
    fc.record({ free: fc.nat(PAGES) }),
  ),
  { maxLength: 100, size: "max" },
);

function pagesOf(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / STORE_PAGE_BYTES));
}

function longestRun(owners: readonly (number | undefined)[]): number {
  const runs = owners
    .map((owner) => (owner === undefined ? "f" : "u"))
    .join("")
    .split(/u+/);
  return Math.max(...runs.map((run) => run.length));
}

test("blocks are page-aligned and apart; an allocation fails only when no gap is long enough", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const allocator = new Allocator(PAGES * STORE_PAGE_BYTES);
      const owners = new Array<number | undefined>(PAGES).fill(undefined);
      const blocks: { offset: number; sizeBytes: number }[] = [];
      const fill = (offset: number, sizeBytes: number, owner: number | undefined) => {
        const first = offset / STORE_PAGE_BYTES;
        for (let page = first; page < first + pagesOf(sizeBytes); page++) {
          assert.equal(owners[page] === undefined, owner !== undefined, "a page has one owner");
          owners[page] = owner;
        }
      };

      for (const [number, step] of todo.entries()) {
        if ("allocate" in step) {
          const offset = allocator.allocate(step.allocate);
          assert.equal(offset === undefined, longestRun(owners) < pagesOf(step.allocate));
          if (offset === undefined) continue;
          assert.equal(offset % STORE_PAGE_BYTES, 0);
          fill(offset, step.allocate, number);
          blocks.push({ offset, sizeBytes: step.allocate });
        } else {
          const [block] = blocks.splice(step.free % Math.max(1, blocks.length), 1);
          if (block === undefined) continue;
          allocator.free(block.offset, block.sizeBytes);
          fill(block.offset, block.sizeBytes, undefined);
        }
        allocator.check();
        assert.equal(allocator.freeBytes, owners.filter((owner) => owner === undefined).length * STORE_PAGE_BYTES);
      }
      for (const { offset, sizeBytes } of blocks) allocator.free(offset, sizeBytes);
      assert.equal(allocator.allocate(PAGES * STORE_PAGE_BYTES), 0);
    }),
    { numRuns: 300 },
  );
});

test("the block freed last is used first: its pages are warm", () => {
  const allocator = new Allocator(PAGES * STORE_PAGE_BYTES);
  const [a = 0, , c = 0] = [1, 1, 1, 1].map(() => allocator.allocate(1));
  allocator.free(c, 1);
  allocator.free(a, 1);
  assert.equal(allocator.allocate(1), a);
  assert.equal(allocator.allocate(1), c);
});

test("a block is freed once", () => {
  const allocator = new Allocator(PAGES * STORE_PAGE_BYTES);
  const offset = allocator.allocate(1) ?? 0;
  allocator.allocate(1);
  allocator.free(offset, 1);
  assert.throws(() => allocator.free(offset, 1), /freed once/);
});

test("a capacity that is no multiple of the page is rounded down", () => {
  assert.equal(new Allocator(STORE_PAGE_BYTES * 3 - 1).capacityBytes, STORE_PAGE_BYTES * 2);
  assert.equal(new Allocator(STORE_PAGE_BYTES * 3).capacityBytes, STORE_PAGE_BYTES * 3);
});
