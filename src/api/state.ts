/** What a process can ask about itself and its cluster. */
import { recordOf } from "../core/resources.js";
import { currentTask } from "../process/task-context.js";
import { requireRuntime } from "./runtime.js";
import type { Context, NodeState } from "./types.js";

const neverAborted = new AbortController().signal;

/**
 * Where the running code is: job, node, process, task. Works on the driver too.
 *
 * @throws NotInitializedError outside of a cluster.
 */
export function context(): Context {
  const { core } = requireRuntime("context()");
  const task = currentTask();
  return {
    jobId: core.jobId,
    nodeId: core.self.nodeId,
    workerId: core.self.processId,
    ...(task === undefined ? {} : { taskId: task.taskId, taskName: task.name }),
    ...(task?.actorId === undefined ? {} : { actorId: task.actorId }),
    attempt: task?.attempt ?? 0,
    namespace: core.namespace,
    get resources() {
      return task === undefined ? {} : recordOf(task.held);
    },
    get signal() {
      return task?.signal ?? neverAborted;
    },
  };
}

/**
 * The nodes of the cluster as the GCS sees them; after those that live, those that died or left, at most the last 1,000,
 * with `alive: false` and no resources.
 *
 * @throws NotInitializedError (rejects) outside of a cluster.
 */
export async function nodes(): Promise<NodeState[]> {
  return JSON.parse(await requireRuntime("nodes()").query("nodes", "")) as NodeState[];
}

/** What all living nodes have together, by resource name. */
export async function clusterResources(): Promise<Record<string, number>> {
  return total((await nodes()).map((node) => node.resources));
}

/** What of it is free. */
export async function availableResources(): Promise<Record<string, number>> {
  return total((await nodes()).map((node) => node.available));
}

function total(records: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const record of records) {
    for (const [name, amount] of Object.entries(record)) sum[name] = (sum[name] ?? 0) + amount;
  }
  return sum;
}
