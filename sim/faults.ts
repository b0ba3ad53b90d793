/** One death per seed: what is killed, and when. */
import type { Cluster } from "./cluster.js";
import { between, prngFor } from "./world.js";

export type FaultKind = "none" | "worker" | "node" | "driver";

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
    nodes > 1 ? ["none", "worker", "worker", "node", "node", "driver"] : ["none", "worker", "worker", "driver"];
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
  const driver = kind === "driver" ? cluster.drivers[victim % cluster.drivers.length] : undefined;
  driver?.kill("the fault of this seed");
  return driver?.name;
}

const WORKER_LOSS = ["WORKER_CRASHED", "ACTOR_DIED", "OWNER_DIED", "ACTOR_NOT_FOUND"];
const NODE_LOSS = [...WORKER_LOSS, "NODE_DIED", "OBJECT_LOST", "TASK_UNSCHEDULABLE"];

/** Errors of the system that a program may meet after this death. Without a reason it must meet none. */
export function excusedBy(kind: FaultKind): readonly string[] {
  if (kind === "worker") return WORKER_LOSS;
  return kind === "node" ? NODE_LOSS : [];
}
