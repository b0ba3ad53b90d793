/** Runs one compiled test file in a process of its own, through `node:test`, and counts what came of it. */
import { once } from "node:events";
import { run } from "node:test";
import type { TestFile } from "./suites.js";

export interface Failure {
  /** Names of the test and of what contains it, outermost first. */
  readonly name: string;
  readonly error: unknown;
}

export interface TestFileResult {
  readonly file: TestFile;
  readonly passed: number;
  readonly skipped: number;
  readonly failures: readonly Failure[];
  /** What the file wrote to its standard output and error. */
  readonly output: string;
  readonly durationMs: number;
}

export async function runTestFile(file: TestFile, timeoutMs: number): Promise<TestFileResult> {
  const startedMs = performance.now();
  // `timeout` of run() limits single tests on newer versions of Node; the signal limits the file, on all of them.
  const signal = AbortSignal.timeout(timeoutMs);
  const stream = run({ files: [file.compiled], concurrency: 1, signal });

  const path: string[] = [];
  const output: string[] = [];
  const failures: Failure[] = [];
  let passed = 0;
  let skipped = 0;
  stream.on("test:start", (test) => {
    path.splice(test.nesting, path.length, test.name);
  });
  stream.on("test:pass", (test) => {
    if (isContainer(test.details)) return;
    if (test.skip !== undefined || test.todo !== undefined) skipped++;
    else if (test.name === file.compiled) failures.push({ name: file.source, error: "the file contains no test" });
    else passed++;
  });
  stream.on("test:fail", (test) => {
    if (failureType(test.details.error) === "subtestsFailed") return; // the subtest itself was reported
    if (test.name === file.compiled) failures.push({ name: file.source, error: fileError(signal, timeoutMs, test) });
    else failures.push({ name: path.slice(0, test.nesting + 1).join(" > "), error: cause(test.details.error) });
  });
  stream.on("test:stdout", ({ message }) => output.push(message));
  stream.on("test:stderr", ({ message }) => output.push(message));
  stream.resume();
  await once(stream, "end");

  return { file, passed, skipped, failures, output: output.join(""), durationMs: performance.now() - startedMs };
}

/** A `describe` block: its tests are counted, it is not. */
function isContainer(details: { readonly type?: string }): boolean {
  return details.type === "suite";
}

/** The file's process failed outside its tests: it threw while loading, exited early, or took too long. */
function fileError(signal: AbortSignal, timeoutMs: number, test: { readonly details: { readonly error: Error } }) {
  if (signal.aborted) return `still running after ${timeoutMs} ms: a test that hangs, or something left open after it`;
  const { exitCode, signal: killedBy } = test.details.error as { exitCode?: unknown; signal?: unknown };
  const end = typeof killedBy === "string" ? `was killed by ${killedBy}` : `exited with code ${String(exitCode)}`;
  return `the process of the file ${end}`;
}

function failureType(error: Error): unknown {
  return (error as { failureType?: unknown }).failureType;
}

/** `node:test` wraps what the test threw. */
function cause(error: Error): unknown {
  return error.cause ?? error;
}
