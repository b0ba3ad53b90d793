// A deque gives back what was put in, in the order that its two ends say.
// Method: random calls against a plain array.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Deque } from "./deque.js";

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ unshift: fc.nat(9) }) },
    { weight: 3, arbitrary: fc.constant("shift" as const) },
    { weight: 1, arbitrary: fc.record({ remove: fc.nat(9) }) },
  ),
  { maxLength: 200, size: "max" },
);

test("a deque is an array, whatever is done to it", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const deque = new Deque<number>();
      const array: number[] = [];
      for (const step of todo) {
        if (step === "shift") {
          assert.equal(deque.shift(), array.shift());
        } else if ("push" in step) {
          deque.push(step.push);
          array.push(step.push);
        } else if ("unshift" in step) {
          deque.unshift(step.unshift);
          array.unshift(step.unshift);
        } else {
          const at = array.indexOf(step.remove);
          assert.equal(deque.remove(step.remove), at >= 0);
          if (at >= 0) array.splice(at, 1);
        }
        assert.equal(deque.length, array.length);
        assert.equal(deque.peek(), array[0]);
        assert.deepEqual([...deque], array);
        for (const at of [-1, 0, 1, array.length - 1, array.length]) assert.equal(deque.at(at), array[at]);
      }
    }),
    { numRuns: 100 },
  );
});
