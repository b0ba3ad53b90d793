// What is taken always comes back exactly, and no more is admitted than there is, tasks that resume apart.
// Method: amounts by hand, then random sequences of takes and returns against the sum of what is held.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { amountsOf, cpuOf, fits, NOTHING, NodeResources, recordOf, shortage, sum, utilization } from "./resources.js";

test("amounts are exact to 1/10,000 and come back as they were written", () => {
  const third = amountsOf({ CPU: 0.3333, memory: 2 ** 40 });
  assert.deepEqual(recordOf(third), { CPU: 0.3333, memory: 2 ** 40 });
  assert.deepEqual(recordOf(sum(sum(third, third), third)), { CPU: 0.9999, memory: 3 * 2 ** 40 });
  assert.deepEqual(recordOf(amountsOf({ CPU: 0 })), {});
  assert.deepEqual(recordOf(sum(amountsOf({ CPU: 1 }), amountsOf({ GPU: 1 }))), { CPU: 1, GPU: 1 });
});

test("bytes are whole, and exact over as many large nodes as there may be", () => {
  const node = amountsOf({ memory: 1e13, objectStoreMemory: 4096.4 });
  assert.deepEqual(recordOf(node), { memory: 1e13, objectStoreMemory: 4096 });
  const hundred = Array.from({ length: 100 }, () => node).reduce(sum);
  assert.ok(Number.isSafeInteger(hundred.get("memory")), "a control message can carry it");
  assert.deepEqual(recordOf(hundred)["memory"], 1e15);
});

test("a demand fits when every resource of it does; what lacks is said in words", () => {
  const total = amountsOf({ CPU: 2, GPU: 1 });
  assert.equal(fits(amountsOf({ CPU: 2 }), total), true);
  assert.equal(fits(amountsOf({ CPU: 2, TPU: 1 }), total), false);
  assert.equal(fits(NOTHING, total), true);
  assert.equal(fits(new Map([["CPU", 0]]), new Map([["CPU", -10_000]])), true);
  assert.equal(shortage(amountsOf({ CPU: 4, GPU: 1, TPU: 1 }), total), "needs CPU 4, has 2, needs TPU 1, has 0");
  assert.equal(shortage(amountsOf({ CPU: 1 }), total), "");
});

test("a task that waits gives only its CPU back", () => {
  assert.deepEqual(recordOf(cpuOf(amountsOf({ CPU: 1, GPU: 1 }))), { CPU: 1 });
  assert.deepEqual(recordOf(cpuOf(amountsOf({ GPU: 1 }))), {});
});

test("a node is as full as its fullest resource", () => {
  const total = amountsOf({ CPU: 4, GPU: 2 });
  assert.equal(utilization(total, total), 0);
  assert.equal(utilization(total, amountsOf({ CPU: 3, GPU: 1 })), 0.5);
  assert.equal(utilization(total, NOTHING), 1);
});

const steps = fc.array(
  fc.record({
    what: fc.constantFrom("take", "giveBack", "block", "resume"),
    cpus: fc.integer({ min: 0, max: 30_000 }),
    which: fc.nat(20),
  }),
  { maxLength: 60, size: "max" },
);

test("whatever tasks do, the node's books agree, and in the end everything is free", () => {
  fc.assert(
    fc.property(steps, (todo) => {
      const total = amountsOf({ CPU: 4 });
      const resources = new NodeResources(total);
      const held: { demand: ReadonlyMap<string, number>; blocked: boolean }[] = [];
      for (const { what, cpus, which } of todo) {
        const one = held[which % Math.max(1, held.length)];
        const demand = new Map([["CPU", cpus]]);
        if (what === "take") {
          const running = held
            .filter((task) => !task.blocked)
            .reduce((n, task) => n + (task.demand.get("CPU") ?? 0), 0);
          assert.equal(resources.canTake(demand), cpus === 0 || running + cpus <= 40_000);
          if (!resources.canTake(demand)) continue;
          resources.take(demand);
          held.push({ demand, blocked: false });
        } else if (what === "block" && one !== undefined && !one.blocked) {
          one.blocked = true;
          resources.giveBack(one.demand);
        } else if (what === "resume" && one?.blocked === true) {
          one.blocked = false;
          resources.takeResuming(one.demand);
        } else if (what === "giveBack" && one !== undefined && !one.blocked) {
          held.splice(held.indexOf(one), 1);
          resources.giveBack(one.demand);
        }
        resources.check();
      }
      for (const { demand, blocked } of held) if (!blocked) resources.giveBack(demand);
      assert.deepEqual(recordOf(resources.available), recordOf(total));
    }),
    { numRuns: 200 },
  );
});

test("what was never taken cannot come back, and what is not there cannot be taken", () => {
  const resources = new NodeResources(amountsOf({ CPU: 1 }));
  assert.throws(() => resources.take(amountsOf({ CPU: 2 })), /only from free resources/);
  resources.giveBack(amountsOf({ CPU: 1 }));
  assert.throws(() => resources.check(), /no more CPU comes back than was taken/);
});
