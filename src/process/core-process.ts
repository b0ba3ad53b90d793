/**
 * What drivers and workers have in common: an owner with its connections, the way into the node's store, functions and
 * values. Wiring only: the machines decide.
 */
import { GCS, type JobId, type ObjectId, type ProcessRef, SEALED_BY_OWNER } from "../base/ids.js";
import { MAX_TASK_DEPTH, WORKER_DIAL_TIMEOUT_MS } from "../base/limits.js";
import { Journey } from "../core/journey.js";
import { Owner } from "../core/owner/owner.js";
import { type ActorLink, ObjectEntry, type Task, type TaskTemplate, type Waiter } from "../core/owner/records.js";
import { NotInitializedError } from "../errors.js";
import type { Address } from "../io/address.js";
import { Arena } from "../io/arena.js";
import type { Connection } from "../io/connection.js";
import { dial } from "../io/dial.js";
import { loadNative } from "../io/native.js";
import type { Failure, Message, Role } from "../protocol/messages.js";
import { BlockReader } from "./block-reader.js";
import { noteArguments, originNow } from "./call-sites.js";
import { fetchBytes } from "./captured-data.js";
import { afterReading, nowMs } from "./clock.js";
import { ControlLink } from "./control-link.js";
import { DirectLinks } from "./direct-links.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { FunctionRegistry } from "./function-registry.js";
import { WantedCollections, WeakHandles } from "./garbage.js";
import { leaseRequestFor } from "./lease-request.js";
import type { Lineage } from "./lineage.js";
import { LineageWriter } from "./lineage-writer.js";
import { LocalStore, LocalValue, type Naming, noRoom, resolvePut, storedAt } from "./local-store.js";
import { answerCollect } from "./own-words.js";
import { StoreChannel } from "./store-channel.js";
import { StoredBytes } from "./stored-bytes.js";
import { failurePieces, type StoredValue, storedPieces } from "./stored-value.js";
import { TRACK, type TrackedHandle, type Tracker } from "./tracker.js";
import { type HandleHooks, ValueCodec } from "./value-codec.js";

/** How often owners look at their clocks while they have leases, time limits or broken connections. */
const TICK_MS = 20;

const NAMES_NOTHING: Naming = { contains: [], held: [] };

export interface CoreProcessOptions {
  readonly self: ProcessRef;
  readonly role: "driver" | "worker";
  readonly secret: Uint8Array;
  /** Where the raylet listens. */
  readonly rayletPath: string;
  readonly arenaPath: string;
  readonly fallbackPath: string;
  readonly arenaBytes: number;
  readonly raylet: Connection;
  readonly handles: HandleHooks;
  readonly warn: (text: string) => void;
}

export class CoreProcess {
  readonly self: ProcessRef;
  readonly owner: Owner;
  readonly functions: FunctionRegistry;
  readonly values: ValueCodec;
  readonly journey: Journey;
  readonly raylet: ControlLink;
  readonly store: LocalStore;
  readonly #options: CoreProcessOptions;
  readonly #links: DirectLinks;
  readonly #lineage: LineageWriter;
  readonly #finalizer: FinalizationRegistry<Tracker>;
  readonly #weakHandles = new WeakHandles();
  readonly #wantedCollections = new WantedCollections(() => this.#collect());
  readonly #channel: StoreChannel;
  /** A mapping may outlive the connection: then the raylet has forgotten this process and its pins. */
  readonly #reader = new BlockReader(
    () => this.arena,
    (objectId, offset) => {
      if (!this.#closed) this.raylet.sendToRaylet({ type: "releaseBlock", objectId, offset });
    },
  );
  #arena: Arena | undefined;
  #flushing = false;
  #ticker: NodeJS.Timeout | undefined;
  #closed = false;
  jobId = "" as JobId;
  /** The job's: where its named actors are found. */
  namespace = "";
  /** The actor that this process is. */
  actorName = "";
  /** What the role does with messages that are not for an owner. */
  onMessage: (message: Message, from: ProcessRef) => void = () => {};
  onRayletLost: (error: Error | undefined) => void = () => {};

  constructor(options: CoreProcessOptions) {
    this.#options = options;
    this.self = options.self;
    this.journey = new Journey(options.self.nodeId, nowMs);
    options.raylet.keepOpen(); // while it lives, user code may write to extents and read pinned blocks
    this.raylet = new ControlLink(options.raylet, options.self, options.role as Role, {
      message: (message, from) => this.#receive(message, from),
      closed: (error) => this.onRayletLost(error),
    });
    const { self, role, rayletPath, secret } = options;
    const late = (message: Message) => void this.store.receive(message);
    const unsent = (messages: readonly Message[]) => {
      for (const message of messages) this.raylet.sendToRaylet(message);
    };
    const { waitReadable } = loadNative() ?? {};
    this.#channel = new StoreChannel({ self, role, rayletPath, secret, late, unsent, waitReadable });
    this.store = this.#makeStore();
    this.functions = new FunctionRegistry(
      {
        describe: (value) => options.handles.describeExternal(value),
        revive: (external) => options.handles.reviveExternal(external),
        externalize: (bytes) => options.handles.externalize(bytes),
        fetch: (external) => fetchBytes(this, options.handles.objectOf(external)),
        warn: options.warn,
      },
      options.self.processId,
      (message) => this.raylet.send(GCS, message),
    );
    this.owner = new Owner(options.self, this.#ownerPort(), this.journey);
    this.values = new ValueCodec(options.handles, this.functions, this.store, (entry) => this.#escape(entry));
    this.#finalizer = new FinalizationRegistry((tracker) => this.dropTracked(tracker));
    const process = this;
    this.#lineage = new LineageWriter({
      self: options.self,
      get jobId() {
        return process.jobId;
      },
      send: (to, message) => this.raylet.send(to, message),
      sealArgument: (objectId, value) =>
        this.store.handOver(this.placeValue(value, false), objectId, SEALED_BY_OWNER, this.self, () => {}),
    });
    this.#links = new DirectLinks({
      self: options.self,
      get jobId() {
        return process.jobId;
      },
      owner: this.owner,
      dial: (address, worker) => this.#dial(address, worker),
    });
  }

  get arena(): Arena {
    const { arenaPath, arenaBytes, fallbackPath } = this.#options;
    this.#arena ??= Arena.open(arenaPath, arenaBytes, { fallbackPath });
    return this.#arena;
  }

  // ── Objects ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Copy a value into an object of this process. A large one, or one that names others, goes into the node's store,
   * where this process alone knows it until its ref leaves.
   */
  put(value: unknown, lineage: Lineage): ObjectEntry {
    const encoded = this.values.encode(value, "value");
    const entry = this.owner.references.create(lineage.contextId, lineage.counter++, 0, undefined);
    if (encoded instanceof LocalValue) resolvePut(this.owner.references, entry, encoded);
    else this.owner.references.resolveInline(entry, encoded);
    return entry;
  }

  /** Data that a captured function names: it lives as long as the function table keeps the function, to the job's end. */
  putForJob(value: unknown, lineage: Lineage): ObjectEntry {
    const encoded = this.values.encode(value, "value");
    const entry = this.#putPlaced(encoded instanceof LocalValue ? encoded : this.placeValue(encoded, false), lineage);
    entry.origin = originNow("data that a function captured");
    this.owner.references.pin(entry);
    this.owner.references.escape(entry);
    return entry;
  }

  /** An object of this process with a value that is encoded already, in the store whatever its size. */
  putEncoded(bytes: EncodedBytes, lineage: Lineage): ObjectEntry {
    return this.#putPlaced(this.placeValue(bytes, false), lineage);
  }

  /** A value that is small enough to stay here, in the store all the same. @throws ObjectStoreFullError */
  placeValue(value: StoredValue, isError: boolean): LocalValue {
    return this.store.place(storedPieces(value, isError), value instanceof EncodedBytes ? value : NAMES_NOTHING);
  }

  /** The same, sealed at once. `done` is called once: when the object table has it, or with the reason why not. */
  sealValue(
    objectId: ObjectId,
    value: StoredValue,
    isError: boolean,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): void {
    let placed: LocalValue;
    try {
      placed = this.placeValue(value, isError);
    } catch (error) {
      return done(noRoom(error));
    }
    this.store.handOver(placed, objectId, attempt, holder, done);
  }

  /** The user's ref object names an object that lives elsewhere: its end must be noticed. */
  track(entry: ObjectEntry, handle: object): void {
    entry.tracked = true;
    const tracker = { entry, released: false };
    (handle as TrackedHandle)[TRACK](tracker);
    this.#finalizer.register(handle, tracker);
    this.#weakHandles.add(tracker, handle);
  }

  /** Its ref object was disposed of, or is garbage: the first counts. */
  dropTracked(tracker: Tracker): void {
    if (tracker.released || this.#closed) return;
    tracker.released = true;
    this.#weakHandles.delete(tracker);
    this.owner.references.dropRef(tracker.entry);
  }

  // ── Tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lecture, `submitTask` and `callActor`: from a call in user code to the owner's machine. */
  submit(template: TaskTemplate, lineage: Lineage, args: readonly unknown[], actor: ActorLink | undefined): Task {
    if (this.#closed) throw new NotInitializedError("the cluster connection was shut down; call init() first");
    const { args: encoded, dependencies, nested } = this.values.encodeArguments(args, this.owner, lineage);
    noteArguments(dependencies, template.name);
    const { contextId } = lineage;
    const counter = lineage.counter++;
    const depth = Math.min(lineage.depth + 1, MAX_TASK_DEPTH);
    const task = this.owner.submit(template, contextId, counter, depth, encoded, dependencies, nested, actor);
    const { origins } = template;
    if (origins !== undefined && origins.left > 0) origins.note(task.returns);
    return task;
  }

  want(entry: ObjectEntry, waiter: Waiter): void {
    this.owner.references.want(entry, waiter);
  }

  /** A driver that leaves a cluster which lives on: its raylet keeps what it recorded for a while. */
  keepLadders(): void {
    this.raylet.sendToRaylet({ type: "keepLadders", json: JSON.stringify([...this.journey.records()]) });
  }

  /**
   * Before leaving a cluster that lives on: its raylet takes back what this process has pinned, but arrays that user
   * code holds stay as they are.
   */
  keepArrays(): void {
    this.#arena?.keepPrivateCopies();
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#ticker);
    this.#links.closeAll();
    this.raylet.close();
    this.store.close();
    this.#channel.close();
    this.#arena?.close();
  }

  #putPlaced(value: LocalValue, lineage: Lineage): ObjectEntry {
    const entry = this.owner.references.create(lineage.contextId, lineage.counter++, 0, undefined);
    resolvePut(this.owner.references, entry, value);
    return entry;
  }

  #receive(message: Message, from: ProcessRef): void {
    if (this.owner.receive(message) || this.store.receive(message)) return;
    if (message.type === "functionFound") this.functions.functionFound(message.functionId, message.payload);
    else if (message.type === "garbageWanted") this.#wantedCollections.wanted();
    else if (message.type === "collect") answerCollect(this, this.#options.role, message, from);
    else this.onMessage(message, from);
  }

  /** The ref of an object leaves: a small value goes to the store, too. */
  #escape(entry: ObjectEntry): void {
    entry.task?.template.origins?.guess(entry);
    this.owner.references.escape(entry);
  }

  #ownerPort(): ConstructorParameters<typeof Owner>[1] {
    return {
      sendToRaylet: (message) => this.raylet.sendToRaylet(message),
      send: (to, message) => this.raylet.send(to, message),
      sendToGcs: (message) => this.raylet.send(GCS, message),
      leaseRequest: (leaseId, task) => leaseRequestFor(this, leaseId, task),
      connectLease: (lease) => {
        this.#links.connectLease(lease);
        this.#wakeUp();
      },
      pushTask: (lease, task) => this.#links.push(lease, task),
      disconnectLease: (lease) => this.#links.disconnectLease(lease),
      connectActor: (actor) => this.#links.connectActor(actor),
      callActor: (actor, task) => this.#links.call(actor, task),
      disconnectActor: (actor) => this.#links.disconnectActor(actor),
      takeError: (bytes) => new EncodedBytes(Buffer.from(bytes)),
      abortTask: (where, task) => this.#links.abort(where, task),
      storeValue: (entry) => this.#storeValue(entry),
      registerLineage: (task) => this.#lineage.register(task),
      updateLineage: (task) => this.#lineage.update(task),
      announceLocal: (entry) => this.#handOver(entry, entry.value as LocalValue),
      readLocal: (entry) => this.store.read(entry.value as LocalValue),
      readPinned: (id) => this.#reader.readAgain(id),
      doneReadingHere: (_entry, value) => value instanceof StoredBytes && value.release(),
      freeLocal: (entry) => this.store.free(entry.value as LocalValue),
      readObject: (id, offset, sizeBytes) => this.#reader.read(id, offset, sizeBytes),
      doneReading: (id, offset, value) => this.#reader.done(id, offset, value),
      track: (entry, handle) => this.track(entry, handle),
      warn: (text) => this.#options.warn(text),
      wakeUp: () => this.#wakeUp(),
    };
  }

  /** The value of an own object goes to the store, because others may ask for it. */
  #storeValue(entry: ObjectEntry): void {
    const { failure } = entry;
    const value = entry.value as StoredValue;
    const pieces = failure === undefined ? storedPieces(value, entry.isError) : failurePieces(failure);
    let placed: LocalValue;
    try {
      placed = this.store.place(pieces, value instanceof EncodedBytes ? value : NAMES_NOTHING);
    } catch (error) {
      return this.owner.references.storeFailed(entry.id, noRoom(error));
    }
    this.#handOver(entry, placed);
  }

  #handOver(entry: ObjectEntry, value: LocalValue): void {
    this.store.handOver(value, entry.id, SEALED_BY_OWNER, this.self, (failure) => {
      if (failure === undefined) this.owner.references.stored(entry.id, this.self.nodeId, value.sizeBytes);
      else this.owner.references.storeFailed(entry.id, failure);
    });
  }

  #makeStore(): LocalStore {
    return new LocalStore({
      arena: () => this.arena,
      keep: (held) => this.owner.keep(held),
      letGo: (held) => this.owner.letGo(held),
      stored: () => storedAt(this.self.nodeId, this.owner.references),
      port: {
        send: (message) => this.raylet.sendToRaylet(message),
        ask: (request, before) => {
          this.raylet.flush(); // what this turn has said to the raylet may be what it waits for
          return this.#channel.ask(request, before);
        },
        collect: () => this.#collect(),
        announce: ({ owner }) => {
          if (owner instanceof ObjectEntry) this.owner.references.announce(owner);
        },
        nowMs,
      },
    });
  }

  /** Let go of what user code cannot name any more, in the middle of that code. True when there was any. */
  #collect(): boolean {
    const gone = this.#weakHandles.collect();
    for (const tracker of gone) this.dropTracked(tracker);
    const mappings = this.#arena?.releaseCollected() ?? 0;
    this.owner.references.flush();
    this.raylet.flush();
    return gone.length + mappings > 0;
  }

  async #dial(address: Address, worker: ProcessRef): Promise<Connection> {
    const { role, secret } = this.#options;
    const connection = await dial(address, {
      identity: { role, ...this.self },
      secret,
      target: worker.processId,
      timeoutMs: WORKER_DIAL_TIMEOUT_MS,
    });
    connection.follow(this.#options.raylet); // what a task names has been told before it leaves
    return connection;
  }

  /** Something waits for the end of this turn, or for time to pass. */
  #wakeUp(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => {
        this.#flushing = false;
        if (!this.#closed) this.owner.references.flush();
      });
    }
    if (this.#ticker !== undefined || this.#closed) return;
    this.owner.tick(nowMs());
    this.#ticker = setInterval(() => afterReading(() => this.#tick()), TICK_MS).unref();
  }

  #tick(): void {
    if (this.#closed) return;
    this.owner.tick(nowMs());
    if (this.owner.isBusy) return;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }
}
