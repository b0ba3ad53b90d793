/**
 * What an owner remembers: objects, tasks, and actors that it has handles to. They name each other (a task its results,
 * an object its task, a call the handles in its arguments), so they stand on one page. Values are opaque here: the
 * machines see sizes and places.
 */
import type { Deque } from "../../base/deque.js";
import {
  type ActorId,
  type ConnectionId,
  type ContextId,
  type NodeId,
  type ObjectId,
  objectIdOf,
  type ProcessRef,
  type TaskId,
  taskIdOf,
} from "../../base/ids.js";
import type { SequenceMap } from "../../base/sequence-map.js";
import type { Failure, ProcessAddress, Strategy } from "../../protocol/messages.js";
import type { Backoff } from "../backoff.js";
import type { Amounts } from "../resources.js";
import type { CallOrigins, Origin } from "./origin.js";

// ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type EntryState = "pending" | "inline" | "local" | "stored" | "failed";

/** An encoded value as the shell keeps it, or the error a task threw. The machine never looks inside. */
export type Opaque = unknown;

export interface Waiter {
  /** `value` is there when the object came from the store; otherwise it is the entry's own. */
  entryReady(entry: ObjectEntry, value: Opaque): void;
  /** Only existence matters, not the bytes. */
  readonly onlyExistence: boolean;
  /** In `wait`: others come first. */
  readonly isPatient?: boolean;
}

/**
 * One object that this process holds a ref to.
 *
 *     pending ──▶ inline (the value is in this process)
 *        ├─────▶ local (in a block of the node's store that only this process knows) ── announced ──▶ stored
 *        └─────▶ stored (sealed in a node's store), or failed
 */
export class ObjectEntry {
  state: EntryState = "pending";
  value: Opaque = undefined;
  /** The value is an error that a task threw. */
  isError = false;
  /** Why there is no value: set by the system. */
  failure: Failure | undefined = undefined;
  nodeId: NodeId | undefined = undefined;
  sizeBytes = 0;
  /** Live ref objects of the user. */
  localRefs = 0;
  /** Pending tasks and values under way that need the object. */
  pins = 0;
  /** Our hold in the object table. */
  hold: "none" | "held" = "none";
  /** Its value has been sealed here, and the object table has not confirmed it yet. */
  storing = false;
  /** The store refused the small value when its ref left: it lives here alone. */
  unstored = false;
  pulling = false;
  task: Task | undefined;
  /** Which line of user code it comes from, where that was looked at. */
  origin: Origin | undefined = undefined;
  /**
   * The user's ref object, held while the value is pending. A finalizer on every ref would cost more than the rest of a
   * small task (1.4 µs against 1 µs). A small result needs none: its value goes with its ref object. So the ref is held
   * until the value is known, and is given a finalizer only if the value lives elsewhere.
   */
  handle: object | undefined = undefined;
  tracked = false;
  waiters: Waiter[] | undefined = undefined;
  /** Told once the object can be sent as an argument: tasks of this process wait for that. */
  dependents: (() => void)[] | undefined = undefined;
  readonly owned: boolean;
  readonly #context: ContextId;
  readonly #counter: number;
  readonly #index: number;
  #id: ObjectId | undefined;

  constructor(
    context: ContextId,
    counter: number,
    index: number,
    task: Task | undefined,
    id: ObjectId | undefined = undefined,
  ) {
    this.#context = context;
    this.#counter = counter;
    this.#index = index;
    this.#id = id;
    this.task = task;
    this.owned = id === undefined;
  }

  /** Made when somebody asks: most objects never leave their owner, and nobody needs their name. */
  get id(): ObjectId {
    this.#id ??= objectIdOf(taskIdOf(this.#context, this.#counter), this.#index);
    return this.#id;
  }

  /** Whether a task that takes it can be sent. Another owner's object is sent by name: the raylet waits for it. */
  get isReadyForTask(): boolean {
    if (!this.owned) return true;
    return this.state !== "pending" && this.state !== "local";
  }
}

/** Objects that somebody waits for, in words, for people who ask why. */
export function describeAwaited(entries: Iterable<ObjectEntry>): string {
  const lines: string[] = [];
  for (const { id, state, pulling, storing, waiters, task } of entries) {
    if (waiters === undefined && !storing) continue;
    const marks = `${pulling ? ", pulling" : ""}${storing ? ", being stored" : ""}`;
    lines.push(
      `object ${id} (${state}${marks}) ${task === undefined ? "" : `of task ${task.template.name}, ${task.state}`}`,
    );
  }
  return lines.join("\n");
}

// ── Actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a process knows of one actor that it has a handle to. */
export interface ActorLink {
  readonly actorId: ActorId;
  readonly name: string;
  /** "broken" and "asking": there is no connection; the GCS will be, or is being, asked whether the actor lives. */
  state: "pending" | "connecting" | "alive" | "broken" | "asking" | "dead";
  worker: ProcessRef | undefined;
  address: ProcessAddress | undefined;
  /** By which its calls leave, or left last. */
  connection: ConnectionId | undefined;
  /** Why no node can ever take it; empty when one can. Known in the process that made it. */
  infeasible: string;
  /** How its calls end once it is dead. */
  end: Outcome | undefined;
  /** Calls that have not been sent, in order. */
  readonly waiting: Deque<Task>;
  readonly inFlight: SequenceMap<Task>;
  nextSequence: number;
  /** Since when a connection that was there is missing; 0 while there is one. */
  brokenSinceMs: number;
  readonly dials: Backoff;
  handles: number;
  /** What the arguments of its constructor name, in the process that made it. */
  readonly kept: Held[];
}

// ── Tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────

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
  readonly origins?: CallOrigins;
}

export type TaskState = "waiting" | "queued" | "requested" | "pushed" | "done";

/** A task or actor call of this process, from its submission to its result. */
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
  /** What the GCS has been told of its spec. "void": that it came to nothing which could be made again. */
  lineage: "untold" | "running" | "done" | "void" = "untold";
  /** The request went to the global scheduler: the result will be announced in the object table. */
  forwarded = false;
  /** Why no node can ever take it; empty when one can. */
  infeasible = "";
  deadlineMs = 0;
  sequence = 0;
  /** Places in its owner's `TaskList`. */
  next: Task | undefined = undefined;
  previous: Task | undefined = undefined;

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

/** It must go through the schedulers, which bring what it takes to where it runs. */
export function hasStoredArguments(task: Task): boolean {
  return task.dependencies.some((entry) => entry.state === "stored" || !entry.owned);
}

/** Its worker has no other lease: it must not die by another's fault, or may be ended for its own, with all that it has. */
export function isExclusive({ maxRetries, timeoutMs }: TaskTemplate): boolean {
  return maxRetries === 0 || timeoutMs > 0;
}

/** A dependency that failed fails the task with the same error, without running it. So does one of a constructor its actor. */
export function upstreamFailure(dependencies: readonly ObjectEntry[]): Outcome | undefined {
  for (const entry of dependencies) {
    if (entry.isError) return { kind: "threw", error: entry.value };
    if (entry.state === "failed" && entry.failure !== undefined) return { kind: "failed", ...entry.failure };
  }
  return undefined;
}

/** What those who wait for an object want of it: its bytes, or only to know that it exists; in `wait`, others come first. */
export function wishOf({ waiters }: ObjectEntry): { readonly fetch: boolean; readonly waits: boolean } {
  const fetch = waiters?.some((waiter) => !waiter.onlyExistence) ?? true;
  return { fetch, waits: waiters?.every((waiter) => waiter.isPatient) ?? false };
}

/**
 * The list with `item` at its end. Nothing is pushed to an empty list: that makes room for 17 at once, and most objects
 * have one waiter and one dependent (a tenth of what a small task allocates).
 */
export function appended<T>(list: T[] | undefined, item: T): T[] {
  if (list === undefined) return [item];
  list.push(item);
  return list;
}
