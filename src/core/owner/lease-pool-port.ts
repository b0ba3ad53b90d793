/** What the task submitter asks of the world. */
import type { LeaseId, ProcessRef } from "../../base/ids.js";
import type { LeaseRequest, Message } from "../../protocol/messages.js";
import type { Lease } from "./key-queue.js";
import type { Outcome, Task } from "./records.js";

export interface LeasePoolPort {
  sendToRaylet(message: Message): void;
  send(to: ProcessRef, message: Message): void;
  /** The request for a task's lease: what the schedulers need to know, and the task itself if it is small. */
  leaseRequest(leaseId: LeaseId, task: Task): LeaseRequest;
  /** Dial the worker; `connected` or `unreached` follow, never within the call. */
  connect(lease: Lease): void;
  /** Hot path: write the task into the worker's connection. */
  push(lease: Lease, task: Task): void;
  /** The lease is over: the worker's connection may go when nobody else uses it. */
  disconnect(lease: Lease): void;
  /** Some returns of the task may be read elsewhere already. */
  taskForwarded(task: Task): void;
  /** The worker has the task, and refs of its results have left already. */
  runsAt(task: Task, worker: ProcessRef): void;
  /** Its worker was lost, and it is tried again. */
  runsAgain(task: Task): void;
  finished(task: Task, outcome: Outcome): void;
  /** An attempt has ended whose task had done so before, its time over: what it has sealed in our name is nobody's. */
  endedLate(task: Task): void;
}
