/**
 * The process of a node: its raylet, and on the head node the GCS beside it. Wiring only, as in the real one: it carries
 * envelopes by their addresses and performs what the two machines ask for.
 */
import { assert } from "../src/base/assert.js";
import { ByteReader, ByteWriter } from "../src/base/bytes.js";
import {
  GCS,
  type LeaseId,
  type NodeId,
  type ObjectId,
  type ProcessId,
  type ProcessRef,
  rayletOf,
} from "../src/base/ids.js";
import { HEARTBEAT_MS, ROOM_ANSWER_MS } from "../src/base/limits.js";
import { Gcs } from "../src/core/gcs/gcs.js";
import { Journey } from "../src/core/journey.js";
import { Raylet, type RayletPort } from "../src/core/raylet/raylet.js";
import { type Envelope, mayReceive, maySend, readEnvelope, writeEnvelope } from "../src/protocol/codec.js";
import type { Failure, Message, MessageType, NodeInfo, Role } from "../src/protocol/messages.js";
import type { ControlFrame, TransferFrame } from "./frames.js";
import { isIdempotent } from "./idempotence.js";
import { connect, type LinkEnd, type LinkEvents } from "./link.js";
import type { NodeDoor, Surroundings } from "./surroundings.js";
import { VirtualDisk } from "./virtual-disk.js";
import { VirtualProcess } from "./virtual-process.js";
import { VirtualStore } from "./virtual-store.js";

/** Bytes per virtual millisecond between stores. */
const TRANSFER_BYTES_PER_MS = 1_000_000;

const MISSING_COPY: Failure = { code: "OBJECT_LOST", message: "no node has it" };
const UNREACHED: Failure = { code: "CONNECTION", message: "the link was cut" };

/** What is told to synchronous code, beside everything else. */
const ANSWERS: ReadonlySet<MessageType> = new Set<MessageType>(["extentLeased", "extentRefused"]);

export interface NodeOptions {
  readonly info: NodeInfo;
  readonly storeBytes: number;
  readonly warmWorkers: number;
  readonly recallable: boolean;
  /** The head's door; undefined on the head itself. */
  readonly head: NodeDoor | undefined;
  /** Tests plant a bug between the raylet and the world here. */
  readonly plant?: ((port: RayletPort) => RayletPort) | undefined;
}

/** Encode and decode by the real codec: a message that does not survive it never arrives. */
export function toBytes(envelope: Envelope): ControlFrame {
  const writer = new ByteWriter();
  writeEnvelope(writer, envelope);
  return writer.copy();
}

export function fromBytes(bytes: ControlFrame): Envelope {
  return readEnvelope(new ByteReader(bytes));
}

export class VirtualNode extends VirtualProcess implements NodeDoor {
  readonly nodeId: NodeId;
  readonly journey: Journey;
  readonly raylet: Raylet;
  readonly gcs: Gcs | undefined;
  readonly store = new VirtualStore();
  readonly disk: VirtualDisk;
  readonly recallable: boolean;
  readonly #around: Surroundings;
  readonly #head: LinkEnd<ControlFrame> | undefined;
  readonly #nodes = new Map<NodeId, LinkEnd<ControlFrame>>();
  readonly #locals = new Map<ProcessId, LinkEnd<ControlFrame>>();
  /** Processes that wait for an answer in synchronous code. */
  readonly #asking = new Map<ProcessId, (answer: Message) => void>();
  /** Messages for the machines of this process, taken one after the other: a machine is never entered twice. */
  readonly #machineInbox: Envelope[] = [];
  #inMachine = false;

  constructor(around: Surroundings, name: string, options: NodeOptions) {
    const { nodeId } = options.info;
    super(around.world, name, rayletOf(nodeId));
    this.nodeId = nodeId;
    this.recallable = options.recallable;
    this.#around = around;
    this.journey = new Journey(nodeId, () => this.localNowMs);
    this.disk = new VirtualDisk(around.world.seed, name, this.store, {
      after: (delayMs, action) => this.after(delayMs, () => this.#machine(action)),
      raylet: () => this.raylet,
    });
    this.gcs = options.info.isHead ? this.#makeGcs() : undefined;
    const port = this.#rayletPort();
    const planted = options.plant?.(port) ?? port;
    this.raylet = new Raylet(options.info, options.storeBytes, options.warmWorkers, planted, this.journey);
    this.#head = options.head?.connectNode(this, {
      frame: (bytes) => this.#route(fromBytes(bytes)),
      closed: () => this.kill("the head is gone"),
    });
    this.enter(() =>
      this.#machine(() => {
        this.raylet.start();
        this.raylet.pool.prestart(options.warmWorkers);
      }),
    );
    this.#tickLater();
  }

  // ── Doors ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  connectLocal(
    process: VirtualProcess,
    role: "driver" | "worker",
    events: LinkEvents<ControlFrame>,
  ): LinkEnd<ControlFrame> {
    const { ref } = process;
    const [theirs, ours] = connect(
      this.world,
      this.#around.network,
      { process, events },
      {
        process: this,
        events: {
          frame: (bytes) => this.#fromLocal(ref, role, bytes),
          closed: () => this.#localClosed(ref, role),
        },
      },
    );
    this.enter(() => {
      this.#locals.set(ref.processId, ours);
      this.#machine(() => this.raylet.processConnected(ref, role));
    });
    return theirs;
  }

  connectNode(process: VirtualProcess, events: LinkEvents<ControlFrame>): LinkEnd<ControlFrame> {
    const { nodeId } = process.ref;
    const [theirs, ours] = connect(
      this.world,
      this.#around.network,
      { process, events },
      {
        process: this,
        events: {
          frame: (bytes) => this.#route(fromBytes(bytes)),
          closed: () => {
            this.#nodes.delete(nodeId);
            this.#machine(() => this.gcs?.nodeDied(nodeId, "its connection ended"));
          },
        },
      },
    );
    this.#nodes.set(nodeId, ours);
    return theirs;
  }

  /** The other node's side of `#fetch`: the block is kept while its bytes leave. */
  connectTransfer(process: VirtualProcess, events: LinkEvents<TransferFrame>): LinkEnd<TransferFrame> {
    const [theirs, ours] = connect<TransferFrame>(
      this.world,
      this.#around.network,
      { process, events },
      {
        process: this,
        events: {
          frame: (frame) => {
            if (frame.kind === "pull") this.#serve(ours, frame.objectId);
          },
          closed: () => {},
        },
      },
    );
    return theirs;
  }

  /**
   * Synchronous code of a process of this node says something, asks, and waits: the process takes no event meanwhile,
   * all others go on. Undefined when no answer came in time.
   */
  ask(process: VirtualProcess, messages: readonly Message[]): Message | undefined {
    let answer: Message | undefined;
    this.#asking.set(process.ref.processId, (message) => {
      answer = message;
    });
    const said = messages.map((message) => toBytes({ to: this.ref, from: process.ref, message }));
    this.world.at(process.localNowMs + this.#around.network.localDelayMs(), () =>
      this.enter(() => {
        if (this.#asking.has(process.ref.processId)) for (const bytes of said) this.#route(fromBytes(bytes));
      }),
    );
    this.world.run(() => answer !== undefined || !process.alive || !this.alive, ROOM_ANSWER_MS);
    this.#asking.delete(process.ref.processId);
    // While others waited in synchronous code of their own, time went on: it may have been killed with its answer.
    return process.alive ? answer : undefined;
  }

  /** A child process ended; what it still sent may arrive before or after. */
  workerExited(worker: ProcessRef, why: string): void {
    this.enter(() =>
      this.#processDied(worker, { code: "WORKER_CRASHED", message: `worker ${worker.processId}: ${why}` }),
    );
  }

  /** A sealed object cannot be read any more: its raylet gives the copy up. */
  loseCopy(objectId: ObjectId): void {
    this.enter(() =>
      this.#machine(() => {
        this.raylet.receive(GCS, { type: "freeObject", objectId });
        this.#route({ to: GCS, from: this.ref, message: { type: "dropLocation", objectId, nodeId: this.nodeId } });
      }),
    );
  }

  override check(): void {
    this.raylet.check();
    this.gcs?.check();
  }

  // ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────

  #fromLocal(ref: ProcessRef, role: Role, bytes: ControlFrame): void {
    const { to, message } = fromBytes(bytes);
    assert(maySend(role, message.type), `a ${role} may send ${message.type}`);
    this.#route({ to, from: ref, message });
  }

  #localClosed(ref: ProcessRef, role: Role): void {
    this.#locals.delete(ref.processId);
    // A worker's end is known by its exit.
    if (role === "worker") return;
    this.#processDied(ref, { code: "CONNECTION", message: `${role} ${ref.processId} closed its connection` });
  }

  #processDied(ref: ProcessRef, reason: { readonly code: string; readonly message: string }): void {
    this.#around.watch.rayletLoses(this.nodeId, ref.processId);
    this.#machine(() => this.raylet.processDied(ref, reason));
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** To a machine of this process, to a process of this node, or on towards the node that it is for. */
  #route(envelope: Envelope): void {
    const { to } = envelope;
    const isForGcs = to.processId === GCS.processId;
    const isHere = to.nodeId === this.nodeId && !isForGcs;
    if (isForGcs ? this.gcs !== undefined : isHere && to.processId === this.ref.processId) {
      this.#machineInbox.push(envelope);
      this.#machine(() => {});
      return;
    }
    const asking = isHere && ANSWERS.has(envelope.message.type) ? this.#asking.get(to.processId) : undefined;
    if (asking !== undefined) return asking(fromBytes(toBytes(envelope)).message);
    const way = isHere ? this.#locals.get(to.processId) : (this.#head ?? this.#nodes.get(to.nodeId));
    way?.send(toBytes(envelope)); // without a way it is gone; whoever must know learns of its death
  }

  /** Run a machine, then everything that it and its answers put into the inbox. */
  #machine(action: () => void): void {
    if (this.#inMachine) return action();
    this.#inMachine = true;
    action();
    for (let next = this.#machineInbox.shift(); next !== undefined; next = this.#machineInbox.shift()) {
      this.#take(next);
      if (isIdempotent(next.message.type) && this.#around.network.isRepeated()) this.#take(next);
    }
    this.#inMachine = false;
  }

  #take({ to, from, message }: Envelope): void {
    const role: Role = to.processId === GCS.processId ? "gcs" : "raylet";
    assert(mayReceive(role, message.type), `${message.type} is for a ${role}`);
    this.world.note(this.name, message.type, () => describe(from, message));
    if (role === "gcs") {
      this.gcs?.receive(from, message);
    } else {
      this.#around.watch.rayletReceives(this.nodeId, message);
      this.raylet.receive(from, message);
    }
  }

  #tickLater(): void {
    this.after(HEARTBEAT_MS, () => {
      this.#machine(() => {
        this.raylet.tick(this.localNowMs);
        this.gcs?.tick(this.localNowMs);
      });
      this.#tickLater();
    });
  }

  // ── What the machines ask for ─────────────────────────────────────────────────────────────────────────────────────

  #makeGcs(): Gcs {
    const port = {
      send: (to: ProcessRef, message: Message) => this.#route({ to, from: GCS, message }),
      wakeUpAfter: (delayMs: number) => this.after(delayMs, () => this.#machine(() => this.gcs?.tick(this.localNowMs))),
      stop: (reason: string) => this.kill(reason),
    };
    const gcs = new Gcs(port, this.journey);
    gcs.tick(this.localNowMs);
    return gcs;
  }

  #rayletPort(): RayletPort {
    return {
      send: (to, message) => {
        this.#around.watch.rayletSends(this.nodeId, to, message);
        this.#route({ to, from: this.ref, message });
      },
      startWorker: (worker) => this.#around.startWorker(worker),
      killWorker: (worker, why) => {
        if (!this.#around.killWorker(worker, why)) this.workerExited(worker, why);
      },
      fetchObject: (objectId, from, offset, sizeBytes) => {
        const nodes = from.nodes.map(({ nodeId }) => nodeId);
        this.#fetch(objectId, nodes, offset, sizeBytes);
      },
      recallPushes: (worker, leaseId, claim, upTo) => this.#recall(worker, leaseId, claim, upTo),
      refuse: (process, why) => assert(false, `process ${process.processId} broke the protocol: ${why}`),
      disk: this.disk,
      stop: (reason) => this.soon(() => this.kill(reason)),
    };
  }

  /** By memory that the worker shares, whatever its thread does; sooner or later. */
  #recall({ processId }: ProcessRef, leaseId: LeaseId, claim: number, upTo: number): void {
    this.after(this.#around.network.localDelayMs(), () => {
      const started = this.#around.worker(processId)?.claims?.recall(claim, upTo);
      this.world.note(this.name, "recall", () => `${leaseId} up to ${upTo}: ${started} may have started`);
      if (started === undefined) return;
      this.#around.watch.tasksRecalled(Math.max(0, upTo - started));
      this.#machine(() => this.raylet.recalled(leaseId, upTo, started));
    });
  }

  /** Lecture, `fetchArgument` and `fetchResult`: bytes go from store to store on a connection of their own. */
  #fetch(objectId: ObjectId, from: readonly NodeId[], offset: number, sizeBytes: number, failure = MISSING_COPY): void {
    const [first, ...others] = from;
    if (first === undefined) return this.#machine(() => this.raylet.fetched(objectId, failure));
    let link: LinkEnd<TransferFrame> | undefined;
    const failed = () => this.#fetch(objectId, others, offset, sizeBytes, UNREACHED);
    const events: LinkEvents<TransferFrame> = {
      frame: (frame) => {
        if (frame.kind !== "bytes") return;
        link?.close();
        if (frame.value === undefined) return this.#fetch(objectId, others, offset, sizeBytes, failure);
        assert(frame.value.sizeBytes === sizeBytes, "a replica is as large as its original");
        this.store.write(offset, objectId, frame.value);
        this.#machine(() => this.raylet.fetched(objectId, undefined));
      },
      closed: failed,
    };
    this.after(this.#around.network.localDelayMs(), () => {
      const source = this.#around.node(first);
      if (source === undefined) return failed();
      link = source.connectTransfer(this, events);
      link.send({ kind: "pull", objectId });
    });
  }

  #serve(link: LinkEnd<TransferFrame>, objectId: ObjectId): void {
    const { storage } = this.raylet;
    const source = storage.openPull(objectId, this.ref.processId);
    if (source === undefined) return link.send({ kind: "bytes", value: undefined });
    this.after(source.sizeBytes / TRANSFER_BYTES_PER_MS, () => {
      const isInMemory = source.kind === "memory";
      const value = isInMemory ? this.store.read(source.offset, objectId) : this.disk.read(source.file, objectId);
      link.send({ kind: "bytes", value });
      this.#machine(() => storage.closePull(objectId, this.ref.processId, source));
    });
  }
}

/** A message in one line of the event log. */
export function describe(from: ProcessRef, message: Message): string {
  const words = Object.entries(message)
    .filter(([name]) => name !== "type")
    .map(([name, value]) => `${name}=${wordOf(value)}`);
  return `from ${from.processId === GCS.processId ? "gcs" : from.processId} ${words.join(" ")}`;
}

function wordOf(value: unknown): string {
  if (value instanceof Map) return JSON.stringify([...value]);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text =
    typeof value === "string" ? value : (JSON.stringify(value, (_, v) => (v instanceof Map ? [...v] : v)) ?? "-");
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
