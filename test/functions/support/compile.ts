// Programs made of the fixtures, as bundlers and compilers make them.
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { source } from "./cases.js";
import type { Project } from "./project.js";

type Build = (options: object) => Promise<unknown>;
const require = createRequire(import.meta.url);
const { build } = createRequire(require.resolve("tsx"))("esbuild") as { build: Build };
const run = promisify(execFile);

export const COMMON = source("fixtures/common.ts");

export async function bundle(project: Project, file: string, options: object): Promise<string> {
  const outfile = project.path(file);
  await build({ entryPoints: [COMMON], outfile, bundle: true, platform: "node", logLevel: "error", ...options });
  return outfile;
}

/** The sources as TypeScript's own compiler makes them. */
export async function compile(
  project: Project,
  directory: string,
  files: readonly string[],
  options: readonly string[],
): Promise<string> {
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
