/**
 * How a rate is measured, so that two of them can be compared.
 *
 * A workload is warmed up for at least a second, and then run in at least four windows of at least two seconds each.
 * Workloads that are to be compared are measured in turns, window by window, so that both see the same machine.
 */

export interface Timing {
  readonly warmUpMs: number;
  readonly windowMs: number;
  readonly windows: number;
}

const STANDARD_TIMING: Timing = { warmUpMs: 1_000, windowMs: 2_000, windows: 4 };

/** What happened in one window. */
export interface Window {
  readonly ops: number;
  readonly elapsedMs: number;
  /** CPU time of all processes concerned. */
  readonly cpuUs: number;
}

export interface Workload {
  readonly name: string;
  warmUp(atLeastMs: number): Promise<void>;
  window(atLeastMs: number): Promise<Window>;
}

export interface Summary {
  readonly name: string;
  /** Operations per second of each window, in the order in which they ran. */
  readonly rates: readonly number[];
  readonly median: number;
  readonly mean: number;
  /** Population standard deviation. */
  readonly sd: number;
  readonly min: number;
  readonly cpuUsPerOp: number;
}

export interface BodyOptions {
  readonly name: string;
  /** One call of the workload. It is awaited only if it returns a promise. */
  readonly body: () => unknown;
  /** Operations that one call stands for. */
  readonly opsPerCall?: number;
  /** CPU time used so far by all processes of the workload. */
  readonly cpuUs: () => number | Promise<number>;
  readonly nowMs?: () => number;
}

/**
 * A workload that calls `body` over and over. The clock is read only every so often: after as many calls as a tenth of
 * the warm-up made.
 */
export function bodyWorkload({ name, body, opsPerCall = 1, cpuUs, nowMs = defaultNow }: BodyOptions): Workload {
  let callsPerStep = 1;

  const callUntil = async (atLeastMs: number) => {
    const startMs = nowMs();
    let calls = 0;
    let elapsedMs = 0;
    do {
      for (let i = 0; i < callsPerStep; i++) {
        const result = body();
        if (result instanceof Promise) await result;
      }
      calls += callsPerStep;
      await nextTurn(); // a body that never waits would keep the process from everything else it has to do
      elapsedMs = nowMs() - startMs;
    } while (elapsedMs < atLeastMs);
    return { calls, elapsedMs };
  };

  return {
    name,
    async warmUp(atLeastMs) {
      callsPerStep = 1;
      const { calls } = await callUntil(atLeastMs);
      callsPerStep = Math.floor(calls / 10) + 1;
    },
    async window(atLeastMs) {
      const cpuBeforeUs = await cpuUs();
      const { calls, elapsedMs } = await callUntil(atLeastMs);
      return { ops: calls * opsPerCall, elapsedMs, cpuUs: (await cpuUs()) - cpuBeforeUs };
    },
  };
}

/** A workload that measures its own windows, as the floor does. */
export function windowWorkload(name: string, window: (durationMs: number) => Promise<Window>): Workload {
  return {
    name,
    window,
    async warmUp(atLeastMs) {
      await window(atLeastMs);
    },
  };
}

/** Warms up every workload, then gives each a window in turn: A B A B A B A B. */
export async function measureInTurns(
  workloads: readonly Workload[],
  timing: Timing = STANDARD_TIMING,
): Promise<Summary[]> {
  for (const workload of workloads) await workload.warmUp(timing.warmUpMs);
  const windows = workloads.map((): Window[] => []);
  for (let round = 0; round < timing.windows; round++) {
    for (const [index, workload] of workloads.entries()) {
      windows[index]?.push(await workload.window(timing.windowMs));
    }
  }
  return workloads.map(({ name }, index) => summarize(name, windows[index] ?? []));
}

export function summarize(name: string, windows: readonly Window[]): Summary {
  const rates = windows.map(({ ops, elapsedMs }) => (ops / elapsedMs) * 1_000);
  const mean = sum(rates) / rates.length;
  return {
    name,
    rates,
    median: median(rates),
    mean,
    sd: Math.sqrt(sum(rates.map((rate) => (rate - mean) ** 2)) / rates.length),
    min: Math.min(...rates),
    cpuUsPerOp: sum(windows.map(({ cpuUs }) => cpuUs)) / sum(windows.map(({ ops }) => ops)),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function defaultNow(): number {
  return performance.now();
}
