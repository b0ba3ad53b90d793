// A function means the same on a worker, however the program was compiled and loaded, and when the worker ships it on.
// Method: the cases of the fixtures, captured in one process and called in another that runs in an empty directory
// without a loader; and (50) once more with a process in between that revives and captures again.
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { checkFixture, compiled, type Options, source, TSX } from "./support/cases.js";
import { makeProject, type Project } from "./support/project.js";

type Build = (options: object) => Promise<unknown>;
const require = createRequire(import.meta.url);
const { build } = createRequire(require.resolve("tsx"))("esbuild") as { build: Build };

const COMMON = source("fixtures/common.ts");
let project: Project;
before(async () => {
  project = await makeProject({ "package.json": '{ "type": "module" }' });
});
after(() => project[Symbol.asyncDispose]());

async function bundle(file: string, options: object): Promise<string> {
  const outfile = project.path(file);
  await build({ entryPoints: [COMMON], outfile, bundle: true, platform: "node", logLevel: "error", ...options });
  return outfile;
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
    "46 a minified bundle": async () => [await bundle("min.mjs", { format: "esm", minify: true, keepNames: true })],
    "a CommonJS bundle": async () => [await bundle("bundle.cjs", { format: "cjs" })],
    "45 ES2017: private members and static blocks lowered": async () => [
      await bundle("es2017.mjs", { format: "esm", target: "es2017" }),
    ],
    "47 a debugger attached": async () => [compiled("fixtures/common.js"), { nodeArgs: ["--inspect=0"] }],
    "48 captured inside a worker thread": async () => [
      compiled("fixtures/common.js"),
      { program: "support/capture-in-thread.js" },
    ],
    "42-43, 68-70 TypeScript and decorators, tsx": async () => [source("fixtures/typescript.mts"), { nodeArgs: TSX }],
    "43 legacy decorators, tsx": async () => [
      source("fixtures/decorators-legacy.mts"),
      { nodeArgs: TSX, env: { TSX_TSCONFIG_PATH: source("fixtures/tsconfig-legacy.json") } },
    ],
    ...(stripsTypes ? { "native type stripping": async () => [await withTypeScriptImports()] as const } : {}),
  };
  for (const [name, prepare] of Object.entries(ways)) {
    test(name, async () => {
      await checkFixture(...(await prepare()));
    });
  }
});
