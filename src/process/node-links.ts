/**
 * The connections of a node's process: who is at their other ends, who may say what by them, and by which of them a
 * message goes on.
 */
import { ByteReader } from "../base/bytes.js";
import { GCS, isRaylet, type NodeId, type ProcessId, type ProcessRef } from "../base/ids.js";
import { ProtocolError } from "../errors.js";
import type { Address } from "../io/address.js";
import type { Connection } from "../io/connection.js";
import { dial } from "../io/dial.js";
import { type Envelope, mayReceive, maySend, readEnvelope, writeEnvelope } from "../protocol/codec.js";
import type { Role } from "../protocol/messages.js";
import { FRAME, FROM_STORES, TO_STORES } from "./frame-types.js";

export interface NodeLinksHost {
  readonly self: ProcessRef;
  readonly isHead: boolean;
  /** For a machine of this process. */
  take(envelope: Envelope): void;
  serveObjects(connection: Connection): void;
  processConnected(process: ProcessRef, role: Role): void;
  /** `mayStillWrite`: it was refused, and is heard no more; when it has gone, this is called again. */
  processClosed(process: ProcessRef, role: Role, error: Error | undefined, mayStillWrite: boolean): void;
  nodeClosed(nodeId: NodeId, why: string): void;
  headClosed(why: string): void;
}

export class NodeLinks {
  readonly #host: NodeLinksHost;
  /** The connection to the head; on the head itself there is none. */
  #head: Connection | undefined;
  /** On the head: the raylets of other nodes. */
  readonly #nodes = new Map<string, Connection>();
  readonly #locals = new Map<ProcessId, Connection>();
  /** Second connections of processes of this node: for questions of synchronous code. */
  readonly #stores = new Map<ProcessId, Connection>();
  /** Processes of this node that came while it was joining its cluster. */
  #tooEarly: Connection[] | undefined = [];

  constructor(host: NodeLinksHost) {
    this.#host = host;
  }

  /** There is a raylet: processes of this node may come. */
  open(): void {
    const early = this.#tooEarly ?? [];
    this.#tooEarly = undefined;
    for (const connection of early) this.accept(connection);
  }

  async joinHead(address: Address, secret: Uint8Array): Promise<void> {
    const { nodeId } = this.#host.self;
    const identity = { role: "raylet", nodeId, processId: nodeId } as const;
    const head = await dial(address, { identity, secret, expect: { role: "head" } });
    this.#head = head;
    head.start({
      frame: (type, bytes, start, end) => this.route(read(type, bytes, start, end)),
      closed: (error) => this.#host.headClosed(error?.message ?? "it closed the connection"),
    });
  }

  accept(connection: Connection): void {
    const { peer, purpose } = connection;
    if (peer.role === "raylet") {
      if (purpose === "objects") this.#host.serveObjects(connection);
      else if (this.#host.isHead) this.#acceptNode(connection);
      else connection.destroy(new ProtocolError("this node is not the head: join the head's address"));
      return;
    }
    const role = peer.role as Role;
    const ref = { nodeId: this.#host.self.nodeId, processId: peer.processId as ProcessId };
    if (this.#tooEarly !== undefined) return void this.#tooEarly.push(connection);
    if (purpose === "store") return this.#acceptStore(ref, role, connection);
    if (this.#locals.has(ref.processId)) {
      return connection.destroy(new ProtocolError(`process ${ref.processId} is connected already`));
    }
    this.#locals.set(ref.processId, connection);
    connection.start({
      frame: (type, bytes, start, end) => this.#fromLocal(ref, role, type, bytes, start, end),
      closed: (error) => this.#localClosed(ref, role, error, false),
      // A worker is killed. A driver may be busy, and write into the arena before it sees that it was refused.
      ...(role === "driver" && { refused: (error: Error | undefined) => this.#localClosed(ref, role, error, true) }),
    });
    this.#host.processConnected(ref, role);
  }

  /** To a machine of this process, to a process of this node, or on towards the node that it is for. */
  route(envelope: Envelope): void {
    const { self, isHead } = this.#host;
    const { to } = envelope;
    const isForGcs = to.processId === GCS.processId;
    const isHere = to.nodeId === self.nodeId;
    if (isForGcs ? isHead : isHere && to.processId === self.processId) return this.#host.take(envelope);
    const connection = this.#wayTo(envelope, isHere && !isForGcs);
    if (connection === undefined) return; // it is gone; whoever must know learns of its death
    writeEnvelope(connection.beginFrame(FRAME.envelope), envelope);
    connection.endFrame();
  }

  /** It broke a rule: it is heard no more. */
  refuse(process: ProcessId, why: string): void {
    this.#locals.get(process)?.refuse(new ProtocolError(why));
  }

  get hasDrivers(): boolean {
    return [...this.#locals.values()].some(({ peer }) => peer.role === "driver");
  }

  close(): void {
    for (const connections of [this.#stores, this.#locals, this.#nodes]) {
      for (const connection of connections.values()) connection.close();
    }
    this.#head?.close();
  }

  #acceptStore(ref: ProcessRef, role: Role, connection: Connection): void {
    if (this.#locals.get(ref.processId)?.isOpen !== true) {
      return connection.destroy(new ProtocolError(`process ${ref.processId} is not connected`));
    }
    this.#stores.get(ref.processId)?.destroy();
    this.#stores.set(ref.processId, connection);
    connection.start({
      frame: (type, bytes, start, end) => {
        const { message } = read(type, bytes, start, end);
        if (!FROM_STORES.has(message.type) || !maySend(role, message.type)) {
          throw new ProtocolError(`${message.type} of a ${role} on a store connection`);
        }
        this.route({ to: this.#host.self, from: ref, message });
      },
      closed: () => {
        if (this.#stores.get(ref.processId) === connection) this.#stores.delete(ref.processId);
      },
    });
  }

  #fromLocal(ref: ProcessRef, role: Role, type: number, bytes: Uint8Array, start: number, end: number): void {
    const { to, message } = read(type, bytes, start, end);
    if (!maySend(role, message.type)) throw new ProtocolError(`a ${role} may not send ${message.type}`);
    if (
      to.processId === GCS.processId
        ? !mayReceive("gcs", message.type)
        : isRaylet(to) && !mayReceive("raylet", message.type)
    ) {
      throw new ProtocolError(`${message.type} is not for whom it was sent to`);
    }
    this.route({ to, from: ref, message });
  }

  #localClosed(ref: ProcessRef, role: Role, error: Error | undefined, mayStillWrite: boolean): void {
    if (!mayStillWrite) this.#locals.delete(ref.processId);
    this.#stores.get(ref.processId)?.destroy();
    this.#host.processClosed(ref, role, error, mayStillWrite);
  }

  #acceptNode(connection: Connection): void {
    const nodeId = connection.peer.nodeId as NodeId;
    this.#nodes.set(nodeId, connection);
    connection.start({
      frame: (type, bytes, start, end) => {
        const envelope = read(type, bytes, start, end);
        if (envelope.from.nodeId !== nodeId)
          throw new ProtocolError(`node ${nodeId} speaks for ${envelope.from.nodeId}`);
        this.route(envelope);
      },
      closed: (error) => {
        if (this.#nodes.get(nodeId) === connection) this.#nodes.delete(nodeId);
        this.#host.nodeClosed(nodeId, error?.message ?? "it closed its connection");
      },
    });
  }

  #wayTo({ to, message }: Envelope, isHere: boolean): Connection | undefined {
    if (isHere) return (TO_STORES.has(message.type) ? this.#stores : this.#locals).get(to.processId);
    return this.#host.isHead ? this.#nodes.get(to.nodeId) : this.#head;
  }
}

function read(type: number, bytes: Uint8Array, start: number, end: number): Envelope {
  if (type !== FRAME.envelope) throw new ProtocolError(`frame type ${type} on a control connection`);
  return readEnvelope(new ByteReader(bytes, start, end));
}
