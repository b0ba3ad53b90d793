/** Names for tests: machines take any text for an id, so a test can speak of node N1, object c and driver d. */
import type {
  ActorId,
  ConnectionId,
  ContextId,
  FunctionId,
  JobId,
  LeaseId,
  NodeId,
  ObjectId,
  ProcessId,
  ProcessRef,
  TaskId,
} from "../../src/base/ids.js";
import type { Failure } from "../../src/protocol/messages.js";

export const node = (name: string) => name as NodeId;
export const object = (name: string) => name as ObjectId;
export const task = (name: string) => name as TaskId;
export const actor = (name: string) => name as ActorId;
export const lease = (name: string) => name as LeaseId;
export const job = (name: string) => name as JobId;
export const func = (name: string) => name as FunctionId;
export const context = (name: string) => name as ContextId;
export const connection = (name: string) => name as ConnectionId;
export const processId = (name: string) => name as ProcessId;

/** A process: `process("w1")` is on node N1 unless the test says otherwise. */
export function process(name: string, on = "N1"): ProcessRef {
  return { nodeId: node(on), processId: processId(name) };
}

export function failure(code: string): Failure {
  return { code, message: `because of ${code}` };
}

export const kib = (count: number) => count * 1024;
