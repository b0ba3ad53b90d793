/**
 * What lies in a node's object store: extents that writers fill, blocks that others' objects are fetched into, sealed
 * objects, and who is reading them.
 *
 *     lease ──▶ extent of a writer ── adopt ──▶ sealed ── free ──▶ (gone when the last reader is)
 *     create ──▶ writing ── seal ────────────────▲
 *                   ├── abort ──▶ gone
 *                   └── adopt of the same object ──▶ outrun ── seal or abort ──▶ gone
 *
 * A block lies in the arena, or, when the arena cannot be emptied, in the fallback file: offsets from `FALLBACK_OFFSET`.
 *
 * Decides: where an object lies and when its block may be used again.
 * Does not know: bytes, files, other nodes.
 *
 * Invariants: I-06 a sealed object never changes, a block is reused only after its last reader is gone; I-05.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { FALLBACK_OFFSET, MAX_FALLBACK_BYTES } from "../../base/limits.js";
import type { Reserve } from "./allocator.js";
import { type Block, type Copy, type Entry, type Place, placeOf } from "./entry.js";
import type { Extent } from "./extent-ledger.js";
import { IdleBlocks } from "./idle-blocks.js";
import { Region } from "./region.js";

export type { Block } from "./entry.js";

export class StoreIndex {
  readonly #arena: Region;
  readonly #fallback = new Region(FALLBACK_OFFSET, MAX_FALLBACK_BYTES);
  readonly #idle = new IdleBlocks();
  #unsealed = 0;
  readonly #entries = new Map<ObjectId, Entry>();
  /** Blocks freed under their readers, oldest first: the object may be made again, the blocks wait for those readers. */
  readonly #ghosts = new Set<Entry>();
  /** Blocks that are still written for an object which was sealed here meanwhile: theirs until that ends. */
  readonly #outrun = new Map<ObjectId, Entry>();

  /** `reserve` takes space for a range in the file system, before it is handed out; false when there is none. */
  constructor(capacityBytes: number, reserve?: Reserve) {
    this.#arena = new Region(0, capacityBytes, reserve);
  }

  get usedBytes(): number {
    return this.#arena.usedBytes;
  }

  get capacityBytes(): number {
    return this.#arena.capacityBytes;
  }

  /** What of the arena writers hold. */
  get leasedBytes(): number {
    return this.#arena.leasedBytes;
  }

  /** What blocks and extents take of the fallback file. */
  get fallbackBytes(): number {
    return this.#fallback.usedBytes;
  }

  /** Blocks that are being written now. */
  get unsealedBlocks(): number {
    return this.#unsealed;
  }

  // ── Extents of writers ──────────────────────────────────────────────────────────────────────────────────────────

  /**
   * An extent of at least `minBytes` for a writer to make blocks in, no larger on disk; undefined without room.
   */
  leaseExtent(writer: ProcessId, minBytes: number, place: Place = "memory"): Extent | undefined {
    if (place === "disk") return this.#fallback.lease(writer, minBytes, "exact");
    return this.#arena.lease(writer, minBytes, "generous");
  }

  /** A writer gives a part of what it holds back. False when it does not hold it. */
  returnExtent(writer: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#regionOf(offset).giveBack(writer, { offset, sizeBytes });
  }

  /**
   * A block of a writer's extent becomes an object, with so many readers of the writer's own, also while a copy of the
   * object is on its way here, which may fail. "known": the object is here, and the block is free; "foreign": the
   * writer does not hold the block.
   */
  adopt(object: ObjectId, writer: ProcessId, block: Block, pins: number): "sealed" | "known" | "foreign" {
    const known = this.#entries.get(object);
    if (known?.sealed) {
      this.discard(object, writer, block, pins);
      return "known";
    }
    const { offset, sizeBytes } = block;
    if (!this.#regionOf(offset).take(writer, block)) return known === undefined ? "foreign" : "known";
    if (known !== undefined) this.#outrun.set(object, known);
    const readers = new Map(pins > 0 ? [[writer, pins]] : []);
    const entry: Entry = { object, offset, sizeBytes, sealed: true, copy: "primary", writer, readers };
    this.#entries.set(object, entry);
    this.#rest(entry);
    return "sealed";
  }

  /**
   * The block of an object that is known already: free, or a ghost under its writer's own readers. Said twice, it is
   * the writer's no more, and nothing changes.
   */
  discard(object: ObjectId, writer: ProcessId, block: Block, pins: number): void {
    const { offset, sizeBytes } = block;
    if (!this.#regionOf(offset).take(writer, block)) return;
    const readers = new Map(pins > 0 ? [[writer, pins]] : []);
    const ghost: Entry = { object, offset, sizeBytes, sealed: true, copy: "primary", writer, readers };
    this.#ghosts.add(ghost);
    this.#reclaim(ghost);
  }

  /** Whether a range is one that the writer may still fill. */
  holdsExtent(writer: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#regionOf(offset).holds(writer, { offset, sizeBytes });
  }

  /** Each writer that holds a part of the arena, and how much: they could give something back. */
  holdings(): Iterable<readonly [ProcessId, number]> {
    return this.#arena.holdings();
  }

  // ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A block to write into; "exists" when the object is here already (a task that ran again), "full" without room. */
  create(object: ObjectId, sizeBytes: number, writer: ProcessId, place: Place = "memory"): Block | "exists" | "full" {
    if (this.#entries.has(object)) return "exists";
    assert(!this.#outrun.has(object), "an object is written once at a time");
    const offset = (place === "memory" ? this.#arena : this.#fallback).allocate(sizeBytes);
    if (offset === undefined) return "full";
    const entry: Entry = { object, offset, sizeBytes, sealed: false, copy: "primary", writer, readers: new Map() };
    this.#entries.set(object, entry);
    this.#unsealed++;
    return entry;
  }

  /**
   * From now on the object is there and never changes. Says the size; undefined for an unknown block, and for one that
   * was outrun, which is free.
   */
  seal(object: ObjectId, copy: Copy = "primary"): number | undefined {
    if (this.#endOutrun(object)) return undefined;
    const entry = this.#entries.get(object);
    if (entry === undefined) return undefined;
    if (entry.sealed) return entry.sizeBytes;
    entry.sealed = true;
    entry.copy = copy;
    this.#unsealed--;
    this.#rest(entry);
    return entry.sizeBytes;
  }

  /** Its writer gave up. */
  abort(object: ObjectId): void {
    if (this.#endOutrun(object)) return;
    const entry = this.#entries.get(object);
    if (entry !== undefined && !entry.sealed) this.#drop(entry);
  }

  /** Another copy has come into being, or was lost. */
  setCopy(object: ObjectId, copy: Copy): void {
    const entry = this.#entries.get(object);
    if (entry === undefined || !entry.sealed) return;
    const wasIdle = this.#idle.has(entry);
    this.#idle.delete(entry);
    entry.copy = copy;
    if (wasIdle) this.#idle.add(entry);
  }

  /** Blocks of the arena that nobody reads, the least recently used first. */
  idle(copy: Copy): IterableIterator<Block & { readonly object: ObjectId }> {
    return this.#idle.of(copy);
  }

  idleBytes(copy: Copy): number {
    return this.#idle.bytes(copy);
  }

  /** Give up the block of an object that has another copy. */
  evict(object: ObjectId): void {
    const entry = this.#entries.get(object);
    assert(entry !== undefined && this.#idle.has(entry), "a block that is evicted is in nobody's use");
    assert(entry.copy !== "primary", "the last copy of an object is never evicted");
    this.#idle.delete(entry);
    this.#drop(entry);
  }

  has(object: ObjectId): boolean {
    return this.#entries.get(object)?.sealed === true;
  }

  /** Begin to read: the block stays until `unpin`. */
  pin(object: ObjectId, reader: ProcessId): Block | undefined {
    const entry = this.#entries.get(object);
    if (entry === undefined || !entry.sealed) return undefined;
    entry.readers.set(reader, (entry.readers.get(reader) ?? 0) + 1);
    this.#idle.delete(entry);
    return entry;
  }

  /** `offset` says which block: an object that was made again may be read in its older place and in its new one. */
  unpin(object: ObjectId, reader: ProcessId, offset: number): void {
    const entry = this.#blockAt(object, offset);
    const count = entry?.readers.get(reader);
    if (entry === undefined || count === undefined) return; // its reader died before: the pins are gone
    if (count > 1) entry.readers.set(reader, count - 1);
    else entry.readers.delete(reader);
    this.#rest(entry);
    this.#reclaim(entry);
  }

  /** Nobody can reach the object: its block goes now, or with its last reader. Idempotent. */
  free(object: ObjectId): void {
    const entry = this.#entries.get(object);
    if (entry === undefined || !entry.sealed) return;
    this.#entries.delete(object);
    this.#idle.delete(entry);
    this.#ghosts.add(entry);
    this.#reclaim(entry);
  }

  /** Its extents, its unfinished blocks and its pins go with a process. */
  processDied(process: ProcessId): void {
    for (const region of [this.#arena, this.#fallback]) region.processDied(process);
    for (const { object, writer } of [...this.#outrun.values()]) if (writer === process) this.#endOutrun(object);
    for (const entry of [...this.#entries.values()]) {
      if (!entry.sealed && entry.writer === process) this.#drop(entry);
      else if (entry.readers.delete(process)) this.#rest(entry);
    }
    for (const ghost of [...this.#ghosts]) {
      if (ghost.readers.delete(process)) this.#reclaim(ghost);
    }
  }

  /** Sealed objects, for `mobula memory` and tests. */
  *sealed(): IterableIterator<[ObjectId, Block]> {
    for (const [object, entry] of this.#entries) if (entry.sealed) yield [object, entry];
  }

  /** Everything that has a block, freed objects under readers included: who keeps the store full. */
  *blocks(): IterableIterator<Readonly<Entry>> {
    yield* this.#entries.values();
    yield* this.#ghosts;
    yield* this.#outrun.values();
  }

  check(): void {
    const blocks = [...this.blocks()];
    this.#arena.check(blocks.filter((block) => placeOf(block) === "memory"));
    this.#fallback.check(blocks.filter((block) => placeOf(block) === "disk"));
    for (const ghost of this.#ghosts) assert(ghost.readers.size > 0, "a freed block without readers is free");
    let unsealed = this.#outrun.size;
    for (const entry of this.#entries.values()) {
      if (!entry.sealed) unsealed++;
      const mayGo = entry.sealed && entry.readers.size === 0 && placeOf(entry) === "memory";
      assert(this.#idle.has(entry) === mayGo, "a block may give way when it is sealed and nobody reads it");
    }
    assert(unsealed === this.#unsealed, "blocks that are being written are counted");
  }

  #blockAt(object: ObjectId, offset: number): Entry | undefined {
    const entry = this.#entries.get(object);
    if (entry?.offset === offset) return entry;
    for (const ghost of this.#ghosts) if (ghost.object === object && ghost.offset === offset) return ghost;
    return undefined;
  }

  /** A freed block may be used again when nobody reads it. */
  #reclaim(entry: Entry): void {
    if (entry.readers.size > 0 || !this.#ghosts.delete(entry)) return;
    this.#regionOf(entry.offset).free(entry);
  }

  /** What was written in vain has ended: its block is nobody's. */
  #endOutrun(object: ObjectId): boolean {
    const entry = this.#outrun.get(object);
    if (entry === undefined) return false;
    this.#outrun.delete(object);
    this.#unsealed--;
    this.#regionOf(entry.offset).free(entry);
    return true;
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.object);
    if (!entry.sealed) this.#unsealed--;
    this.#regionOf(entry.offset).free(entry);
  }

  /** Nobody reads a living object's block any more: from now on it may give way, after all that rested before. */
  #rest(entry: Entry): void {
    if (entry.readers.size > 0 || !entry.sealed || placeOf(entry) === "disk") return;
    if (this.#entries.get(entry.object) === entry) this.#idle.add(entry);
  }

  #regionOf(offset: number): Region {
    return offset < FALLBACK_OFFSET ? this.#arena : this.#fallback;
  }
}
