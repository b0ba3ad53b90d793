/**
 * What capturing functions costs: `npm run bench:capture`.
 *
 * The first capture of a process is compared with the least that one needs: an inspector session, the debugger enabled,
 * the source of one script, all in a process that has loaded the same program. Processes of the two kinds run in turn.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url)); // this file runs as dist/bench/capture.js
const FUNCTIONS = new URL("../src/functions/index.js", import.meta.url).href;
const API = new URL("../bundle/api/index.js", import.meta.url).href;
const SOURCE = join(ROOT, "bench/capture-program.ts");
const PAIRS = Number(process.env["PAIRS"] ?? 9);
const run = promisify(execFile);

const FIRST_BAR = 3;
const LATER_BAR_MS = 1;
const REVIVE_BAR_MS = 0.3;
/** The machine's noise. With the debugger left on it is 8. */
const AWAIT_BAR = 1.5;

interface Measured {
  readonly firstMs: number;
  readonly laterMs: number;
  readonly reviveMs: number;
  readonly awaits: number;
}

async function measure(args: readonly string[], mode: "bare" | "capture"): Promise<Measured> {
  const { stdout } = await run(process.execPath, [...args, mode, FUNCTIONS, API], { cwd: ROOT });
  return JSON.parse(stdout) as Measured;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

async function compare(way: string, args: readonly string[]): Promise<void> {
  const bare: number[] = [];
  const captures: Measured[] = [];
  for (let pair = 0; pair <= PAIRS; pair++) {
    const { firstMs } = await measure(args, "bare");
    const captured = await measure(args, "capture");
    if (pair === 0) continue; // the files were not in the page cache
    bare.push(firstMs);
    captures.push(captured);
  }
  const of = (pick: (measured: Measured) => number): number => median(captures.map(pick));
  const [bareMs, firstMs] = [median(bare), of(({ firstMs }) => firstMs)];
  const lines = [
    `bare session ${bareMs.toFixed(1)} ms, first capture ${firstMs.toFixed(1)} ms: ${judge(firstMs / bareMs, FIRST_BAR, "×")}`,
    `later capture ${judge(
      of(({ laterMs }) => laterMs),
      LATER_BAR_MS,
      " ms",
    )}`,
    `reviving ${judge(
      of(({ reviveMs }) => reviveMs),
      REVIVE_BAR_MS,
      " ms",
    )}`,
    `await afterwards, beside before: ${judge(
      of(({ awaits }) => awaits),
      AWAIT_BAR,
      "×",
    )}`,
  ];
  process.stdout.write(`${way}\n${lines.map((line) => `  ${line}\n`).join("")}`);
}

function judge(value: number, bar: number, unit: string): string {
  return `${value.toFixed(2)}${unit} (bar ${bar}${unit}, ${value <= bar ? "met" : "missed"})`;
}

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "mobula-bench-"));
  const bundle = async (file: string, options: object): Promise<string> => {
    const outfile = join(directory, file);
    await build({ entryPoints: [SOURCE], outfile, bundle: true, platform: "node", logLevel: "error", ...options });
    return outfile;
  };
  const tsx = createRequire(import.meta.url).resolve("tsx");
  try {
    await compare("plain JavaScript", [await bundle("plain.mjs", { format: "esm" })]);
    await compare("tsc", [join(ROOT, "dist/bench/capture-program.js")]);
    await compare("tsx", ["--import", tsx, SOURCE]);
    await compare("minified bundle with a map", [
      await bundle("min.mjs", { format: "esm", minify: true, keepNames: true, sourcemap: true }),
    ]);
    await compare("CommonJS bundle", [await bundle("bundle.cjs", { format: "cjs" })]);
  } finally {
    await rm(directory, { recursive: true });
  }
}

await main();
