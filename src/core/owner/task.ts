/** A task or actor call of this process, from its submission to its result. */
import { type ContextId, type TaskId, taskIdOf } from "../../base/ids.js";
import type { Strategy } from "../../protocol/messages.js";
import type { Amounts } from "../resources.js";
import type { ActorLink } from "./actor-submitter.js";
import { ObjectEntry, type Opaque } from "./object-entry.js";

/** What a value names, and a pending task keeps alive. */
export type Held = ObjectEntry | ActorLink;

/** What all calls of one remote function (or method) with the same options share. */
export interface TaskTemplate {
  readonly functionId: string;
  readonly name: string;
  /** For actor calls. */
  readonly method: string;
  readonly numReturns: number;
  readonly maxRetries: number;
  /** From submission to result, over all attempts; 0 = none. */
  readonly timeoutMs: number;
  readonly demand: Amounts;
  readonly strategy: Strategy;
  /** Tasks with the same key may run on each other's leases. */
  readonly schedulingKey: string;
}

export type TaskState = "waiting" | "queued" | "requested" | "pushed" | "done";

export class Task {
  readonly template: TaskTemplate;
  readonly context: ContextId;
  readonly counter: number;
  readonly depth: number;
  /** Encoded or plain arguments: the shell's business. */
  readonly args: Opaque;
  /** Refs among the top-level arguments: resolved before the task starts. */
  readonly dependencies: readonly ObjectEntry[];
  /** Refs and handles inside arguments: kept until the task has answered. */
  readonly nested: readonly Held[];
  readonly returns: readonly ObjectEntry[];
  state: TaskState = "waiting";
  attempt = 0;
  /** How often its worker was lost under it, by whosever fault: what tells the children of two runs apart. */
  run = 0;
  missing = 0;
  /** A ref of a result escaped before the value exists: the worker seals it, whatever its size. */
  storeResult = false;
  /** The request went to the global scheduler: the result will be announced in the object table. */
  forwarded = false;
  infeasible = "";
  deadlineMs = 0;
  sequence = 0;

  constructor(
    template: TaskTemplate,
    context: ContextId,
    counter: number,
    depth: number,
    args: Opaque,
    dependencies: readonly ObjectEntry[],
    nested: readonly Held[],
  ) {
    this.template = template;
    this.context = context;
    this.counter = counter;
    this.depth = depth;
    this.args = args;
    this.dependencies = dependencies;
    this.nested = nested;
    // Nearly every task has one result: no loop, no growing array.
    const first = new ObjectEntry(context, counter, 0, this);
    this.returns = template.numReturns === 1 ? [first] : returnsOf(this);
  }

  get id(): TaskId {
    return taskIdOf(this.context, this.counter);
  }
}

function returnsOf(task: Task): readonly ObjectEntry[] {
  const entries: ObjectEntry[] = [];
  for (let index = 0; index < task.template.numReturns; index++) {
    entries.push(new ObjectEntry(task.context, task.counter, index, task));
  }
  return entries;
}

/** One result as the worker answers it. */
export type Result =
  | { readonly kind: "inline"; readonly value: Opaque }
  | { readonly kind: "stored"; readonly nodeId: string; readonly sizeBytes: number };

/** How a task ended. */
export type Outcome =
  /** One small result: how nearly every task ends, without two objects around the value. */
  | { readonly kind: "value"; readonly value: Opaque }
  | { readonly kind: "returned"; readonly results: readonly Result[] }
  /** The user's code threw: the encoded error is the value of every result. */
  | { readonly kind: "threw"; readonly error: Opaque }
  | { readonly kind: "failed"; readonly code: string; readonly message: string };

/** A dependency that failed fails the task with the same error, without running it. */
export function upstreamFailure(task: Task): Outcome | undefined {
  for (const entry of task.dependencies) {
    if (entry.isError) return { kind: "threw", error: entry.value };
    if (entry.state === "failed" && entry.failure !== undefined) return { kind: "failed", ...entry.failure };
  }
  return undefined;
}
