/**
 * mobula: Ray Core for TypeScript. Remote functions, actors and a shared-memory object store, on one machine or many.
 *
 * The contract of every name here is docs/API.md.
 */
import * as exported from "./exports.js";
import { rememberExports } from "./handles.js";
import { classesByName } from "./signal.js";

rememberExports({ ...exported, ...classesByName });

export type { TaskInfo } from "../errors.js";
export * from "./exports.js";
export type {
  ActorClass,
  ActorHandle,
  ActorMethod,
  ActorOptions,
  Arg,
  Args,
  CapturedPart,
  Cluster,
  Context,
  GetActorOptions,
  GetOptions,
  InitOptions,
  KillOptions,
  MethodOptions,
  NodeState,
  ObjectRef,
  RemoteFunction,
  RuntimeEnv,
  SchedulingStrategy,
  SerializabilityObstacle,
  SerializabilityReport,
  TaskOptions,
  WaitOptions,
} from "./types.js";
