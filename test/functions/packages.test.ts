// What a package exports travels by name, also its classes' instances; what a package keeps to itself is made again by
// the initializer or refused; a missing package is named with the places where it was looked for.
// Method: a project in a temporary directory, captured by one process and revived by another elsewhere.
import assert from "node:assert/strict";
import { rename } from "node:fs/promises";
import { test } from "node:test";
import { captureFixture, checkFixture, reviveFixture, TSX } from "./support/cases.js";
import { makeProject, PACKAGES } from "./support/project.js";

const MAIN = `
  import { add, Thing } from "cjs-lib";
  import * as cjs from "cjs-lib";
  import shout from "fn-lib";
  import hi, { Box, make, version } from "esm-lib";
  import * as esm from "esm-lib";
  import { object } from "schema";
  import { plus } from "shared";
  import { createRequire } from "node:module";
  import { local } from "./local.js";

  const thing = new Thing(4);
  const box = new Box("open");
  const { quiet } = shout;
  const Person = object({ name: "string", age: "number" }).refine((value) => value.age >= adult);
  const adult = 18;
  const require = createRequire(import.meta.url);
  export const late = () => Person;

  export const cases = {
    "12 named imports": { fn: () => [add(1, 2), hi("you"), version], expect: [3, "hi you", "1.0"] },
    "12 default import of CommonJS": { fn: () => [shout("a"), quiet("B")], expect: ["A", "b"] },
    "12 namespaces": { fn: () => [cjs.table.one, new esm.Box(2).open(), Object.keys(cjs).includes("add")], expect: [1, 2, true] },
    "13 import() of a package": { fn: async () => (await import("esm-lib")).version, expect: "1.0" },
    "13 import() of a file": { fn: async () => (await import("./local.js")).local(), expect: "local" },
    "14 project function": { fn: () => local(), expect: "local" },
    "38 initializer replay": { fn: (name, age) => { try { return Person.parse({ name, age }).name } catch (e) { return e.message } }, args: ["x", 17], expect: "bad" },
    "38 initializer replay, used twice": { fn: () => [Person.parse({ name: "x", age: 18 }).name, late() === Person], expect: ["x", true] },
    "39 import.meta": { fn: () => [import.meta.url, import.meta.dirname === undefined || import.meta.url.includes(import.meta.dirname), import.meta.resolve("./x.js")], expect: [import.meta.url, true, import.meta.resolve("./x.js")] },
    "69 workspace package by value": { fn: () => plus(2), expect: 42 },
    "71 instances of packages' classes": { fn: () => [thing.twice(), thing instanceof Thing, box.open(), box instanceof Box], expect: [8, true, "open", true] },
    "require": { fn: () => require("cjs-lib").add(2, 3), expect: 5 },
    "private function": { fn: () => { const f = make; return f().run() }, expect: 1 },
  };`;
const LOCAL = 'const text = "local"; export const local = () => text;';

test("packages travel by name, the project by value, replayed objects by their initializers", async () => {
  await using project = await makeProject({ ...PACKAGES, "main.js": MAIN, "local.js": LOCAL });
  await checkFixture(project.path("main.js"));
});

const COMMONJS = `
  const { add, Thing } = require("cjs-lib");
  const lib = require("cjs-lib");
  const shout = require("fn-lib");
  const fs = require("node:fs");
  const thing = new Thing(1);
  const { object } = require("cjs-schema");
  const Person = object({ name: "string" });
  const loose = function () { return this === globalThis };
  const strict = function () { "use strict"; return this === undefined };
  const arrows = (() => { "use strict"; return { assign: () => { try { return (Object.freeze({ a: 1 }).a = 2), "ignored" } catch { return "thrown" } } } })();
  const assign = () => { try { return (Object.freeze({ a: 1 }).a = 2), "ignored" } catch { return "thrown" } };
  exports.cases = {
    "12 CommonJS": { fn: () => [add(1, 2), lib.table.one, shout("x"), thing instanceof Thing, typeof fs.readFileSync], expect: [3, 1, "X", true, "function"] },
    "53 sloppy and strict": { fn: () => [loose(), strict(), assign(), arrows.assign()], expect: [true, true, "ignored", "thrown"] },
    "53 sloppy as root": { fn: loose, expect: true },
    "38 initializer replay": { fn: () => [Person.check({ name: "x" }), Person.check({ name: 1 })], expect: [true, false] },
    "require": { fn: () => [require("cjs-lib").add(2, 3), require("./side.cjs")], expect: [5, "side"] },
    "13 import() in CommonJS": { fn: async () => (await import("esm-lib")).version, expect: "1.0" },
  };`;

test("CommonJS projects", async () => {
  await using project = await makeProject({
    ...PACKAGES,
    "main.cjs": COMMONJS,
    "side.cjs": 'module.exports = "side";',
  });
  await checkFixture(project.path("main.cjs"));
});

test("CommonJS projects in TypeScript, by tsx", async () => {
  await using project = await makeProject({
    ...PACKAGES,
    "package.json": '{ "type": "commonjs" }',
    "main.ts": `
      import { add, Thing, table } from "cjs-lib";
      import * as shouts from "fn-lib";
      import { object } from "cjs-schema";
      import { local } from "./local";
      const thing: { twice(): number } = new Thing(4);
      const Person = object({ name: "string" });
      const adult: number = 18;
      export const cases = {
        "12 named imports": { fn: (): unknown[] => [add(1, 2), table.one, typeof shouts.quiet, thing.twice(), thing instanceof Thing], expect: [3, 1, "function", 8, true] },
        "14 project function": { fn: () => local(adult), expect: "local 18" },
        "38 initializer replay": { fn: () => [Person.check({ name: "x" }), Person.check({ name: 1 })], expect: [true, false] },
      };`,
    "local.ts": 'const text: string = "local"; export const local = (n: number): string => text + " " + n;',
  });
  await checkFixture(project.path("main.ts"), { nodeArgs: TSX });
});

const [major = 0] = process.versions.node.split(".").map(Number);

test("70 `using` and `await using` as Node itself runs them", async () => {
  const main = `
    const order = [];
    const resource = (name) => ({
      [Symbol.dispose]() { order.push(name) },
      async [Symbol.asyncDispose]() { await null; order.push("async " + name) },
    });
    export const cases = {
      using: { fn: () => { { using a = resource("a"), b = resource("b"); order.push("body") } return [...order] }, expect: ["body", "b", "a"] },
      "await using": { fn: async () => { const here = order.length; { await using c = resource("c"); for (using d of [resource("d")]) order.push("loop") } return order.slice(here) }, expect: ["loop", "d", "async c"] },
    };`;
  await using project = await makeProject({ ...PACKAGES, "main.js": main });
  if (major >= 24) await checkFixture(project.path("main.js"));
  else await assert.rejects(checkFixture(project.path("main.js")), /SyntaxError/);
});

test("a function that a package keeps to itself is refused", async () => {
  const main = `
    import { reveal } from "cjs-lib";
    import { make } from "esm-lib";
    const holder = { hidden: [reveal()][0] };
    let made = [make()][0];
    made = [make()][0];
    export const cases = {
      cjs: { fn: function cjs() { return holder2.hidden() }, expect: 0 },
      esm: { fn: function esm() { return made.run() }, expect: 0 },
    };
    let holder2 = holder;
    holder2 = holder;`;
  await using project = await makeProject({ ...PACKAGES, "main.js": main });
  const { captured } = await captureFixture(project.path("main.js"));
  assert.match(captured[0]?.error ?? "", /cjs → variable "holder2" → \.hidden is private to package cjs-lib \(hint: /);
  assert.match(captured[1]?.error ?? "", /esm → variable "made" → \.run is private to package esm-lib \(hint: /);
});

test("64 a package that the worker does not have is named", async () => {
  await using project = await makeProject({ ...PACKAGES, "main.js": MAIN, "local.js": LOCAL });
  const outcome = await captureFixture(project.path("main.js"));
  await rename(project.path("node_modules"), project.path("gone"));
  const [result] = await reviveFixture(outcome);
  assert.match(result?.error ?? "", /function fn needs the package (cjs|esm)-lib, which was not found from /);
  assert.ok(result?.error?.includes(project.directory), result?.error);
  assert.match(result?.error ?? "", /\(hint: install the package where the worker runs\)/);
});
