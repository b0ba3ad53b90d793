/**
 * Spilling: objects that nobody reads now are written to disk, so that their blocks can be given to others.
 *
 *     primary, idle ── written into a file with others ──▶ in memory and on disk ── evicted ──▶ on disk ── restored ──┐
 *                                                                   ▲                                              │
 *                                                                   └──────────────────────────────────────────────┘
 *
 * A block stays in memory until its room is needed. The copy on disk stays until the object is freed: sealed objects
 * never change, so that an object which was restored gives way again without being written again.
 *
 * Decides: which objects go into which file, when a file is written and when it is deleted, how much disk is used.
 * Does not know: bytes, checksums, paths; the port has those.
 *
 * Invariants: I-05 a file is there while an object in it lives; I-07 the disk used is bounded.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import {
  MAX_OBJECTS_PER_SPILL_FILE,
  MAX_SPILL_WRITES,
  SPILL_FILE_BYTES,
  SPILL_FILE_SHARE,
  SPILL_THRESHOLD,
} from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import type { Block } from "./entry.js";
import type { StoreIndex } from "./store-index.js";

/** A file's number, used once. */
export type SpillFileId = number;

export interface SpillPart extends Block {
  readonly objectId: ObjectId;
}

export interface SpillingPort {
  /** Write these blocks into a new file; `written` says how it went. */
  writeSpill(file: SpillFileId, parts: readonly SpillPart[]): void;
  /** Nothing in it is wanted any more, or it could not be written. */
  deleteSpill(file: SpillFileId): void;
}

interface SpillFile {
  readonly id: SpillFileId;
  state: "writing" | "written";
  /** What the file takes of the disk. */
  readonly sizeBytes: number;
  /** Its living objects, with their sizes. */
  readonly objects: Map<ObjectId, number>;
  /** What is kept in memory until it is written. */
  readonly pinned: readonly SpillPart[];
  /** Reads under way. */
  reads: number;
}

export class Spilling {
  readonly #store: StoreIndex;
  readonly #port: SpillingPort;
  readonly #fileBytes: number;
  readonly #files = new Map<SpillFileId, SpillFile>();
  readonly #writing = new Set<SpillFile>();
  /** Where each object lies that is on disk. */
  readonly #spilled = new Map<ObjectId, SpillFile>();
  /** What may still be taken of the disk, as last told, less what was begun since. */
  #diskBytes = Number.POSITIVE_INFINITY;
  #spilledBytes = 0;
  #writingBytes = 0;
  /** Writes that have ended, well or not. */
  filesWritten = 0;
  #nextFile = 1;
  /** Why the last write failed; spilling rests until the next tick. */
  #failure: Failure | undefined;

  constructor(store: StoreIndex, port: SpillingPort) {
    this.#store = store;
    this.#port = port;
    this.#fileBytes = Math.min(SPILL_FILE_BYTES, Math.ceil(store.capacityBytes * SPILL_FILE_SHARE));
  }

  /** Bytes of living objects on disk. */
  get spilledBytes(): number {
    return this.#spilledBytes;
  }

  /** Whether the end of a write will change what can give way. */
  get isWriting(): boolean {
    return this.#writing.size > 0;
  }

  has(object: ObjectId): boolean {
    return this.#spilled.has(object);
  }

  /** Whether the object lies in this file now: it may have been freed and made again since somebody began to read it there. */
  isIn(object: ObjectId, file: SpillFileId): boolean {
    return this.#spilled.get(object)?.id === file;
  }

  sizeOf(object: ObjectId): number | undefined {
    return this.#spilled.get(object)?.objects.get(object);
  }

  /** How much more the disk may take. */
  diskHas(freeBytes: number): void {
    this.#diskBytes = freeBytes - this.#writingBytes;
  }

  diskFits(sizeBytes: number): boolean {
    return sizeBytes <= this.#diskBytes;
  }

  /** Take disk space for something else than a spill file, if there is enough. */
  takeDisk(sizeBytes: number): boolean {
    if (!this.diskFits(sizeBytes)) return false;
    this.#diskBytes -= sizeBytes;
    return true;
  }

  /** Time has passed: what failed may be tried again. */
  retry(): void {
    this.#failure = undefined;
  }

  /** Begin to write what should be on disk: because somebody waits for room, or ahead of that. */
  spill(forSomebody: boolean): void {
    while (this.#writing.size < MAX_SPILL_WRITES && (forSomebody || this.#isFull)) {
      const parts = this.#nextParts();
      if (parts.length === 0 || !this.#write(parts)) return;
    }
  }

  /** Why nothing is spilled although there is something to spill. */
  obstacle(): Failure | undefined {
    const next = this.#nextParts();
    if (next.length === 0) return undefined;
    if (this.#failure !== undefined) return this.#failure;
    const needed = next.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (needed <= this.#diskBytes) return undefined;
    const left = Math.max(0, this.#diskBytes);
    return {
      code: "OUT_OF_DISK",
      message: `spilling ${needed} bytes would leave too little disk: ${left} may be taken`,
    };
  }

  /** A write has ended. */
  written(id: SpillFileId, failure: Failure | undefined): void {
    const file = this.#files.get(id);
    assert(file?.state === "writing", "a file is written once");
    this.#writing.delete(file);
    this.filesWritten++;
    this.#writingBytes -= file.sizeBytes;
    file.state = "written";
    for (const [object, sizeBytes] of file.objects) {
      if (failure !== undefined) continue;
      this.#spilled.set(object, file);
      this.#spilledBytes += sizeBytes;
      this.#store.setCopy(object, "spilled");
    }
    for (const { objectId, offset } of file.pinned) this.#store.unpin(objectId, readerFor(id), offset);
    this.#failure ??= failure;
    if (failure !== undefined) file.objects.clear();
    this.#deleteIfDone(file);
  }

  /** Nobody can reach the object: it is struck from its file. */
  free(object: ObjectId): void {
    this.#strike(object);
    // Struck from a file under way, too: the write goes on, and nobody is told of this object.
    for (const file of this.#writing) file.objects.delete(object);
  }

  /** The bytes on disk cannot be read or are not what was written. Says whether that was the last copy here. */
  lose(object: ObjectId): "lost" | "in memory" {
    this.#strike(object);
    if (!this.#store.has(object)) return "lost";
    this.#store.setCopy(object, "primary");
    return "in memory";
  }

  /** Begin to read an object from its file; matched by one `close`. */
  open(object: ObjectId): SpillFileId | undefined {
    const file = this.#spilled.get(object);
    if (file === undefined) return undefined;
    file.reads++;
    return file.id;
  }

  close(id: SpillFileId): void {
    const file = this.#files.get(id);
    assert(file !== undefined && file.reads > 0, "a file is there while somebody reads it");
    file.reads--;
    this.#deleteIfDone(file);
  }

  /** Objects on disk, for tests and `mobula memory`. */
  objects(): IterableIterator<ObjectId> {
    return this.#spilled.keys();
  }

  check(): void {
    let bytes = 0;
    for (const [object, file] of this.#spilled) {
      assert(this.#files.get(file.id) === file && file.state === "written", "a spilled object lies in a written file");
      const sizeBytes = file.objects.get(object);
      assert(sizeBytes !== undefined, "a spilled object is in its file's account");
      bytes += sizeBytes;
    }
    assert(bytes === this.#spilledBytes, "spilled bytes add up");
    assert(this.#writing.size <= MAX_SPILL_WRITES, "writes under way are bounded");
    for (const file of this.#files.values()) {
      const isNeeded = file.objects.size > 0 || file.reads > 0 || file.state === "writing";
      assert(isNeeded, "a file of which nothing is wanted has been deleted");
    }
  }

  /**
   * Blocks that could not give way at once fill too much of the store. What writers hold does not count: most of it may be
   * garbage that they have not looked for, or idle, and they are asked for it before anything is spilled for its sake.
   */
  get #isFull(): boolean {
    const { usedBytes, leasedBytes, capacityBytes } = this.#store;
    const clean = this.#store.idleBytes("spilled") + this.#store.idleBytes("replica");
    return usedBytes - leasedBytes - clean - this.#writingBytes > capacityBytes * SPILL_THRESHOLD;
  }

  /** The least recently used primaries, until they fill a file. */
  #nextParts(): readonly SpillPart[] {
    const parts: SpillPart[] = [];
    let bytes = 0;
    for (const { object, offset, sizeBytes } of this.#store.idle("primary")) {
      if (parts.length > 0 && bytes + sizeBytes > this.#fileBytes) break;
      parts.push({ objectId: object, offset, sizeBytes });
      bytes += sizeBytes;
      if (parts.length >= MAX_OBJECTS_PER_SPILL_FILE) break;
    }
    return parts;
  }

  #write(parts: readonly SpillPart[]): boolean {
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (this.#failure !== undefined || !this.takeDisk(sizeBytes)) return false;
    const id = this.#nextFile++;
    const objects = new Map(parts.map((part) => [part.objectId, part.sizeBytes]));
    const file: SpillFile = { id, state: "writing", sizeBytes, objects, pinned: parts, reads: 0 };
    this.#files.set(id, file);
    this.#writing.add(file);
    this.#writingBytes += sizeBytes;
    for (const { objectId } of parts) this.#store.pin(objectId, readerFor(id));
    this.#port.writeSpill(id, parts);
    return true;
  }

  #strike(object: ObjectId): void {
    const file = this.#spilled.get(object);
    if (file === undefined) return;
    this.#spilled.delete(object);
    this.#spilledBytes -= file.objects.get(object) ?? 0;
    file.objects.delete(object);
    this.#deleteIfDone(file);
  }

  #deleteIfDone(file: SpillFile): void {
    if (file.state === "writing" || file.objects.size > 0 || file.reads > 0) return;
    this.#files.delete(file.id);
    this.#diskBytes += file.sizeBytes;
    this.#port.deleteSpill(file.id);
  }
}

/** The reader that keeps blocks in place while a file is written. */
function readerFor(id: SpillFileId): ProcessId {
  return `spill ${id}` as ProcessId;
}
