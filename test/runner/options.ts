import { parseArgs } from "node:util";

export interface RunnerOptions {
  /** Repository to test: sources are looked up here, what runs is below its `dist`. */
  readonly root: string;
  /** Parts of source paths. A test file runs when its path contains one of them; none given: all run. */
  readonly filters: readonly string[];
  readonly repeat: number;
  readonly fileTimeoutMs: number;
  /** Run the linter and the unused-code check too. They look at the whole tree, so a filter leaves them out. */
  readonly checks: boolean;
}

export const USAGE = `usage: npm test -- [options] [filter...]

  filter            run only test files whose path contains one of the filters
  --repeat N        run the chosen files N times (default 1)
  --timeout-ms N    time limit of one test file (default 120000)
  --no-checks       leave out the linter and the unused-code check
  --root DIR        repository to test (default: this one)
`;

/** Throws a `TypeError` on an unknown option and a `RangeError` on a bad number. */
export function parseOptions(args: readonly string[], defaultRoot: string): RunnerOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      repeat: { type: "string", default: "1" },
      "timeout-ms": { type: "string", default: "120000" },
      "no-checks": { type: "boolean", default: false },
      root: { type: "string", default: defaultRoot },
    },
  });
  return {
    root: values.root,
    filters: positionals,
    repeat: positiveInteger("--repeat", values.repeat),
    fileTimeoutMs: positiveInteger("--timeout-ms", values["timeout-ms"]),
    checks: !values["no-checks"] && positionals.length === 0,
  };
}

function positiveInteger(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${option} takes a positive integer, got ${text}`);
  return value;
}
