// A dead process's holds end once, after every living process of its job has flushed its own or died; who only waits to
// hear them waits no longer than its time.
// Method: begin a flush and let the answers come in every order, doubled.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Lines } from "../../../test/support/messages.js";
import { process, processId } from "../../../test/support/names.js";
import { HOLD_FLUSH_PATIENCE_MS } from "../../base/limits.js";
import { HoldFlush } from "./hold-flush.js";

function world() {
  const lines = new Lines();
  const flush = new HoldFlush((to, epoch) => lines.add(`${to.processId}: flush ${epoch}`));
  const begin = (dead: string, living: readonly string[]) =>
    flush.begin(
      living.map((name) => process(name)),
      { heard: () => lines.add(`${dead} heard`), ended: () => lines.add(`${dead} ended`) },
    );
  return { flush, begin, asked: lines.take.bind(lines) };
}

test("without anybody to ask, the holds end at once", () => {
  const { begin, asked } = world();
  begin("d", []);
  assert.deepEqual(asked(), ["d heard", "d ended"]);
});

test("the holds end after the last answer, whatever the order, and only once", () => {
  const mates = ["p", "q", "r"];
  const answers = fc.shuffledSubarray([...mates, ...mates], { minLength: 6 });
  fc.assert(
    fc.property(answers, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (order, deaths) => {
      const { flush, begin, asked } = world();
      begin("w", mates);
      assert.deepEqual(asked(), ["p: flush 1", "q: flush 1", "r: flush 1"]);
      const heard = new Set<string>();
      for (const [index, name] of order.entries()) {
        if (deaths[index] === true) flush.died(processId(name));
        else flush.flushed(processId(name), 1);
        const isLast = !heard.has(name) && heard.add(name).size === mates.length;
        assert.deepEqual(asked(), isLast ? ["w heard", "w ended"] : []);
      }
    }),
  );
});

test("two deaths are flushed apart; an answer to one is none to the other", () => {
  const { flush, begin, asked } = world();
  begin("v", ["p"]);
  begin("w", ["p"]);
  asked();
  flush.flushed(processId("p"), 2);
  assert.deepEqual(asked(), ["w heard", "w ended"]);
  flush.flushed(processId("p"), 3);
  flush.died(processId("p"));
  assert.deepEqual(asked(), ["v heard", "v ended"]);
});

test("a process that does not answer is given up after its time by those who wait to hear it, and by nobody else", () => {
  const { flush, begin, asked } = world();
  flush.tick(1_000);
  begin("w", ["p", "q"]);
  flush.flushed(processId("q"), 1);
  asked();
  flush.tick(1_000 + HOLD_FLUSH_PATIENCE_MS - 1);
  assert.deepEqual(asked(), []);
  flush.tick(1_000 + HOLD_FLUSH_PATIENCE_MS);
  flush.tick(1_000 + 100 * HOLD_FLUSH_PATIENCE_MS);
  assert.deepEqual(asked(), ["w heard"]);
  flush.flushed(processId("p"), 1);
  assert.deepEqual(asked(), ["w ended"]);
});
