/** An owner's connections to workers and actors: one for each worker process, shared by everything that goes there. */
import type { ConnectionId, JobId, LeaseId, ProcessId, ProcessRef, TaskId } from "../src/base/ids.js";
import type { Lease } from "../src/core/owner/key-queue.js";
import type { Owner } from "../src/core/owner/owner.js";
import type { ActorLink, Task } from "../src/core/owner/records.js";
import type { TaskSpec } from "../src/protocol/messages.js";
import { type OwnedArgument, wireArgument } from "./arguments.js";
import type { DirectFrame, IncomingTask, OwnerFrame, WorkerFrame } from "./frames.js";
import type { LinkEnd } from "./link.js";
import type { Surroundings } from "./surroundings.js";
import type { VirtualProcess } from "./virtual-process.js";

/** The process whose connections these are. */
export interface OwnerHost extends VirtualProcess {
  readonly around: Surroundings;
  readonly owner: Owner;
  readonly jobId: JobId;
}

interface Link {
  readonly id: ConnectionId;
  readonly end: LinkEnd<DirectFrame>;
  readonly leases: Map<LeaseId, Lease>;
  actor: ActorLink | undefined;
}

export class DirectLinks {
  readonly #process: OwnerHost;
  readonly #links = new Map<ProcessId, Link>();
  #dialled = 0;

  constructor(process: OwnerHost) {
    this.#process = process;
  }

  connectLease(lease: Lease): void {
    this.#dial(lease.worker, (link) => {
      if (link === undefined) return this.#owner.leases.unreached(lease, false);
      link.leases.set(lease.id, lease);
      link.end.send({ kind: "attach", leaseId: lease.id });
      this.#owner.leases.connected(lease);
    });
  }

  disconnectLease(lease: Lease): void {
    this.#links.get(lease.worker.processId)?.leases.delete(lease.id);
  }

  connectActor(actor: ActorLink): void {
    if (actor.worker === undefined) return;
    this.#dial(actor.worker, (link) => {
      if (link === undefined) return this.#owner.actors.disconnected(actor);
      link.actor = actor;
      this.#owner.actors.connected(actor, link.id);
    });
  }

  disconnectActor(actor: ActorLink): void {
    const link = this.#linkTo(actor.worker);
    if (link?.actor === actor) link.actor = undefined;
  }

  get count(): number {
    return this.#links.size;
  }

  /** A fault: a connection is lost, and both ends hear of it. */
  cutOne(victim: number): void {
    const [processId] = [...this.#links][victim % this.#links.size] ?? [];
    if (processId !== undefined) this.cut(processId);
  }

  /** The same for the connection to this worker, if there is one. */
  cut(worker: ProcessId): void {
    const link = this.#links.get(worker);
    if (link === undefined) return;
    link.end.cut();
    this.#process.enter(() => this.#closed(worker, link));
  }

  push(lease: Lease, task: Task): void {
    const frame: OwnerFrame = { kind: "push", leaseId: lease.id, sequence: task.sequence, task: this.#incoming(task) };
    this.#linkTo(lease.worker)?.end.send(frame);
  }

  call(actor: ActorLink, task: Task): void {
    this.#linkTo(actor.worker)?.end.send({ kind: "call", sequence: task.sequence, task: this.#incoming(task) });
  }

  abort(where: Lease | ActorLink, task: Task): void {
    const leaseId = "queue" in where ? where.id : undefined;
    this.#linkTo(where.worker)?.end.send({ kind: "abort", leaseId, sequence: task.sequence });
  }

  /** A task as workers and schedulers see it. */
  specOf(task: Task): TaskSpec {
    const { template, depth, storeResult } = task;
    return {
      taskId: task.id as TaskId,
      jobId: this.#process.jobId,
      name: template.name,
      functionId: template.functionId as TaskSpec["functionId"],
      owner: this.#process.ref,
      attempt: task.run,
      depth,
      numReturns: template.numReturns,
      storeResult,
      arguments: (task.args as readonly OwnedArgument[]).map(wireArgument),
    };
  }

  get #owner(): Owner {
    return this.#process.owner;
  }

  #incoming(task: Task): IncomingTask {
    return { spec: this.specOf(task), method: task.template.method, caller: this.#process.ref };
  }

  #linkTo(worker: ProcessRef | undefined): Link | undefined {
    return worker === undefined ? undefined : this.#links.get(worker.processId);
  }

  /** Never answered within the call. */
  #dial(worker: ProcessRef, answer: (link: Link | undefined) => void): void {
    const { around } = this.#process;
    this.#process.after(around.network.localDelayMs(), () => {
      const known = this.#links.get(worker.processId);
      if (known !== undefined) return answer(known);
      const door = around.worker(worker.processId);
      if (door === undefined) return answer(undefined);
      const id = `${this.#process.ref.processId}.${(++this.#dialled).toString(16)}` as ConnectionId;
      const end = door.connectOwner(this.#process, id, {
        frame: (frame) => this.#receive(link, frame as WorkerFrame),
        closed: () => this.#closed(worker.processId, link),
      });
      const link: Link = { id, end, leases: new Map(), actor: undefined };
      this.#links.set(worker.processId, link);
      answer(link);
    });
  }

  #closed(worker: ProcessId, link: Link): void {
    this.#links.delete(worker);
    for (const lease of [...link.leases.values()]) this.#owner.leases.disconnected(lease);
    if (link.actor !== undefined) this.#owner.actors.disconnected(link.actor);
  }

  #receive(link: Link, frame: WorkerFrame): void {
    this.#process.world.note(this.#process.name, frame.kind, () => JSON.stringify(frame));
    if (frame.kind === "answer" && frame.leaseId === undefined) {
      if (link.actor !== undefined) this.#owner.actors.answered(link.actor, frame.sequence, frame.outcome);
      return;
    }
    const lease = frame.leaseId === undefined ? undefined : link.leases.get(frame.leaseId);
    if (lease === undefined) return;
    if (frame.kind === "handBack") return this.#owner.leases.handedBack(lease, frame.sequences, frame.blocked);
    this.#owner.leases.answered(lease, frame.sequence, frame.outcome, frame.runTimeMs);
    this.#process.soon(() => this.#owner.leases.settle(lease));
  }
}
