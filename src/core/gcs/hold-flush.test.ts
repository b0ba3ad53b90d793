// A dead process's holds end once, after every living process of its job has flushed its own or died.
// Method: begin a flush and let the answers come in every order, doubled.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lines } from "../../../test/support/messages.js";
import { failure, process, processId } from "../../../test/support/names.js";
import { HoldFlush } from "./hold-flush.js";

const CRASHED = failure("WORKER_CRASHED");

function world() {
  const lines = new Lines();
  const flush = new HoldFlush({
    flushHolds: (to, epoch) => lines.add(`${to.processId}: flush ${epoch}`),
    holdsEnded: (dead, reason) => lines.add(`${dead} ended: ${reason.code}`),
  });
  return { flush, asked: lines.take.bind(lines) };
}

test("without anybody to ask, the holds end at once", () => {
  const { flush, asked } = world();
  flush.begin(processId("d"), CRASHED, []);
  assert.deepEqual(asked(), ["d ended: WORKER_CRASHED"]);
});

test("the holds end after the last answer, whatever the order, and only once", () => {
  const mates = ["p", "q", "r"];
  const answers = fc.shuffledSubarray([...mates, ...mates], { minLength: 6 });
  fc.assert(
    fc.property(answers, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (order, deaths) => {
      const { flush, asked } = world();
      flush.begin(
        processId("w"),
        CRASHED,
        mates.map((name) => process(name)),
      );
      assert.deepEqual(asked(), ["p: flush 1", "q: flush 1", "r: flush 1"]);
      const heard = new Set<string>();
      for (const [index, name] of order.entries()) {
        if (deaths[index] === true) flush.died(processId(name));
        else flush.flushed(processId(name), 1);
        const isLast = !heard.has(name) && heard.add(name).size === mates.length;
        assert.deepEqual(asked(), isLast ? ["w ended: WORKER_CRASHED"] : []);
      }
    }),
  );
});

test("two deaths are flushed apart; an answer to one is none to the other", () => {
  const { flush, asked } = world();
  flush.begin(processId("v"), CRASHED, [process("p")]);
  flush.begin(processId("w"), CRASHED, [process("p")]);
  asked();
  flush.flushed(processId("p"), 2);
  assert.deepEqual(asked(), ["w ended: WORKER_CRASHED"]);
  flush.flushed(processId("p"), 3);
  flush.died(processId("p"));
  assert.deepEqual(asked(), ["v ended: WORKER_CRASHED"]);
});
