/**
 * Runs the built tests under the other supported versions of Node: `npm run test:matrix [-- filter...]`.
 *
 * Node itself comes from the package registry, into a temporary directory outside the repository. Without a filter
 * the units and all tests of functions and values run; anything the test command takes may be given instead.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAJOR_VERSIONS = ["22", "24"] as const;
/** What depends on the version of Node: units, the inspector's view of functions, values; on real processes too. */
const DEFAULT_FILTERS = ["src/", "test/functions", "test/values", "test/cluster/functions", "test/cluster/values"];
const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url)); // this file runs as dist/test/matrix.js

function installNode(version: string, directory: string): string {
  const name = `node-${process.platform}-${process.arch}`;
  const { status } = run("npm", ["install", "--no-save", "--prefix", directory, `${name}@${version}`], directory);
  if (status !== 0) throw new Error(`npm could not install ${name}@${version}`);
  return join(directory, "node_modules", name, "bin", "node");
}

function run(command: string, args: readonly string[], cwd: string) {
  return spawnSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
}

function main(filters: readonly string[]): void {
  const args = filters.length === 0 ? DEFAULT_FILTERS : filters;
  const failed: string[] = [];
  for (const version of MAJOR_VERSIONS) {
    const directory = mkdtempSync(join(tmpdir(), "mobula-matrix-"));
    try {
      process.stdout.write(`\n=== Node ${version}\n`);
      const node = installNode(version, directory);
      const { status } = run(node, ["--enable-source-maps", "dist/test/run.js", "--no-checks", ...args], REPOSITORY);
      if (status !== 0) failed.push(version);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  process.stdout.write(failed.length === 0 ? "\nall versions passed\n" : `\nfailed under Node ${failed.join(", ")}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

main(process.argv.slice(2));
