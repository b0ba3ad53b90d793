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
  readonly files: readonly TestFile[];
}

/** Files side by side. Those of clusters start a dozen processes each, but these wait for each other most of the time. */
export const CONCURRENCY = 2;
/** A file belongs to the first suite whose prefix its path has. */
const SUITES = [
  { name: "cluster", prefix: "test/cluster/" },
  { name: "cluster", prefix: "test/chaos/" },
  { name: "unit", prefix: "src/" },
  { name: "whole", prefix: "" },
] as const;
/** The cheapest first. */
const RUN_ORDER = ["unit", "whole", "cluster"] as const;

export function findSuites(root: string, filters: readonly string[]): Suite[] {
  const files = SOURCE_FOLDERS.flatMap((folder) => testSources(root, folder))
    .filter((source) => filters.length === 0 || filters.some((filter) => source.includes(filter)))
    .sort();
  const suiteOf = (source: string) => SUITES.find((suite) => source.startsWith(suite.prefix))?.name;
  return RUN_ORDER.map((name) => ({
    name,
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
