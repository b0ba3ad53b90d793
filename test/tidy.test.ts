// The tree keeps the rules that neither the compiler nor the linter checks.
// Method: parse every source file, collect what offends a rule, and subtract the exemptions, each of which must be needed.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { applyExemptions, EXEMPTIONS } from "./tidy/exemptions.js";
import { checkFiles, type Finding } from "./tidy/rules.js";
import { readSources } from "./tidy/source.js";
import { checkCycles, checkLayers, checkLinks, LAYERS, layerOf } from "./tidy/tree-rules.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url)); // this file runs as dist/test/tidy.test.js
const JOURNEY = "docs/JOURNEY.md";
const sources = readSources(ROOT, ["src", "sim", "test", "bench", "examples"]);

/** All of them: the differences that assert prints are cut short. */
function list(findings: readonly Finding[]): string {
  const lines = findings.map(({ file, line, rule, message }) => `${file}:${line} ${rule}: ${message}`);
  return `${findings.length} offences\n${lines.join("\n")}`;
}

test("no file breaks a rule without an exemption, and every exemption is needed", () => {
  const findings = [...checkFiles(sources), ...checkLayers(sources), ...checkCycles(sources)];
  const { offences, stale } = applyExemptions(findings, EXEMPTIONS);
  assert.ok(offences.length === 0, list(offences));
  assert.deepEqual(stale, [], "these exemptions exempt nothing any more");
  for (const { file, reason } of EXEMPTIONS) assert.ok(reason.length > 0, `the exemption of ${file} has a reason`);
});

test("every link of JOURNEY.md leads to a symbol that exists", (t) => {
  const path = join(ROOT, JOURNEY);
  if (!existsSync(path)) return t.diagnostic(`${JOURNEY} does not exist`);
  const broken = checkLinks(JOURNEY, readFileSync(path, "utf8"), sources);
  assert.ok(broken.length === 0, list(broken));
});

test("the compiler's projects allow each folder only the folders below it", () => {
  for (const [index, layer] of LAYERS.entries()) {
    const project = layer === "errors" ? "src/tsconfig.errors.json" : `src/${layer}/tsconfig.json`;
    if (!existsSync(join(ROOT, project))) continue;
    for (const { path } of projectReferences(join(ROOT, project))) {
      const referenced = path.endsWith("tsconfig.errors.json")
        ? "src/errors.ts"
        : path.replace(/^\.\./, "src").concat("/");
      const below = layerOf(referenced);
      assert.ok(below >= 0 && below < index, `${project} references ${path}`);
    }
  }
});

test("every folder of src is a project of the build", () => {
  const built = projectReferences(join(ROOT, "tsconfig.json")).map(({ path }) => path);
  for (const entry of readdirSync(join(ROOT, "src"), { withFileTypes: true })) {
    if (entry.isDirectory()) assert.ok(built.includes(`./src/${entry.name}`), `tsconfig.json references ${entry.name}`);
  }
});

function projectReferences(path: string): { path: string }[] {
  return (JSON.parse(readFileSync(path, "utf8")) as { references: { path: string }[] }).references;
}
