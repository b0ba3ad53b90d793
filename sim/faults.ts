/** What befalls a seed: one death, or copies of objects that are lost while every node lives. */
import { indexOfObject, SEALED_BY_OWNER, taskOfObject } from "../src/base/ids.js";
import { MAX_RETURNS } from "../src/base/limits.js";
import { Prng } from "../src/base/prng.js";
import type { Cluster } from "./cluster.js";
import { between, prngFor } from "./world.js";

export type FaultKind = "none" | "worker" | "node" | "driver" | "copies";

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** A node's machine loses its power: nobody hears the end of its connections. */
  readonly silently: boolean;
  /** Which of the candidates. */
  readonly victim: number;
}

export function drawFault(seed: number, nodes: number): Fault {
  const prng = prngFor(seed, "fault");
  const kinds: readonly FaultKind[] =
    nodes > 1
      ? ["none", "worker", "worker", "node", "node", "node", "driver", "copies", "copies"]
      : ["none", "worker", "worker", "driver", "copies"];
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
    const node = cluster.nodes[1 + (victim % (cluster.nodes.length - 1))];
    if (node !== undefined) cluster.killNode(node, "the fault of this seed", silently);
    return node?.name;
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
    for (const [object] of [...node.raylet.store.sealed()]) {
      const { lineage, objects } = cluster.nodes[0]?.gcs ?? {};
      const isResult = indexOfObject(object) < MAX_RETURNS && (objects?.lookUp(object)?.attempt ?? NONE) < NONE;
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
  if (kind === "worker") return WORKER_LOSS;
  if (kind === "copies") return ["OBJECT_RECONSTRUCTION"]; // its retries may come to an end
  return kind === "node" ? NODE_LOSS : [];
}
