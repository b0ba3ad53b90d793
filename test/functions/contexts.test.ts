// 49: functions of other realms (a test runner's vm context) and of scripts that share their top level (a REPL).
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext, runInThisContext } from "node:vm";
import { capture, Reviver } from "../../src/functions/index.js";

async function ship(fn: unknown): Promise<CallableFunction> {
  const { hash, payload } = capture(fn as CallableFunction, { describe: () => undefined, warn: () => undefined });
  return new Reviver({ revive: () => undefined }).revive(hash, payload);
}

test("a function of a vm context", async () => {
  const context = createContext({ console });
  const fn: unknown = runInContext(
    `const table = { list: [1, 2], map: new Map([["k", new Date(5)]]) };
     class Pair { constructor(a) { this.a = a } sum() { return this.a + table.list[1] } }
     const pair = new Pair(3);
     (n) => [pair.sum() + n, table.map.get("k").getTime(), pair instanceof Pair, Object.keys(table)]`,
    context,
  );
  const shipped = await ship(fn);
  assert.deepEqual((shipped as (n: number) => unknown)(1), [6, 5, true, ["list", "map"]]);
});

test("functions of a REPL share its variables", async () => {
  runInThisContext("let replCount = 1; const replStep = 2;");
  runInThisContext("const replAdd = () => (replCount += replStep);");
  const fn: unknown = runInThisContext("(() => { replAdd(); return [replAdd(), replCount] })");
  const shipped = await ship(fn);
  assert.deepEqual((shipped as () => unknown)(), [5, 5]);
  assert.equal(runInThisContext("replCount"), 1);
});
