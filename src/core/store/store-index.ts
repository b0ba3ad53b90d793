/**
 * What lies in a node's object store: extents that writers fill, blocks that replicas are fetched into, sealed objects,
 * and who is reading them.
 *
 *     lease ──▶ extent of a writer ── adopt ──▶ sealed ── free ──▶ (gone when the last reader is)
 *     create ──▶ writing ── seal ────────────────▲
 *                   └── abort ──▶ gone
 *
 * Decides: where an object lies and when its block may be used again.
 * Does not know: bytes, files, other nodes.
 *
 * Invariants: I-06 a sealed object never changes, a block is reused only after its last reader is gone; I-05.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { Allocator, pages, type Reserve } from "./allocator.js";
import { type Extent, ExtentLedger } from "./extent-ledger.js";

export interface Block {
  readonly offset: number;
  readonly sizeBytes: number;
}

interface Entry extends Block {
  readonly object: ObjectId;
  sealed: boolean;
  readonly writer: ProcessId;
  /** How often each process reads it now. */
  readonly readers: Map<ProcessId, number>;
}

export class StoreIndex {
  readonly #allocator: Allocator;
  readonly #extents: ExtentLedger;
  readonly #entries = new Map<ObjectId, Entry>();
  /** Blocks freed under their readers, oldest first: the object may be made again, the blocks wait for those readers. */
  readonly #ghosts = new Set<Entry>();

  /** `reserve` takes space for a range in the file system, before it is handed out; false when there is none. */
  constructor(capacityBytes: number, reserve?: Reserve) {
    this.#allocator = new Allocator(capacityBytes, reserve);
    this.#extents = new ExtentLedger(this.#allocator);
  }

  get usedBytes(): number {
    return this.#allocator.capacityBytes - this.#allocator.freeBytes;
  }

  get capacityBytes(): number {
    return this.#allocator.capacityBytes;
  }

  // ── Extents of writers ──────────────────────────────────────────────────────────────────────────────────────────

  /** An extent of at least `minBytes` for a writer to make blocks in; undefined without room. */
  leaseExtent(writer: ProcessId, minBytes: number): Extent | undefined {
    return this.#extents.lease(writer, minBytes);
  }

  /** A writer gives a part of what it holds back. False when it does not hold it. */
  returnExtent(writer: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#extents.giveBack(writer, offset, sizeBytes);
  }

  /**
   * A block of a writer's extent becomes an object, with so many readers of the writer's own. "known": the object is
   * here, or being fetched, and the block is free; "foreign": the writer does not hold the block.
   */
  adopt(
    object: ObjectId,
    writer: ProcessId,
    { offset, sizeBytes }: Block,
    pins: number,
  ): "sealed" | "known" | "foreign" {
    const known = this.#entries.get(object);
    if (known?.offset === offset) return "known"; // said twice
    if (!this.#extents.take(writer, offset, sizeBytes)) return "foreign";
    if (known === undefined) {
      const readers = new Map(pins > 0 ? [[writer, pins]] : []);
      this.#entries.set(object, { object, offset, sizeBytes, sealed: true, writer, readers });
      return "sealed";
    }
    this.#discard(object, writer, { offset, sizeBytes }, pins);
    return "known";
  }

  /** Whether a range is one that the writer may still fill. */
  holdsExtent(writer: ProcessId, offset: number, sizeBytes: number): boolean {
    return this.#extents.holds(writer, offset, sizeBytes);
  }

  /** Who holds extents: those who could give something back. */
  writers(): Iterable<ProcessId> {
    return this.#extents.writers();
  }

  // ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A block to write into; "exists" when the object is here already (a task that ran again), "full" without room. */
  create(object: ObjectId, sizeBytes: number, writer: ProcessId): Block | "exists" | "full" {
    if (this.#entries.has(object)) return "exists";
    const offset = this.#allocator.allocate(sizeBytes);
    if (offset === undefined) return "full";
    const entry = { object, offset, sizeBytes, sealed: false, writer, readers: new Map() };
    this.#entries.set(object, entry);
    return entry;
  }

  /** From now on the object is there and never changes. Says the size, or undefined for an unknown block. */
  seal(object: ObjectId): number | undefined {
    const entry = this.#entries.get(object);
    if (entry === undefined) return undefined;
    entry.sealed = true;
    return entry.sizeBytes;
  }

  /** Its writer gave up. */
  abort(object: ObjectId): void {
    const entry = this.#entries.get(object);
    if (entry !== undefined && !entry.sealed) this.#drop(entry);
  }

  has(object: ObjectId): boolean {
    return this.#entries.get(object)?.sealed === true;
  }

  /** Begin to read: the block stays until `unpin`. */
  pin(object: ObjectId, reader: ProcessId): Block | undefined {
    const entry = this.#entries.get(object);
    if (entry === undefined || !entry.sealed) return undefined;
    entry.readers.set(reader, (entry.readers.get(reader) ?? 0) + 1);
    return entry;
  }

  /** `offset` says which block: an object that was made again may be read in its older place and in its new one. */
  unpin(object: ObjectId, reader: ProcessId, offset: number): void {
    const entry = this.#blockAt(object, offset);
    const count = entry?.readers.get(reader);
    if (entry === undefined || count === undefined) return; // its reader died before: the pins are gone
    if (count > 1) entry.readers.set(reader, count - 1);
    else entry.readers.delete(reader);
    this.#reclaim(entry);
  }

  /** Nobody can reach the object: its block goes now, or with its last reader. Idempotent. */
  free(object: ObjectId): void {
    const entry = this.#entries.get(object);
    if (entry === undefined || !entry.sealed) return;
    this.#entries.delete(object);
    this.#ghosts.add(entry);
    this.#reclaim(entry);
  }

  /** Its extents, its unfinished blocks and its pins go with a process. */
  processDied(process: ProcessId): void {
    this.#extents.processDied(process);
    for (const entry of [...this.#entries.values()]) {
      if (!entry.sealed && entry.writer === process) this.#drop(entry);
      else entry.readers.delete(process);
    }
    for (const ghost of [...this.#ghosts]) {
      if (ghost.readers.delete(process)) this.#reclaim(ghost);
    }
  }

  /** Sealed objects, for `mobula memory` and tests. */
  *sealed(): IterableIterator<[ObjectId, Block]> {
    for (const [object, entry] of this.#entries) if (entry.sealed) yield [object, entry];
  }

  check(): void {
    this.#allocator.check();
    this.#extents.check();
    const taken = [...this.#entries.values(), ...this.#ghosts].map(({ offset, sizeBytes }) => ({
      offset,
      length: pages(sizeBytes),
    }));
    const all = [...taken, ...this.#extents.ranges(), ...this.#allocator.ranges()];
    all.sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { offset, length } of all) {
      assert(offset === end, "objects, extents and free space never share a byte, and leave none out");
      end = offset + length;
    }
    assert(end === this.capacityBytes, "every byte is an object's, a writer's, or free");
    for (const ghost of this.#ghosts) assert(ghost.readers.size > 0, "a freed block without readers is free");
  }

  /** The block of an object that is here already: free, or a ghost under its writer's own readers. */
  #discard(object: ObjectId, writer: ProcessId, { offset, sizeBytes }: Block, pins: number): void {
    const entry = { object, offset, sizeBytes, sealed: true, writer, readers: new Map<ProcessId, number>() };
    if (pins > 0) entry.readers.set(writer, pins);
    this.#ghosts.add(entry);
    this.#reclaim(entry);
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
    this.#allocator.free(entry.offset, entry.sizeBytes);
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry.object);
    this.#allocator.free(entry.offset, entry.sizeBytes);
  }
}
