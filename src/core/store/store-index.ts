/**
 * What lies in a node's object store: blocks being written, sealed objects, and who is reading them.
 *
 *     create ──▶ writing ── seal ──▶ sealed ── free ──▶ (gone when the last reader is)
 *                   └── abort, or the writer died ──▶ gone
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
import { Allocator } from "./allocator.js";
import { type Block, type Copy, type Entry, type Place, placeOf } from "./entry.js";
import { IdleBlocks } from "./idle-blocks.js";

export type { Block } from "./entry.js";

export class StoreIndex {
  readonly #allocator: Allocator;
  readonly #fallback = new Allocator(MAX_FALLBACK_BYTES);
  readonly #idle = new IdleBlocks();
  #unsealed = 0;
  readonly #entries = new Map<ObjectId, Entry>();
  /** Blocks freed under their readers, oldest first: the object may be made again, the blocks wait for those readers. */
  readonly #ghosts = new Set<Entry>();

  constructor(capacityBytes: number) {
    this.#allocator = new Allocator(capacityBytes);
  }

  get usedBytes(): number {
    return this.#allocator.capacityBytes - this.#allocator.freeBytes;
  }

  get capacityBytes(): number {
    return this.#allocator.capacityBytes;
  }

  /** What blocks take of the fallback file. */
  get fallbackBytes(): number {
    return this.#fallback.capacityBytes - this.#fallback.freeBytes;
  }

  /** Blocks that are being written now. */
  get unsealedBlocks(): number {
    return this.#unsealed;
  }

  /** A block to write into; "exists" when the object is here already (a task that ran again), "full" without room. */
  create(object: ObjectId, sizeBytes: number, writer: ProcessId, place: Place = "memory"): Block | "exists" | "full" {
    if (this.#entries.has(object)) return "exists";
    const offset = this.#allocate(sizeBytes, place);
    if (offset === undefined) return "full";
    const entry: Entry = { object, offset, sizeBytes, sealed: false, copy: "primary", writer, readers: new Map() };
    this.#entries.set(object, entry);
    this.#unsealed++;
    return entry;
  }

  /** From now on the object is there and never changes. Says the size, or undefined for an unknown block. */
  seal(object: ObjectId, copy: Copy = "primary"): number | undefined {
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
    const entry = this.#entries.get(object);
    if (entry !== undefined && !entry.sealed) this.#drop(entry);
  }

  /** Who is writing the object now. */
  writerOf(object: ObjectId): ProcessId | undefined {
    const entry = this.#entries.get(object);
    return entry === undefined || entry.sealed ? undefined : entry.writer;
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

  /** Readers release in the order in which they began: of an object that was made again, the older block first. */
  unpin(object: ObjectId, reader: ProcessId): void {
    const entry = this.#ghostRead(object, reader) ?? this.#entries.get(object);
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

  /** Its unfinished blocks and its pins go with a process. */
  processDied(process: ProcessId): void {
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
  }

  check(): void {
    this.#allocator.check();
    this.#fallback.check();
    const blocks = [...this.#entries.values(), ...this.#ghosts].sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const block of blocks) {
      assert(block.offset >= end, "two objects never share a byte");
      end = block.offset + block.sizeBytes;
    }
    for (const ghost of this.#ghosts) assert(ghost.readers.size > 0, "a freed block without readers is free");
    let unsealed = 0;
    for (const entry of this.#entries.values()) {
      if (!entry.sealed) unsealed++;
      const mayGo = entry.sealed && entry.readers.size === 0 && placeOf(entry) === "memory";
      assert(this.#idle.has(entry) === mayGo, "a block may give way when it is sealed and nobody reads it");
    }
    assert(unsealed === this.#unsealed, "blocks that are being written are counted");
  }

  #ghostRead(object: ObjectId, reader: ProcessId): Entry | undefined {
    for (const ghost of this.#ghosts) if (ghost.object === object && ghost.readers.has(reader)) return ghost;
    return undefined;
  }

  /** A freed block may be used again when nobody reads it. */
  #reclaim(entry: Entry): void {
    if (entry.readers.size > 0 || !this.#ghosts.delete(entry)) return;
    this.#freeBlock(entry);
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.object);
    if (!entry.sealed) this.#unsealed--;
    this.#freeBlock(entry);
  }

  /** Nobody reads a living object's block any more: from now on it may give way, after all that rested before. */
  #rest(entry: Entry): void {
    if (entry.readers.size > 0 || !entry.sealed || placeOf(entry) === "disk") return;
    if (this.#entries.get(entry.object) === entry) this.#idle.add(entry);
  }

  #allocate(sizeBytes: number, place: Place): number | undefined {
    if (place === "memory") return this.#allocator.allocate(sizeBytes);
    const offset = this.#fallback.allocate(sizeBytes);
    return offset === undefined ? undefined : FALLBACK_OFFSET + offset;
  }

  #freeBlock({ offset, sizeBytes }: Block): void {
    if (offset < FALLBACK_OFFSET) this.#allocator.free(offset, sizeBytes);
    else this.#fallback.free(offset - FALLBACK_OFFSET, sizeBytes);
  }
}
