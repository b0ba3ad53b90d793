/**
 * The connection of this process to its cluster: one for each process, whether it is a driver or a worker.
 */
import { type ContextId, contextOfDriver, type JobId } from "../base/ids.js";
import { AlreadyInitializedError, NotInitializedError } from "../errors.js";
import type { CoreProcess } from "../process/core-process.js";
import type { Lineage } from "../process/lineage.js";
import { currentTask } from "../process/task-context.js";

export interface Runtime {
  readonly core: CoreProcess;
  readonly role: "driver" | "worker";
  readonly address: string;
  /** Ask the GCS something; the answer is JSON. */
  query(about: "nodes" | "trace" | "workers" | "output", subject: string): Promise<string>;
  findActor(name: string, namespace: string): Promise<{ actorId: string; className: string } | undefined>;
  /** Something of this process waits for the cluster: it must not exit meanwhile. */
  hold(): void;
  release(): void;
  shutdown(): Promise<void>;
  /** Pending gets: rejected at shutdown. */
  readonly pending: Set<(error: Error) => void>;
  /** A new error that says why nothing comes from the cluster any more, if that is so. */
  lost(): Error | undefined;
}

let current: Runtime | undefined;
/** Which connection of this process that is: refs and handles of an earlier one mean nothing in it, though ids repeat. */
export let connection = 0;
/** Tasks that the main program of a driver submits are children of nothing. */
let root: Lineage | undefined;

export function setRuntime(runtime: Runtime | undefined): void {
  if (runtime !== undefined && current !== undefined) {
    throw new AlreadyInitializedError(
      `this process is connected to ${current.address} already; call shutdown() first, or pass ignoreReinitError`,
    );
  }
  current = runtime;
  connection++;
  root = undefined;
}

export function runtimeOrNothing(): Runtime | undefined {
  return current;
}

/** @throws NotInitializedError outside of a cluster. */
export function requireRuntime(what: string): Runtime {
  if (current === undefined) {
    throw new NotInitializedError(`${what} needs a cluster: call and await init() first`);
  }
  return current;
}

/**
 * The same for what cannot do without the rest of the cluster.
 *
 * @throws NotInitializedError, ConnectionError when the raylet of this process has gone.
 */
export function requireCluster(what: string): Runtime {
  const runtime = requireRuntime(what);
  const lost = runtime.lost();
  if (lost !== undefined) throw lost;
  return runtime;
}

/** Whose child a new task or object is: the running task's, or the main program's. */
export function currentLineage(runtime: Runtime): Lineage {
  return currentTask() ?? rootLineage(runtime);
}

function rootLineage(runtime: Runtime): Lineage {
  if (root === undefined) {
    const { jobId, self } = runtime.core;
    // Code of a worker that runs outside of any task (a timer of a finished task, say) has a context of its own.
    const name = runtime.role === "driver" ? jobId : `${jobId} ${self.processId}`;
    root = { contextId: contextOfDriver(name as JobId) as ContextId, depth: 0, counter: 0 };
  }
  return root;
}
