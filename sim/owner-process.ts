/**
 * What virtual drivers and workers have in common: an owner with its connections, the way into the node's store, and
 * the functions that the function table gave it. Wiring only: the machines decide.
 */
import { assert } from "../src/base/assert.js";
import {
  type ActorId,
  type FunctionId,
  GCS,
  type JobId,
  type ObjectId,
  type ProcessRef,
  rayletOf,
  SEALED_BY_OWNER,
} from "../src/base/ids.js";
import { Journey } from "../src/core/journey.js";
import { Owner } from "../src/core/owner/owner.js";
import type { Held } from "../src/core/owner/records.js";
import { ObjectEntry } from "../src/core/owner/records.js";
import { LocalBlock } from "../src/core/store/extent-space.js";
import { ObjectWriter } from "../src/core/store/object-writer.js";
import { PinnedBlocks } from "../src/core/store/pinned-blocks.js";
import { mayReceive } from "../src/protocol/codec.js";
import type { Failure, Message, MessageBody } from "../src/protocol/messages.js";
import { DirectLinks } from "./direct-links.js";
import { type ControlFrame, payloadOf } from "./frames.js";
import { isIdempotent } from "./idempotence.js";
import { leaseRequestFor } from "./lease-request.js";
import { registerLineage, updateLineage } from "./lineage.js";
import type { LinkEnd } from "./link.js";
import { Mappings } from "./mappings.js";
import type { Code } from "./program.js";
import type { Surroundings } from "./surroundings.js";
import { decode, errorValue, SimError, type SimValue } from "./values.js";
import { describe, fromBytes, toBytes, type VirtualNode } from "./virtual-node.js";
import { VirtualProcess } from "./virtual-process.js";

/** How often owners look at their clocks while they have leases, time limits or broken connections. */
const TICK_MS = 20;

/** A value in a block of its process. */
export interface LocalValue {
  readonly block: LocalBlock;
  readonly value: SimValue;
  readonly held: readonly Held[];
}

export interface FoundActor {
  readonly actorId: ActorId;
  readonly className: string;
}

export abstract class OwnerProcess extends VirtualProcess {
  readonly around: Surroundings;
  readonly owner: Owner;
  readonly journey: Journey;
  readonly writer: ObjectWriter;
  readonly links: DirectLinks;
  readonly #mappings: Mappings;
  readonly #pinned = new PinnedBlocks((objectId, offset) => {
    this.sendToRaylet({ type: "releaseBlock", objectId, offset });
  });
  readonly role: "driver" | "worker";
  readonly #node: VirtualNode;
  readonly #control: LinkEnd<ControlFrame>;
  readonly #functions = new Set<FunctionId>();
  readonly #fetching = new Map<FunctionId, (() => void)[]>();
  readonly #heldForActors = new Map<ActorId, readonly Held[]>();
  readonly #queries = new Map<number, (actor: FoundActor | undefined) => void>();
  #nextQuery = 1;
  #flushing = false;
  #ticking = false;
  jobId = "" as JobId;

  constructor(around: Surroundings, name: string, ref: ProcessRef, role: "driver" | "worker", node: VirtualNode) {
    super(around.world, name, ref);
    this.around = around;
    this.role = role;
    this.#node = node;
    this.journey = new Journey(ref.nodeId, () => this.localNowMs);
    this.owner = new Owner(ref, this.#ownerPort(), this.journey);
    this.writer = this.#makeWriter();
    this.#mappings = new Mappings(this, node.store);
    this.links = new DirectLinks(this);
    this.#control = node.connectLocal(this, role, {
      frame: (bytes) => this.#receive(bytes),
      closed: () => this.kill("its raylet is gone"),
    });
  }

  send(to: ProcessRef, message: Message): void {
    this.#control.send(toBytes({ to, from: this.ref, message }));
  }

  sendToRaylet(message: Message): void {
    this.send(rayletOf(this.ref.nodeId), message);
  }

  /** The process ends of its own accord: what it sent still arrives. */
  leave(): void {
    this.#control.close();
    this.kill("it is done");
  }

  override check(): void {
    this.owner.check();
    this.writer.check();
    if (!this.#node.alive) return;
    for (const { offset, length } of this.writer.ranges()) {
      const isMine = this.#node.raylet.store.holdsExtent(this.ref.processId, offset, length);
      assert(isMine, `a writer touches what its raylet has leased to it: ${length} bytes at ${offset}`);
    }
  }

  // ── Functions ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Lecture, `registerFunction`: at its first use in this process. */
  registerFunction(functionId: FunctionId): string {
    const code = this.around.codes.get(functionId);
    assert(code !== undefined, "a program calls functions that it has");
    if (!this.#functions.has(functionId)) {
      this.#functions.add(functionId);
      this.send(GCS, { type: "registerFunction", functionId, name: code.name, payload: payloadOf(functionId) });
    }
    return code.name;
  }

  /** The code of a function, if it has come here already. */
  codeOf(functionId: FunctionId): Code | undefined {
    return this.#functions.has(functionId) ? this.around.codes.get(functionId) : undefined;
  }

  fetchFunction(functionId: FunctionId, found: () => void): void {
    const waiting = this.#fetching.get(functionId);
    if (waiting !== undefined) {
      waiting.push(found);
      return;
    }
    this.#fetching.set(functionId, [found]);
    this.send(GCS, { type: "fetchFunction", functionId });
  }

  // ── Objects ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Write a value into a block of this process; what it names is kept until it is freed, or in the object table. */
  place(objectId: ObjectId, value: SimValue, held: readonly Held[]): LocalValue {
    for (const one of held) this.keep(one);
    const block = this.writer.allocate(value.sizeBytes);
    if (!(block instanceof LocalBlock)) {
      for (const one of held) this.letGo(one);
      throw new SimError(block);
    }
    this.around.watch.valueMade(objectId, value);
    this.#node.store.write(block.offset, objectId, value);
    this.writer.written(block);
    return { block, value, held };
  }

  /** An object of this process gets its value, in a block that nobody else knows. */
  resolvePut(entry: ObjectEntry, value: SimValue, held: readonly Held[]): void {
    const local = this.place(entry.id, value, held);
    local.block.owner = entry;
    this.owner.references.resolveLocal(entry, local);
    if (value.names.length > 0) this.owner.references.announce(entry);
  }

  /** `done` is called once: when the object table has the object, or with the reason why not. */
  handOver(
    { block, value, held }: LocalValue,
    objectId: ObjectId,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): void {
    const contains = value.names.map((named) => named.id as ObjectId);
    this.writer.handOver(block, { objectId, attempt, holder, contains }, (failure) => {
      done(failure);
      for (const one of held) this.letGo(one);
    });
  }

  /** A value that names nothing of its own, sealed at once. */
  sealValue(
    objectId: ObjectId,
    value: SimValue,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): void {
    let local: LocalValue;
    try {
      local = this.place(objectId, value, []);
    } catch (error) {
      if (!(error instanceof SimError)) throw error;
      return done({ code: error.code, message: error.message });
    }
    this.handOver(local, objectId, attempt, holder, done);
  }

  freeLocal({ block, held }: LocalValue): void {
    this.writer.free(block);
    for (const one of held) this.letGo(one);
  }

  keep(held: Held): void {
    if (held instanceof ObjectEntry) this.owner.references.pin(held);
    else this.owner.actors.addHandle(held);
  }

  letGo(held: Held): void {
    if (held instanceof ObjectEntry) this.owner.references.unpin(held);
    else this.owner.actors.dropHandle(held);
  }

  // ── Actors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a constructor takes is held here until it has run. */
  keepForActor(actorId: ActorId, held: Held): void {
    this.keep(held);
    this.#heldForActors.set(actorId, [...(this.#heldForActors.get(actorId) ?? []), held]);
  }

  findActor(name: string, found: (actor: FoundActor | undefined) => void): void {
    const query = this.#nextQuery++;
    this.#queries.set(query, found);
    this.send(GCS, { type: "findActor", query, name, namespace: "sim" });
  }

  #constructorEnded(actorId: ActorId): void {
    for (const held of this.#heldForActors.get(actorId) ?? []) this.letGo(held);
    this.#heldForActors.delete(actorId);
  }

  #actorFound({ query, actorId, className }: MessageBody<"actorFound">): void {
    const found = this.#queries.get(query);
    this.#queries.delete(query);
    found?.(actorId === undefined ? undefined : { actorId, className });
  }

  // ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What the role does with messages that are not for an owner. */
  protected abstract receiveForRole(message: Message): void;

  #receive(bytes: ControlFrame): void {
    const { from, message } = fromBytes(bytes);
    assert(mayReceive(this.role, message.type), `${message.type} is for a ${this.role}`);
    this.world.note(this.name, message.type, () => describe(from, message));
    this.#take(message);
    if (isIdempotent(message.type) && this.around.network.isRepeated()) this.#take(message);
  }

  #take(message: Message): void {
    if (message.type === "actorState" && message.state !== "pending") this.#constructorEnded(message.actorId);
    if (message.type === "actorFound") return this.#actorFound(message);
    if (this.owner.receive(message) || this.writer.receive(message)) return;
    if (message.type === "functionFound") this.#functionFound(message.functionId);
    else if (message.type === "collect") {
      this.sendToRaylet({ type: "collected", query: message.query, json: "[]", last: true });
    } else this.receiveForRole(message);
  }

  #functionFound(functionId: FunctionId): void {
    this.#functions.add(functionId);
    const waiting = this.#fetching.get(functionId) ?? [];
    this.#fetching.delete(functionId);
    for (const found of waiting) found();
  }

  // ── What the owner's machines ask for ─────────────────────────────────────────────────────────────────────────────

  #ownerPort(): ConstructorParameters<typeof Owner>[1] {
    return {
      sendToRaylet: (message) => this.sendToRaylet(message),
      send: (to, message) => this.send(to, message),
      sendToGcs: (message) => this.send(GCS, message),
      leaseRequest: (leaseId, task) => leaseRequestFor(this, leaseId, task),
      connectLease: (lease) => {
        this.links.connectLease(lease);
        this.#wakeUp();
      },
      pushTask: (lease, task) => this.links.push(lease, task),
      disconnectLease: (lease) => this.links.disconnectLease(lease),
      connectActor: (actor) => this.links.connectActor(actor),
      callActor: (actor, task) => this.links.call(actor, task),
      disconnectActor: (actor) => this.links.disconnectActor(actor),
      takeError: (bytes) => decode(bytes),
      abortTask: (where, task) => this.links.abort(where, task),
      storeValue: (entry) => this.#storeValue(entry),
      registerLineage: (task) =>
        registerLineage(this, task, (id, value) =>
          this.handOver(this.place(id, value, []), id, SEALED_BY_OWNER, this.ref, () => {}),
        ),
      updateLineage: (task) => updateLineage(this, task),
      announceLocal: (entry) => this.#announce(entry, entry.value as LocalValue),
      readLocal: (entry) => this.#readLocal(entry.id, entry.value as LocalValue),
      readPinned: (id) => this.#readPinned(id),
      doneReadingHere: () => {}, // the mapping releases it
      freeLocal: (entry) => this.freeLocal(entry.value as LocalValue),
      readObject: (id, offset) => this.#node.store.read(offset, id),
      doneReading: (objectId, offset, value) => {
        const use = this.#pinned.begin(objectId, offset, 0);
        if (value === undefined) use.end();
        else this.#mappings.keep(offset, objectId, () => use.end());
      },
      track: () => {}, // virtual programs drop every ref themselves
      warn: () => {},
      wakeUp: () => this.#wakeUp(),
    };
  }

  /** The value of an own object goes to the store, because others may ask for it. */
  #storeValue(entry: ObjectEntry): void {
    const value = entry.failure === undefined ? (entry.value as SimValue) : errorValue(entry.failure);
    this.sealValue(entry.id, value, SEALED_BY_OWNER, this.ref, (failure) => this.#stored(entry, value, failure));
  }

  #readLocal(objectId: ObjectId, { block }: LocalValue): SimValue {
    this.writer.pin(block);
    const value = this.#node.store.read(block.offset, objectId);
    this.#mappings.keep(block.offset, objectId, () => this.writer.unpin(block));
    return value;
  }

  #readPinned(objectId: ObjectId): SimValue | undefined {
    const use = this.#pinned.again(objectId);
    if (use === undefined) return undefined;
    const value = this.#node.store.read(use.offset, objectId);
    this.#mappings.keep(use.offset, objectId, () => use.end());
    return value;
  }

  #announce(entry: ObjectEntry, local: LocalValue): void {
    this.handOver(local, entry.id, SEALED_BY_OWNER, this.ref, (failure) => this.#stored(entry, local.value, failure));
  }

  #stored({ id }: ObjectEntry, { sizeBytes }: SimValue, failure: Failure | undefined): void {
    if (failure === undefined) this.owner.references.stored(id, this.ref.nodeId, sizeBytes);
    else this.owner.references.storeFailed(id, failure);
  }

  #makeWriter(): ObjectWriter {
    const writer: ObjectWriter = new ObjectWriter({
      send: (message) => this.sendToRaylet(message),
      ask: (request, before) => this.#node.ask(this, [...before, request]),
      collect: () => false, // virtual programs drop every ref themselves
      announce: ({ owner }) => {
        if (owner instanceof ObjectEntry) this.owner.references.announce(owner);
      },
      nowMs: () => this.localNowMs,
      wakeUpAfter: (delayMs) => this.after(delayMs, () => writer.tick()),
    });
    return writer;
  }

  /** Something waits for the end of this turn, or for time to pass. */
  #wakeUp(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      this.soon(() => {
        this.#flushing = false;
        this.owner.references.flush();
      });
    }
    if (this.#ticking) return;
    this.#ticking = true;
    this.owner.tick(this.localNowMs);
    this.#tickLater();
  }

  #tickLater(): void {
    this.after(TICK_MS, () => {
      this.owner.tick(this.localNowMs);
      if (this.owner.isBusy) this.#tickLater();
      else this.#ticking = false;
    });
  }
}
