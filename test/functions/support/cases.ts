// Running a fixture: its cases are captured in one process and revived in another, elsewhere.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
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
  /** URLs of modules that travel by reference. */
  readonly byReference?: readonly string[];
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

export interface Shipped {
  readonly captured: readonly CapturedCase[];
}

const run = promisify(execFile);

/** The compiled support programs, and the sources of the fixtures, which stay where they are. */
export const compiled = (file: string): string => fileURLToPath(new URL(`../${file}`, import.meta.url));
export const source = (file: string): string =>
  fileURLToPath(new URL(`../../../../test/functions/${file}`, import.meta.url));
const REPOSITORY = fileURLToPath(new URL("../../../../", import.meta.url));

export interface Options {
  /** For the capturing process: a loader and the like. */
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: string;
}

export const TSX: readonly string[] = ["--import", "tsx"];

/** Capture every case of a fixture in a process of its own. */
export async function captureFixture(
  fixture: string,
  { nodeArgs = [], env = {}, program = "support/capture-main.js" }: Options = {},
): Promise<Shipped> {
  return inDirectory(async (directory) => {
    const file = join(directory, "captured.json");
    const args = [...nodeArgs, compiled(program), fixture, file];
    await run(process.execPath, args, { cwd: REPOSITORY, env: { ...process.env, ...env } });
    return { captured: await readCases(file) };
  });
}

interface Revived extends Shipped {
  readonly results: readonly CaseResult[];
}

/** Revive and call the cases in a plain process in an empty directory, which also captures them again if asked to. */
async function revive({ captured }: Shipped, again: boolean): Promise<Revived> {
  return inDirectory(async (directory) => {
    const [input, output] = [join(directory, "captured.json"), join(directory, "again.json")];
    await writeFile(input, JSON.stringify(captured));
    const args = [compiled("support/revive-main.js"), input, ...(again ? [output] : [])];
    const { stdout, stderr } = await run(process.execPath, args, { cwd: directory, maxBuffer: MAX_OUTPUT });
    if (stderr !== "") throw new Error(`the reviving process printed: ${stderr}`);
    return { results: JSON.parse(stdout) as CaseResult[], captured: again ? await readCases(output) : [] };
  });
}

export async function reviveFixture(shipped: Shipped): Promise<readonly CaseResult[]> {
  return (await revive(shipped, false)).results;
}

/** Every case gives what it should on a worker, and on another to which the first ships it on. */
export async function checkFixture(fixture: string, options: Options = {}): Promise<void> {
  const shipped = await captureFixture(fixture, options);
  const first = await revive(shipped, true);
  assertResults(shipped, first.results);
  assertResults(first, await reviveFixture(first));
}

/** All that did not give what they should are shown together. */
function assertResults({ captured }: Shipped, results: readonly CaseResult[]): void {
  const wrong = captured.flatMap(({ name, expect }, index) => {
    const { result, error } = results[index] ?? {};
    return result === expect ? [] : [`${name}: ${error ?? `got ${result}`}, wanted ${expect}`];
  });
  assert.deepEqual(wrong, []);
  assert.ok(captured.length > 0, "the fixture has cases");
}

const MAX_OUTPUT = 64 * 1024 * 1024;

async function readCases(file: string): Promise<CapturedCase[]> {
  return JSON.parse(await readFile(file, "utf8")) as CapturedCase[];
}

async function inDirectory<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "mobula-functions-"));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
