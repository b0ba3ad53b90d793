/** Whole messages from the few words that matter to a test, and messages as lines to compare. */
import type { ProcessRef } from "../../src/base/ids.js";
import { amountsOf } from "../../src/core/resources.js";
import type {
  ActorSpec,
  LeaseRequest,
  Message,
  MessageBody,
  NodeInfo,
  ProcessAddress,
  TaskSpec,
} from "../../src/protocol/messages.js";
import { actor, func, job, kib, lease, node, object, process, task } from "./names.js";

export const CPU_1 = amountsOf({ CPU: 1 });

export function taskSpec(name: string): TaskSpec {
  return {
    taskId: task(name),
    jobId: job("j1"),
    name,
    functionId: func("f"),
    owner: process("d"),
    attempt: 0,
    depth: 0,
    numReturns: 1,
    storeResult: false,
    arguments: [],
  };
}

/** A request of driver d on N1 for one CPU; its task bears the lease's name. `takes` are large arguments of 1 KiB. */
export function leaseRequest(
  name: string,
  { takes = [], ...changes }: Partial<LeaseRequest> & { readonly takes?: readonly string[] } = {},
): LeaseRequest {
  return {
    leaseId: lease(name),
    owner: process("d"),
    jobId: job("j1"),
    namespace: "default",
    name,
    taskId: task(name),
    demand: CPU_1,
    held: CPU_1,
    strategy: { kind: "default" },
    depth: 0,
    exclusive: false,
    arguments: takes.map((id) => ({ objectId: object(id), sizeBytes: 1024 })),
    task: taskSpec(name),
    ...changes,
  };
}

export function actorSpec(name: string, changes: Partial<ActorSpec> = {}): ActorSpec {
  return {
    actorId: actor(name),
    jobId: job("j1"),
    name: "Counter",
    actorName: "",
    namespace: "default",
    functionId: func("f"),
    owner: process("d"),
    demand: CPU_1,
    held: new Map(),
    strategy: { kind: "default" },
    maxConcurrency: 1_000,
    arguments: [],
    largeArguments: [],
    ...changes,
  };
}

export function nodeInfo(name: string, cpus = 2): NodeInfo {
  return {
    nodeId: node(name),
    host: `${name}.example`,
    port: 6400,
    isHead: name === "N1",
    total: amountsOf({ CPU: cpus }),
    labels: new Map(),
  };
}

/** A block of the driver's at `offset`, sealed; without pins and names. */
export function sealObject(
  name: string,
  changes: Partial<MessageBody<"sealObject">> = {},
): { readonly type: "sealObject" } & MessageBody<"sealObject"> {
  const block = { objectId: object(name), offset: 0, sizeBytes: kib(4), pins: 0 };
  return { type: "sealObject", ...block, attempt: 0, holder: process("d"), contains: [], ...changes };
}

export const ADDRESS: ProcessAddress = { unixPath: "w.sock", host: "", port: 0 };

/** A grant with its first task on its way, of a worker from which pushes can be recalled. */
export function leaseGranted(
  name: string,
  worker: ProcessRef,
  changes: Partial<MessageBody<"leaseGranted">> = {},
): { readonly type: "leaseGranted" } & MessageBody<"leaseGranted"> {
  const granted = { leaseId: lease(name), worker, pid: 1, address: ADDRESS, dispatched: true, recallable: true };
  return { type: "leaseGranted", ...granted, ...changes };
}

/** What a reader of a test needs to see of a message. */
const SHOWN = [
  "leaseId",
  "objectId",
  "objects",
  "runner",
  "actorId",
  "functionId",
  "connection",
  "process",
  "epoch",
  "state",
  "local",
  "reason",
];

/** `leaseRefused L1 TASK_UNSCHEDULABLE`: the type, then what is shown of its fields. */
export function line(message: Message): string {
  const fields = message as unknown as Readonly<Record<string, unknown>>;
  const words = SHOWN.filter((name) => fields[name] !== undefined && fields[name] !== false);
  return [message.type, ...words.map((name) => word(name, fields[name]))].join(" ");
}

function word(name: string, value: unknown): string {
  if (value === true) return name;
  if (Array.isArray(value)) return value.join(",");
  if (typeof value !== "object" || value === null) return String(value);
  return "code" in value ? String(value.code) : "processId" in value ? String(value.processId) : "…";
}

/** Collects lines; `take` gives those since it was last called. */
export class Lines {
  #lines: string[] = [];

  readonly add = (line: string): void => {
    this.#lines.push(line);
  };

  take(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}
