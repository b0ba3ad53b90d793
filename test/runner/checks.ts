/** Checks of the whole tree that count as tests: formatter and linter, and the search for unused code. */
import { spawn } from "node:child_process";
import { join } from "node:path";

export interface CheckResult {
  readonly name: string;
  readonly passed: boolean;
  readonly output: string;
  readonly durationMs: number;
}

const CHECKS = [
  { name: "lint", script: "node_modules/@biomejs/biome/bin/biome", args: ["check", "--error-on-warnings"] },
  { name: "unused code", script: "node_modules/knip/bin/knip.js", args: ["--no-progress", "--no-config-hints"] },
] as const;

export function runChecks(root: string): Promise<CheckResult[]> {
  return Promise.all(CHECKS.map(({ name, script, args }) => runCheck(root, name, [join(root, script), ...args])));
}

function runCheck(root: string, name: string, args: readonly string[]): Promise<CheckResult> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => output.push(text));
  }
  return new Promise((resolve) => {
    const done = (passed: boolean) =>
      resolve({ name, passed, output: output.join(""), durationMs: performance.now() - startedMs });
    child.on("error", (error) => {
      output.push(String(error));
      done(false);
    });
    child.on("close", (code) => done(code === 0));
  });
}
