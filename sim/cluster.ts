/** A whole virtual cluster: a head, more nodes, drivers, and the workers that the raylets start. */
import { hash96 } from "../src/base/hash.js";
import type { NodeId, ProcessId, ProcessRef } from "../src/base/ids.js";
import type { JourneyRecord } from "../src/core/journey.js";
import type { RayletPort } from "../src/core/raylet/raylet.js";
import { amountsOf } from "../src/core/resources.js";
import type { NodeInfo } from "../src/protocol/messages.js";
import { Driver } from "./driver.js";
import { Files } from "./files.js";
import { Network, type Rates } from "./network.js";
import type { Api, CodeTable, Script } from "./program.js";
import type { NodeDoor, Surroundings, Watch, WorkerDoor } from "./surroundings.js";
import { VirtualNode } from "./virtual-node.js";
import { Worker } from "./worker.js";
import { between, prngFor, type World } from "./world.js";

export interface NodeShape {
  readonly resources: Readonly<Record<string, number>>;
  readonly storeBytes: number;
  /** Its workers share claim words with it. */
  readonly recallable: boolean;
}

export interface ClusterOptions {
  readonly world: World;
  readonly rates: Rates;
  /** The first is the head. */
  readonly nodes: readonly NodeShape[];
  readonly codes: CodeTable;
  readonly watch: Watch;
  readonly plant?: ((port: RayletPort) => RayletPort) | undefined;
}

/** N1 is the head. */
export function nodeIdOf(number: number): NodeId {
  return hash96(`node ${number}`).slice(0, 12) as NodeId;
}

export class Cluster implements Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly codes: CodeTable;
  readonly files = new Files();
  readonly watch: Watch;
  readonly nodes: VirtualNode[] = [];
  readonly drivers: Driver[] = [];
  readonly #workers = new Map<ProcessId, Worker>();
  readonly #starting = new Set<ProcessId>();
  readonly #ended: Worker[] = [];
  readonly #chance;

  constructor(options: ClusterOptions) {
    const { world, rates, codes, watch } = options;
    this.world = world;
    this.network = new Network(world.seed, rates);
    this.codes = codes;
    this.watch = watch;
    this.#chance = prngFor(world.seed, "processes");
    for (const [index, shape] of options.nodes.entries()) this.#startNode(index + 1, shape, options.plant);
  }

  addDriver(nodeNumber: number, program: (api: Api) => Script<void>): Driver {
    const node = this.nodes[nodeNumber - 1] as VirtualNode;
    const name = `D${this.drivers.length + 1}`;
    const processId = hash96(`driver ${name}`).slice(0, 12) as ProcessId;
    const driver = new Driver(this, name, { nodeId: node.nodeId, processId }, node, program);
    this.drivers.push(driver);
    return driver;
  }

  get workers(): readonly Worker[] {
    return [...this.#workers.values()];
  }

  /** What every process has recorded, the dead ones included. */
  journeys(): JourneyRecord[] {
    const processes = [...this.nodes, ...this.drivers, ...this.#ended, ...this.#workers.values()];
    return processes.flatMap((process) => [...process.journey.records()]);
  }

  // ── Surroundings ──────────────────────────────────────────────────────────────────────────────────────────────────

  node(nodeId: NodeId): NodeDoor | undefined {
    return this.nodes.find((node) => node.nodeId === nodeId && node.alive);
  }

  worker(processId: ProcessId): WorkerDoor | undefined {
    return this.#workers.get(processId);
  }

  startWorker(worker: ProcessRef): void {
    this.#starting.add(worker.processId);
    this.world.after(between(this.#chance, 20, 150), () => {
      const node = this.nodes.find((one) => one.nodeId === worker.nodeId);
      if (!this.#starting.delete(worker.processId) || node === undefined || !node.alive) return;
      const name = `${node.name}.w${worker.processId.slice(0, 3)}`;
      this.#workers.set(worker.processId, new Worker(this, name, worker, node));
    });
  }

  killWorker(ref: ProcessRef, why: string): boolean {
    const worker = this.#workers.get(ref.processId);
    if (worker === undefined) {
      this.#starting.delete(ref.processId);
      return false;
    }
    this.#endWorker(worker, why, false);
    return true;
  }

  // ── Deaths ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The raylet's process dies, and its workers with it. Silently: the machine lost its power, drivers included. */
  killNode(node: VirtualNode, why: string, silently: boolean): void {
    node.kill(why, silently);
    for (const worker of this.workers) {
      if (worker.ref.nodeId !== node.nodeId) continue;
      const delayMs = silently ? 0 : between(this.#chance, 0, 5);
      this.world.after(delayMs, () => this.#endWorker(worker, "its raylet died", silently));
    }
    if (!silently) return;
    for (const driver of this.drivers) if (driver.ref.nodeId === node.nodeId) driver.kill(why, true);
  }

  #endWorker(worker: Worker, why: string, silently: boolean): void {
    if (!this.#workers.delete(worker.ref.processId)) return;
    this.#ended.push(worker);
    worker.kill(why, silently);
    const node = this.nodes.find((one) => one.nodeId === worker.ref.nodeId);
    this.world.after(between(this.#chance, 0, 20), () => node?.workerExited(worker.ref, why));
  }

  #startNode(number: number, shape: NodeShape, plant: ClusterOptions["plant"]): void {
    const total = amountsOf({ ...shape.resources, objectStoreMemory: shape.storeBytes });
    const isHead = number === 1;
    const info: NodeInfo = {
      nodeId: nodeIdOf(number),
      host: `n${number}`,
      port: number,
      isHead,
      total,
      labels: new Map(),
    };
    const warmWorkers = Math.max(1, shape.resources["CPU"] ?? 1);
    const head = isHead ? undefined : this.nodes[0];
    this.nodes.push(new VirtualNode(this, `N${number}`, { info, ...shape, warmWorkers, head, plant }));
  }
}
