/** I-02: one result per object id, at most 1 + maxRetries attempts of a task that start, and none of its runs twice. */
import {
  indexOfObject,
  type NodeId,
  type ObjectId,
  type ProcessRef,
  type TaskId,
  taskOfObject,
} from "../../src/base/ids.js";
import { MAX_RETURNS } from "../../src/base/limits.js";
import type { SimValue } from "../values.js";
import { demand } from "./violation.js";

export class TaskChecker {
  readonly #maxRetries = new Map<TaskId, number>();
  readonly #starts = new Map<TaskId, string[]>();
  /** Where each run of a task has started. */
  readonly #runs = new Map<TaskId, Map<number, ProcessRef>>();
  readonly #deadNodes = new Set<NodeId>();
  /** What tasks threw, and what left its owner after it had arrived there, has no spec in the GCS. */
  readonly #withoutSpec = new Set<ObjectId>();
  readonly #tokens = new Map<ObjectId, string>();
  /** Refs of programs whose time was over, as they could be. */
  timedOut = 0;

  get tasks(): number {
    return this.#starts.size;
  }

  removeNode(node: NodeId): void {
    this.#deadNodes.add(node);
  }

  submitted(task: TaskId, maxRetries: number): void {
    demand(!this.#maxRetries.has(task), `task id ${task} is used once`);
    this.#maxRetries.set(task, maxRetries);
  }

  starts(task: TaskId, run: number, process: ProcessRef): void {
    const runs = this.#runs.get(task) ?? new Map();
    const before = runs.get(run);
    // A grant may die with its node, and the first task have run there: nobody else knows of either.
    const isFirst = before === undefined || this.#deadNodes.has(before.nodeId);
    demand(isFirst, `run ${run} of task ${task} starts once: it does on ${before?.processId} and ${process.processId}`);
    this.#runs.set(task, runs.set(run, process));
    const starts = this.#starts.get(task) ?? [];
    this.#starts.set(task, starts);
    starts.push(process.processId);
    const maxRetries = this.#maxRetries.get(task) ?? -1;
    demand(starts.length <= 1 + maxRetries, `task ${task} (maxRetries ${maxRetries}) started on ${starts.join(", ")}`);
  }

  sealedByOwner(object: ObjectId): void {
    this.#withoutSpec.add(object);
  }

  /** A program met a loss. In its words the last object is where it began: nothing may be able to make that again. */
  lossReported(message: string): void {
    const lost = [...message.matchAll(/object ([0-9a-f]{36}) is lost/g)].at(-1)?.[1] as ObjectId | undefined;
    if (lost === undefined) return;
    const spent = /has had (\d+) attempts? \(maxRetries (\d+)\)/.exec(message);
    if (spent !== null && Number(spent[1]) === Number(spent[2]) + 1) return;
    const onlyNode = /asks for node ([0-9a-f]+), which is not in the cluster/.exec(message)?.[1] as NodeId | undefined;
    if (onlyNode !== undefined && this.#deadNodes.has(onlyNode)) return;
    const maxRetries = this.#maxRetries.get(taskOfObject(lost)) ?? 0;
    const isResult = indexOfObject(lost) < MAX_RETURNS && !this.#withoutSpec.has(lost);
    demand(maxRetries === 0 || !isResult, `a result of a task is made again: ${message}`);
  }

  /** A task that ran again makes the same value again. */
  valueMade(object: ObjectId, value: SimValue): void {
    if (value.error !== undefined) return void this.#withoutSpec.add(object);
    const known = this.#tokens.get(object);
    demand(known === undefined || known === value.token, `object ${object} is ${known}, and then ${value.token}`);
    this.#tokens.set(object, value.token);
  }
}
