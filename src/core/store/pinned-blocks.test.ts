// A block is read again while it is pinned, and each pin of the raylet's is given back once, with its last use.
// Method: a model that counts uses for each pin, under random steps.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { object } from "../../../test/support/names.js";
import { type BlockUse, PinnedBlocks } from "./pinned-blocks.js";

const A = object("a");

test("an object is read again as long as something uses its block, and not afterwards", () => {
  const released: number[] = [];
  const blocks = new PinnedBlocks((_, offset) => released.push(offset));
  assert.equal(blocks.again(A), undefined);
  const first = blocks.begin(A, 4_096, 100);
  const second = blocks.again(A);
  first.end();
  assert.deepEqual([second?.offset, second?.sizeBytes, released], [4_096, 100, []]);
  second?.end();
  assert.deepEqual(released, [4_096]);
  assert.equal(blocks.again(A), undefined);
});

test("a use ends once", () => {
  const use = new PinnedBlocks(() => {}).begin(A, 0, 1);
  use.end();
  assert.throws(() => use.end(), /a use of a block ends once/);
});

test("every pin is released once, after its last use, however often and wherever the object is pinned again", () => {
  const step = fc.record({
    what: fc.constantFrom("begin", "again", "again", "end", "end"),
    name: fc.nat(2),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const released: string[] = [];
      const blocks = new PinnedBlocks((id, offset) => released.push(`${id} ${offset}`));
      const uses: { readonly use: BlockUse; readonly pin: string }[] = [];
      const last = new Map<string, string>();
      steps.forEach(({ what, name, which }, at) => {
        const id = object(`o${name}`);
        if (what === "begin") {
          const pin = `${id} ${at}`;
          last.set(id, pin);
          uses.push({ use: blocks.begin(id, at, 1), pin });
        } else if (what === "again") {
          const use = blocks.again(id);
          const pin = last.get(id);
          assert.equal(
            use !== undefined,
            uses.some((each) => each.pin === pin),
          );
          if (use !== undefined) uses.push({ use, pin: pin ?? "" });
        } else {
          const [ended] = uses.splice(which % Math.max(1, uses.length), 1);
          if (ended === undefined) return;
          const before = released.length;
          ended.use.end();
          const isLast = !uses.some(({ pin }) => pin === ended.pin);
          assert.deepEqual(released.slice(before), isLast ? [ended.pin] : []);
        }
      });
    }),
  );
});
