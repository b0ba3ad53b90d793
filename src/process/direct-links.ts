/**
 * The owner's connections to workers and actors: one for each worker process, shared by everything that goes there.
 *
 * Lecture: `callActor`, and the way of tasks on a reused lease. No decision is made here; the owner's machines decide,
 * and this page writes and reads frames.
 */
import { MalformedBytes } from "../base/bytes.js";
import type { ConnectionId, ContextId, JobId, ProcessId, ProcessRef } from "../base/ids.js";
import { MAX_FRAME_BYTES, MAX_TEMPLATES, WORKER_DIAL_TIMEOUT_MS } from "../base/limits.js";
import type { Lease } from "../core/owner/key-queue.js";
import type { Owner } from "../core/owner/owner.js";
import type { ActorLink, Outcome, Task, TaskTemplate } from "../core/owner/records.js";
import { ObjectEntry } from "../core/owner/records.js";
import type { Address } from "../io/address.js";
import type { Connection } from "../io/connection.js";
import type { ProcessAddress } from "../protocol/messages.js";
import { nowMs } from "./clock.js";
import {
  ANSWER_HEADER_BYTES,
  type IncomingTemplate,
  NO_LEASE,
  nextLeaseNumber,
  readOutcome,
  writeArguments,
  writeCallHeader,
  writePushHeader,
  writeTemplate,
} from "./direct-frames.js";
import { FRAME } from "./frame-types.js";

export interface DirectLinksHost {
  readonly self: ProcessRef;
  readonly jobId: JobId;
  readonly owner: Owner;
  /** Dial a worker; rejects when it cannot be reached. */
  dial(address: Address, worker: ProcessRef): Promise<Connection>;
}

interface Link {
  readonly worker: ProcessRef;
  readonly id: ConnectionId;
  connection: Connection | undefined;
  readonly leases: Map<number, Lease>;
  actor: ActorLink | undefined;
  lastNumber: number;
  readonly templates: Map<TaskTemplate, Map<ContextId, number>>;
  nextTemplate: number;
  /** The template used last: a loop that submits one function asks for nothing else. */
  lastTemplate: TaskTemplate | undefined;
  lastContext: ContextId | undefined;
  lastIndex: number;
  /** Leases whose answers came in this chunk: settled together at its end. */
  readonly touched: Set<Lease>;
}

/** The way to a lease's worker. */
interface Route {
  readonly link: Link;
  readonly number: number;
}

export class DirectLinks {
  readonly #host: DirectLinksHost;
  readonly #links = new Map<ProcessId, Link>();

  constructor(host: DirectLinksHost) {
    this.#host = host;
  }

  connectLease(lease: Lease): void {
    this.#withLink(
      lease.worker,
      lease.address,
      (link) => {
        const number = nextLeaseNumber(link.leases, link.lastNumber);
        link.lastNumber = number;
        link.leases.set(number, lease);
        lease.route = { link, number } satisfies Route;
        this.#writeAttach(link, number, lease);
        this.#host.owner.leases.connected(lease);
      },
      (isBusy) => this.#host.owner.leases.unreached(lease, isBusy),
    );
  }

  disconnectLease(lease: Lease): void {
    const route = lease.route as Route | undefined;
    if (route?.link.leases.get(route.number) === lease) route.link.leases.delete(route.number);
  }

  connectActor(actor: ActorLink): void {
    if (actor.worker === undefined || actor.address === undefined) return;
    this.#withLink(
      actor.worker,
      actor.address,
      (link) => {
        link.actor = actor;
        this.#host.owner.actors.connected(actor, link.id);
      },
      () => this.#host.owner.actors.disconnected(actor),
    );
  }

  disconnectActor(actor: ActorLink): void {
    const link = actor.worker === undefined ? undefined : this.#links.get(actor.worker.processId);
    if (link !== undefined && link.actor === actor) link.actor = undefined;
  }

  /** Hot path. */
  push(lease: Lease, task: Task): void {
    const { link, number } = lease.route as Route;
    if (link.connection === undefined) return; // lost: its end is on its way to the machine
    const template = this.#templateOf(link, link.connection, task);
    const writer = link.connection.beginFrame(FRAME.push);
    writePushHeader(writer, number, task, template);
    writeArguments(writer, task.args as readonly unknown[], isEntry);
    if (writer.length > MAX_FRAME_BYTES) {
      return this.#refuse(link.connection, task, (outcome) => {
        this.#host.owner.leases.answered(lease, task.sequence, outcome, 0);
        this.#host.owner.leases.settle(lease);
      });
    }
    link.connection.endFrame();
  }

  /** Hot path. */
  call(actor: ActorLink, task: Task): void {
    const link = actor.worker === undefined ? undefined : this.#links.get(actor.worker.processId);
    if (link?.connection === undefined) return;
    const template = this.#templateOf(link, link.connection, task);
    const writer = link.connection.beginFrame(FRAME.call);
    writeCallHeader(writer, task, template);
    writeArguments(writer, task.args as readonly unknown[], isEntry);
    if (writer.length > MAX_FRAME_BYTES) {
      return this.#refuse(link.connection, task, (outcome) =>
        this.#host.owner.actors.answered(actor, task.sequence, outcome),
      );
    }
    link.connection.endFrame();
  }

  /** What refs brought together is too large for a frame: its peer would close the connection. */
  #refuse(connection: Connection, task: Task, answer: (outcome: Outcome) => void): void {
    connection.abandonFrame();
    const { name } = task.template;
    const message = `the arguments of ${name} (${task.id}) are too large together: small values that refs name travel with a task, up to ${MAX_FRAME_BYTES} bytes. Pass the refs inside an array, and get() them in the task`;
    queueMicrotask(() => answer({ kind: "failed", code: "OBJECT_TOO_LARGE", message }));
  }

  abort(where: Lease | ActorLink, task: Task): void {
    if ("queue" in where) {
      const route = where.route as Route | undefined;
      if (route !== undefined) this.#writeAbort(route.link, route.number, task);
      return;
    }
    const link = where.worker && this.#links.get(where.worker.processId);
    if (link !== undefined) this.#writeAbort(link, NO_LEASE, task);
  }

  closeAll(): void {
    for (const link of this.#links.values()) link.connection?.close();
  }

  /** `unreached` is told whether the worker was there and did not answer: it may be in synchronous code. */
  #withLink(
    worker: ProcessRef,
    address: ProcessAddress,
    connected: (link: Link) => void,
    unreached: (isBusy: boolean) => void,
  ): void {
    const known = this.#links.get(worker.processId);
    if (known?.connection !== undefined) {
      queueMicrotask(() => (known.connection === undefined ? unreached(false) : connected(known)));
      return;
    }
    const sinceMs = nowMs();
    const isLocal = worker.nodeId === this.#host.self.nodeId;
    const where = isLocal ? { unixPath: address.unixPath } : { host: address.host, port: address.port };
    this.#host.dial(where, worker).then(
      (connection) => connected(this.#open(worker, connection)),
      () => unreached(nowMs() - sinceMs >= WORKER_DIAL_TIMEOUT_MS),
    );
  }

  #open(worker: ProcessRef, connection: Connection): Link {
    const known = this.#links.get(worker.processId);
    if (known?.connection !== undefined) {
      connection.close(); // two dials at once: one is enough
      return known;
    }
    const link: Link = {
      worker,
      id: connection.id,
      connection,
      leases: new Map(),
      actor: undefined,
      lastNumber: -1,
      templates: new Map(),
      nextTemplate: 0,
      lastTemplate: undefined,
      lastContext: undefined,
      lastIndex: 0,
      touched: new Set(),
    };
    this.#links.set(worker.processId, link);
    connection.unref();
    connection.start({
      frame: (type, bytes, start, end) => this.#frame(link, type, bytes, start, end),
      closed: () => this.#closed(link),
    });
    return link;
  }

  #closed(link: Link): void {
    link.connection = undefined;
    if (this.#links.get(link.worker.processId) === link) this.#links.delete(link.worker.processId);
    for (const lease of [...link.leases.values()]) this.#host.owner.leases.disconnected(lease);
    if (link.actor !== undefined) this.#host.owner.actors.disconnected(link.actor);
  }

  #frame(link: Link, type: number, chunk: Uint8Array, start: number, end: number): void {
    const bytes = bufferOf(chunk);
    if (type === FRAME.answer) this.#answer(link, bytes, start, end);
    else if (type === FRAME.handBack) this.#handBack(link, bytes, start, end);
    else throw new MalformedBytes(`frame type ${type} from a worker`);
  }

  /** Hot path: one answer. The lease is settled once for all answers of this turn. */
  #answer(link: Link, bytes: Buffer, start: number, end: number): void {
    if (end - start < ANSWER_HEADER_BYTES) throw new MalformedBytes("an answer that is too short");
    const number = bytes.readUInt16LE(start);
    const sequence = bytes.readUInt32LE(start + 2);
    const outcome = readOutcome(bytes, start + 10, end);
    if (number === NO_LEASE) {
      if (link.actor !== undefined) this.#host.owner.actors.answered(link.actor, sequence, outcome);
      return;
    }
    const lease = link.leases.get(number);
    if (lease === undefined) return;
    this.#host.owner.leases.answered(lease, sequence, outcome, bytes.readUInt32LE(start + 6) / 1_000);
    if (link.touched.size === 0) queueMicrotask(() => this.#settle(link));
    link.touched.add(lease);
  }

  #settle(link: Link): void {
    for (const lease of link.touched) this.#host.owner.leases.settle(lease);
    link.touched.clear();
  }

  #handBack(link: Link, bytes: Buffer, start: number, end: number): void {
    const lease = link.leases.get(bytes.readUInt16LE(start));
    const blocked = bytes[start + 2] === 1;
    const count = bytes.readUInt32LE(start + 3);
    if (count * 4 !== end - start - 7) throw new MalformedBytes("a list of tasks of the wrong length");
    const sequences: number[] = [];
    for (let i = 0; i < count; i++) sequences.push(bytes.readUInt32LE(start + 7 + 4 * i));
    if (lease !== undefined) this.#host.owner.leases.handedBack(lease, sequences, blocked);
  }

  #writeAttach(link: Link, number: number, lease: Lease): void {
    const writer = link.connection?.beginFrame(FRAME.attach);
    writer?.u16(number);
    writer?.text(lease.id);
    link.connection?.endFrame();
  }

  #writeAbort(link: Link, number: number, task: Task): void {
    const writer = link.connection?.beginFrame(FRAME.abort);
    writer?.u16(number);
    writer?.u32(task.sequence);
    link.connection?.endFrame();
  }

  /** The number of a task's template on this connection; told to the worker at its first use. */
  #templateOf(link: Link, connection: Connection, task: Task): number {
    if (link.lastTemplate === task.template && link.lastContext === task.context) return link.lastIndex;
    link.lastIndex = this.#findTemplate(link, connection, task);
    link.lastTemplate = task.template;
    link.lastContext = task.context;
    return link.lastIndex;
  }

  #findTemplate(link: Link, connection: Connection, task: Task): number {
    const byContext = link.templates.get(task.template);
    const known = byContext?.get(task.context);
    if (known !== undefined) return known;
    if (link.nextTemplate === MAX_TEMPLATES) {
      link.templates.clear();
      link.nextTemplate = 0;
    }
    const index = link.nextTemplate++;
    const contexts = link.templates.get(task.template) ?? new Map<ContextId, number>();
    link.templates.set(task.template, contexts.set(task.context, index));
    writeTemplate(connection.beginFrame(FRAME.template), index, incomingTemplate(task, this.#host.jobId));
    connection.endFrame();
    return index;
  }
}

function incomingTemplate(task: Task, jobId: JobId): IncomingTemplate {
  const { functionId, name, method, numReturns } = task.template;
  const { context, depth } = task;
  return { functionId: functionId as IncomingTemplate["functionId"], name, method, jobId, context, depth, numReturns };
}

function isEntry(value: unknown): boolean {
  return value instanceof ObjectEntry;
}

let lastChunk: Uint8Array | undefined;
let lastBuffer: Buffer = Buffer.alloc(0);

/** A chunk holds many frames: one view of it serves them all. */
export function bufferOf(chunk: Uint8Array): Buffer {
  if (chunk === lastChunk) return lastBuffer;
  lastChunk = chunk;
  lastBuffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  return lastBuffer;
}
