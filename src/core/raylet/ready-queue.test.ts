// Within a shape the deepest request comes first, then the oldest; what was removed is never seen again.
// Method: random additions and removals against a model that sorts a plain list.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { leaseRequest } from "../../../test/support/messages.js";
import { job } from "../../../test/support/names.js";
import type { LeaseRequest } from "../../protocol/messages.js";
import { amountsOf } from "../resources.js";
import { ReadyQueue } from "./ready-queue.js";

const requests = fc.record({ cpus: fc.integer({ min: 1, max: 2 }), depth: fc.integer({ min: 0, max: 3 }) });
const steps = fc.array(fc.oneof(requests, fc.record({ remove: fc.nat(20) })), { maxLength: 60, size: "max" });

/** By shape, in order of the arrival of the shape's first request: what `peek` must say until all are removed. */
function expectedOrder(present: readonly LeaseRequest[]): string[] {
  return [...present].sort((a, b) => b.depth - a.depth).map(({ leaseId }) => leaseId); // the sort is stable
}

function drain(queue: ReadyQueue, cpus: number): string[] {
  const shape = queue.shapes().find((found) => found.peek()?.demand.get("CPU") === cpus * 10_000);
  const seen: string[] = [];
  for (let next = shape?.peek(); next !== undefined; next = shape?.peek()) {
    seen.push(next.leaseId);
    queue.remove(next);
  }
  return seen;
}

test("each shape is a queue by depth and arrival, whatever was removed meanwhile", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const queue = new ReadyQueue();
      const present: LeaseRequest[] = [];
      for (const [number, step] of todo.entries()) {
        if ("remove" in step) {
          const [gone] = present.splice(step.remove % Math.max(1, present.length), 1);
          if (gone === undefined) continue;
          queue.remove(gone);
          queue.remove(gone);
          assert.equal(queue.has(gone), false);
        } else {
          const request = leaseRequest(`L${number}`, { demand: amountsOf({ CPU: step.cpus }), depth: step.depth });
          queue.add(request);
          present.push(request);
          assert.equal(queue.has(request), true);
          assert.equal(queue.hasShapeOf(request), true);
        }
      }
      const sizes = queue.shapes().reduce((sum, shape) => sum + shape.size, 0);
      assert.equal(sizes, present.length);
      for (const cpus of [1, 2]) {
        const ofShape = present.filter(({ demand }) => demand.get("CPU") === cpus * 10_000);
        assert.deepEqual(drain(queue, cpus), expectedOrder(ofShape));
      }
      assert.deepEqual(queue.shapes(), []);
    }),
    { numRuns: 200 },
  );
});

test("jobs, demands and exclusiveness are shapes of their own; the order of resource names is not", () => {
  const queue = new ReadyQueue();
  queue.add(leaseRequest("a", { demand: amountsOf({ CPU: 1, GPU: 1 }) }));
  queue.add(leaseRequest("b", { demand: amountsOf({ GPU: 1, CPU: 1 }) }));
  assert.equal(queue.shapes().length, 1);
  queue.add(leaseRequest("c", { demand: amountsOf({ CPU: 1 }) }));
  queue.add(leaseRequest("d", { exclusive: true }));
  queue.add(leaseRequest("e", { jobId: job("j2") }));
  assert.equal(queue.shapes().length, 4);
});
