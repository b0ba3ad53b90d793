/**
 * Spill files: objects that left the arena, fused into files, with a checksum for every piece.
 *
 * A file has the objects' bytes one after the other, each from a page on, and nothing else; where each lies and its
 * checksums stay in this process, with which the objects end. Reads and writes go through the thread pool, a few MiB at
 * a time, so that the raylet answers others meanwhile: between the disk and the mapped arena, or, where that is not
 * mapped, by way of a buffer.
 */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { DISK_KEEP_BYTES, DISK_KEEP_SHARE, SPILL_BUFFER_BYTES, SPILL_PIECE_BYTES } from "../base/limits.js";
import { wholePages } from "../core/store/allocator.js";
import { ObjectLostError, OutOfDiskError } from "../errors.js";
import type { Arena } from "./arena.js";
import { type Checksum, fastestChecksum } from "./checksum.js";
import { pagedMemory, SpillFile } from "./spill-file.js";

/** Buffers that are kept for the next read or write. */
const MAX_KEPT_BUFFERS = 4;

export interface Part {
  readonly objectId: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/** An object in a file. */
interface Place {
  readonly position: number;
  readonly sizeBytes: number;
  /** Of each piece of `SPILL_PIECE_BYTES`. */
  readonly checksums: Uint32Array;
}

export class SpillFiles {
  readonly #directory: string;
  readonly #arena: Arena;
  /** Bytes that the files may have together. */
  readonly #maxBytes: number;
  readonly #files = new Map<number, SpillFile<Place>>();
  readonly #buffers: Uint8Array[] = [];
  #bytes = 0;
  #closed = false;

  constructor(directory: string, arena: Arena, maxBytes: number) {
    this.#directory = directory;
    this.#arena = arena;
    this.#maxBytes = maxBytes;
  }

  /**
   * Write blocks of the arena into file `id`.
   *
   * @throws (rejects) OutOfDiskError when the disk does not take them; the file is to be deleted then.
   */
  async write(id: number, parts: readonly Part[]): Promise<void> {
    const checksum = await fastestChecksum();
    const file = this.#create(id);
    await file.using(async () => {
      let position = 0;
      for (const part of parts) {
        const place = { position, sizeBytes: part.sizeBytes, checksums: checksumsFor(part.sizeBytes) };
        await this.#writePart(file, part, place, checksum);
        file.places.set(part.objectId, place);
        position += wholePages(part.sizeBytes);
        this.#bytes += wholePages(part.sizeBytes);
      }
    });
  }

  /**
   * Copy an object from its file into the arena.
   *
   * @throws (rejects) ObjectLostError when the file cannot be read or has other bytes than were written.
   */
  async restore(id: number, objectId: string, offset: number): Promise<void> {
    const checksum = await fastestChecksum();
    const { file, place } = this.#find(id, objectId); // in use from this turn on: it may be deleted in the next
    const block = this.#arena.writable(offset, wholePages(place.sizeBytes));
    await file.using(() =>
      forStretches(place.sizeBytes, async (at, sizeBytes) => {
        const read = (target: Uint8Array) => this.#readChecked(file, objectId, place, at, sizeBytes, target, checksum);
        if (block !== undefined) return read(block.subarray(at, at + wholePages(sizeBytes)));
        await this.#withBuffer(async (buffer) => {
          await read(buffer.subarray(0, wholePages(sizeBytes)));
          this.#arena.write(offset + at, [buffer.subarray(0, sizeBytes)]);
        });
      }),
    );
  }

  /**
   * Fill `target` with the object's bytes from `from` on, a multiple of `SPILL_PIECE_BYTES`; the target is one piece.
   *
   * @throws (rejects) ObjectLostError, as `restore`.
   */
  async readPiece(id: number, objectId: string, from: number, target: Uint8Array): Promise<void> {
    const checksum = await fastestChecksum();
    const { file, place } = this.#find(id, objectId);
    const sizeBytes = target.length;
    await file.using(() =>
      this.#withBuffer(async (buffer) => {
        const pages = buffer.subarray(0, wholePages(sizeBytes));
        await this.#readChecked(file, objectId, place, from, sizeBytes, pages, checksum);
        target.set(pages.subarray(0, sizeBytes));
      }),
    );
  }

  delete(id: number): void {
    const file = this.#files.get(id);
    if (file === undefined) return;
    this.#files.delete(id);
    for (const { sizeBytes } of file.places.values()) this.#bytes -= wholePages(sizeBytes);
    file.delete();
  }

  /**
   * How many bytes more may be written: what the file system has, less what must stay free, within our own limit, of
   * which the fallback file takes `fallbackBytes`.
   */
  async freeBytes(fallbackBytes: number): Promise<number> {
    const { bavail, blocks, bsize } = await statfs(this.#directory);
    const keep = Math.min(DISK_KEEP_BYTES, blocks * bsize * DISK_KEEP_SHARE);
    return Math.min(bavail * bsize - keep, this.#maxBytes - this.#bytes - fallbackBytes);
  }

  close(): void {
    this.#closed = true;
    for (const id of [...this.#files.keys()]) this.delete(id);
  }

  #create(id: number): SpillFile<Place> {
    assert(!this.#files.has(id), "a spill file is written once");
    if (this.#closed) throw new OutOfDiskError("this node is stopping");
    const file = new SpillFile<Place>(join(this.#directory, `${id}.spill`));
    this.#files.set(id, file);
    return file;
  }

  #find(id: number, objectId: string): { readonly file: SpillFile<Place>; readonly place: Place } {
    const file = this.#files.get(id);
    const place = file?.places.get(objectId);
    if (file === undefined || place === undefined) {
      throw new ObjectLostError(`object ${objectId} is in no spill file ${id}: the node is stopping`);
    }
    return { file, place };
  }

  /** What a block has behind its object, up to the end of the page, goes with it. */
  async #writePart(
    file: SpillFile<Place>,
    { offset, sizeBytes: all }: Part,
    { position, checksums }: Place,
    checksum: Checksum,
  ): Promise<void> {
    const block = this.#arena.readable(offset, wholePages(all));
    const write = async (bytes: Uint8Array, at: number, sizeBytes: number) => {
      forPieces(bytes.subarray(0, sizeBytes), at, (piece, number) => {
        checksums[number] = checksum(piece, 0);
      });
      await file.write(bytes, position + at);
    };
    await forStretches(all, async (at, sizeBytes) => {
      const end = wholePages(sizeBytes);
      if (block !== undefined) return write(block.subarray(at, at + end), at, sizeBytes);
      await this.#withBuffer(async (buffer) => {
        this.#arena.readInto(offset + at, buffer.subarray(0, sizeBytes));
        await write(buffer.subarray(0, end), at, sizeBytes);
      });
    });
  }

  /** `sizeBytes` of the object from `from` on, into whole pages of memory. */
  async #readChecked(
    file: SpillFile<Place>,
    objectId: string,
    place: Place,
    from: number,
    sizeBytes: number,
    target: Uint8Array,
    checksum: Checksum,
  ): Promise<void> {
    const isWhole = await file.read(target, place.position + from).catch((cause) => {
      throw new ObjectLostError(`object ${objectId} cannot be read from ${file.path}: ${wordsOf(cause)}`, { cause });
    });
    if (!isWhole) throw new ObjectLostError(`object ${objectId}: the spill file ${file.path} was cut`);
    forPieces(target.subarray(0, sizeBytes), from, (piece, number) => {
      if (checksum(piece, 0) === place.checksums[number]) return;
      throw new ObjectLostError(`object ${objectId} was damaged on disk, in ${file.path}`);
    });
  }

  async #withBuffer(action: (buffer: Uint8Array) => Promise<void>): Promise<void> {
    const buffer = this.#buffers.pop() ?? pagedMemory(SPILL_BUFFER_BYTES);
    try {
      await action(buffer);
    } finally {
      if (this.#buffers.length < MAX_KEPT_BUFFERS) this.#buffers.push(buffer);
    }
  }
}

function checksumsFor(sizeBytes: number): Uint32Array {
  return new Uint32Array(Math.ceil(sizeBytes / SPILL_PIECE_BYTES));
}

/** An object in stretches of what is read or written at once, one after the other. */
async function forStretches(
  sizeBytes: number,
  action: (at: number, sizeBytes: number) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < sizeBytes; at += SPILL_BUFFER_BYTES) {
    await action(at, Math.min(SPILL_BUFFER_BYTES, sizeBytes - at));
  }
}

/** Each piece of an object, of which `bytes` begin at `from`, with its number. */
function forPieces(bytes: Uint8Array, from: number, action: (piece: Uint8Array, number: number) => void): void {
  for (let at = 0; at < bytes.length; at += SPILL_PIECE_BYTES) {
    action(bytes.subarray(at, at + SPILL_PIECE_BYTES), (from + at) / SPILL_PIECE_BYTES);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
