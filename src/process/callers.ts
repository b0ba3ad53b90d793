/**
 * A worker's connections with those who call it: tasks and calls that their owners send come in by them, answers go out.
 * The other side of `direct-links.ts`.
 *
 * Lecture: the way of tasks on a reused lease, `callActor`. No decision is made here.
 */
import { ByteReader, MalformedBytes } from "../base/bytes.js";
import type { ConnectionId, LeaseId, NodeId, ProcessId } from "../base/ids.js";
import type { ActorExecutor } from "../core/executor/actor-executor.js";
import type { Executor } from "../core/executor/executor.js";
import type { LeaseSlot } from "../core/executor/lease-slot.js";
import type { Outcome } from "../core/owner/records.js";
import type { Connection } from "../io/connection.js";
import {
  CALL_HEADER_BYTES,
  type IncomingTemplate,
  NO_LEASE,
  PUSH_HEADER_BYTES,
  readArguments,
  readTemplate,
  storesResult,
  writeAnswerHeader,
  writeOutcome,
} from "./direct-frames.js";
import { bufferOf } from "./direct-links.js";
import { FRAME } from "./frame-types.js";
import type { TaskRunner, WorkerTask } from "./task-runner.js";

/** An owner's connection, as the executors' caller. */
export interface Caller {
  readonly connection: Connection;
  readonly templates: IncomingTemplate[];
  /** By the numbers that their owner has given them, which are their routes. */
  readonly leases: Map<number, LeaseSlot>;
}

export interface CallersHost {
  readonly executor: Pick<Executor, "attach" | "detach" | "push">;
  /** Undefined while this worker is no actor. */
  readonly actor: Pick<ActorExecutor, "detach" | "push" | "withdraw"> | undefined;
  readonly runner: Pick<TaskRunner, "abort">;
}

export class Callers {
  readonly #host: CallersHost;
  readonly #callers = new Map<ConnectionId, Caller>();

  constructor(host: CallersHost) {
    this.#host = host;
  }

  accept(connection: Connection): void {
    if (connection.peer.role !== "driver" && connection.peer.role !== "worker") {
      connection.destroy();
      return;
    }
    const caller: Caller = { connection, templates: [], leases: new Map() };
    this.#callers.set(connection.id, caller);
    connection.start({
      frame: (type, bytes, start, end) => this.#frame(caller, type, bytes, start, end),
      closed: () => this.#detach(caller),
    });
  }

  /** Its caller has lost the connection; its end may not have been read here, nor even all that came before it. */
  disown(connection: ConnectionId): void {
    const caller = this.#callers.get(connection);
    if (caller === undefined) return;
    caller.connection.destroy(); // what is still unread is read no more
    this.#detach(caller);
  }

  answer(
    { connection }: Caller,
    lease: LeaseSlot | undefined,
    sequence: number,
    outcome: Outcome,
    runTimeMs: number,
  ): void {
    const writer = connection.beginFrame(FRAME.answer);
    writeAnswerHeader(writer, lease === undefined ? NO_LEASE : numberOf(lease), sequence, runTimeMs);
    writeOutcome(writer, outcome);
    connection.endFrame();
  }

  handBack(caller: Caller, lease: LeaseSlot, sequences: readonly number[], blocked: boolean): void {
    writeHandBack(caller, numberOf(lease), sequences, blocked);
  }

  /** Nothing more comes by the connection. */
  #detach(caller: Caller): void {
    this.#callers.delete(caller.connection.id);
    this.#host.executor.detach(caller);
    this.#host.actor?.detach(caller);
  }

  /** Hot path: one call for each frame. */
  #frame(caller: Caller, type: number, chunk: Uint8Array, start: number, end: number): void {
    const bytes = bufferOf(chunk);
    if (type === FRAME.push) return this.#push(caller, bytes, start, end);
    if (type === FRAME.call) return this.#call(caller, bytes, start, end);
    const reader = new ByteReader(bytes, start, end);
    if (type === FRAME.template) {
      const { index, template } = readTemplate(reader);
      caller.templates[index] = template;
    } else if (type === FRAME.attach) {
      this.#attach(caller, reader);
    } else if (type === FRAME.abort) {
      this.#abort(caller, reader.u16(), reader.u32());
    } else {
      throw new MalformedBytes(`frame type ${type} from an owner`);
    }
  }

  /** A call that waits here will not start; of what runs the signal is told. */
  #abort(caller: Caller, number: number, sequence: number): void {
    const { runner, actor } = this.#host;
    if (number !== NO_LEASE) return runner.abort(caller.leases.get(number)?.id, sequence);
    actor?.withdraw(caller, sequence);
    runner.abort(caller, sequence);
  }

  #attach(caller: Caller, reader: ByteReader): void {
    const number = reader.u16();
    const leaseId = reader.text(64) as LeaseId;
    const { nodeId, processId } = caller.connection.peer;
    const owner = { nodeId: nodeId as NodeId, processId: processId as ProcessId };
    this.#host.executor.attach(leaseId, owner, caller, (lease) => {
      caller.leases.set(number, lease);
      lease.route = number;
    });
  }

  #push(caller: Caller, bytes: Buffer, start: number, end: number): void {
    if (end - start < PUSH_HEADER_BYTES) throw new MalformedBytes("a task that is too short");
    const number = bytes.readUInt16LE(start);
    const sequence = bytes.readUInt32LE(start + 2);
    const lease = caller.leases.get(number);
    if (lease === undefined) return writeHandBack(caller, number, [sequence], false);
    const template = caller.templates[bytes.readUInt16LE(start + 6)];
    if (template === undefined) throw new MalformedBytes("a task of an unknown template");
    this.#host.executor.push(lease, sequence, {
      template,
      counter: bytes.readUInt32LE(start + 8),
      attempt: bytes[start + 12],
      storeResult: storesResult(bytes[start + 13] as number),
      args: readArguments(bytes, start + PUSH_HEADER_BYTES, end),
      origin: lease.id,
      sequence,
    } as WorkerTask);
  }

  #call(caller: Caller, bytes: Buffer, start: number, end: number): void {
    if (end - start < CALL_HEADER_BYTES) throw new MalformedBytes("a call that is too short");
    const template = caller.templates[bytes.readUInt16LE(start + 4)];
    const { actor } = this.#host;
    if (template === undefined || actor === undefined) throw new MalformedBytes("a call of nothing");
    const sequence = bytes.readUInt32LE(start);
    actor.push(caller, sequence, {
      template,
      counter: bytes.readUInt32LE(start + 6),
      attempt: 0,
      storeResult: storesResult(bytes[start + 10] as number),
      args: readArguments(bytes, start + CALL_HEADER_BYTES, end),
      origin: caller,
      sequence,
    } as WorkerTask);
  }
}

function writeHandBack({ connection }: Caller, number: number, sequences: readonly number[], blocked: boolean): void {
  const writer = connection.beginFrame(FRAME.handBack);
  writer.u16(number);
  writer.u8(blocked ? 1 : 0);
  writer.u32(sequences.length);
  for (const sequence of sequences) writer.u32(sequence);
  connection.endFrame();
}

/** A lease's number on its owner's connection. */
function numberOf({ route }: LeaseSlot): number {
  return (route as number | undefined) ?? NO_LEASE;
}

/** A lease that is over is found by its number no more, which may be another's by now. */
export function forgetLease(lease: LeaseSlot): void {
  const leases = (lease.caller as Caller | undefined)?.leases;
  if (leases?.get(numberOf(lease)) === lease) leases.delete(numberOf(lease));
}
