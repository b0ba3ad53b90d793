/**
 * The object table: which nodes hold each stored object, who can still reach it, and who waits for it.
 *
 * Lecture: steps `lookUpObjects`, `locateArgument`, `subscribeObject`, `registerObject`, `notifyWaiters`.
 *
 * Decides: who is told that an object exists, when it is freed everywhere, and when it is lost.
 * Does not know: object bytes, sockets, time. Nodes and holders are ids; their deaths arrive as calls.
 *
 * A holder is a process, or a containing object. Only the adder takes a hold back; a hold on an object that has no row
 * yet makes the row, so holds and registrations may arrive in any order.
 *
 * Invariants: I-05 freed only when unreachable, and then freed; I-07 every table is bounded.
 */
import { assert } from "../../base/assert.js";
import type { ActorId, NodeId, ObjectId, ProcessId } from "../../base/ids.js";
import { MAX_OBJECTS, MAX_WAITERS_PER_OBJECT, MIN_DISTRIBUTED_BYTES } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { Distribution, type Sources } from "./distribution.js";

/** A process, or an object that contains the ref. */
export type HolderId = ProcessId | ObjectId;

/** What the table asks of the world. A port never calls back into the machine within the same call. */
export interface ObjectTablePort {
  /** Tell a waiting node where an object can be fetched. */
  objectAvailable(waiter: NodeId, object: ObjectId, entry: ObjectEntry, sources: Sources): void;
  /** Tell a waiting node that an object will never be there. */
  objectGone(waiter: NodeId, object: ObjectId, reason: Failure): void;
  /** Tell a node to drop its copy; nobody can reach the object any more. */
  freeObject(node: NodeId, object: ObjectId): void;
  /** Tell a node that its replica is the primary copy from now on. */
  becomePrimary(node: NodeId, object: ObjectId): void;
  /** Nobody can reach it any more. Actors are held like objects (they have no copies): their table ends them. */
  unreachable(object: ObjectId | ActorId): void;
}

export interface ObjectEntry {
  readonly sizeBytes: number;
  readonly locations: ReadonlySet<NodeId>;
}

interface Row {
  sizeBytes: number;
  readonly locations: Set<NodeId>;
  /** The copy that is never evicted: one of the locations, as long as there is any. */
  primary: NodeId | undefined;
  readonly holders: Set<HolderId>;
  contains: readonly ObjectId[];
  /** Who pulls it now, if it is large. */
  distribution: Distribution | undefined;
  /** The process that will make the value, while there is none. */
  maker: ProcessId | undefined;
  /** Why there is no value any more: its last copy is gone, or its maker died. */
  gone: Failure | undefined;
}

export class ObjectTable {
  readonly #port: ObjectTablePort;
  readonly #rows = new Map<ObjectId, Row>();
  /** Nodes waiting for an object that is not registered yet: the lecture's callbacks. True: they are going to pull it. */
  readonly #waiters = new Map<ObjectId, Map<NodeId, boolean>>();
  readonly #heldBy = new Map<HolderId, Set<ObjectId>>();

  constructor(port: ObjectTablePort) {
    this.#port = port;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Lecture, `lookUpObjects` and `locateArgument`. */
  lookUp(object: ObjectId): ObjectEntry | undefined {
    return this.#rows.get(object);
  }

  /**
   * Lecture, `subscribeObject`: answer at once if the object exists, else remember who asked.
   * Idempotent, because the message may arrive twice. `fetch`: the node is going to pull the object.
   */
  subscribe(waiter: NodeId, object: ObjectId, fetch: boolean): "answered" | "waiting" {
    const row = this.#rows.get(object);
    if (row !== undefined && row.locations.size > 0) {
      this.#tell(waiter, object, row, fetch);
      return "answered";
    }
    if (row?.gone !== undefined) {
      this.#port.objectGone(waiter, object, row.gone);
      return "answered";
    }
    const waiters = this.#waiters.get(object) ?? new Map();
    assert(waiters.size < MAX_WAITERS_PER_OBJECT, "a node waits at most once for an object");
    this.#waiters.set(object, waiters.set(waiter, fetch));
    return "waiting";
  }

  unsubscribe(waiter: NodeId, object: ObjectId): void {
    this.#endPull(waiter, object);
    const waiters = this.#waiters.get(object);
    if (waiters?.delete(waiter) && waiters.size === 0) this.#waiters.delete(object);
  }

  /**
   * Lecture, `registerObject`: a store has sealed a copy. The first copy wakes everyone who waits.
   * The first copy comes with its holder; a replica comes without, and finds its object freed if it comes too late.
   * Idempotent: sets of nodes and holders.
   */
  register(
    node: NodeId,
    object: ObjectId,
    sizeBytes: number,
    holder: ProcessId | undefined,
    contains: readonly ObjectId[],
  ): boolean {
    if (holder === undefined && !this.#rows.has(object)) {
      this.#port.freeObject(node, object);
      return false;
    }
    const row = this.#rows.get(object) ?? this.#add(object);
    if (holder !== undefined) this.#hold(holder, object, row);
    if (row.locations.size > 0 && row.sizeBytes !== sizeBytes) {
      this.#port.freeObject(node, object); // another attempt of its task gave another result: the first stands
      return false;
    }
    row.sizeBytes = sizeBytes;
    row.locations.add(node);
    this.#endPull(node, object);
    if (holder !== undefined)
      row.primary ??= node; // it was written there
    else if (row.primary === undefined) this.#promote(object, row);
    row.maker = undefined;
    row.gone = undefined;
    this.#contain(object, row, contains);
    return this.#notifyWaiters(object, row);
  }

  /** The ref of a value that `maker` is still going to make has left its owner. */
  declare(maker: ProcessId, object: ObjectId): void {
    const row = this.#rows.get(object) ?? this.#add(object);
    if (row.locations.size === 0) row.maker = maker;
    this.#hold(maker, object, row);
  }

  addHold(holder: HolderId, object: ObjectId): void {
    this.#hold(holder, object, this.#rows.get(object) ?? this.#add(object));
  }

  /** A holder let go. The last one to go frees every copy, and lets go of what the object contained. */
  release(holder: HolderId, object: ObjectId): void {
    const letGo: [HolderId, ObjectId][] = [[holder, object]];
    for (let next = letGo.pop(); next !== undefined; next = letGo.pop()) {
      for (const contained of this.#releaseOne(next[0], next[1])) letGo.push([next[1], contained]);
    }
  }

  /** A process died. Its holds end, and what it alone was going to make will never exist. */
  holderDied(holder: ProcessId, reason: Failure): void {
    for (const [object, row] of this.#rows) {
      if (row.maker === holder && row.locations.size === 0) this.#fail(object, row, reason);
    }
    for (const object of [...(this.#heldBy.get(holder) ?? [])]) this.release(holder, object);
  }

  /** A copy is gone. Without another, the object is lost: those who wait for it are told. */
  dropLocation(node: NodeId, object: ObjectId): void {
    const row = this.#rows.get(object);
    if (row === undefined || !row.locations.delete(node)) return;
    if (row.primary === node) this.#promote(object, row);
    if (row.locations.size === 0) this.#fail(object, row, lost(object, node));
  }

  nodeDied(node: NodeId): void {
    for (const object of [...this.#rows.keys()]) {
      this.#endPull(node, object);
      this.dropLocation(node, object);
    }
    for (const object of [...this.#waiters.keys()]) this.unsubscribe(node, object);
  }

  /** Every invariant of this table. Runs after each call in the simulator and in tests. */
  check(): void {
    assert(this.#rows.size <= MAX_OBJECTS, "the object table is bounded");
    for (const [object, row] of this.#rows) {
      row.distribution?.check();
      assert(row.holders.size > 0, "an unreachable object has been freed");
      const hasPrimary = row.primary !== undefined && row.locations.has(row.primary);
      assert(hasPrimary === row.locations.size > 0, "one copy of an object that has any is the primary");
      assert(row.locations.size === 0 || !this.#waiters.has(object), "nobody waits for an object that exists");
      for (const holder of row.holders) {
        assert(this.#heldBy.get(holder)?.has(object) === true, "both directions of a hold agree");
      }
      for (const contained of row.contains) {
        assert(this.#rows.get(contained)?.holders.has(object) === true, "what a live object contains is held");
      }
    }
  }

  /** Objects without any copy that nobody is going to make: for tests of lost objects. */
  *objects(): IterableIterator<[ObjectId, ObjectEntry & { readonly holders: ReadonlySet<HolderId> }]> {
    yield* this.#rows;
  }

  #add(object: ObjectId): Row {
    assert(this.#rows.size < MAX_OBJECTS, "the object table is bounded");
    const row: Row = {
      sizeBytes: 0,
      locations: new Set(),
      primary: undefined,
      holders: new Set(),
      contains: [],
      distribution: undefined,
      maker: undefined,
      gone: undefined,
    };
    this.#rows.set(object, row);
    return row;
  }

  /** The oldest replica stands for the object from now on. */
  #promote(object: ObjectId, row: Row): void {
    const [next] = row.locations;
    row.primary = next;
    if (next !== undefined) this.#port.becomePrimary(next, object);
  }

  #hold(holder: HolderId, object: ObjectId, row: Row): void {
    row.holders.add(holder);
    const held = this.#heldBy.get(holder) ?? new Set();
    this.#heldBy.set(holder, held.add(object));
  }

  #contain(object: ObjectId, row: Row, contains: readonly ObjectId[]): void {
    if (row.contains.length > 0 || contains.length === 0) return;
    row.contains = contains;
    for (const contained of contains) this.addHold(object, contained);
  }

  /** What the freed object contained; nothing if it lives on. */
  #releaseOne(holder: HolderId, object: ObjectId): readonly ObjectId[] {
    const row = this.#rows.get(object);
    if (row === undefined || !row.holders.delete(holder)) return [];
    const held = this.#heldBy.get(holder);
    if (held?.delete(object) && held.size === 0) this.#heldBy.delete(holder);
    if (row.holders.size > 0) return [];
    for (const node of row.locations) this.#port.freeObject(node, object);
    this.#rows.delete(object);
    this.#port.unreachable(object);
    return row.contains;
  }

  /** Lecture, `notifyWaiters`. Says whether anybody was told. */
  #notifyWaiters(object: ObjectId, row: Row): boolean {
    const waiters = this.#waiters.get(object);
    if (waiters === undefined) return false;
    this.#waiters.delete(object);
    for (const [waiter, fetch] of waiters) this.#tell(waiter, object, row, fetch);
    return true;
  }

  #tell(waiter: NodeId, object: ObjectId, row: Row, fetch: boolean): void {
    if (!fetch || row.sizeBytes < MIN_DISTRIBUTED_BYTES) {
      const locations = [...row.locations];
      return this.#port.objectAvailable(waiter, object, row, { locations, width: locations.length });
    }
    row.distribution ??= new Distribution();
    this.#port.objectAvailable(waiter, object, row, row.distribution.assign(waiter, row.locations));
  }

  #endPull(node: NodeId, object: ObjectId): void {
    const row = this.#rows.get(object);
    row?.distribution?.ended(node);
    if (row?.distribution?.isIdle) row.distribution = undefined;
  }

  /** Those who wait are told now, those who ask later then. */
  #fail(object: ObjectId, row: Row, reason: Failure): void {
    row.gone = reason;
    const waiters = this.#waiters.get(object);
    this.#waiters.delete(object);
    for (const waiter of waiters?.keys() ?? []) this.#port.objectGone(waiter, object, reason);
  }
}

function lost(object: ObjectId, node: NodeId): Failure {
  return {
    code: "OBJECT_LOST",
    message: `object ${object} is lost: its last copy, on node ${node}, is gone. Put it again, or make it with a task`,
  };
}
