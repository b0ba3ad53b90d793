// A name is free exactly if no declaration inside of the text binds it where it is used.
// Method: texts of functions, and the names that JavaScript would look up outside of them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Analysis, analyse } from "./scope-analysis.js";

function analysed(text: string): Analysis {
  return analyse(text) ?? assert.fail(`not parsed: ${text}`);
}

const FREE: Readonly<Record<string, readonly string[]>> = {
  "(a, b) => a + b": [],
  "(a) => a + c": ["c"],
  "function f(n) { return n ? f(n - 1) : g }": ["g"],
  "({ a, b: [c], ...rest }, d = e) => [a, c, rest, d, b]": ["e", "b"],
  "() => { x; { let x } }": ["x"],
  "() => { { var x } return x }": [],
  "() => { for (const i of list) i; return i }": ["list", "i"],
  "() => { for (let i = 0; i < n; i++); }": ["n"],
  "() => { for (k in o) k }": ["k", "o"],
  "() => { try {} catch ({ message }) { message } return message }": ["message"],
  "() => { try {} catch { error } }": ["error"],
  "() => { label: for (;;) { break label } }": [],
  "() => { switch (s) { case t: let t } }": ["s"],
  "() => ({ a: b, c, [d]: 1, e() { return f } })": ["b", "c", "d", "f"],
  "() => a.b.c[d]": ["a", "d"],
  "() => `${a} ${b => b + c}`": ["a", "c"],
  "() => class A extends B { [k] = v; static s = w; #p = q; m() { return this.#p + A } }": ["B", "k", "v", "w", "q"],
  "class A extends B { static s = w; static { t } x = v; m() { return super.m() + u } }": ["v", "u"],
  "class A { static #x = y; static get() { return A.#x } }": [],
  "() => { function inner() { return hoisted } function hoisted() {} }": [],
  "() => { [a, b.c] = d; ({ e, f: g.h } = i) }": ["a", "b", "d", "e", "g", "i"],
  "async () => { for await (const x of y) await x }": ["y"],
  "function* () { yield* a }": ["a"],
  "async *gen(a) { yield a + b }": ["b"],
  "get size() { return store }": ["store"],
  "[computed](x) { return x }": [],
  "() => { if (x) { function y() {} } return y }": ["x"],
  "(a = () => b, b) => a": [],
  "() => typeof undeclared": ["undeclared"],
};

test("free names", () => {
  for (const [text, expected] of Object.entries(FREE))
    assert.deepEqual([...analysed(text).free.keys()], expected, text);
});

test("what an arrow takes from the function around it", () => {
  const lexical = (text: string) => [...analysed(text).lexical];
  assert.deepEqual(lexical("() => this.x"), ["this"]);
  assert.deepEqual(lexical("() => () => arguments[0]"), ["arguments"]);
  assert.deepEqual(lexical("() => function () { return this + arguments }"), []);
  assert.deepEqual(lexical("() => class { x = this.y }"), []);
  assert.deepEqual(lexical("function () { return this }"), []);
  assert.deepEqual(lexical("() => super.x"), ["super"]);
});

test("names used only as name.member, and names that are assigned", () => {
  const { free } = analysed("() => { ns.a(); ns.b; whole; whole.c; counter++; other = 1; target.x = 2 }");
  assert.deepEqual([free.get("ns")?.bare, [...(free.get("ns")?.members ?? [])]], [false, ["a", "b"]]);
  assert.equal(free.get("whole")?.bare, true);
  assert.equal(free.get("target")?.bare, true);
  const assigned = [...free.values()].filter((use) => use.assigned).map(({ name }) => name);
  assert.deepEqual(assigned, ["counter", "other"]);
});

test("code that means another file elsewhere is found", () => {
  const { rewrites } = analysed("async () => [import.meta.url, await import('./x.js')]");
  assert.deepEqual(
    rewrites.map(({ kind }) => kind),
    ["meta", "import"],
  );
});

test("private names of a class around the function", () => {
  assert.deepEqual([...analysed("(o) => o.#x").privateNames], ["x"]);
  assert.deepEqual([...analysed("class A { #x; m(o) { return o.#x } }").privateNames], []);
});
