/** What a run prints: a line per file, and for a failure what is needed to find its cause. */
import type { CheckResult } from "./checks.js";
import type { Failure, TestFileResult } from "./test-file.js";

const MAX_OUTPUT_LINES = 100;
const MAX_CHECK_LINES = 60;

export class Report {
  readonly #write: (text: string) => void;
  readonly #failed: string[] = [];
  #passed = 0;
  #skipped = 0;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** True when something ran and nothing failed. */
  get ok(): boolean {
    return this.#passed > 0 && this.#failed.length === 0;
  }

  suite(name: string): void {
    this.#write(`\n${name}\n`);
  }

  check(check: CheckResult): void {
    if (check.passed) this.#passed++;
    else this.#failed.push(check.name);
    this.#line(check.passed, check.name, check.durationMs, "");
    if (!check.passed) this.#write(indent(firstLines(check.output)));
  }

  file(result: TestFileResult): void {
    this.#passed += result.passed;
    this.#skipped += result.skipped;
    const ok = result.failures.length === 0;
    this.#line(ok, result.file.source, result.durationMs, counts(result));
    for (const failure of result.failures) this.#failure(result, failure);
    if (!ok && result.output !== "") this.#write(indent(`output of the file:\n${lastLines(result.output)}`));
  }

  /** The closing line stands alone at the end: it is what is read by machines. */
  close(): void {
    if (this.#failed.length > 0) this.#write(`\nfailed:\n${indent(this.#failed.join("\n"))}`);
    if (this.#skipped > 0) this.#write(`\n${this.#skipped} skipped\n`);
    if (this.#passed + this.#failed.length === 0) this.#write("\nno test ran\n");
    this.#write(`\n${this.#passed} passed, ${this.#failed.length} failed\n`);
  }

  #line(ok: boolean, name: string, durationMs: number, detail: string): void {
    const seconds = (durationMs / 1000).toFixed(1).padStart(6);
    this.#write(`${ok ? "  ok  " : "  FAIL"} ${seconds} s  ${name}${detail}\n`);
  }

  #failure(result: TestFileResult, failure: Failure): void {
    const name = failure.name === result.file.source ? failure.name : `${result.file.source}: ${failure.name}`;
    this.#failed.push(name);
    this.#write(indent(`✗ ${name}\n${indent(describe(failure.error))}`));
  }
}

function counts(result: TestFileResult): string {
  const parts = [`${result.passed} passed`];
  if (result.failures.length > 0) parts.push(`${result.failures.length} failed`);
  if (result.skipped > 0) parts.push(`${result.skipped} skipped`);
  return `  (${parts.join(", ")})`;
}

/** Stack and causes, without the frames of Node itself. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return typeof error === "string" ? error : `thrown: ${String(error)}`;
  const text = error.stack?.includes(error.message) ? error.stack : `${error.name}: ${error.message}`;
  const frames = text.split("\n").filter((line) => !/^\s+at (.*\()?node:/.test(line));
  const own = frames.join("\n");
  return error.cause === undefined ? own : `${own}\n[cause] ${describe(error.cause)}`;
}

function firstLines(text: string): string {
  const lines = text.trim().split("\n");
  if (lines.length <= MAX_CHECK_LINES) return lines.join("\n");
  return `${lines.slice(0, MAX_CHECK_LINES).join("\n")}\n… ${lines.length - MAX_CHECK_LINES} more lines`;
}

function lastLines(text: string): string {
  const lines = text.trimEnd().split("\n");
  if (lines.length <= MAX_OUTPUT_LINES) return lines.join("\n");
  return `… ${lines.length - MAX_OUTPUT_LINES} lines left out\n${lines.slice(-MAX_OUTPUT_LINES).join("\n")}`;
}

function indent(text: string): string {
  return `${text.trimEnd().replace(/^/gm, "         ")}\n`;
}
