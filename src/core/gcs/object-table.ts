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
import { type NodeId, type ObjectId, type ProcessId, type ProcessRef, TASK_ID_DIGITS } from "../../base/ids.js";
import { MAX_OBJECTS, MAX_WAITERS_PER_OBJECT, MIN_DISTRIBUTED_BYTES } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { Distribution } from "./distribution.js";
import { lost, tooManyWait } from "./object-failures.js";
import type { HolderId, ObjectEntry, ObjectTablePort, TableEntry } from "./object-port.js";
import { newRow, type Row } from "./object-row.js";

export class ObjectTable {
  readonly #port: ObjectTablePort;
  readonly #rows = new Map<ObjectId, Row>();
  /** Nodes waiting for an object that is not registered yet: the lecture's callbacks. True: they are going to pull it. */
  readonly #waiters = new Map<ObjectId, Map<NodeId, boolean>>();
  /** Nodes that could not fetch the only copy: told again when time has passed. */
  readonly #later = new Map<ObjectId, Set<NodeId>>();
  readonly #heldBy = new Map<HolderId, Set<ObjectId>>();
  readonly #strays = new Set<ObjectId>();
  readonly maxObjects: number;

  constructor(port: ObjectTablePort, maxObjects = MAX_OBJECTS) {
    this.#port = port;
    this.maxObjects = maxObjects;
  }

  /** Objects that somebody holds, that do not exist, and that nobody has said he is going to make. */
  get strays(): ReadonlySet<ObjectId> {
    return this.#strays;
  }

  /** Whether all of them have a row, or can have one. Asked before `register`, `declare` and `addHold`. */
  hasRoomFor(objects: readonly ObjectId[]): boolean {
    if (this.#rows.size + objects.length <= this.maxObjects) return true;
    const missing = new Set(objects.filter((object) => !this.#rows.has(object)));
    return this.#rows.size + missing.size <= this.maxObjects;
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
   * `failedAt`: the waiter could not fetch the copy there. It gets another, or that one again when time has passed.
   */
  subscribe(waiter: NodeId, object: ObjectId, fetch: boolean, failedAt?: NodeId): "answered" | "waiting" {
    const row = this.#rows.get(object);
    if (failedAt !== undefined) this.#endPull(waiter, object);
    if (row !== undefined && row.locations.size > 0) {
      if (row.locations.size === 1 && failedAt !== undefined && row.locations.has(failedAt)) {
        this.#later.set(object, (this.#later.get(object) ?? new Set()).add(waiter));
        return "waiting";
      }
      this.#tell(waiter, object, row, fetch, failedAt);
      return "answered";
    }
    if (row?.gone !== undefined) {
      this.#port.objectGone(waiter, object, row.gone);
      return "answered";
    }
    const waiters = this.#waiters.get(object) ?? new Map();
    if (waiters.size >= MAX_WAITERS_PER_OBJECT || this.#waiters.size >= this.maxObjects) {
      this.#port.objectGone(waiter, object, tooManyWait(object));
      return "answered";
    }
    this.#waiters.set(object, waiters.set(waiter, fetch));
    if (row?.runner !== undefined) this.#port.promoteResult(row.runner, object);
    if (row?.lostFrom !== undefined) this.#port.lostIsWanted(object);
    return "waiting";
  }

  unsubscribe(waiter: NodeId, object: ObjectId): void {
    this.#endPull(waiter, object);
    for (const table of [this.#waiters, this.#later]) {
      const waiters = table.get(object);
      if (waiters?.delete(waiter) && waiters.size === 0) table.delete(object);
    }
  }

  /** Time has passed: those who could not fetch the only copy may try again. */
  tick(): void {
    for (const object of [...this.#later.keys()]) this.#tryAgain(object);
  }

  /**
   * Lecture, `registerObject`: a store has sealed a copy. The first copy wakes everyone who waits.
   * The first copy comes with its holder; a replica comes without, and finds its object freed if it comes too late.
   * While there is a copy, one that another run of the task made is none: the first result stands.
   * Idempotent: sets of nodes and holders.
   */
  register(
    node: NodeId,
    object: ObjectId,
    sizeBytes: number,
    holder: ProcessId | undefined,
    contains: readonly ObjectId[],
    attempt = 0,
  ): boolean {
    if (holder === undefined && !this.#rows.has(object)) {
      this.#port.freeObject(node, object);
      return false;
    }
    const row = this.#rows.get(object) ?? this.#add(object);
    if (holder !== undefined) this.#hold(holder, object, row);
    if (row.locations.size > 0 && (row.sizeBytes !== sizeBytes || row.attempt !== attempt)) {
      if (!row.locations.has(node)) this.#port.freeObject(node, object);
      return false;
    }
    const isFirst = row.locations.size === 0;
    row.sizeBytes = sizeBytes;
    row.attempt = attempt;
    row.lostFrom = undefined;
    row.locations.add(node);
    this.#endPull(node, object);
    if (holder !== undefined)
      row.primary ??= node; // it was written there
    else if (row.primary === undefined) this.#promote(object, row);
    row.maker = undefined;
    row.runner = undefined;
    row.gone = undefined;
    this.#strays.delete(object);
    if (isFirst || row.contains.length === 0) this.#contain(object, row, contains);
    return this.#notifyWaiters(object, row);
  }

  /**
   * The ref of a value that `maker` is still going to make has left its owner. Whoever waits does so for `runner`, if the
   * task was pushed to it before: the maker may be busy.
   */
  declare(maker: ProcessId, object: ObjectId, runner?: ProcessRef): void {
    const row = this.#rows.get(object) ?? this.#add(object);
    this.#strays.delete(object);
    this.#hold(maker, object, row);
    if (row.locations.size > 0) return;
    if (row.maker === undefined) row.gone = undefined; // nobody was going to make it; now somebody is
    row.maker = maker;
    row.runner = runner ?? row.runner;
    if (runner !== undefined && this.#waiters.has(object)) this.#port.promoteResult(runner, object);
  }

  addHold(holder: HolderId, object: ObjectId): void {
    const row = this.#rows.get(object);
    this.#hold(holder, object, row ?? this.#add(object));
    if (row === undefined && object.length !== TASK_ID_DIGITS) this.#strays.add(object); // actors are not made here
  }

  /** Its owner, which was going to make it, cannot. */
  makerFailed(maker: ProcessId, object: ObjectId, reason: Failure): void {
    const row = this.#rows.get(object);
    if (row?.maker === maker || row?.lostFrom !== undefined) this.fail(object, reason);
  }

  /** There will be no value. Those who wait are told now, those who ask later then. */
  fail(object: ObjectId, reason: Failure): void {
    const row = this.#rows.get(object);
    if (row !== undefined && row.locations.size === 0) this.#fail(object, row, reason);
  }

  isHeldBy(holder: HolderId, object: ObjectId): boolean {
    return this.#heldBy.get(holder)?.has(object) === true;
  }

  /** A holder let go. The last one to go frees every copy, and lets go of what the object contained. */
  release(holder: HolderId, object: ObjectId): void {
    const letGo: [HolderId, ObjectId][] = [[holder, object]];
    for (let next = letGo.pop(); next !== undefined; next = letGo.pop()) {
      for (const contained of this.#releaseOne(next[0], next[1])) letGo.push([next[1], contained]);
    }
  }

  /** A process died: what it alone was going to make will never exist. What it was to make again is as lost as others. */
  makerDied(maker: ProcessId, reason: Failure): void {
    for (const [object, row] of this.#rows) {
      if (row.maker !== maker || row.locations.size > 0) continue;
      row.maker = undefined;
      if (row.lostFrom === undefined) this.#fail(object, row, reason);
      else if (this.#waiters.has(object)) this.#port.lostIsWanted(object);
    }
  }

  /** A process died, and nobody else can still be about to hold what it held. */
  holderDied(holder: ProcessId): void {
    for (const object of [...(this.#heldBy.get(holder) ?? [])]) this.release(holder, object);
  }

  /** A copy is gone. Without another, the object is lost, until somebody wants it and it can be made again. False: none was known there. */
  dropLocation(node: NodeId, object: ObjectId): boolean {
    const row = this.#rows.get(object);
    if (row === undefined || !row.locations.delete(node)) return false;
    if (row.primary === node) this.#promote(object, row);
    if (row.locations.size === 0) {
      row.lostFrom = node;
      row.distribution = undefined; // who comes next pulls what another run makes, and nothing of what is on its way
    }
    this.#tryAgain(object);
    return true;
  }

  // ── Lost objects ────────────────────────────────────────────────────────────────────────────────────────────────

  /** There was a copy, there is none, and nobody has said yet that there never will be. */
  isLost(object: ObjectId): boolean {
    const row = this.#rows.get(object);
    return row?.lostFrom !== undefined && row.gone === undefined;
  }

  howLost(object: ObjectId): string {
    const from = this.#rows.get(object)?.lostFrom;
    return from === "freed" ? "it had been let go" : `its last copy, on node ${from}, is gone`;
  }

  isAwaited(object: ObjectId): boolean {
    return this.#waiters.has(object);
  }

  /** A task that is to run again takes the object: one that was let go has an entry again, without a copy. */
  revive(holder: HolderId, object: ObjectId): void {
    const known = this.#rows.get(object);
    const row = known ?? this.#add(object);
    if (known === undefined) row.lostFrom = "freed";
    this.#hold(holder, object, row);
  }

  /** Nobody can make it again: those who wait are told, and those who ask later. */
  failLost(object: ObjectId, reason: Failure | undefined): void {
    const row = this.#rows.get(object);
    if (row !== undefined && this.isLost(object)) this.#fail(object, row, reason ?? lost(object, this.howLost(object)));
  }

  /** It is known now how to make it: whoever asked before was too early. */
  canBeRebuilt(object: ObjectId): void {
    const row = this.#rows.get(object);
    if (row?.lostFrom !== undefined) row.gone = undefined;
  }

  nodeDied(node: NodeId): void {
    for (const object of [...this.#waiters.keys(), ...this.#later.keys()]) this.unsubscribe(node, object);
    for (const object of this.#rows.keys()) this.#endPull(node, object); // nobody is sent there any more
    for (const object of [...this.#rows.keys()]) this.dropLocation(node, object);
  }

  /** Processes, objects that contain others, and tasks: each with how many it holds. */
  *holdings(): IterableIterator<readonly [HolderId, number]> {
    for (const [holder, held] of this.#heldBy) yield [holder, held.size];
  }

  /** Every invariant of this table. Runs after each call in the simulator and in tests. */
  check(): void {
    assert(this.#rows.size <= this.maxObjects, "the object table is bounded");
    for (const stray of this.#strays) {
      const row = this.#rows.get(stray);
      assert(row !== undefined && row.locations.size === 0, "a stray is held and does not exist");
      assert(row.maker === undefined && row.gone === undefined, "a stray has no maker and no end");
    }
    for (const [object, row] of this.#rows) {
      row.distribution?.check();
      assert(row.holders.size > 0, "an unreachable object has been freed");
      const hasPrimary = row.primary !== undefined && row.locations.has(row.primary);
      assert(hasPrimary === row.locations.size > 0, "one copy of an object that has any is the primary");
      assert(row.locations.size === 0 || !this.#waiters.has(object), "nobody waits for an object that exists");
      assert(row.locations.size === 0 || row.lostFrom === undefined, "an object with a copy is not lost");
      for (const holder of row.holders) {
        assert(this.#heldBy.get(holder)?.has(object) === true, "both directions of a hold agree");
      }
      for (const contained of row.contains) {
        assert(this.#rows.get(contained)?.holders.has(object) === true, "what a live object contains is held");
      }
    }
  }

  /** Every row, for `mobula memory` and tests. */
  *objects(): IterableIterator<[ObjectId, TableEntry]> {
    yield* this.#rows;
  }

  #add(object: ObjectId): Row {
    assert(this.#rows.size < this.maxObjects, "the object table is bounded");
    const row = newRow();
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

  /** Another run of the task made other children: those of the first are still held, for who has read its result. */
  #contain(object: ObjectId, row: Row, contains: readonly ObjectId[]): void {
    if (contains.length === 0) return;
    const known = new Set(row.contains);
    const added = contains.filter((contained) => !known.has(contained));
    if (added.length === 0) return;
    row.contains = [...row.contains, ...added];
    for (const contained of added) this.addHold(object, contained);
  }

  #tryAgain(object: ObjectId): void {
    const waiters = this.#later.get(object);
    this.#later.delete(object);
    for (const waiter of waiters ?? []) this.subscribe(waiter, object, true);
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
    this.#strays.delete(object);
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

  #tell(waiter: NodeId, object: ObjectId, row: Row, fetch: boolean, failedAt?: NodeId): void {
    const copies = new Set([...row.locations].filter((node) => node !== failedAt));
    if (!fetch || row.sizeBytes < MIN_DISTRIBUTED_BYTES) {
      return this.#port.objectAvailable(waiter, object, row, { locations: [...copies], width: copies.size });
    }
    row.distribution ??= new Distribution();
    this.#port.objectAvailable(waiter, object, row, row.distribution.assign(waiter, copies, failedAt));
  }

  #endPull(node: NodeId, object: ObjectId): void {
    const row = this.#rows.get(object);
    row?.distribution?.ended(node);
    if (row?.distribution?.isIdle) row.distribution = undefined;
  }

  /** Those who wait are told now, those who ask later then. */
  #fail(object: ObjectId, row: Row, reason: Failure): void {
    row.gone = reason;
    this.#strays.delete(object);
    const waiters = this.#waiters.get(object);
    this.#waiters.delete(object);
    for (const waiter of waiters?.keys() ?? []) this.#port.objectGone(waiter, object, reason);
  }
}
