// The cheap way of capturing is taken only for functions that capture nothing, and gives what the thorough way gives.
// Method: functions of both kinds; what was captured shows whether the parser has seen them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { captureClosed } from "./closed.js";
import { type CaptureHooks, Graph } from "./graph.js";
import { step } from "./obstacles.js";

const hooks: CaptureHooks = { describe: () => undefined, warn: () => undefined };

function isClosed(value: object): boolean {
  const work = { node: () => assert.fail("nothing is looked at"), rescue: () => false };
  const graph = new Graph(hooks, { name: "f", location: () => undefined }, work);
  return captureClosed(graph, { id: 0, value, path: step(undefined, "f") }) !== undefined;
}

const outside = 1;
const holder = {
  method: (list: number[]) => list.map((x) => x + outside),
  shorthand(list: number[]) {
    return list.map((x) => x);
  },
};

test("functions that capture nothing", () => {
  const closed = [
    (a: number, b: number) => a + b,
    () => undefined,
    async (x: number) => x,
    (n: number) => {
      let sum = 0;
      while (n > 0) sum += n--;
      return sum;
    },
    (list: number[]) => list.map((x) => x * 2),
    (x: number) => Math.sqrt(x) + Number("2"),
    class Counter {
      #count = 0;
      increment(by = 1) {
        this.#count += by;
        return this.#count;
      }
    },
  ];
  for (const fn of closed) assert.ok(isClosed(fn), String(fn));
});

test("functions that capture something, or may", () => {
  class Base {
    static made = 0;
    readonly n = 1;
  }
  const open = [
    () => outside,
    holder.method,
    holder.shorthand,
    Base,
    class extends Base {},
    Object.assign((a: number) => a, { extra: 1 }),
    function* () {
      yield 1;
    },
    new Function("return this") as () => unknown,
    Math.max,
    holder.shorthand.bind(holder),
    async () => import("node:fs"),
    (...rest: number[]) => ({ rest, outside }),
  ];
  for (const fn of open) assert.ok(!isClosed(fn), String(fn));
});
