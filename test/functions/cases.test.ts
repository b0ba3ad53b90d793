// A function means the same on a worker, however the program was compiled and loaded, and when the worker ships it on.
// Method: the cases of the fixtures, captured in one process and called in another that runs in an empty directory
// without a loader; and (50) once more with a process in between that revives and captures again.

import { execFile } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { checkFixture, compiled, type Options, source, TSX } from "./support/cases.js";
import { makeProject, type Project } from "./support/project.js";

type Build = (options: object) => Promise<unknown>;
const require = createRequire(import.meta.url);
const { build } = createRequire(require.resolve("tsx"))("esbuild") as { build: Build };

const run = promisify(execFile);
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

/** The sources as TypeScript's own compiler makes them. */
async function compile(directory: string, files: readonly string[], options: readonly string[]): Promise<string> {
  const outDir = project.path(directory);
  const sources = files.map((file) => source(`fixtures/${file}`));
  const flags = ["--outDir", outDir, "--skipLibCheck", "--types", "node", "--sourceMap", "--noCheck", ...options];
  await run(process.execPath, [
    join(dirname(require.resolve("typescript/package.json")), "bin/tsc"),
    ...sources,
    ...flags,
    "--ignoreConfig",
  ]);
  return outDir;
}

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
    "tsx, CommonJS": async () => [await inCommonJs("tsx-cjs"), { nodeArgs: TSX }],
    "45 an ES2017 CommonJS bundle": async () => [await bundle("es2017.cjs", { format: "cjs", target: "es2017" })],
    "68 TypeScript's own lowering of TC39 decorators": async () => {
      const files = ["typescript.mts", "enums.mts", "lib.ts"];
      const options = ["--target", "es2022", "--module", "nodenext", "--lib", "esnext"];
      return [`${await compile("tc39", files, options)}/typescript.mjs`];
    },
    "43 TypeScript's own lowering of legacy decorators": async () => {
      const options = ["--target", "es2022", "--module", "nodenext", "--experimentalDecorators"];
      return [`${await compile("legacy", ["decorators-legacy.mts"], options)}/decorators-legacy.mjs`];
    },
    "45 TypeScript's own lowering to ES2017": async () => {
      const options = ["--target", "es2017", "--module", "es2020", "--moduleResolution", "bundler", "--lib", "esnext"];
      return [`${await compile("es2017", ["common.ts", "lib.ts"], options)}/common.js`];
    },
    ...(stripsTypes ? { "native type stripping": async () => [await withTypeScriptImports()] as const } : {}),
  };
  for (const [name, prepare] of Object.entries(ways)) {
    test(name, async () => {
      await checkFixture(...(await prepare()));
    });
  }
});
