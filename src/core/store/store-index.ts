/**
 * What lies in a node's object store: blocks being written, sealed objects, and who is reading them.
 *
 *     create ──▶ writing ── seal ──▶ sealed ── free ──▶ (gone when the last reader is)
 *                   └── abort, or the writer died ──▶ gone
 *
 * Decides: where an object lies and when its block may be used again.
 * Does not know: bytes, files, other nodes.
 *
 * Invariants: I-06 a sealed object never changes, a block is reused only after its last reader is gone; I-05.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { Allocator, type Reserve } from "./allocator.js";

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
  readonly #entries = new Map<ObjectId, Entry>();
  /** Blocks freed under their readers, oldest first: the object may be made again, the blocks wait for those readers. */
  readonly #ghosts = new Set<Entry>();

  /** `reserve` takes space for a block in the file system; false when there is none. */
  constructor(capacityBytes: number, reserve?: Reserve) {
    this.#allocator = new Allocator(capacityBytes, reserve);
  }

  get usedBytes(): number {
    return this.#allocator.capacityBytes - this.#allocator.freeBytes;
  }

  get capacityBytes(): number {
    return this.#allocator.capacityBytes;
  }

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

  /** Its unfinished blocks and its pins go with a process. */
  processDied(process: ProcessId): void {
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
    const blocks = [...this.#entries.values(), ...this.#ghosts].sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const block of blocks) {
      assert(block.offset >= end, "two objects never share a byte");
      end = block.offset + block.sizeBytes;
    }
    for (const ghost of this.#ghosts) assert(ghost.readers.size > 0, "a freed block without readers is free");
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
