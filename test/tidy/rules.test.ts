// Each tidy rule catches what it is for, and leaves alone what only looks like it.
// Method: a small offending source per rule, parsed under a path to which the rule applies; the rules found must be exactly these.
import assert from "node:assert/strict";
import { test } from "node:test";
import { applyExemptions } from "./exemptions.js";
import { checkFiles, FILE_RULES, MAX_FILE_LINES, MAX_FUNCTION_LINES } from "./rules.js";
import { parseSource } from "./source.js";
import { checkCycles, checkLayers, checkLinks } from "./tree-rules.js";

const found = (path: string, text: string) =>
  checkFiles([parseSource(path, text)]).map(({ rule, symbol }) => `${rule} ${symbol}`.trim());

/** Offending sources by rule: path, text, and the findings they give. */
const OFFENCES: Record<string, readonly (readonly [path: string, text: string, ...findings: string[]])[]> = {
  pure: [
    ["src/core/a.ts", "export const f = async () => { await 1; };", "pure async", "pure await"],
    [
      "src/core/a.ts",
      "export async function* f(x: string[]) { for await (const y of x) yield y; }",
      "pure async",
      "pure await",
    ],
    ["src/base/a.ts", "export class A { async run() {} }", "pure async"],
    ["src/protocol/a.ts", "export type T = Promise<number>;", "pure Promise"],
    ["src/errors.ts", "export const now = Date.now();", "pure Date"],
    ["src/core/a.ts", "export const r = Math.random();", "pure Math.random"],
    ["src/core/a.ts", "const { random } = Math; export const r = random();", "pure Math as a value"],
    ["src/core/a.ts", "export const r = Math['random']();", "pure Math as a value"],
    ["src/core/a.ts", "export const t = performance.now();", "pure performance"],
    ["src/core/a.ts", "export const w = new WeakRef({});", "pure WeakRef"],
    ["src/core/a.ts", "export const w = new FinalizationRegistry(() => {});", "pure FinalizationRegistry"],
    ["src/core/a.ts", "export const s = (a: string, b: string) => a.localeCompare(b);", "pure localeCompare"],
    ["src/core/a.ts", "export const s = (1).toLocaleString();", "pure toLocaleString"],
    ["src/core/a.ts", "export const s = new Intl.Collator();", "pure Intl"],
    ["src/core/a.ts", "setTimeout(() => console.log(1), 1);", "pure setTimeout", "pure console"],
    ["src/core/a.ts", "export const o = { Date };", "pure Date"],
    ["src/core/a.ts", "export const d = globalThis;", "pure globalThis"],
  ],
  "pure-imports": [
    ["src/core/a.ts", 'import { readFileSync } from "node:fs"; readFileSync("a");', "pure-imports node:fs"],
  ],
  "no-any": [
    ["src/api/a.ts", "export const f = (x: unknown) => x as any;", "no-any any"],
    ["src/api/a.ts", "export const f = (x: any) => x;", "no-any any"],
  ],
  "no-default-export": [
    ["src/api/a.ts", "export default 1;", "no-default-export default export"],
    ["src/api/a.ts", "const a = 1; export { a as default };", "no-default-export default export"],
  ],
  "no-top-level-await": [
    ["src/api/a.ts", "await Promise.resolve();", "no-top-level-await top-level await"],
    ["src/api/a.ts", "for await (const x of []) void x;", "no-top-level-await top-level await"],
  ],
  "no-markers": [
    ["src/api/a.ts", "// TODO later\n", "no-markers TODO"],
    ["test/a.ts", "/* a HACK */\n", "no-markers HACK"],
  ],
  "no-skipped-tests": [
    ["src/api/a.test.ts", 'test.skip("a", () => {});', "no-skipped-tests test.skip"],
    ["test/a.test.ts", 'describe.only("a", () => {});', "no-skipped-tests describe.only"],
    ["test/a.test.ts", 'test("a", { todo: true }, () => {});', "no-skipped-tests { todo }"],
    ["test/a.test.ts", 'test("a", (t) => t.skip());', "no-skipped-tests t.skip"],
  ],
  "file-length": [["src/api/a.ts", "export {};\n".repeat(MAX_FILE_LINES + 1), "file-length"]],
  "function-length": [
    ["src/api/a.ts", `export function f() {${"\n".repeat(MAX_FUNCTION_LINES)}}`, "function-length f"],
    ["src/api/a.ts", `export class A { g() {${"\n".repeat(MAX_FUNCTION_LINES)}} }`, "function-length g"],
    ["src/api/a.ts", `export const h = () => {${"\n".repeat(MAX_FUNCTION_LINES)}};`, "function-length h"],
  ],
};

for (const { name } of FILE_RULES) {
  test(`${name}: an offending source is caught`, () => {
    const offences = OFFENCES[name] ?? [];
    assert.ok(offences.length > 0, "the rule has an offending source");
    for (const [path, text, ...findings] of offences) assert.deepEqual(found(path, text), findings, text);
  });
}

test("sources that only look like offences are left alone", () => {
  assert.deepEqual(found("src/core/a.ts", '// async Promise Date\nexport const s = "await Math.random()";'), []);
  assert.deepEqual(
    found("src/core/a.ts", "export const f = (job: { Date: number }) => job.Date + Math.max(1, 2);"),
    [],
  );
  assert.deepEqual(found("src/core/a.test.ts", "export const f = async () => Date.now();"), [], "tests are not pure");
  assert.deepEqual(found("src/io/a.ts", "export const f = async () => { await 1; return Date.now(); };"), []);
  assert.deepEqual(found("src/api/a.ts", "export const skip = { only: 1 };"), []);
  assert.deepEqual(found("src/api/a.ts", `export function f() {${"\n".repeat(MAX_FUNCTION_LINES - 1)}}`), []);
});

test("layers: an import of a folder above is caught, however it is written", () => {
  const upward = (text: string) => checkLayers([parseSource("src/core/gcs/a.ts", text)]).map(({ message }) => message);
  const message = "imports src/io/b.ts, which is above it";
  assert.deepEqual(upward('import { b } from "../../io/b.js"; b();'), [message]);
  assert.deepEqual(upward('import type { B } from "../../io/b.js"; export type C = B;'), [message]);
  assert.deepEqual(upward('export * from "../../io/b.js";'), [message]);
  assert.deepEqual(upward('export const b = () => import("../../io/b.js");'), [message]);
  assert.deepEqual(upward('export type B = import("../../io/b.js").B;'), [message]);
  assert.deepEqual(upward('import { x } from "../../../test/x.js"; x();'), ["imports test/x.ts, which is above it"]);
  assert.deepEqual(upward('import { MobulaError } from "../../errors.js"; export { MobulaError };'), []);
  assert.equal(checkLayers([parseSource("src/new-folder/a.ts", "export {};")]).length, 1, "an unknown folder");
});

test("layers: a test beside the source may use what tests share, and the source may not", () => {
  const text = 'import { node } from "../../../test/support/names.js"; node("N1");';
  const findings = (path: string) => checkLayers([parseSource(path, text)]).length;
  assert.deepEqual([findings("src/core/gcs/a.test.ts"), findings("src/core/gcs/a.ts")], [0, 1]);
});

test("cycles: files that import each other are caught, a diamond is not", () => {
  const tree = (imports: Record<string, readonly string[]>) =>
    Object.entries(imports).map(([name, targets]) =>
      parseSource(`src/core/${name}.ts`, targets.map((target) => `export * from "./${target}.js";`).join("\n")),
    );
  const cycles = checkCycles(tree({ a: ["b"], b: ["c"], c: ["b"] }));
  assert.deepEqual(
    cycles.map(({ message }) => message),
    ["src/core/b.ts → src/core/c.ts → src/core/b.ts"],
  );
  assert.deepEqual(checkCycles(tree({ a: ["b", "c"], b: ["d"], c: ["d"], d: [] })), []);
});

test("links: a renamed symbol and a moved file are caught", () => {
  const source = parseSource("src/core/a.ts", "export class Table { lookUp() {} }\nexport const limit = 1;");
  const broken = (text: string) => checkLinks("docs/JOURNEY.md", text, [source]).map(({ message }) => message);
  assert.deepEqual(broken("`src/core/a.ts#lookUp`, [x](../src/core/a.ts#Table.lookUp) and src/core/a.ts#limit."), []);
  assert.deepEqual(broken("src/core/a.ts#find"), ["src/core/a.ts#find: no such symbol in the file"]);
  assert.deepEqual(broken("src/core/a.ts#Table.find"), ["src/core/a.ts#Table.find: no such symbol in the file"]);
  assert.deepEqual(broken("src/b.ts#lookUp"), ["src/b.ts#lookUp: no such file"]);
});

test("an exemption covers its finding only, and is stale when there is none", () => {
  const findings = checkFiles([parseSource("src/core/a.ts", "export const f = async () => new WeakRef({});")]);
  const exemption = { file: "src/core/a.ts", rule: "pure", symbol: "WeakRef", reason: "an example" };
  const stale = { file: "src/core/b.ts", rule: "pure", reason: "an example" };
  const verdict = applyExemptions(findings, [exemption, stale]);
  assert.deepEqual(
    verdict.offences.map(({ symbol }) => symbol),
    ["async"],
  );
  assert.deepEqual(verdict.stale, [stale]);
});
