/**
 * The first workloads, timed as Ray times its own, and beside them in the same run the floor: workloads and floor get
 * windows in turn, so that a ratio compares what ran next to each other on the same machine.
 */
import { get, init, put, remote, shutdown } from "../api/index.js";
import { loadSecret } from "../io/secret.js";
import { ClusterTool } from "../process/cluster-tool.js";
import { ClusterCpu } from "./cluster-cpu.js";
import { type Floor, startFloor } from "./floor.js";
import { bodyWorkload, measureInTurns, type Summary, type Timing, type Workload, windowWorkload } from "./timing.js";

const BATCH = 1_000;

const FLOORS = {
  one: "floor, one at a time",
  many: `floor, ${BATCH} in flight`,
} as const;

interface Spec {
  readonly name: string;
  readonly opsPerCall: number;
  /** What it is compared with; puts and gets of small values touch no other process, so there is nothing to compare. */
  readonly floor?: keyof typeof FLOORS;
  /** At least this fraction of the floor is wanted. */
  readonly bar?: number;
  /** Gives the body of one call. */
  readonly prepare: () => Promise<() => unknown>;
}

export interface Measurement extends Summary {
  /** Median over the windows of this rate through that of the floor's window beside it. */
  readonly ofFloor?: number;
  readonly floor?: string;
  readonly bar?: number;
}

export interface MicrobenchmarkOptions {
  readonly filter?: RegExp;
  readonly timing?: Partial<Timing>;
}

/** Runs on a cluster of its own, which ends with it. Throws a plain RangeError when no workload matches. */
export async function microbenchmark({ filter, timing }: MicrobenchmarkOptions): Promise<Measurement[]> {
  const specs = SPECS.filter(({ name }) => filter === undefined || filter.test(name));
  if (specs.length === 0)
    throw new RangeError(`no workload matches ${filter}; there are: ${workloadNames().join("; ")}`);
  const cluster = await init({ logToDriver: false });
  const tool = await ClusterTool.connect(cluster.address, loadSecret());
  const floor = await startFloor();
  try {
    const cpu = new ClusterCpu(tool);
    const floors = floorsOf(specs, floor);
    const workloads = await Promise.all(specs.map((spec) => workloadOf(spec, cpu)));
    const summaries = await measureInTurns([...floors, ...workloads], {
      warmUpMs: 1_000,
      windowMs: 2_000,
      windows: 4,
      ...timing,
    });
    const byName = new Map(summaries.map((summary) => [summary.name, summary]));
    return [...floors.map(({ name }) => name), ...specs.map(({ name }) => name)].flatMap((name) => {
      const summary = byName.get(name);
      return summary === undefined ? [] : [compared(summary, specs, byName)];
    });
  } finally {
    await floor.stop();
    tool.close();
    await shutdown();
  }
}

export function workloadNames(): string[] {
  return SPECS.map(({ name }) => name);
}

function floorsOf(specs: readonly Spec[], floor: Floor): Workload[] {
  const wanted = new Set(specs.map((spec) => spec.floor));
  const run = { one: (ms: number) => floor.runOneAtATime(ms), many: (ms: number) => floor.runInFlight(BATCH, ms) };
  return (["one", "many"] as const)
    .filter((key) => wanted.has(key))
    .map((key) => windowWorkload(FLOORS[key], run[key]));
}

async function workloadOf({ name, opsPerCall, prepare }: Spec, cpu: ClusterCpu): Promise<Workload> {
  return bodyWorkload({ name, opsPerCall, body: await prepare(), cpuUs: () => cpu.usedUs() });
}

function compared(summary: Summary, specs: readonly Spec[], byName: ReadonlyMap<string, Summary>): Measurement {
  const spec = specs.find(({ name }) => name === summary.name);
  const floor = spec?.floor === undefined ? undefined : byName.get(FLOORS[spec.floor]);
  if (floor === undefined) return summary;
  const ratios = summary.rates.map((rate, window) => rate / (floor.rates[window] ?? Number.NaN)).sort((a, b) => a - b);
  const middle = (ratios.length - 1) / 2;
  const ofFloor = ((ratios[Math.floor(middle)] ?? Number.NaN) + (ratios[Math.ceil(middle)] ?? Number.NaN)) / 2;
  return { ...summary, ofFloor, floor: floor.name, ...(spec?.bar === undefined ? {} : { bar: spec.bar }) };
}

// ── The workloads ───────────────────────────────────────────────────────────────────────────────────────────────────

const SPECS: readonly Spec[] = [
  {
    name: "tasks one at a time",
    opsPerCall: 1,
    floor: "one",
    bar: 0.25,
    prepare: async () => {
      const small = smallTask();
      return () => get(small.remote());
    },
  },
  {
    name: "tasks async",
    opsPerCall: BATCH,
    floor: "many",
    bar: 0.15,
    prepare: async () => {
      const small = smallTask();
      return () => get(Array.from({ length: BATCH }, () => small.remote()));
    },
  },
  {
    name: "1:1 actor calls one at a time",
    opsPerCall: 1,
    floor: "one",
    prepare: async () => {
      const actor = await smallActor();
      return () => get(actor.small.remote());
    },
  },
  {
    name: "1:1 actor calls async",
    opsPerCall: BATCH,
    floor: "many",
    bar: 0.2,
    prepare: async () => {
      const actor = await smallActor();
      return () => get(Array.from({ length: BATCH }, () => actor.small.remote()));
    },
  },
  // The ref is dropped at once; what its collection costs falls into the window too.
  { name: "put small", opsPerCall: 1, prepare: async () => () => void put(0) },
  {
    name: "get small",
    opsPerCall: 1,
    prepare: async () => {
      const ref = put(0);
      return () => get(ref);
    },
  },
];

function smallTask() {
  return remote(function small() {
    return "ok";
  });
}

async function smallActor() {
  const Small = remote(
    class Small {
      small() {
        return "ok";
      }
    },
  );
  const actor = Small.remote();
  await get(actor.small.remote()); // it is there: its creation is not measured
  return actor;
}
