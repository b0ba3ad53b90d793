/**
 * How long a whole driver takes, from its start to its end, beside a Node process that does nothing: `npm run bench:start`.
 *
 * Pairs are run in turn, so that both see the same machine. At most 6 times the bare process is wanted.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const DRIVER = fileURLToPath(new URL("./start-driver.js", import.meta.url));
const PAIRS = 10;
const BAR = 6;

async function timeMs(args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`node ${args.join(" ")} ended with exit code ${code}`);
  return performance.now() - startMs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

async function main(): Promise<void> {
  const bare: number[] = [];
  const drivers: number[] = [];
  for (let pair = 0; pair <= PAIRS; pair++) {
    const bareMs = await timeMs(["-e", "0"]);
    const driverMs = await timeMs([DRIVER]);
    if (pair === 0) continue; // the files were not in the page cache
    bare.push(bareMs);
    drivers.push(driverMs);
  }
  const ratio = median(drivers) / median(bare);
  const verdict = ratio <= BAR ? "met" : "missed";
  process.stdout.write(
    `node -e 0:                            median ${median(bare).toFixed(1)} ms of ${PAIRS}\n` +
      `init, one task's result, natural end: median ${median(drivers).toFixed(1)} ms of ${PAIRS}\n` +
      `ratio: ${ratio.toFixed(2)} (bar: at most ${BAR}, ${verdict})\n`,
  );
}

await main();
