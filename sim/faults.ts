/** What befalls a seed: deaths, lost connections, and copies of objects that are lost while every node lives. */
import { indexOfObject, SEALED_BY_OWNER, taskOfObject } from "../src/base/ids.js";
import { MAX_RETURNS } from "../src/base/limits.js";
import { Prng } from "../src/base/prng.js";
import type { Cluster } from "./cluster.js";
import { between, prngFor } from "./world.js";

/** "link": the connection of an owner to a worker or an actor is lost; both live on. "copies": stores are damaged. */
export type FaultKind = "none" | "worker" | "node" | "driver" | "link" | "copies";

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** A node's machine loses its power: nobody hears the end of its connections. */
  readonly silently: boolean;
  /** Which of the candidates. */
  readonly victim: number;
}

/** The first is one fault or none; further ones are deaths of workers and nodes, lost connections and lost copies. */
export function drawFaults(seed: number, nodes: number, count: number): readonly Fault[] {
  const first: readonly FaultKind[] =
    nodes > 1
      ? ["none", "worker", "worker", "node", "node", "node", "driver", "copies", "copies"]
      : ["none", "worker", "worker", "driver", "copies"];
  const further: readonly FaultKind[] =
    nodes > 1 ? ["worker", "link", "link", "node", "copies"] : ["worker", "link", "link", "copies"];
  return Array.from({ length: count }, (_, i) =>
    i === 0 ? drawFault(prngFor(seed, "fault"), first) : drawFault(prngFor(seed, `fault ${i}`), further),
  );
}

function drawFault(prng: Prng, kinds: readonly FaultKind[]): Fault {
  const kind = prng.pick(kinds) ?? "none";
  return {
    kind,
    atMs: between(prng, 20, prng.chance(0.7) ? 250 : 800),
    silently: prng.chance(0.3),
    victim: prng.next(),
  };
}

/** Says what died; undefined when there was nobody to kill. */
export function strike(cluster: Cluster, { kind, silently, victim }: Fault): string | undefined {
  if (kind === "worker") {
    const worker = cluster.workers[victim % Math.max(1, cluster.workers.length)];
    return worker !== undefined && cluster.killWorker(worker.ref, "the fault of this seed") ? worker.name : undefined;
  }
  if (kind === "node") {
    const living = cluster.nodes.slice(1).filter(({ alive }) => alive);
    const node = living[victim % Math.max(1, living.length)];
    if (node !== undefined) cluster.killNode(node, "the fault of this seed", silently);
    return node?.name;
  }
  if (kind === "link") {
    const owners = [...cluster.drivers, ...cluster.workers].filter(({ alive, links }) => alive && links.count > 0);
    const owner = owners[victim % Math.max(1, owners.length)];
    owner?.links.cutOne(victim >>> 8);
    return owner?.name;
  }
  if (kind === "copies") return `${loseCopies(cluster, victim)} copies`;
  const driver = kind === "driver" ? cluster.drivers[victim % cluster.drivers.length] : undefined;
  driver?.kill("the fault of this seed");
  return driver?.name;
}

/** From here on it is no run's copy but its owner's, or none at all. */
const NONE = SEALED_BY_OWNER;

/** Stores lose some of what tasks could make again, as if it had been damaged. Says how many copies. */
function loseCopies(cluster: Cluster, victim: number): number {
  const prng = new Prng(victim);
  let count = 0;
  for (const node of cluster.nodes) {
    if (!node.alive) continue;
    const { index, spilling } = node.raylet.storage;
    for (const object of new Set([...[...index.sealed()].map(([id]) => id), ...spilling.objects()])) {
      const { lineage, objects } = cluster.nodes[0]?.gcs ?? {};
      const row = objects?.lookUp(object);
      // One that is not registered yet may be its owner's, whatever the table will say.
      const isRuns = row !== undefined && row.locations.size > 0 && row.attempt < NONE;
      const isResult = indexOfObject(object) < MAX_RETURNS && isRuns;
      if (!isResult || lineage?.has(taskOfObject(object)) !== true || !prng.chance(0.5)) continue;
      node.loseCopy(object);
      count++;
    }
  }
  return count;
}

const WORKER_LOSS = ["WORKER_CRASHED", "ACTOR_DIED", "OWNER_DIED", "ACTOR_NOT_FOUND"];
const NODE_LOSS = [...WORKER_LOSS, "NODE_DIED", "OBJECT_LOST", "OBJECT_RECONSTRUCTION", "TASK_UNSCHEDULABLE"];

/** Errors of the system that a program may meet after this death. Without a reason it must meet none. */
export function excusedBy(kind: FaultKind): readonly string[] {
  if (kind === "link") return [...WORKER_LOSS, "ACTOR_UNAVAILABLE"];
  if (kind === "worker") return WORKER_LOSS;
  // Its retries may come to an end, and another run may be given what was let go and has no spec (seed 4497).
  if (kind === "copies") return ["OBJECT_RECONSTRUCTION", "OBJECT_LOST"];
  return kind === "node" ? NODE_LOSS : [];
}
