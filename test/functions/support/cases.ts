// Running a fixture: its cases are captured in one process and revived in another, elsewhere.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface Case {
  readonly fn: unknown;
  readonly args?: readonly unknown[];
  readonly expect: unknown;
}

export interface Fixture {
  readonly cases: Record<string, Case>;
}

export interface CapturedCase {
  readonly name: string;
  readonly args: string;
  readonly input: string;
  /** As Node prints it. */
  readonly expect: string;
  readonly hash?: string;
  readonly location?: string | undefined;
  readonly payload?: string;
  readonly error?: string;
}

export interface CaseResult {
  readonly name: string;
  readonly result?: string;
  readonly error?: string;
}

export interface Outcome {
  readonly captured: readonly CapturedCase[];
  readonly results: readonly CaseResult[];
}

const run = promisify(execFile);

/** The compiled support programs, and the sources of the fixtures, which stay where they are. */
export const compiled = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
export const source = (file: string): string => fileURLToPath(new URL(`../../../../test/functions/${file}`, import.meta.url));
export const TSX: readonly string[] = ["--import", "tsx"];

/** Captures with `nodeArgs` for the loader and the like; revives in a plain process in an empty directory. */
export async function runFixture(fixture: string, nodeArgs: readonly string[] = [], mode = "once"): Promise<Outcome> {
  const directory = await mkdtemp(join(tmpdir(), "mobula-functions-"));
  try {
    const file = join(directory, "captured.json");
    await run(process.execPath, [...nodeArgs, compiled("support/capture-main.js"), fixture, file]);
    const { stdout } = await run(process.execPath, [compiled("support/revive-main.js"), file, mode], {
      cwd: directory,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { captured: JSON.parse(await readFile(file, "utf8")) as CapturedCase[], results: JSON.parse(stdout) as CaseResult[] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
