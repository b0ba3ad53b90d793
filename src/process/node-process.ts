/**
 * The process of a node: its raylet, and on the head node the GCS beside it. Sockets, children and files on one side,
 * the two machines on the other; this page brings messages to the machines and performs what they ask.
 */
import { GCS, type JobId, type NodeId, type ObjectId, type ProcessId, type ProcessRef } from "../base/ids.js";
import { HEARTBEAT_MS } from "../base/limits.js";
import { Gcs } from "../core/gcs/gcs.js";
import { Journey } from "../core/journey.js";
import type { FetchSources } from "../core/raylet/pull.js";
import { Raylet } from "../core/raylet/raylet.js";
import { Acceptor } from "../io/acceptor.js";
import { type Address, formatAddress, parseAddress } from "../io/address.js";
import { Arena } from "../io/arena.js";
import { type Listener, listen } from "../io/listener.js";
import type { Logger } from "../io/log.js";
import { hostIdentity } from "../io/same-host.js";
import { sweepSessions } from "../io/session.js";
import { TransferClient, TransferServer } from "../io/transfer.js";
import { type Envelope, mayReceive } from "../protocol/codec.js";
import type { Message, OutputLine, Role } from "../protocol/messages.js";
import { AwakeClock, afterReading, nowMs } from "./clock.js";
import { type NodeConfig, type NodePlaces, nodeInfoOf } from "./config.js";
import { failureOf, NodeDisk } from "./node-disk.js";
import { NodeLinks } from "./node-links.js";
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
  readonly #clock = new AwakeClock(2 * HEARTBEAT_MS);
  readonly #journey: Journey;
  readonly #arena: Arena;
  readonly #disk: NodeDisk;
  readonly #acceptor: Acceptor;
  readonly #served: ServedObjects;
  readonly #transferServer: TransferServer;
  readonly #transferClient: TransferClient;
  readonly #spawner: WorkerSpawner;
  readonly #output: OutputRelay;
  readonly #links: NodeLinks;
  readonly #gcs: Gcs | undefined;
  #raylet: Raylet | undefined;
  #listeners: Listener[] = [];
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
      accept: (connection) => this.#links.accept(connection),
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
    this.#links = this.#makeLinks();
    const send = (to: ProcessRef, message: Message) => this.#send(to, message);
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
    if (!config.isHead) await this.#links.joinHead(parseAddress(config.headAddress), this.#secret);
    const warm = Math.max(1, Math.floor(config.resources["CPU"] ?? 1));
    const info = nodeInfoOf(config, port);
    this.#raylet = new Raylet(info, config.objectStoreBytes, warm, this.#rayletPort(), this.#journey);
    this.#enter(() => {
      this.#raylet?.start();
      this.#raylet?.tick(this.#clock.look()); // what it is told from here on has a time
      this.#raylet?.pool.prestart(1); // the others follow when it is ready: on few cores they would only slow it down
    });
    this.#links.open();
    this.#disk.tick();
    setInterval(() => afterReading(() => this.#tick()), HEARTBEAT_MS);
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
    this.#links.close();
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
    return this.#links.hasDrivers;
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #send(to: ProcessRef, message: Message): void {
    this.#links.route({ to, from: this.#self, message });
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
      const awakeMs = this.#clock.look();
      this.#raylet?.tick(awakeMs);
      this.#gcs?.tick(awakeMs);
    });
    this.#disk.tick();
  }

  // ── Connections ───────────────────────────────────────────────────────────────────────────────────────────────────

  #makeLinks(): NodeLinks {
    return new NodeLinks({
      self: this.#self,
      isHead: this.#config.isHead,
      take: (envelope) => {
        this.#inbox.push(envelope);
        if (!this.#entered) this.#enter(() => {});
      },
      serveObjects: (connection) => this.#transferServer.serve(connection),
      processConnected: (process, role) => this.#enter(() => this.#raylet?.processConnected(process, role)),
      processClosed: (process, role, error, mayStillWrite) => this.#processClosed(process, role, error, mayStillWrite),
      nodeClosed: (nodeId, why) => {
        if (this.#stopping) return;
        this.#enter(() => this.#gcs?.nodeDied(nodeId, why));
        sweepSessions(); // if it was on this host and was killed, its files are still there
      },
      headClosed: (why) => {
        if (!this.#stopping) this.#onStop(`the head is gone: ${why}`);
      },
    });
  }

  #processClosed(process: ProcessRef, role: Role, error: Error | undefined, mayStillWrite: boolean): void {
    if (error !== undefined) this.#log.warn(`${role} ${process.processId}: ${error.message}`);
    if (this.#stopping) return;
    // A worker's end is known by its exit, with code and last words.
    if (role === "worker" && this.#spawner.kill(process.processId))
      return this.#enter(() => this.#raylet?.pool.retire(process.processId));
    const how = mayStillWrite ? `was refused: ${error?.message}` : "closed its connection";
    const message = `${role} ${process.processId} on node ${process.nodeId} ${how}`;
    this.#enter(() => this.#raylet?.processDied(process, { code: "CONNECTION", message }, mayStillWrite));
  }

  // ── What the machines ask for ─────────────────────────────────────────────────────────────────────────────────────

  #makeGcs(): Gcs {
    const port = {
      send: (to: ProcessRef, message: Message) => this.#links.route({ to, from: GCS, message }),
      wakeUpAfter: (delayMs: number) => {
        setTimeout(() => this.#enter(() => this.#gcs?.tick(this.#clock.look())), delayMs + 1);
      },
      stop: (reason: string) => this.#stopSoon(reason),
    };
    const gcs = new Gcs(port, new Journey(this.#config.nodeId, nowMs));
    gcs.tick(this.#clock.look());
    return gcs;
  }

  #rayletPort(): ConstructorParameters<typeof Raylet>[3] {
    return {
      send: (to, message) => this.#send(to, message),
      startWorker: (worker) => this.#spawner.start(worker),
      killWorker: (worker, why) => {
        this.#log.info(`worker ${worker.processId} is stopped: ${why}`);
        this.#spawner.kill(worker.processId, why);
      },
      fetchObject: (objectId, from, offset, sizeBytes) => this.#fetch(objectId, from, offset, sizeBytes),
      refuse: (process, why) => this.#links.refuse(process.processId, why),
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
