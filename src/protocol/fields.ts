/**
 * What control messages are made of, where more than one has it: ids, failures, amounts, and the specs of tasks, leases,
 * lineage, actors and nodes.
 */
import type {
  ActorId,
  FunctionId,
  JobId,
  LeaseId,
  NodeId,
  ObjectId,
  ProcessId,
  ProcessRef,
  TaskId,
} from "../base/ids.js";
import {
  MAX_ARGUMENTS,
  MAX_CONTAINED_REFS,
  MAX_INLINE_BYTES,
  MAX_LABELS,
  MAX_LOG_LINE_LENGTH,
  MAX_OUTPUT_NAME_LENGTH,
  MAX_PROMOTED_ARGUMENTS,
  MAX_RESOURCE_KINDS,
  MAX_UTF8_BYTES,
} from "../base/limits.js";
import {
  blob,
  type Field,
  flag,
  type Infer,
  id,
  list,
  map,
  oneOf,
  optional,
  size,
  struct,
  text,
  u16,
  u32,
  union,
  words,
} from "./schema.js";

export const nodeId = id<NodeId>();
export const objectId = id<ObjectId>();
export const taskId = id<TaskId>();
export const leaseId = id<LeaseId>();
export const actorId = id<ActorId>();
export const jobId = id<JobId>();
export const functionId = id<FunctionId>();

export const processRef: Field<ProcessRef> = struct({ nodeId, processId: id<ProcessId>() });

/** Bad news: the code of an error class, and its words. */
export const failure = struct({ code: text(64), message: words() });
export type Failure = Infer<typeof failure>;

/** Amounts by resource name, in 1/10,000 (see base/limits.ts). */
export const amounts = map(size, MAX_RESOURCE_KINDS);

/** Where a process listens: a Unix socket for its own host, host and port of its node for others. */
export const address = struct({ unixPath: text(256), host: text(256), port: u16 });
export type ProcessAddress = Infer<typeof address>;

export const strategy = union({
  default: struct({}),
  spread: struct({}),
  node: struct({ nodeId: text(64), soft: flag }),
});
export type Strategy = Infer<typeof strategy>;

export const argument = union({
  value: struct({ bytes: blob(MAX_INLINE_BYTES) }),
  object: struct({ objectId }),
});
export type Argument = Infer<typeof argument>;

/** A task as a scheduler or a worker sees it: everything needed to run it, nothing about its result's readers. */
export const taskSpec = struct({
  taskId,
  jobId,
  name: text(),
  functionId,
  owner: processRef,
  attempt: u16,
  depth: u16,
  numReturns: u16,
  /** The result's ref left its owner before the task ran: seal the result in the store, whatever its size. */
  storeResult: flag,
  arguments: list(argument, MAX_ARGUMENTS),
});
export type TaskSpec = Infer<typeof taskSpec>;

const largeArgument = struct({ objectId, sizeBytes: size });

export const leaseRequest = struct({
  leaseId,
  owner: processRef,
  jobId,
  /** The job's: a worker that is new to the job learns it with its first lease. Requests the GCS passes on bear its word. */
  namespace: text(),
  name: text(),
  /** The task for which the lease is asked; its journey shows the steps of this request. */
  taskId,
  demand: amounts,
  /** What stays held once the actor lives; tasks hold their whole demand. */
  held: amounts,
  strategy,
  depth: u16,
  /** Never share the worker with another lease: actors, and tasks that must not run twice or have a time limit. */
  exclusive: flag,
  arguments: list(largeArgument, MAX_ARGUMENTS),
  /** The first task, dispatched by the granting raylet; absent when its inline arguments are too large to ride along. */
  task: optional(taskSpec),
});
export type LeaseRequest = Infer<typeof leaseRequest>;

export const lineageSpec = struct({
  /** Inline arguments are small; larger ones have become objects, which the record keeps (`promoted`). */
  task: taskSpec,
  demand: amounts,
  strategy,
  /** Absent = without end. */
  maxRetries: optional(size),
  /** Attempts of the task that were lost so far: they count against `maxRetries`. */
  lostAttempts: size,
  /** Objects named inside the inline arguments. */
  nested: list(objectId, MAX_CONTAINED_REFS),
  promoted: list(objectId, MAX_PROMOTED_ARGUMENTS),
  /** The ref of a result has left, and its owner still has the task run: `updateLineage` follows. */
  running: flag,
});
export type LineageSpec = Infer<typeof lineageSpec>;

export const actorSpec = struct({
  actorId,
  jobId,
  name: text(),
  /** Empty for an anonymous actor. */
  actorName: text(),
  namespace: text(),
  functionId,
  owner: processRef,
  demand: amounts,
  held: amounts,
  strategy,
  maxConcurrency: u32,
  arguments: list(argument, MAX_ARGUMENTS),
  largeArguments: list(largeArgument, MAX_ARGUMENTS),
});
export type ActorSpec = Infer<typeof actorSpec>;

export const nodeInfo = struct({
  nodeId,
  host: text(256),
  port: u16,
  isHead: flag,
  total: amounts,
  labels: map(text(), MAX_LABELS),
});
export type NodeInfo = Infer<typeof nodeInfo>;

/** One line that a worker wrote. `name`: of the task or actor that did; empty where nobody knows. */
export const outputLine = struct({
  pid: u32,
  name: text(MAX_OUTPUT_NAME_LENGTH * MAX_UTF8_BYTES),
  stream: oneOf("stdout", "stderr"),
  text: text(MAX_LOG_LINE_LENGTH * MAX_UTF8_BYTES),
});
export type OutputLine = Infer<typeof outputLine>;
