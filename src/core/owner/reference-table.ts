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
import type { ContextId, NodeId, ObjectId, ProcessRef } from "../../base/ids.js";
import { MAX_NODES } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { Recent } from "../recent.js";
import { ArgumentReaders } from "./argument-readers.js";
import { tellDependents, whenReadyForTask } from "./dependents.js";
import { Holds } from "./holds.js";
import type { Task } from "./records.js";
import { appended, describeAwaited, ObjectEntry, type Opaque, type Waiter, wishOf } from "./records.js";
import type { ReferenceTablePort } from "./reference-port.js";

export class ReferenceTable {
  readonly #port: ReferenceTablePort;
  /** Entries that other processes may name. Most never get here. */
  readonly #byId = new Map<ObjectId, ObjectEntry>();
  /** Arguments of tasks that run here. */
  readonly argumentReaders: ArgumentReaders;
  readonly holds: Holds;
  /** What was stored there may be lost: whether it is there is asked of the object table. */
  readonly #lostNodes = new Recent<NodeId>(MAX_NODES);

  constructor(port: ReferenceTablePort) {
    this.#port = port;
    this.holds = new Holds(port);
    this.argumentReaders = new ArgumentReaders((message) => port.sendToRaylet(message));
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
    if (entry.unstored) this.#store(entry);
    if (!entry.owned || entry.hold === "held") return;
    this.#byId.set(entry.id, entry);
    entry.hold = "held";
    const task = entry.state === "pending" ? entry.task : undefined;
    if (task !== undefined) task.storeResult = true;
    this.holds.declare(entry.id, task?.state === "pushed" ? this.#port.runnerOf(task) : undefined);
    if (task !== undefined) this.#port.resultEscapes(task);
    else if (entry.state === "inline" || entry.state === "failed") this.#store(entry);
    else this.announce(entry);
  }

  /** Others may ask for the object from here on, or the raylet may have to spill it. */
  announce(entry: ObjectEntry): void {
    if (entry.state !== "local" || entry.storing) return;
    this.#byId.set(entry.id, entry);
    entry.storing = true;
    this.#port.announceLocal(entry);
  }

  /** A task is with a worker that had it before the refs of its results left: who waits for those may ask there. */
  runsAt(task: Task, runner: ProcessRef): void {
    for (const entry of task.returns) if (entry.hold === "held") this.holds.declare(entry.id, runner);
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
    tellDependents(entry);
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
    tellDependents(entry);
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
    tellDependents(entry);
    this.#dropIfUnused(entry);
  }

  /**
   * An attempt whose answer was lost may have sealed the object, with a hold in our name that we never heard of. If the
   * object came to something else, that hold must go. Letting go of none changes nothing.
   */
  releaseStray(entry: ObjectEntry): void {
    const filed = this.#byId.get(entry.id) ?? entry; // its ref may have come back from another process
    if (entry.hold === "none" && filed.hold === "none") this.holds.letGo(entry.id);
  }

  /** Lecture, `get`: tell the waiter at once, or when the value is here. */
  want(entry: ObjectEntry, waiter: Waiter): void {
    const isHere = entry.state === "inline" || entry.state === "failed";
    const isSafe = entry.state === "stored" && !(entry.nodeId !== undefined && this.#lostNodes.has(entry.nodeId));
    const exists = isHere || isSafe || entry.state === "local";
    if (isHere || (exists && waiter.onlyExistence)) return waiter.entryReady(entry, entry.value);
    // What has been handed over may be moved: it is read by way of the raylet, once that has it.
    if (entry.state === "local" && !entry.storing) return this.#readHere(entry, waiter, this.#port.readLocal(entry));
    const pinned = entry.state === "stored" ? this.#port.readPinned(entry.id) : undefined;
    if (pinned !== undefined) return this.#readHere(entry, waiter, pinned);
    entry.waiters = appended(entry.waiters, waiter);
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

  nodeLost(nodeId: NodeId): void {
    this.#lostNodes.add(nodeId);
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
    whenReadyForTask(entry, action);
    this.announce(entry);
  }

  // ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  objectReady(id: ObjectId, local: boolean, offset: number, sizeBytes: number): void {
    const entry = this.#byId.get(id);
    const readers = local ? this.argumentReaders.take(id) : [];
    const isWanted = entry?.waiters !== undefined || readers.length > 0;
    const value = local && isWanted ? this.#port.readObject(id, offset, sizeBytes) : undefined;
    for (const reader of readers) reader.read(value);
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
    for (const reader of this.argumentReaders.take(id)) reader.failed(failure);
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
    tellDependents(entry);
    this.#dropIfUnused(entry);
  }

  /** A large value is lost. A small one stays usable here; who waits for it elsewhere is told by the object table. */
  storeFailed(id: ObjectId, failure: Failure): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    entry.storing = false;
    entry.unstored = entry.state === "inline";
    if (entry.state === "local") {
      entry.value = undefined; // the raylet has taken its block back
      this.fail(entry, failure);
    } else this.#port.sendToGcs({ type: "objectFailed", objectId: id, reason: entry.failure ?? failure });
    this.#unfile(entry);
    this.#dropIfUnused(entry);
  }

  /** Send what this turn has gathered. */
  flush(): void {
    this.holds.flush();
  }

  find(id: ObjectId): ObjectEntry | undefined {
    return this.#byId.get(id);
  }

  /** Whether others may name an object of this process. */
  get ownsAny(): boolean {
    for (const entry of this.#byId.values()) if (entry.owned) return true;
    return false;
  }

  /** Entries that other processes may name. */
  get entries(): ReadonlyMap<ObjectId, ObjectEntry> {
    return this.#byId;
  }

  get size(): number {
    return this.#byId.size;
  }

  describe(): string {
    return describeAwaited(this.#byId.values());
  }

  check(): void {
    this.holds.check();
    for (const [id, entry] of this.#byId) {
      assert(entry.id === id, "an entry is filed under its id");
      const used = entry.localRefs > 0 || entry.pins > 0 || entry.state === "pending" || entry.storing;
      assert(used || entry.waiters !== undefined, "an object that nobody here uses has been let go");
    }
  }

  #readHere(entry: ObjectEntry, waiter: Waiter, value: Opaque): void {
    waiter.entryReady(entry, value);
    this.#port.doneReadingHere(entry, value);
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
    this.holds.take(entry.id);
  }

  #store(entry: ObjectEntry): void {
    if (entry.storing) return;
    this.#byId.set(entry.id, entry);
    entry.storing = true;
    entry.unstored = false;
    this.#port.storeValue(entry);
  }

  /** Lecture, `checkLocalStore`: ask the own node's store; it asks the object table. */
  #pull(entry: ObjectEntry): void {
    if (entry.pulling) return;
    this.#byId.set(entry.id, entry);
    entry.pulling = true;
    this.#port.sendToRaylet({ type: "getObject", objectId: entry.id, ...wishOf(entry), mustBeHere: false });
  }

  #stopPulling(entry: ObjectEntry): void {
    if (!entry.pulling) return;
    entry.pulling = false;
    this.#unfile(entry);
    if (this.argumentReaders.has(entry.id)) return; // the same answer serves a task's argument
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

  #dropIfUnused(entry: ObjectEntry): void {
    if (entry.localRefs > 0 || entry.pins > 0 || entry.storing || entry.waiters !== undefined) return;
    if (entry.state === "pending" && entry.owned) return; // its task will resolve it first
    if (entry.state === "local") return this.#freeLocal(entry);
    if (entry.hold === "none") return;
    entry.hold = "none";
    this.#byId.delete(entry.id);
    this.#stopPulling(entry);
    this.holds.letGo(entry.id, entry.origin);
  }
}
