/**
 * Which test files there are, and in which order and company they run.
 *
 * The sources decide, not `dist`: a compiled test whose source was renamed or removed would otherwise run for ever.
 */
import { readdirSync } from "node:fs";
import { join, sep } from "node:path";

const SOURCE_FOLDERS = ["src", "sim", "test", "bench", "examples"] as const;

export interface TestFile {
  /** Path of the source below the repository, with forward slashes: what filters and reports speak of. */
  readonly source: string;
  readonly compiled: string;
}

export interface Suite {
  readonly name: string;
  readonly concurrency: number;
  readonly files: readonly TestFile[];
}

/** Order of the suites: the cheapest first. A file belongs to the first suite whose prefix its path has. */
const SUITES = [
  { name: "cluster", prefix: "test/cluster/", concurrency: 1 }, // each starts a dozen processes; two would only wait
  { name: "cluster", prefix: "test/chaos/", concurrency: 1 },
  { name: "unit", prefix: "src/", concurrency: 2 },
  { name: "whole", prefix: "", concurrency: 2 },
] as const;
const RUN_ORDER = ["unit", "whole", "cluster"] as const;

export function findSuites(root: string, filters: readonly string[]): Suite[] {
  const files = SOURCE_FOLDERS.flatMap((folder) => testSources(root, folder))
    .filter((source) => filters.length === 0 || filters.some((filter) => source.includes(filter)))
    .sort();
  const suiteOf = (source: string) => SUITES.find((suite) => source.startsWith(suite.prefix))?.name;
  return RUN_ORDER.map((name) => ({
    name,
    concurrency: SUITES.find((suite) => suite.name === name)?.concurrency ?? 1,
    files: files
      .filter((source) => suiteOf(source) === name)
      .map((source) => ({ source, compiled: join(root, "dist", source.replace(/\.ts$/, ".js")) })),
  })).filter((suite) => suite.files.length > 0);
}

function testSources(root: string, folder: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  } catch {
    return []; // the folder does not exist
  }
  return entries.filter((path) => path.endsWith(".test.ts")).map((path) => `${folder}/${path.split(sep).join("/")}`);
}
