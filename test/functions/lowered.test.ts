// What compilers make of newer syntax means the same on a worker: private members, static blocks, decorators, enums.
// Method: as in cases.test.ts, with the fixtures as esbuild and TypeScript's own compiler lower them.
import { after, before, describe, test } from "node:test";
import { checkFixture, type Options, source, TSX } from "./support/cases.js";
import { bundle, compile } from "./support/compile.js";
import { makeProject, type Project } from "./support/project.js";

let project: Project;
before(async () => {
  project = await makeProject({ "package.json": '{ "type": "module" }' });
});
after(() => project[Symbol.asyncDispose]());

describe("the same cases, lowered in different ways", { concurrency: 2 }, () => {
  const ways: Record<string, () => Promise<readonly [fixture: string, options?: Options]>> = {
    "45 ES2017: private members and static blocks lowered": async () => [
      await bundle(project, "es2017.mjs", { format: "esm", target: "es2017" }),
    ],
    "42-43, 68-70 TypeScript and decorators, tsx": async () => [source("fixtures/typescript.mts"), { nodeArgs: TSX }],
    "43 legacy decorators, tsx": async () => [
      source("fixtures/decorators-legacy.mts"),
      { nodeArgs: TSX, env: { TSX_TSCONFIG_PATH: source("fixtures/tsconfig-legacy.json") } },
    ],
    "45 an ES2017 CommonJS bundle": async () => [
      await bundle(project, "es2017.cjs", { format: "cjs", target: "es2017" }),
    ],
    "68 TypeScript's own lowering of TC39 decorators": async () => {
      const files = ["typescript.mts", "enums.mts", "lib.ts"];
      const options = ["--target", "es2022", "--module", "nodenext", "--lib", "esnext"];
      return [`${await compile(project, "tc39", files, options)}/typescript.mjs`];
    },
    "43 TypeScript's own lowering of legacy decorators": async () => {
      const options = ["--target", "es2022", "--module", "nodenext", "--experimentalDecorators"];
      return [`${await compile(project, "legacy", ["decorators-legacy.mts"], options)}/decorators-legacy.mjs`];
    },
    "45 TypeScript's own lowering to ES2017": async () => {
      const options = ["--target", "es2017", "--module", "es2020", "--moduleResolution", "bundler", "--lib", "esnext"];
      return [`${await compile(project, "es2017", ["common.ts", "lib.ts"], options)}/common.js`];
    },
  };
  for (const [name, prepare] of Object.entries(ways)) {
    test(name, async () => {
      await checkFixture(...(await prepare()));
    });
  }
});
