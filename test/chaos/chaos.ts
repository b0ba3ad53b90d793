/**
 * Put and get load on a cluster whose workers and raylets are killed all the time.
 *
 * Tasks make arrays from seeds and combine them; whoever knows the seeds can compute each value again, so every value
 * that comes back is compared with a plain computation. Tasks have retries without end: nothing may fail. At the end
 * every ref is let go, and every byte of every store must be free.
 */
import assert from "node:assert/strict";
import * as ray from "../../src/api/index.js";
import { Prng } from "../../src/base/prng.js";
import { TestCluster, type TestNode, waitForCondition } from "../../src/testing/index.js";

export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly workerKillEveryMs: number;
  readonly nodeKillEveryMs: number;
  readonly progress?: (text: string) => void;
}

export interface ChaosReport {
  readonly tasks: number;
  readonly checked: number;
  readonly workersKilled: number;
  readonly nodesKilled: number;
}

const STORE_BYTES = 256 * 1024 * 1024;
const NODES_BESIDE_HEAD = 2;
/** Chains of tasks whose values are compared at the same time. */
const CHAINS = 6;
const MIN_LENGTH = 4_000;
const MAX_LENGTH = 120_000;
const SETTLE_TIMEOUT_MS = 60_000;

/** Plain functions, run by tasks and once more by whoever checks. */
function made(seed: number, length: number): Float64Array {
  const values = new Float64Array(length);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = state;
  }
  return values;
}

function combined(left: Float64Array, right: Float64Array): Float64Array {
  const values = new Float64Array(Math.max(left.length, right.length));
  for (let i = 0; i < values.length; i++) {
    values[i] = ((left[i % left.length] ?? 0) * 3 + (right[i % right.length] ?? 0)) % 4_294_967_296;
  }
  return values;
}

const withoutEnd = { maxRetries: -1, schedulingStrategy: "spread" } as const;
const make = ray.remote(withoutEnd, made);
const combine = ray.remote(withoutEnd, combined);

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const node = { numCpus: 2, objectStoreMemory: STORE_BYTES };
  const cluster = await TestCluster.start({ nodes: Array.from({ length: 1 + NODES_BESIDE_HEAD }, () => node) });
  try {
    await ray.init({ address: cluster.address });
    const end = performance.now() + options.durationMs;
    const killer = new Killer(cluster, options, end);
    const load = new Load(options, end);
    await Promise.all([load.run(), killer.run()]);
    await everythingIsFree(cluster);
    const { tasks, checked } = load;
    const { workersKilled, nodesKilled } = killer;
    return { tasks, checked, workersKilled, nodesKilled };
  } finally {
    await ray.shutdown();
    await cluster.stop();
  }
}

/** No block is left in any store once nobody holds a ref. */
async function everythingIsFree(cluster: TestCluster): Promise<void> {
  const total = cluster.nodes.length * STORE_BYTES;
  let free = 0;
  await waitForCondition(
    async () => {
      globalThis.gc?.();
      free = (await ray.availableResources())["objectStoreMemory"] ?? 0;
      return free === total;
    },
    { timeoutMs: SETTLE_TIMEOUT_MS },
  ).catch((cause: unknown) => {
    throw new Error(`${total - free} bytes of the stores are in use although nobody holds a ref`, { cause });
  });
}

class Load {
  readonly #options: ChaosOptions;
  readonly #endMs: number;
  tasks = 0;
  checked = 0;

  constructor(options: ChaosOptions, endMs: number) {
    this.#options = options;
    this.#endMs = endMs;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CHAINS }, (_, chain) => this.#runChain(chain)));
  }

  /** One chain after the other, each of some puts and tasks that take each other's results. */
  async #runChain(chain: number): Promise<void> {
    const prng = new Prng(this.#options.seed * 1_000 + chain);
    while (performance.now() < this.#endMs) {
      const known: { readonly ref: ray.ObjectRef<Float64Array>; readonly value: () => Float64Array }[] = [];
      const pick = () => known[prng.below(known.length)] as (typeof known)[number];
      for (let i = 0; i < 2 + prng.below(5); i++) {
        const [seed, length] = [prng.below(1 << 30), MIN_LENGTH + prng.below(MAX_LENGTH - MIN_LENGTH)];
        const value = () => made(seed, length);
        if (known.length >= 2 && prng.chance(0.6)) {
          const [left, right] = [pick(), pick()];
          known.push({ ref: combine.remote(left.ref, right.ref), value: () => combined(left.value(), right.value()) });
          this.tasks++;
        } else if (prng.chance(0.3)) {
          known.push({ ref: ray.put(value()), value });
        } else {
          known.push({ ref: make.remote(seed, length), value });
          this.tasks++;
        }
      }
      await this.#check(known, prng);
      for (const { ref } of known) ref[Symbol.dispose]();
    }
  }

  async #check(
    known: readonly { readonly ref: ray.ObjectRef<Float64Array>; readonly value: () => Float64Array }[],
    prng: Prng,
  ): Promise<void> {
    for (const { ref, value } of known) {
      if (prng.chance(0.3)) continue;
      const got = await ray.get(ref);
      const wanted = value();
      assert.equal(Buffer.compare(bytesOf(got), bytesOf(wanted)), 0, `object ${ref.id} has other bytes`);
      this.checked++;
    }
  }
}

class Killer {
  readonly #cluster: TestCluster;
  readonly #options: ChaosOptions;
  readonly #endMs: number;
  readonly #prng: Prng;
  workersKilled = 0;
  nodesKilled = 0;

  constructor(cluster: TestCluster, options: ChaosOptions, endMs: number) {
    this.#cluster = cluster;
    this.#options = options;
    this.#endMs = endMs;
    this.#prng = new Prng(options.seed);
  }

  async run(): Promise<void> {
    let nextNodeMs = performance.now() + this.#options.nodeKillEveryMs;
    while (performance.now() < this.#endMs) {
      await new Promise((resolve) => setTimeout(resolve, this.#options.workerKillEveryMs));
      await this.#killWorker();
      if (performance.now() < nextNodeMs) continue;
      nextNodeMs += this.#options.nodeKillEveryMs;
      await this.#replaceNode();
    }
  }

  async #killWorker(): Promise<void> {
    const node = this.#pick(this.#cluster.nodes);
    const pids = await node.workerPids();
    if (pids.length === 0) return;
    try {
      process.kill(this.#pick(pids), "SIGKILL");
      this.workersKilled++;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // it had just ended
    }
  }

  /** The head is spared: the tables live there. */
  async #replaceNode(): Promise<void> {
    const victim: TestNode = this.#pick(this.#cluster.nodes.slice(1));
    await victim.kill();
    this.nodesKilled++;
    await this.#cluster.addNode({ numCpus: 2, objectStoreMemory: STORE_BYTES });
    this.#options.progress?.(`${this.workersKilled} workers and ${this.nodesKilled} nodes killed`);
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#prng.below(from.length)] as T;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
