/**
 * One seed from its beginning to its end: a cluster and programs are drawn, run against each other under faults, healed,
 * and asked whether every promise was kept.
 */
import { NODE_TIMEOUT_MS } from "../src/base/limits.js";
import type { RayletPort } from "../src/core/raylet/raylet.js";
import { NOBODY, type Terrain } from "./body.js";
import { Checkers } from "./checkers/checkers.js";
import { checkEmpty, checkJobsEnded } from "./checkers/end-checker.js";
import { demand } from "./checkers/violation.js";
import { Cluster, type NodeShape, nodeIdOf } from "./cluster.js";
import { cutOff } from "./cut-off.js";
import type { Driver } from "./driver.js";
import { drawFaults, excusedBy, type Fault, type FaultKind, strike } from "./faults.js";
import { ModelApi, type ModelOutcome, outcomeOfRef } from "./model.js";
import { drawRates } from "./network.js";
import type { CodeTable, Observer } from "./program.js";
import { SimError } from "./values.js";
import { codesOf, program } from "./workload.js";
import { between, prngFor, World } from "./world.js";

const AMPLE_STORE_BYTES = 64 * 1024 * 1024;
/** More than any object of a program. */
const LARGEST_OBJECT_BYTES = 400 * 1024;
/** Faults stop here; what was promised must be kept soon after. */
const HEAL_AFTER_MS = 5_000;
const SETTLE_MS = 120_000;
/** Copies are lost again and again. */
const LOSSES = 12;
const LOSS_EVERY_MS = 40;
/** Long enough for tasks that their programs have given up to end, idle leases to come back and releases to travel. */
const CALM_MS = 8_000;
/** So long a process may be in synchronous code while faults strike. */
const BUSY_MS = 20_000;
/** A node that fell silent must be missed first. */
const SILENT_CALM_MS = NODE_TIMEOUT_MS + 2 * CALM_MS;

export interface ScenarioOptions {
  readonly verbose?: ((line: string) => void) | undefined;
  readonly plant?: ((port: RayletPort) => RayletPort) | undefined;
  /** How many faults strike: 1. */
  readonly faults?: number | undefined;
  /** Around the first fault, a driver or worker is in synchronous code for seconds. */
  readonly busy?: boolean | undefined;
  /** What each node's store has. */
  readonly storeBytes?: number | undefined;
  /** Whether tasks and calls have time limits; drawn otherwise. */
  readonly limits?: boolean | undefined;
  /** Whether an actor is in synchronous code and cut off from its callers; drawn otherwise, where a process is busy. */
  readonly cutOff?: boolean | undefined;
  /** No node has a disk: a program may fail because its store is full. */
  readonly withoutDisk?: boolean | undefined;
}

export interface ScenarioResult {
  readonly hash: string;
  readonly events: number;
  readonly elapsedMs: number;
  readonly tasks: number;
  readonly calls: number;
  readonly grants: number;
  /** Tasks that ran again because their results were lost. */
  readonly rebuilds: number;
  /** Pushes that were recalled from workers in synchronous code. */
  readonly recalled: number;
  /** Refs of the drivers' programs whose time was over. */
  readonly timedOut: number;
  /** Workers that were ended for a task that had outlived its time. */
  readonly outlived: number;
  /** Objects that were written to disk. */
  readonly spilled: number;
  readonly fault: FaultKind;
  /** Programs that ended with an error that the fault excuses. */
  readonly excused: number;
}

interface Drawn {
  readonly shapes: readonly NodeShape[];
  readonly terrain: Terrain;
  readonly drivers: readonly { readonly node: number; readonly seed: number }[];
}

/** @throws Violation, or what a machine's assertion threw. */
export function runScenario(seed: number, options: ScenarioOptions = {}): ScenarioResult {
  const world = new World(seed, options.verbose);
  const { shapes, drivers, ...drawn } = draw(seed, options.storeBytes ?? drawStoreBytes(seed), options.limits);
  const isCutOff = options.cutOff ?? (options.busy === true && prngFor(seed, "is cut off").chance(0.5));
  const terrain: Terrain = { ...drawn.terrain, isCutOff };
  const faults = drawFaults(seed, shapes.length, options.faults ?? 1);
  const codes = codesOf(terrain);
  const checkers = new Checkers();
  for (const [i, shape] of shapes.entries()) checkers.leases.addNode(nodeIdOf(i + 1), totalOf(shape));
  const cluster = new Cluster({
    world,
    rates: drawRates(seed),
    nodes: shapes,
    codes,
    watch: checkers,
    plant: options.plant,
  });
  if (options.withoutDisk === true) for (const node of cluster.nodes) node.raylet.storage.diskHas(0);
  world.run(() => cluster.nodes[0]?.gcs?.nodeCount === shapes.length, SETTLE_MS);
  for (const { node, seed: own } of drivers) addDriver(cluster, checkers, node, own, terrain, codes);
  for (const fault of faults) inject(cluster, checkers, fault);
  if (options.busy === true) keepBusy(cluster, seed, faults[0]?.atMs ?? 0);
  if (terrain.isCutOff) cutOff(cluster, prngFor(seed, "cut off"));
  world.after(HEAL_AFTER_MS, () => cluster.network.heal());

  const isOver = (driver: Driver) => driver.finished || !driver.alive;
  const settled = world.run(() => cluster.drivers.every(isOver), SETTLE_MS);
  const waiting = cluster.drivers
    .filter((driver) => !isOver(driver))
    .map(({ name, waitsFor }) => `${name} in ${waitsFor}`);
  demand(settled, `every program ends within ${SETTLE_MS} ms, but ${waiting.join("; ")}`);
  const reasons = faults.flatMap(({ kind }) => excusedBy(kind));
  if (terrain.isCutOff) reasons.push(...excusedBy("link"));
  if (checkers.outlived > 0) reasons.push("OWNER_DIED"); // what the worker's earlier tasks had left to it
  if (options.withoutDisk === true) reasons.push("OBJECT_STORE_FULL", "OUT_OF_DISK");
  const excused = checkFailures(cluster, checkers, reasons, faults.length);
  const isSilent = faults.some(({ kind, silently }) => kind === "node" && silently);
  world.run(() => false, (isSilent ? SILENT_CALM_MS : CALM_MS) + (options.busy === true ? BUSY_MS : 0));
  checkEmpty(cluster);
  for (const driver of cluster.drivers) if (driver.alive) driver.leave();
  world.run(() => false, CALM_MS);
  checkJobsEnded(cluster);
  checkers.leases.checkAllBack();
  const { hash, events, elapsedMs } = world;
  const { tasks, actors, leases } = checkers;
  return {
    hash,
    events,
    elapsedMs,
    tasks: tasks.tasks,
    calls: actors.calls,
    grants: leases.grants,
    rebuilds: checkers.rebuilds,
    recalled: checkers.recalled,
    timedOut: checkers.tasks.timedOut,
    outlived: checkers.outlived,
    spilled: cluster.nodes.reduce((sum, node) => sum + node.disk.spilled, 0),
    fault: faults[0]?.kind ?? "none",
    excused,
  };
}

function draw(seed: number, storeBytes: number, limits = prngFor(seed, "limits").chance(0.5)): Drawn {
  const prng = prngFor(seed, "cluster");
  const headCpus = between(prng, 1, 3);
  const gpus = prng.chance(0.3) ? 1 : 0;
  const count = between(prng, 1, 4);

  const shapes = Array.from({ length: count }, (_, i): NodeShape => {
    const cpus = i === 0 ? headCpus : between(prng, 1, headCpus);
    const resources = i === 0 && gpus > 0 ? { CPU: cpus, GPU: gpus } : { CPU: cpus };
    return { resources, storeBytes, recallable: prngFor(seed, `recall ${i}`).chance(0.8) };
  });
  const nodes = shapes.map((_, i) => nodeIdOf(i + 1));
  const drivers = Array.from({ length: prng.chance(0.3) ? 2 : 1 }, () => ({
    node: between(prng, 1, count),
    seed: prng.next(),
  }));
  return {
    shapes,
    terrain: { nodes, headCpus, gpus, isHeavy: prng.chance(0.3), hasLimits: limits, isCutOff: false },
    drivers,
  };
}

/** In most seeds the programs' objects do not fit together. */
function drawStoreBytes(seed: number): number {
  const prng = prngFor(seed, "store");
  return prng.chance(0.4) ? AMPLE_STORE_BYTES : between(prng, LARGEST_OBJECT_BYTES, 2 * LARGEST_OBJECT_BYTES);
}

function totalOf({ resources, storeBytes }: NodeShape): ReadonlyMap<string, number> {
  const all = { ...resources, objectStoreMemory: storeBytes };
  return new Map(Object.entries(all).map(([name, amount]) => [name, amount * 10_000]));
}

/** The model runs first: it says what each ref of the program comes to. */
function addDriver(
  cluster: Cluster,
  checkers: Checkers,
  node: number,
  seed: number,
  terrain: Terrain,
  codes: CodeTable,
): void {
  const expected: ModelOutcome[] = [];
  const model = new ModelApi(codes);
  model.run(program(model, terrain, seed, { ...NOBODY, added: (_, ref) => expected.push(outcomeOfRef(ref)) }));
  const { world } = cluster;
  const endsMs = new Map<number, number>();
  const observer: Observer = {
    added: () => {},
    limited: (index, timeoutMs) => endsMs.set(index, world.nowMs + timeoutMs),
    timedOut: (index) => {
      checkers.tasks.timedOut++;
      const endMs = endsMs.get(index) ?? 0;
      demand(world.nowMs >= endMs, `the time of ref ${index} is over ${endMs - world.nowMs} ms before its end`);
    },
    got: (index, { token }) => {
      const outcome = expected[index];
      const wanted = outcome?.kind === "value" ? outcome.value.token : "an error";
      demand(wanted === token, `get of ref ${index} gives ${wanted}, not ${token}`);
    },
  };
  cluster.addDriver(node, (api) => program(api, terrain, seed, observer));
}

function inject(cluster: Cluster, checkers: Checkers, fault: Fault): void {
  if (fault.kind === "none") return;
  const again = fault.kind === "copies" ? LOSSES : 1;
  for (let i = 0; i < again; i++)
    strikeAt(cluster, checkers, { ...fault, victim: fault.victim + i }, i * LOSS_EVERY_MS);
}

function strikeAt(cluster: Cluster, checkers: Checkers, fault: Fault, delayMs: number): void {
  cluster.world.after(fault.atMs + delayMs, () => {
    const victim = strike(cluster, fault);
    cluster.world.note("fault", fault.kind, () => `${victim}`);
    for (const node of cluster.nodes) if (!node.alive) checkers.removeNode(node.nodeId);
  });
}

function keepBusy(cluster: Cluster, seed: number, faultAtMs: number): void {
  const prng = prngFor(seed, "busy");
  cluster.world.after(Math.max(0, faultAtMs + between(prng, -20, 20)), () => {
    const process = prng.pick([...cluster.drivers, ...cluster.workers].filter(({ alive }) => alive));
    const durationMs = between(prng, 1_000, BUSY_MS);
    cluster.world.note("fault", "busy", () => `${process?.name} for ${durationMs} ms`);
    process?.enter(() => process.compute(durationMs));
  });
}

/** A driver outlives its node for a moment, in which it may ask in vain for room in its store. */
const NODE_IS_GONE = /^the raylet did not answer in time/;

/** A program fails only where the faults of the seed, or its stores, excuse it. */
function checkFailures(cluster: Cluster, checkers: Checkers, reasons: readonly string[], faults: number): number {
  let excused = 0;
  for (const { name, alive, failure } of cluster.drivers) {
    if (!alive || failure === undefined) continue;
    const { code, message } = failure as SimError;
    const isExcused = reasons.includes(code) || (reasons.includes("NODE_DIED") && NODE_IS_GONE.test(message));
    demand(failure instanceof SimError && isExcused, `${name} fails for a reason: ${code}: ${message}`);
    checkRetries(message, faults);
    checkers.tasks.lossReported(message);
    excused++;
  }
  return excused;
}

/** A task that may be tried again more often than something went wrong is not given up. */
function checkRetries(message: string, faults: number): void {
  const words = /failed after (\d+) attempts? \(maxRetries (\d+)\)/.exec(message);
  if (words !== null) demand(Number(words[2]) < faults, `a task is tried again: ${message}`);
}
