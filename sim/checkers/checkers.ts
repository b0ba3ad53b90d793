/** All checkers behind the one pair of eyes that virtual processes know. Each machine's own `check()` runs beside them. */
import {
  type ActorId,
  GCS,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ProcessRef,
  SEALED_BY_OWNER,
  type TaskId,
} from "../../src/base/ids.js";
import type { Message } from "../../src/protocol/messages.js";
import type { Watch } from "../surroundings.js";
import type { SimValue } from "../values.js";
import { ActorChecker } from "./actor-checker.js";
import { LeaseChecker } from "./lease-checker.js";
import { TaskChecker } from "./task-checker.js";

export class Checkers implements Watch {
  readonly leases = new LeaseChecker();
  readonly tasks = new TaskChecker();
  readonly actors = new ActorChecker();

  /** How often the GCS had a task run again. */
  rebuilds = 0;
  /** Pushes that were taken back from a worker which reads nothing. */
  recalled = 0;
  readonly #outlived = new Set<ProcessId>();

  removeNode(node: NodeId): void {
    this.leases.removeNode(node);
    this.tasks.removeNode(node);
  }

  rayletReceives(node: NodeId, message: Message): void {
    if (message.type === "sealObject" && message.attempt === SEALED_BY_OWNER)
      this.tasks.sealedByOwner(message.objectId);
    if (message.type === "killLeasedWorker") this.#workerEnded(this.leases.workerOf(node, message.leaseId));
    this.leases.rayletReceives(node, message);
  }

  /** Workers that were ended for a task that had outlived its time. */
  get outlived(): number {
    return this.#outlived.size;
  }

  #workerEnded(worker: ProcessId | undefined): void {
    if (worker !== undefined) this.#outlived.add(worker);
  }

  rayletSends(node: NodeId, to: ProcessRef, message: Message): void {
    if (message.type === "dispatchTask" && message.task.owner.processId === GCS.processId) this.rebuilds++;
    this.leases.rayletSends(node, to.processId, message);
  }

  rayletLoses(node: NodeId, process: ProcessId): void {
    this.leases.rayletLoses(node, process);
  }

  taskSubmitted(task: TaskId, maxRetries: number): void {
    this.tasks.submitted(task, maxRetries);
  }

  taskStarts(task: TaskId, run: number, process: ProcessRef): void {
    this.tasks.starts(task, run, process);
  }

  tasksRecalled(count: number): void {
    this.recalled += count;
  }

  callSubmitted(actor: ActorId, caller: ProcessRef, task: TaskId): void {
    this.actors.submitted(actor, caller, task);
  }

  callStarts(actor: ActorId, caller: ProcessRef, task: TaskId, process: ProcessRef): void {
    this.actors.starts(actor, caller, task, process);
  }

  valueMade(object: ObjectId, value: SimValue): void {
    this.tasks.valueMade(object, value);
  }
}
