/**
 * The simulator as a program.
 *
 *     node dist/sim/run.js [--from 1] [--to 200]     run seeds; the first that fails is printed with its replay command
 *     node dist/sim/run.js --seed 17 [--verbose]     one seed, with its event log
 *
 * With `--busy` a process is in synchronous code for seconds while the first fault strikes; in half of the seeds an actor, too,
 * that is cut off from its callers.
 */
import { parseArgs } from "node:util";
import { runScenario, type ScenarioOptions } from "./scenario.js";

const USAGE =
  "usage: node dist/sim/run.js [--from N] [--to N] [--faults N] [--busy] [--keep-going] | --seed N [--verbose]\n";

interface Totals {
  events: number;
  tasks: number;
  calls: number;
  rebuilds: number;
  recalled: number;
  virtualMs: number;
  failed: number;
  excused: number;
  timedOut: number;
  outlived: number;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      from: { type: "string", default: "1" },
      to: { type: "string", default: "200" },
      faults: { type: "string", default: "1" },
      busy: { type: "boolean", default: false },
      seed: { type: "string" },
      verbose: { type: "boolean", default: false },
      "keep-going": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const from = Number(values.seed ?? values.from);
  const to = Number(values.seed ?? values.to);
  const verbose = values.verbose ? (line: string) => void process.stdout.write(`${line}\n`) : undefined;
  const totals: Totals = {
    events: 0,
    tasks: 0,
    calls: 0,
    rebuilds: 0,
    recalled: 0,
    virtualMs: 0,
    failed: 0,
    excused: 0,
    timedOut: 0,
    outlived: 0,
  };
  const started = performance.now();
  let ran = 0;
  for (let seed = from; seed <= to; seed++) {
    ran++;
    if (!runSeed(seed, { faults: Number(values.faults), busy: values.busy, verbose }, totals)) {
      if (!values["keep-going"]) break;
    }
  }
  report(ran, totals, (performance.now() - started) / 1_000);
  process.exitCode = totals.failed > 0 ? 1 : 0;
}

function runSeed(seed: number, options: ScenarioOptions, totals: Totals): boolean {
  const { faults, busy, verbose } = options;
  try {
    const result = runScenario(seed, options);
    totals.events += result.events;
    totals.tasks += result.tasks;
    totals.calls += result.calls;
    totals.rebuilds += result.rebuilds;
    totals.recalled += result.recalled;
    totals.virtualMs += result.elapsedMs;
    totals.excused += result.excused;
    totals.timedOut += result.timedOut;
    totals.outlived += result.outlived;
    if (verbose !== undefined) process.stdout.write(`seed ${seed}: ${JSON.stringify(result)}\n`);
    return true;
  } catch (error) {
    totals.failed++;
    const words =
      error instanceof Error ? (verbose === undefined ? `${error.name}: ${error.message}` : error.stack) : `${error}`;
    process.stdout.write(
      `seed ${seed} failed: ${words}\n  replay: node dist/sim/run.js --seed ${seed} --faults ${faults}${busy ? " --busy" : ""} --verbose\n`,
    );
    return false;
  }
}

function report(
  ran: number,
  { events, tasks, calls, rebuilds, recalled, virtualMs, failed, excused, timedOut, outlived }: Totals,
  seconds: number,
): void {
  const rate = (ran / seconds).toFixed(1);
  process.stdout.write(
    `${ran} seeds, ${failed} failed, ${excused} programs excused by their fault: ${tasks} tasks, ${calls} actor calls, ${rebuilds} rebuilds of lost results, ${recalled} pushes recalled, ${timedOut} times over (${outlived} workers ended), ${events} events, ${(virtualMs / 1_000).toFixed(0)} virtual seconds in ${seconds.toFixed(1)} s (${rate} seeds/s)\n`,
  );
}

main();
