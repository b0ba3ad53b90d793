/**
 * Tasks that keep their worker's thread until another task has made a file, on clusters with a CPU to spare: whoever makes
 * the file must get it, whichever worker it was pushed to, over any network. Nodes differ in whether their workers share
 * claim words with them.
 */
import type { Terrain } from "./body.js";
import { Checkers } from "./checkers/checkers.js";
import { demand } from "./checkers/violation.js";
import { Cluster, type NodeShape, nodeIdOf } from "./cluster.js";
import { drawRates } from "./network.js";
import { codesOf, holdingProgram } from "./workload.js";
import { between, prngFor, World } from "./world.js";

const STORE_BYTES = 16 * 1024 * 1024;
const LIMIT_MS = 120_000;
/** Packets may be held up for seconds. */
const SPIN_LIMIT_MS = 30_000;

export interface StuckResult {
  /** Tasks that kept their thread, and got what they waited for. */
  readonly released: number;
  readonly recalled: number;
}

/** @throws Violation when a task waits for ever behind the one that it should release. */
export function simulateStuck(seed: number, verbose?: (line: string) => void): StuckResult {
  const world = new World(seed, verbose);
  const prng = prngFor(seed, "stuck cluster");
  const count = between(prng, 1, 3);
  const nodes = Array.from({ length: count }, (): NodeShape => {
    const cpus = between(prng, count === 1 ? 2 : 1, 3);
    return { resources: { CPU: cpus }, storeBytes: STORE_BYTES, recallable: prng.chance(0.7) };
  });
  const terrain: Terrain = {
    nodes: nodes.map((_, i) => nodeIdOf(i + 1)),
    headCpus: 2,
    gpus: 0,
    isHeavy: false,
    hasLimits: false,
    isCutOff: false,
  };
  const checkers = new Checkers();
  for (const [i, { resources }] of nodes.entries()) {
    const total = { ...resources, objectStoreMemory: STORE_BYTES };
    checkers.leases.addNode(nodeIdOf(i + 1), new Map(Object.entries(total).map(([name, n]) => [name, n * 10_000])));
  }
  const codes = codesOf(terrain, SPIN_LIMIT_MS);
  const cluster = new Cluster({ world, rates: drawRates(seed), nodes, codes, watch: checkers });
  world.run(() => cluster.nodes[0]?.gcs?.nodeCount === count, LIMIT_MS);
  const driver = cluster.addDriver(between(prng, 1, count), (api) => holdingProgram(api, terrain, seed));
  demand(
    world.run(() => driver.finished, LIMIT_MS),
    `the program ends, but ${driver.waitsFor}`,
  );
  if (driver.failure !== undefined) throw driver.failure;
  const { found, missed } = cluster.files;
  demand(missed === 0, `a task that keeps its thread is released: ${missed} of ${found + missed} were not`);
  return { released: found, recalled: checkers.recalled };
}
