/**
 * Output of workers on its way to the driver of their job. What nobody is there for, or wants, is confirmed and gone.
 */
import { type JobId, type ProcessRef, rayletOf } from "../../base/ids.js";
import type { Message, MessageBody } from "../../protocol/messages.js";

export class OutputDesk {
  readonly #send: (to: ProcessRef, message: Message) => void;
  /** Of the jobs whose drivers show output. */
  readonly #drivers = new Map<JobId, ProcessRef>();

  constructor(send: (to: ProcessRef, message: Message) => void) {
    this.#send = send;
  }

  driverAttached(jobId: JobId, driver: ProcessRef): void {
    this.#drivers.set(jobId, driver);
  }

  jobEnded(jobId: JobId): void {
    this.#drivers.delete(jobId);
  }

  receive(from: ProcessRef, message: MessageBody<"workerOutput"> & { readonly type: "workerOutput" }): void {
    const { jobId, sequence } = message;
    const driver = this.#drivers.get(jobId);
    if (driver === undefined) this.#send(rayletOf(from.nodeId), { type: "outputShown", jobId, sequence });
    else this.#send(driver, message);
  }
}
