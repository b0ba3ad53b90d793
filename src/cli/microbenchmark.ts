/** `mobula microbenchmark`. */
import { availableParallelism } from "node:os";
import { type Measurement, microbenchmark as measure, workloadNames } from "../bench/microbenchmark.js";
import { InvalidOptionError } from "../errors.js";
import { print, printJson, table } from "./text.js";

export interface MicrobenchmarkOptions {
  readonly filter?: RegExp;
  readonly seconds: number;
  readonly json?: boolean;
}

export async function microbenchmark({ filter, seconds, json }: MicrobenchmarkOptions): Promise<void> {
  if (filter !== undefined && !workloadNames().some((name) => filter.test(name))) {
    throw new InvalidOptionError(`--filter ${filter.source} matches none of: ${workloadNames().join("; ")}`);
  }
  const timing = { windowMs: seconds * 1_000 };
  const measurements = await measure(filter === undefined ? { timing } : { timing, filter });
  if (json === true) printJson({ node: process.version, cpus: availableParallelism(), measurements });
  else print(inWords(measurements));
}

function inWords(measurements: readonly Measurement[]): string {
  const head = ["", " median/s", " mean/s", " ± sd", " min/s", " CPU µs/op", " of floor", "bar"];
  const rows = measurements.map(({ name, median, mean, sd, min, cpuUsPerOp, ofFloor, bar }) => [
    name,
    ...[median, mean, sd, min].map((rate) => Math.round(rate).toLocaleString("en")),
    Number.isNaN(cpuUsPerOp) ? "?" : cpuUsPerOp.toFixed(2),
    ofFloor === undefined ? "" : `${ofFloor.toFixed(3)}×`,
    bar === undefined ? "" : `≥ ${bar}× ${(ofFloor ?? 0) >= bar ? "met" : "missed"}`,
  ]);
  const note = "CPU: of all processes of the cluster on this host; of the floor: of both its processes.";
  return `${table(head, rows)}\n\n${note}`;
}
