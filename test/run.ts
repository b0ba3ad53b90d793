/**
 * The test command: `npm test`, after the build. `--help` lists the options.
 *
 * Every test file runs in a process of its own and has a time limit, so one that hangs or crashes fails alone.
 * The last line is always `N passed, N failed`, and the exit code is 1 if anything failed or nothing ran.
 */
import { fileURLToPath } from "node:url";
import { loadNative, nativeProblem } from "../src/io/native.js";
import { runChecks } from "./runner/checks.js";
import { parseOptions, type RunnerOptions, USAGE } from "./runner/options.js";
import { Report } from "./runner/report.js";
import { CONCURRENCY, findSuites, type Suite } from "./runner/suites.js";
import { runTestFile } from "./runner/test-file.js";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url)); // this file runs as dist/test/run.js

async function runAll(options: RunnerOptions, report: Report): Promise<void> {
  if (options.checks) {
    report.suite("checks");
    for (const check of await runChecks(options.root)) report.check(check);
  }
  const suites = findSuites(options.root, options.filters);
  for (let round = 1; round <= options.repeat; round++) {
    for (const suite of suites) {
      report.suite(options.repeat === 1 ? suite.name : `${suite.name}, round ${round} of ${options.repeat}`);
      await runSuite(suite, options.fileTimeoutMs, report);
    }
  }
}

/** Several runners, each taking the next file when it has finished one. */
async function runSuite(suite: Suite, fileTimeoutMs: number, report: Report): Promise<void> {
  const files = suite.files.values();
  const runner = async () => {
    for (const file of files) report.file(await runTestFile(file, fileTimeoutMs));
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, runner));
}

/** Which of the two stores is tested: nobody should take one for the other. */
function modeLine(): string {
  if (loadNative() !== undefined) return "with the addon: arrays are mapped";
  process.env["MOBULA_NATIVE"] = "0"; // the tests' own processes need not warn of it
  return `without the addon: arrays are copied (${nativeProblem() ?? "MOBULA_NATIVE=0"})`;
}

async function main(args: readonly string[]): Promise<void> {
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return;
  }
  const options = parseOptions(args, REPOSITORY);
  const report = new Report((text) => process.stdout.write(text));
  process.stdout.write(`${modeLine()}\n`);
  await runAll(options, report);
  report.close();
  process.exitCode = report.ok ? 0 : 1;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 1;
});
