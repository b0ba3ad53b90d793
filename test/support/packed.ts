/** The package as npm would publish and install it: packed, and installed into an empty project without a network. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url)); // this file runs as dist/test/support/packed.js

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Settings of an npm that runs this test are none of the project there. */
export function cleanEnvironment(more: Readonly<Record<string, string | undefined>> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"));
  return { ...Object.fromEntries(own), ...more };
}

export function npm(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = cleanEnvironment()): Run {
  const { status, stdout, stderr, error } = spawnSync("npm", args, { cwd, env, encoding: "utf8" });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/**
 * Pack this repository as it is built now, and install the tarball in a new project in `root`. What it depends on is
 * packed from this repository's own `node_modules`. Says where the project is.
 */
export function installPacked(root: string): string {
  const [tarballs, project, cache] = ["tarballs", "project", "cache"].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  for (const directory of [tarballs, project]) mkdirSync(directory, { recursive: true });
  // Without scripts: `prepack` would build anew what other tests are running now.
  const quiet = ["--ignore-scripts", "--silent", "--cache", cache];
  const packed = npm(["pack", REPOSITORY, ...dependencies(), "--pack-destination", tarballs, ...quiet], root);
  if (packed.status !== 0) throw new Error(`npm pack failed: ${packed.stderr}`);
  const files = packed.stdout.trim().split("\n");
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  const offline = ["--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", cache];
  const installed = npm(["install", ...offline, ...files.map((name) => join(tarballs, name))], project);
  if (installed.status !== 0) throw new Error(`npm install failed: ${installed.stderr}`);
  return project;
}

/** Directories of all packages that an installation needs, binaries for one platform excepted. */
function dependencies(): string[] {
  const found = new Set<string>();
  const add = (directory: string) => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as {
      dependencies?: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) {
      const path = join(REPOSITORY, "node_modules", name);
      if (found.has(path)) continue;
      found.add(path);
      add(path);
    }
  };
  add(REPOSITORY);
  return [...found];
}
