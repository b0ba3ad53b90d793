/**
 * The process of a node: its raylet, and on the head node the GCS beside it. Sockets, children and files on one side,
 * the two machines on the other; this page carries messages between them and performs what the machines ask.
 */
import { ByteReader } from "../base/bytes.js";
import { GCS, isRaylet, type JobId, type NodeId, type ObjectId, type ProcessId, type ProcessRef } from "../base/ids.js";
import { HEARTBEAT_MS } from "../base/limits.js";
import { Gcs } from "../core/gcs/gcs.js";
import { Journey } from "../core/journey.js";
import type { FetchSources } from "../core/raylet/pull.js";
import { Raylet } from "../core/raylet/raylet.js";
import { ProtocolError } from "../errors.js";
import { Acceptor } from "../io/acceptor.js";
import { type Address, formatAddress, parseAddress } from "../io/address.js";
import { Arena } from "../io/arena.js";
import type { Connection } from "../io/connection.js";
import { dial } from "../io/dial.js";
import { type Listener, listen } from "../io/listener.js";
import type { Logger } from "../io/log.js";
import { hostIdentity } from "../io/same-host.js";
import { sweepSessions } from "../io/session.js";
import { TransferClient, TransferServer } from "../io/transfer.js";
import { type Envelope, mayReceive, maySend, readEnvelope, writeEnvelope } from "../protocol/codec.js";
import type { Message, OutputLine, Role } from "../protocol/messages.js";
import { nowMs } from "./clock.js";
import { type NodeConfig, type NodePlaces, nodeInfoOf } from "./config.js";
import { FRAME, FROM_STORES, TO_STORES } from "./frame-types.js";
import { failureOf, NodeDisk } from "./node-disk.js";
import { OutputRelay } from "./output-relay.js";
import { ServedObjects } from "./served-objects.js";
import type { WorkerChild } from "./worker-child.js";
import { WorkerSpawner } from "./worker-spawner.js";

export class NodeProcess {
  readonly #config: NodeConfig;
  readonly #places: NodePlaces;
  readonly #log: Logger;
  readonly #secret: Uint8Array;
  readonly #self: ProcessRef;
  readonly #journey: Journey;
  readonly #arena: Arena;
  readonly #disk: NodeDisk;
  readonly #acceptor: Acceptor;
  readonly #served: ServedObjects;
  readonly #transferServer: TransferServer;
  readonly #transferClient: TransferClient;
  readonly #spawner: WorkerSpawner;
  readonly #output: OutputRelay;
  readonly #gcs: Gcs | undefined;
  #raylet: Raylet | undefined;
  #listeners: Listener[] = [];
  /** The connection to the head; on the head itself there is none. */
  #head: Connection | undefined;
  /** On the head: the raylets of other nodes. */
  readonly #nodes = new Map<string, Connection>();
  readonly #locals = new Map<ProcessId, Connection>();
  /** Second connections of processes of this node: for questions of synchronous code. */
  readonly #stores = new Map<ProcessId, Connection>();
  /** Processes of this node that came while it was joining its cluster. */
  readonly #tooEarly: Connection[] = [];
  /** Messages for the machines of this process, taken one after the other: a machine is never entered twice. */
  readonly #inbox: Envelope[] = [];
  #entered = false;
  #stopping = false;
  readonly #onStop: (reason: string) => void;

  /** `first` is a worker that is on its way already. */
  constructor(
    config: NodeConfig,
    places: NodePlaces,
    first: WorkerChild,
    log: Logger,
    onStop: (reason: string) => void,
  ) {
    this.#config = config;
    this.#places = places;
    this.#log = log;
    this.#onStop = onStop;
    this.#secret = Buffer.from(config.secretHex, "hex");
    this.#self = { nodeId: config.nodeId as NodeId, processId: config.nodeId as ProcessId };
    this.#journey = new Journey(config.nodeId, nowMs);
    this.#arena = Arena.create(places.arenaPath, config.objectStoreBytes, { fallbackPath: places.fallbackPath });
    this.#disk = new NodeDisk(this.#arena, places.spillDirectory, config.spillBytes, log, {
      enter: (action) => this.#enter(() => this.#raylet !== undefined && action(this.#raylet)),
      fallbackBytes: () => this.#raylet?.store.fallbackBytes ?? 0,
    });
    const identity = { nodeId: config.nodeId, processId: config.nodeId, clusterId: config.clusterId };
    this.#acceptor = new Acceptor({
      identity: { role: config.isHead ? "head" : "raylet", ...identity },
      secret: this.#secret,
      accept: (connection) => this.#accept(connection),
      route: (target, socket, bytes) => this.#spawner.passSocket(target as ProcessId, socket, bytes),
      log: (line) => log.warn(line),
    });
    const host = config.sameHost ? hostIdentity() : "";
    this.#served = new ServedObjects(this.#self.nodeId, this.#disk, {
      raylet: () => this.#raylet,
      enter: (action) => this.#enter(action),
    });
    this.#transferServer = new TransferServer(this.#arena, this.#served, host);
    const asRaylet = { role: "raylet", ...identity } as const;
    this.#transferClient = new TransferClient({ identity: asRaylet, secret: this.#secret, host });
    const send = (to: ProcessRef, message: Message) => this.#route({ to, from: this.#self, message });
    this.#output = new OutputRelay(this.#self, send, (job) => this.#spawner.endLines((id) => this.#jobOf(id) === job));
    this.#spawner = new WorkerSpawner(config, places, {
      exited: (worker, reason) => {
        this.#output.flush(); // its last words, before its owners learn of its end
        this.#enter(() => this.#raylet?.processDied(worker, reason));
      },
      output: (worker, line) => this.#workerWrote(worker, line),
    });
    this.#spawner.expect(first);
    this.#gcs = config.isHead ? this.#makeGcs() : undefined;
  }

  /** Listen, join, start the first workers. Resolves with the node's address when it is ready. */
  async start(): Promise<Address> {
    const config = this.#config;
    const tcp = await listen({ host: config.host, port: config.port }, this.#acceptor);
    const unix = await listen({ unixPath: this.#places.rayletPath }, this.#acceptor);
    this.#listeners = [tcp, unix];
    const port = "port" in tcp.address ? tcp.address.port : config.port;
    if (!config.isHead) await this.#joinHead();
    const warm = Math.max(1, Math.floor(config.resources["CPU"] ?? 1));
    const info = nodeInfoOf(config, port);
    this.#raylet = new Raylet(info, config.objectStoreBytes, warm, this.#rayletPort(), this.#journey);
    this.#enter(() => {
      this.#raylet?.start();
      this.#raylet?.tick(nowMs()); // what it is told from here on has a time
      this.#raylet?.pool.prestart(1); // the others follow when it is ready: on few cores they would only slow it down
    });
    for (const connection of this.#tooEarly.splice(0)) this.#accept(connection);
    this.#disk.tick();
    setInterval(() => this.#tick(), HEARTBEAT_MS);
    this.#log.info(`node ${config.nodeId} listens on ${formatAddress(tcp.address)} and ${this.#places.rayletPath}`);
    return tcp.address;
  }

  /** Everything on this node ends. Synchronous, so that it also works on the way out of the process. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#spawner.killAll();
    for (const listener of this.#listeners) listener.close();
    this.#acceptor.close();
    for (const connection of [...this.#stores.values(), ...this.#locals.values()]) connection.close();
    for (const connection of this.#nodes.values()) connection.close();
    this.#head?.close();
    this.#transferClient.close();
    this.#transferServer.close();
    this.#disk.close();
    this.#arena.close();
    this.#arena.unlink();
  }

  /** The state in words, for people who ask why something waits (SIGUSR2). */
  describe(): string {
    return [this.#raylet?.scheduler.describe() ?? "not started", this.#gcs?.scheduler.describe() ?? ""].join("\n");
  }

  get hasDrivers(): boolean {
    return [...this.#locals.values()].some(({ peer }) => peer.role === "driver");
  }

  // ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────

  #accept(connection: Connection): void {
    const { peer, purpose } = connection;
    if (peer.role === "raylet") {
      if (purpose === "objects") this.#transferServer.serve(connection);
      else if (this.#config.isHead) this.#acceptNode(connection);
      else connection.destroy(new ProtocolError("this node is not the head: join the head's address"));
      return;
    }
    const role = peer.role as Role;
    const ref = { nodeId: this.#self.nodeId, processId: peer.processId as ProcessId };
    if (this.#raylet === undefined) return void this.#tooEarly.push(connection);
    if (purpose === "store") return this.#acceptStore(ref, role, connection);
    if (this.#locals.has(ref.processId)) {
      return connection.destroy(new ProtocolError(`process ${ref.processId} is connected already`));
    }
    this.#locals.set(ref.processId, connection);
    connection.start({
      frame: (type, bytes, start, end) => this.#fromLocal(ref, role, type, bytes, start, end),
      closed: (error) => this.#localClosed(ref, role, error),
      // A worker is killed. A driver may be busy, and write into the arena before it sees that it was refused.
      ...(role === "driver" && { refused: (error: Error | undefined) => this.#localClosed(ref, role, error, true) }),
    });
    this.#enter(() => this.#raylet?.processConnected(ref, role));
  }

  #acceptStore(ref: ProcessRef, role: Role, connection: Connection): void {
    if (this.#locals.get(ref.processId)?.isOpen !== true) {
      return connection.destroy(new ProtocolError(`process ${ref.processId} is not connected`));
    }
    this.#stores.get(ref.processId)?.destroy();
    this.#stores.set(ref.processId, connection);
    connection.start({
      frame: (type, bytes, start, end) => {
        const { message } = this.#read(type, bytes, start, end);
        if (!FROM_STORES.has(message.type) || !maySend(role, message.type)) {
          throw new ProtocolError(`${message.type} of a ${role} on a store connection`);
        }
        this.#route({ to: this.#self, from: ref, message });
      },
      closed: () => {
        if (this.#stores.get(ref.processId) === connection) this.#stores.delete(ref.processId);
      },
    });
  }

  #fromLocal(ref: ProcessRef, role: Role, type: number, bytes: Uint8Array, start: number, end: number): void {
    const { to, message } = this.#read(type, bytes, start, end);
    if (!maySend(role, message.type)) throw new ProtocolError(`a ${role} may not send ${message.type}`);
    if (
      to.processId === GCS.processId
        ? !mayReceive("gcs", message.type)
        : isRaylet(to) && !mayReceive("raylet", message.type)
    ) {
      throw new ProtocolError(`${message.type} is not for whom it was sent to`);
    }
    this.#route({ to, from: ref, message });
  }

  #localClosed(ref: ProcessRef, role: Role, error: Error | undefined, mayStillWrite = false): void {
    if (!mayStillWrite) this.#locals.delete(ref.processId);
    this.#stores.get(ref.processId)?.destroy();
    if (error !== undefined) this.#log.warn(`${role} ${ref.processId}: ${error.message}`);
    if (this.#stopping) return;
    // A worker's end is known by its exit, with code and last words.
    if (role === "worker" && this.#spawner.kill(ref.processId)) return;
    const how = mayStillWrite ? `was refused: ${error?.message}` : "closed its connection";
    const message = `${role} ${ref.processId} on node ${ref.nodeId} ${how}`;
    this.#enter(() => this.#raylet?.processDied(ref, { code: "CONNECTION", message }, mayStillWrite));
  }

  #acceptNode(connection: Connection): void {
    const nodeId = connection.peer.nodeId as NodeId;
    this.#nodes.set(nodeId, connection);
    connection.start({
      frame: (type, bytes, start, end) => {
        const envelope = this.#read(type, bytes, start, end);
        if (envelope.from.nodeId !== nodeId)
          throw new ProtocolError(`node ${nodeId} speaks for ${envelope.from.nodeId}`);
        this.#route(envelope);
      },
      closed: (error) => {
        if (this.#nodes.get(nodeId) === connection) this.#nodes.delete(nodeId);
        const why = error?.message ?? "it closed its connection";
        if (this.#stopping) return;
        this.#enter(() => this.#gcs?.nodeDied(nodeId, why));
        sweepSessions(); // if it was on this host and was killed, its files are still there
      },
    });
  }

  async #joinHead(): Promise<void> {
    const identity = { role: "raylet", nodeId: this.#config.nodeId, processId: this.#config.nodeId } as const;
    const expect = { role: "head" } as const;
    const head = await dial(parseAddress(this.#config.headAddress), { identity, secret: this.#secret, expect });
    this.#head = head;
    head.start({
      frame: (type, bytes, start, end) => this.#route(this.#read(type, bytes, start, end)),
      closed: (error) => {
        if (!this.#stopping) this.#onStop(`the head is gone: ${error?.message ?? "it closed the connection"}`);
      },
    });
  }

  #read(type: number, bytes: Uint8Array, start: number, end: number): Envelope {
    if (type !== FRAME.envelope) throw new ProtocolError(`frame type ${type} on a control connection`);
    return readEnvelope(new ByteReader(bytes, start, end));
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** To a machine of this process, to a process of this node, or on towards the node that it is for. */
  #route(envelope: Envelope): void {
    const { to } = envelope;
    const isForGcs = to.processId === GCS.processId;
    const isHere = to.nodeId === this.#self.nodeId;
    if (isForGcs ? this.#config.isHead : isHere && to.processId === this.#self.processId) {
      this.#inbox.push(envelope);
      if (!this.#entered) this.#enter(() => {});
      return;
    }
    const connection = this.#wayTo(envelope, isHere && !isForGcs);
    if (connection === undefined) return; // it is gone; whoever must know learns of its death
    writeEnvelope(connection.beginFrame(FRAME.envelope), envelope);
    connection.endFrame();
  }

  #wayTo({ to, message }: Envelope, isHere: boolean): Connection | undefined {
    if (isHere) return (TO_STORES.has(message.type) ? this.#stores : this.#locals).get(to.processId);
    return this.#config.isHead ? this.#nodes.get(to.nodeId) : this.#head;
  }

  /** Run a machine, then everything that it and its answers put into the inbox. */
  #enter(action: () => void): void {
    if (this.#stopping) return;
    const outer = this.#entered;
    this.#entered = true;
    try {
      action();
      if (outer) return;
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) this.#take(next);
    } finally {
      this.#entered = outer;
    }
  }

  #take({ to, from, message }: Envelope): void {
    const role: Role = to.processId === GCS.processId ? "gcs" : "raylet";
    if (!mayReceive(role, message.type))
      return this.#log.error(`dropped: ${message.type} from ${from.processId} is not for the ${role}`);
    if (role === "gcs") this.#gcs?.receive(from, message);
    else if (!this.#output.receive(from, message)) this.#raylet?.receive(from, message);
  }

  #tick(): void {
    this.#enter(() => {
      this.#raylet?.tick(nowMs());
      this.#gcs?.tick(nowMs());
    });
    this.#disk.tick();
  }

  // ── What the machines ask for ─────────────────────────────────────────────────────────────────────────────────────

  #makeGcs(): Gcs {
    const port = {
      send: (to: ProcessRef, message: Message) => this.#route({ to, from: GCS, message }),
      wakeUpAfter: (delayMs: number) => {
        setTimeout(() => this.#enter(() => this.#gcs?.tick(nowMs())), delayMs + 1);
      },
      stop: (reason: string) => this.#stopSoon(reason),
    };
    const gcs = new Gcs(port, new Journey(this.#config.nodeId, nowMs));
    gcs.tick(nowMs());
    return gcs;
  }

  #rayletPort(): ConstructorParameters<typeof Raylet>[3] {
    return {
      send: (to, message) => this.#route({ to, from: this.#self, message }),
      startWorker: (worker) => this.#spawner.start(worker),
      killWorker: (worker, why) => {
        this.#log.info(`worker ${worker.processId} is stopped: ${why}`);
        this.#spawner.kill(worker.processId, why);
      },
      fetchObject: (objectId, from, offset, sizeBytes) => this.#fetch(objectId, from, offset, sizeBytes),
      refuse: (process, why) => this.#locals.get(process.processId)?.refuse(new ProtocolError(why)),
      recallPushes: ({ processId }, leaseId, claim, upTo) =>
        this.#spawner.recall(processId, claim, upTo, (started) =>
          this.#enter(() => this.#raylet?.recalled(leaseId, upTo, started)),
        ),
      disk: this.#disk,
      stop: (reason) => this.#stopSoon(reason),
    };
  }

  /** Lecture, `fetchArgument` and `fetchResult`: bytes go from store to store on a connection of their own. */
  #fetch(objectId: ObjectId, { nodes, width }: FetchSources, offset: number, sizeBytes: number): void {
    const sources = nodes.map(({ host, port }) => ({ host, port }));
    const partial = this.#served.begin(objectId, offset, sizeBytes);
    const arrived = (from: number, end: number) => partial.arrived(from, end);
    const job = { objectId, sizeBytes, sources, width, arena: this.#arena, offset, arrived };
    this.#transferClient.pull(job).then(
      () =>
        this.#enter(() => {
          this.#raylet?.fetched(objectId, undefined);
          this.#served.sealed(objectId, partial);
        }),
      (error: Error) => {
        const from = nodes.map(({ nodeId }) => `node ${nodeId}`).join(", ");
        this.#log.warn(`object ${objectId} could not be fetched from ${from}: ${error.message}`);
        this.#served.lost(objectId, partial);
        this.#enter(() => this.#raylet?.fetched(objectId, failureOf(error)));
      },
    );
  }

  /** After what is under way has been written. */
  #stopSoon(reason: string): void {
    setImmediate(() => setImmediate(() => this.#onStop(reason)));
  }

  #jobOf(worker: ProcessId): JobId | undefined {
    return this.#raylet?.pool.get(worker)?.jobId;
  }

  #workerWrote(worker: ProcessRef, line: OutputLine): void {
    const jobId = this.#jobOf(worker.processId);
    if (jobId !== undefined) this.#output.add(jobId, line);
    else this.#log.warn(`worker ${worker.processId} (pid ${line.pid}), which has no job yet, wrote: ${line.text}`);
  }
}
