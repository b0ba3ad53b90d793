/** The jobs of the cluster: one for each driver that is attached, from its first word to its death. */
import type { JobId, ProcessId } from "../../base/ids.js";

interface Job {
  readonly jobId: JobId;
  /** Where its named actors are found. */
  readonly namespace: string;
}

export class JobTable {
  readonly #ofDrivers = new Map<ProcessId, Job>();
  #next = 1;

  /** A driver that says it again keeps its job. */
  attach(driver: ProcessId, namespace: string): JobId {
    const jobId = this.ofDriver(driver) ?? (this.#next++).toString(16).padStart(8, "0");
    this.#ofDrivers.set(driver, { jobId: jobId as JobId, namespace });
    return jobId as JobId;
  }

  end(driver: ProcessId): void {
    this.#ofDrivers.delete(driver);
  }

  ofDriver(driver: ProcessId): JobId | undefined {
    return this.#ofDrivers.get(driver)?.jobId;
  }

  isAlive(id: JobId): boolean {
    return this.#find(id) !== undefined;
  }

  /** Empty for a job that is over. */
  namespaceOf(id: JobId): string {
    return this.#find(id)?.namespace ?? "";
  }

  #find(id: JobId): Job | undefined {
    for (const job of this.#ofDrivers.values()) if (job.jobId === id) return job;
    return undefined;
  }
}
