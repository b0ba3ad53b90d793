// A function means the same on a worker, however the program was compiled and loaded, and when the worker ships it on.
// Method: the cases of the fixtures, captured in one process and called in another that runs in an empty directory
// without a loader; and (50) once more with a process in between that revives and captures again.

import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { checkFixture, compiled, type Options, source, TSX } from "./support/cases.js";
import { bundle, COMMON } from "./support/compile.js";
import { makeProject, type Project } from "./support/project.js";

let project: Project;
before(async () => {
  project = await makeProject({ "package.json": '{ "type": "module" }' });
});
after(() => project[Symbol.asyncDispose]());

/** The fixture as part of a project of CommonJS modules. */
async function inCommonJs(directory: string): Promise<string> {
  await mkdir(project.path(directory), { recursive: true });
  for (const file of ["common.ts", "lib.ts"])
    await cp(source(`fixtures/${file}`), project.path(`${directory}/${file}`));
  await writeFile(project.path(`${directory}/package.json`), '{ "type": "commonjs" }');
  return project.path(`${directory}/common.ts`);
}

/** The sources as Node's own type stripping wants them. */
async function withTypeScriptImports(): Promise<string> {
  await mkdir(project.path("ts"), { recursive: true });
  await cp(source("fixtures/lib.ts"), project.path("ts/lib.ts"));
  const text = await readFile(COMMON, "utf8");
  await writeFile(project.path("ts/common.ts"), text.replaceAll("./lib.js", "./lib.ts"));
  return project.path("ts/common.ts");
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
const stripsTypes = major >= 24 || (major === 22 && minor >= 18);

describe("the same cases, compiled and loaded in different ways", { concurrency: 2 }, () => {
  const ways: Record<string, () => Promise<readonly [fixture: string, options?: Options]>> = {
    "tsc, ES modules": async () => [compiled("fixtures/common.js")],
    "tsx, ES modules": async () => [COMMON, { nodeArgs: TSX }],
    "46 a minified bundle": async () => [
      await bundle(project, "min.mjs", { format: "esm", minify: true, keepNames: true }),
    ],
    "a CommonJS bundle": async () => [await bundle(project, "bundle.cjs", { format: "cjs" })],
    "47 a debugger attached": async () => [compiled("fixtures/common.js"), { nodeArgs: ["--inspect=0"] }],
    "48 captured inside a worker thread": async () => [
      compiled("fixtures/common.js"),
      { program: "support/capture-in-thread.js" },
    ],
    "tsx, CommonJS": async () => [await inCommonJs("tsx-cjs"), { nodeArgs: TSX }],
    ...(stripsTypes ? { "native type stripping": async () => [await withTypeScriptImports()] as const } : {}),
  };
  for (const [name, prepare] of Object.entries(ways)) {
    test(name, async () => {
      await checkFixture(...(await prepare()));
    });
  }
});
