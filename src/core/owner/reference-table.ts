/**
 * The refs of one process: what is held, what is waited for, what may go.
 *
 * Inside the process counting is exact: user refs and pins. Towards the cluster a process has one hold for each object
 * that lives in the object table; it is taken when a ref arrives or leaves, and let go with the last local use.
 *
 * Decides: when an object is fetched, promoted to the store, and released.
 * Does not know: bytes, encodings, sockets.
 *
 * Invariants: I-05 freed only when unreachable, and then freed; I-01 a waiter is told once.
 */
import { assert } from "../../base/assert.js";
import type { ContextId, ObjectId } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";
import { ArgumentReaders, type Reader } from "./argument-readers.js";
import { Holds } from "./holds.js";
import type { Task } from "./records.js";
import { describeAwaited, ObjectEntry, type Opaque, type Waiter, wishOf } from "./records.js";
import type { ReferenceTablePort } from "./reference-port.js";

export class ReferenceTable {
  readonly #port: ReferenceTablePort;
  /** Entries that other processes may name. Most never get here. */
  readonly #byId = new Map<ObjectId, ObjectEntry>();
  readonly #readers = new ArgumentReaders();
  readonly #holds: Holds;

  constructor(port: ReferenceTablePort) {
    this.#port = port;
    this.#holds = new Holds(port);
  }

  /** A result or a put of this process. */
  create(context: ContextId, counter: number, index: number, task: Task | undefined): ObjectEntry {
    return new ObjectEntry(context, counter, index, task);
  }

  /** A ref arrived from another process (or came back): one entry for each object. */
  borrow(id: ObjectId): ObjectEntry {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const entry = new ObjectEntry("" as ContextId, 0, 0, undefined, id);
    this.#byId.set(id, entry);
    this.#hold(entry);
    return entry;
  }

  /** A holder other than the user's refs: an actor handle counts like an object's ref. */
  holdActor(id: string): void {
    this.#holds.take(id as ObjectId);
  }

  releaseActor(id: string): void {
    this.#holds.letGo(id as ObjectId);
  }

  addRef(entry: ObjectEntry): void {
    entry.localRefs++;
  }

  dropRef(entry: ObjectEntry): void {
    assert(entry.localRefs > 0, "a ref is dropped once");
    entry.localRefs--;
    if (entry.localRefs === 0) entry.handle = undefined;
    this.#dropIfUnused(entry);
  }

  pin(entry: ObjectEntry): void {
    entry.pins++;
  }

  unpin(entry: ObjectEntry): void {
    assert(entry.pins > 0, "a pin is taken off once");
    entry.pins--;
    this.#dropIfUnused(entry);
  }

  /**
   * The ref leaves this process inside a value. The object gets its place in the object table: at once if the value is
   * here, else as being made.
   */
  escape(entry: ObjectEntry): void {
    if (!entry.owned || entry.hold === "held") return;
    this.#byId.set(entry.id, entry);
    entry.hold = "held";
    if (entry.task !== undefined && entry.state === "pending") entry.task.storeResult = true;
    this.#holds.declare(entry.id);
    if (entry.state === "inline" || entry.state === "failed") this.#store(entry);
    else this.announce(entry);
  }

  /** Others may ask for the object from here on, or the raylet may have to spill it. */
  announce(entry: ObjectEntry): void {
    if (entry.state !== "local" || entry.storing) return;
    this.#byId.set(entry.id, entry);
    entry.storing = true;
    this.#port.announceLocal(entry);
  }

  /** The value is known. Whoever waits is told; a value that others may ask for goes to the store. */
  resolveInline(entry: ObjectEntry, value: Opaque): void {
    if (entry.state !== "pending") return; // a late attempt: the first result stands
    entry.state = "inline";
    entry.value = value;
    entry.task = undefined;
    if (entry.hold === "held") this.#track(entry);
    else entry.handle = undefined;
    this.#tellWaiters(entry, value);
    if (entry.hold === "held") this.#store(entry);
    this.#readyForTasks(entry);
    this.#dropIfUnused(entry);
  }

  /** A new object of this process lies in a block that nobody else knows. A ref or a pin of it follows. */
  resolveLocal(entry: ObjectEntry, block: Opaque): void {
    assert(entry.state === "pending" && entry.owned && entry.task === undefined, "a put is made here");
    entry.state = "local";
    entry.value = block;
  }

  /** A worker has sealed the value in its node's store, with our hold. */
  resolveStored(entry: ObjectEntry, nodeId: string, sizeBytes: number): void {
    if (entry.state !== "pending") return;
    this.#byId.set(entry.id, entry);
    entry.state = "stored";
    entry.nodeId = nodeId as ObjectEntry["nodeId"];
    entry.sizeBytes = sizeBytes;
    entry.hold = "held";
    entry.task = undefined;
    this.#track(entry);
    this.#serveStored(entry);
    this.#readyForTasks(entry);
    this.#dropIfUnused(entry);
  }

  fail(entry: ObjectEntry, failure: Failure): void {
    if (entry.state === "failed") return;
    entry.state = "failed";
    entry.failure = failure;
    entry.task = undefined;
    if (entry.hold === "held") this.#track(entry);
    else entry.handle = undefined;
    this.#tellWaiters(entry, undefined);
    if (entry.owned && entry.hold === "held" && !entry.storing) this.#store(entry);
    this.#readyForTasks(entry);
    this.#dropIfUnused(entry);
  }

  /**
   * An attempt whose answer was lost may have sealed the object, with a hold in our name that we never heard of. If the
   * object came to something else, that hold must go. Letting go of none changes nothing.
   */
  releaseStray(entry: ObjectEntry): void {
    if (entry.hold === "none") this.#holds.letGo(entry.id);
  }

  /** Lecture, `get`: tell the waiter at once, or when the value is here. */
  want(entry: ObjectEntry, waiter: Waiter): void {
    const isHere = entry.state === "inline" || entry.state === "failed";
    if (isHere || (waiter.onlyExistence && entry.state !== "pending")) return waiter.entryReady(entry, entry.value);
    // What has been handed over may be moved: it is read by way of the raylet, once that has it.
    if (entry.state === "local" && !entry.storing) return this.#readLocal(entry, waiter);
    entry.waiters ??= [];
    entry.waiters.push(waiter);
    if (entry.state === "stored" || !entry.owned || entry.task?.forwarded === true) this.#pull(entry);
  }

  unwant(entry: ObjectEntry, waiter: Waiter): void {
    const at = entry.waiters?.indexOf(waiter) ?? -1;
    if (at >= 0) entry.waiters?.splice(at, 1);
    if (entry.waiters?.length !== 0) return;
    entry.waiters = undefined;
    this.#stopPulling(entry);
    this.#dropIfUnused(entry);
  }

  /** The task went to the global scheduler: who waits for its results waits in the object table. */
  taskForwarded(task: Task): void {
    task.forwarded = true;
    for (const entry of task.returns) {
      if (entry.waiters !== undefined && entry.state === "pending") this.#pull(entry);
    }
  }

  /** Call `dependencyReady` once every dependency of a task can be sent. True when that is so already. */
  awaitDependencies(task: Task): boolean {
    for (const entry of task.dependencies) {
      if (entry.isReadyForTask) continue;
      task.missing++;
      this.whenReadyForTask(entry, () => {
        if (--task.missing === 0) this.#port.dependencyReady(task);
      });
    }
    return task.missing === 0;
  }

  /** Call `action` once the object can be sent as an argument: at once if it can be now. */
  whenReadyForTask(entry: ObjectEntry, action: () => void): void {
    if (entry.isReadyForTask) return action();
    entry.dependents ??= [];
    entry.dependents.push(action);
    this.announce(entry);
  }

  /** Read an argument of a task that runs here. */
  readArgument(id: ObjectId, reader: Reader): void {
    if (this.#readers.add(id, reader))
      this.#port.sendToRaylet({ type: "getObject", objectId: id, fetch: true, waits: false });
  }

  // ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  objectReady(id: ObjectId, local: boolean, offset: number, sizeBytes: number): void {
    const entry = this.#byId.get(id);
    const isWanted = entry?.waiters !== undefined || this.#readers.has(id);
    const value = local && isWanted ? this.#port.readObject(id, offset, sizeBytes) : undefined;
    if (local) this.#readers.read(id, value);
    if (entry?.pulling === true) {
      entry.pulling = false;
      this.#unfile(entry);
      // An owned object that is still pending is answered by its worker too: the store's word comes first.
      if (entry.state === "pending" && !entry.owned) {
        entry.state = "stored";
        entry.sizeBytes = sizeBytes;
      }
      if (local) this.#tellWaiters(entry, value);
      else this.#serveStored(entry);
      this.#dropIfUnused(entry);
    }
    if (local) this.#port.doneReading(id, offset, value);
  }

  objectFailed(id: ObjectId, failure: Failure): void {
    this.#readers.failed(id, failure);
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.pulling = false;
    this.#unfile(entry);
    if (entry.owned && entry.state === "pending") return; // its task still runs, and will say how it ended
    if (entry.owned && entry.state === "inline") return; // only the promoted copy is gone
    this.fail(entry, failure);
  }

  stored(id: ObjectId, nodeId: string, sizeBytes: number): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.storing = false;
    if (entry.state === "local") {
      entry.state = "stored";
      entry.nodeId = nodeId as ObjectEntry["nodeId"];
      entry.value = undefined;
      this.#serveStored(entry);
    }
    entry.sizeBytes = sizeBytes;
    entry.hold = "held";
    this.#readyForTasks(entry);
    this.#dropIfUnused(entry);
  }

  storeFailed(id: ObjectId, failure: Failure): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.storing = false;
    this.fail(entry, failure);
    this.#unfile(entry);
  }

  /** Run an action once every hold asked for so far is registered: a sender may let go of its own then. */
  whenHoldsSettled(action: () => void): void {
    this.#holds.whenSettled(action);
  }

  get holdsAreSettled(): boolean {
    return this.#holds.areSettled;
  }

  holdsAdded(sequence: number): void {
    this.#holds.added(sequence);
  }

  /** Send what this turn has gathered. */
  flush(): void {
    this.#holds.flush();
  }

  flushHolds(epoch: number): void {
    this.#holds.flushFor(epoch);
  }

  find(id: ObjectId): ObjectEntry | undefined {
    return this.#byId.get(id);
  }

  /** Entries that other processes may name. */
  get size(): number {
    return this.#byId.size;
  }

  describe(): string {
    return describeAwaited(this.#byId.values());
  }

  check(): void {
    this.#holds.check();
    for (const [id, entry] of this.#byId) {
      assert(entry.id === id, "an entry is filed under its id");
      const used = entry.localRefs > 0 || entry.pins > 0 || entry.state === "pending" || entry.storing;
      assert(used || entry.waiters !== undefined, "an object that nobody here uses has been let go");
    }
  }

  #readLocal(entry: ObjectEntry, waiter: Waiter): void {
    const value = this.#port.readLocal(entry);
    waiter.entryReady(entry, value);
    this.#port.doneReadingLocal(entry, value);
  }

  #freeLocal(entry: ObjectEntry): void {
    if (entry.value === undefined) return;
    this.#port.freeLocal(entry);
    entry.value = undefined;
  }

  #track(entry: ObjectEntry): void {
    const { handle } = entry;
    entry.handle = undefined;
    if (handle === undefined || entry.tracked) return;
    entry.tracked = true;
    this.#port.track(entry, handle);
  }

  #hold(entry: ObjectEntry): void {
    entry.hold = "held";
    this.#holds.take(entry.id);
  }

  #store(entry: ObjectEntry): void {
    if (entry.storing) return;
    this.#byId.set(entry.id, entry);
    entry.storing = true;
    this.#port.storeValue(entry);
  }

  /** Lecture, `checkLocalStore`: ask the own node's store; it asks the object table. */
  #pull(entry: ObjectEntry): void {
    if (entry.pulling) return;
    this.#byId.set(entry.id, entry);
    entry.pulling = true;
    this.#port.sendToRaylet({ type: "getObject", objectId: entry.id, ...wishOf(entry) });
  }

  #stopPulling(entry: ObjectEntry): void {
    if (!entry.pulling) return;
    entry.pulling = false;
    this.#unfile(entry);
    if (this.#readers.has(entry.id)) return; // the same answer serves a task's argument
    this.#port.sendToRaylet({ type: "cancelGet", objectId: entry.id });
  }

  /** The object exists in a store: those who only asked whether are served; the others need its bytes. */
  #serveStored(entry: ObjectEntry): void {
    const waiters = entry.waiters ?? [];
    const others = waiters.filter((waiter) => !waiter.onlyExistence);
    entry.waiters = others.length > 0 ? others : undefined;
    for (const waiter of waiters) if (waiter.onlyExistence) waiter.entryReady(entry, undefined);
    if (others.length > 0) this.#pull(entry);
    else this.#stopPulling(entry);
  }

  /** Nobody will name it any more: it was filed only for the answer that has come, or will not matter. */
  #unfile(entry: ObjectEntry): void {
    if (entry.hold === "none" && !entry.pulling && !entry.storing) this.#byId.delete(entry.id);
  }

  #tellWaiters(entry: ObjectEntry, value: Opaque): void {
    const waiters = entry.waiters;
    if (waiters === undefined) return;
    entry.waiters = undefined;
    this.#stopPulling(entry);
    for (const waiter of waiters) waiter.entryReady(entry, value);
  }

  #readyForTasks(entry: ObjectEntry): void {
    if (entry.dependents === undefined || !entry.isReadyForTask) return;
    const dependents = entry.dependents;
    entry.dependents = undefined;
    for (const action of dependents) action();
  }

  #dropIfUnused(entry: ObjectEntry): void {
    if (entry.localRefs > 0 || entry.pins > 0 || entry.storing || entry.waiters !== undefined) return;
    if (entry.state === "pending" && entry.owned) return; // its task will resolve it first
    if (entry.state === "local") return this.#freeLocal(entry);
    if (entry.hold === "none") return;
    entry.hold = "none";
    this.#byId.delete(entry.id);
    this.#stopPulling(entry);
    this.#holds.letGo(entry.id);
  }
}
