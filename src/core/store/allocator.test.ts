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

test("a large block is cut from the space that nobody has touched; small ones still come from what was freed last", () => {
  const allocator = new Allocator(PAGES * STORE_PAGE_BYTES);
  const [a = 0, , c = 0] = [1, 1, 1, 1].map(() => allocator.allocate(1));
  allocator.free(c, 1);
  allocator.free(a, 1);
  assert.equal(allocator.allocate(3 * STORE_PAGE_BYTES), 4 * STORE_PAGE_BYTES);
  assert.equal(allocator.allocate(1), a);
  assert.equal(allocator.allocate(1), c);
});

interface Run {
  readonly offset: number;
  readonly length: number;
}

/** Free runs of pages, that freed last first; whoever cuts one leaves the rest where it stands. */
function cutFrom(runs: readonly Run[], pages: number): { readonly at?: number; readonly left: readonly Run[] } {
  const found = runs.find(({ length }) => length >= pages);
  if (found === undefined) return { left: runs };
  const rest = { offset: found.offset + pages, length: found.length - pages };
  return { at: found.offset, left: runs.flatMap((run) => (run !== found ? [run] : rest.length > 0 ? [rest] : [])) };
}

function joined(runs: readonly Run[], { offset, length }: Run): readonly Run[] {
  const touches = (run: Run) => run.offset + run.length === offset || run.offset === offset + length;
  const parts = [...runs.filter(touches), { offset, length }];
  const start = Math.min(...parts.map((part) => part.offset));
  const end = Math.max(...parts.map((part) => part.offset + part.length));
  return [{ offset: start, length: end - start }, ...runs.filter((run) => !touches(run))];
}

test("of the free ranges that are long enough the one with what was freed last is used, however they were joined and cut", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const allocator = new Allocator(PAGES * STORE_PAGE_BYTES);
      const blocks: Run[] = [];
      let runs: readonly Run[] = [{ offset: 0, length: PAGES }];
      for (const step of todo) {
        if ("allocate" in step) {
          const pages = pagesOf(step.allocate);
          const { at, left } = cutFrom(runs, pages);
          assert.equal(allocator.allocate(step.allocate), at === undefined ? undefined : at * STORE_PAGE_BYTES);
          runs = left;
          if (at !== undefined) blocks.push({ offset: at, length: pages });
        } else {
          const [block] = blocks.splice(step.free % Math.max(1, blocks.length), 1);
          if (block === undefined) continue;
          allocator.free(block.offset * STORE_PAGE_BYTES, block.length * STORE_PAGE_BYTES);
          runs = joined(runs, block);
        }
        const inPages = [...allocator.ranges()].map(({ offset, length }) => ({
          offset: offset / STORE_PAGE_BYTES,
          length: length / STORE_PAGE_BYTES,
        }));
        assert.deepEqual(inPages.reverse(), runs);
      }
    }),
    { numRuns: 300 },
  );
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
