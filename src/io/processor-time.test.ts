// What others do meanwhile does not count: waiting costs nothing, computing does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { processorMs } from "./processor-time.js";

test("waiting takes no processor time, computing does", () => {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const waitedMs = processorMs(() => void Atomics.wait(word, 0, 0, 300));
  const computedMs = processorMs(() => {
    const endMs = performance.now() + 300;
    while (performance.now() < endMs);
  });
  assert.ok(waitedMs < 100, `${waitedMs} ms`);
  assert.ok(computedMs > waitedMs, `${computedMs} ms`);
});
