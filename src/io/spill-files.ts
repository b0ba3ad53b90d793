/**
 * Spill files: objects that left the arena, fused into files, with a checksum for every piece.
 *
 * A file has the objects' bytes one after the other and nothing else; where each lies and its checksums stay in this
 * process, with which the objects end. Reads and writes go through the thread pool, a few MiB at a time, so that the
 * raylet answers others meanwhile.
 */
import { closeSync, constants, openSync, read, rmSync, write } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { assert } from "../base/assert.js";
import { DISK_KEEP_BYTES, DISK_KEEP_SHARE, SPILL_BUFFER_BYTES, SPILL_PIECE_BYTES } from "../base/limits.js";
import { ObjectLostError, OutOfDiskError } from "../errors.js";
import type { Arena } from "./arena.js";
import { type Crc32, loadCrc32 } from "./crc32.js";

const readAt = promisify(read);
const writeAt = promisify(write);

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

interface SpillFile {
  readonly path: string;
  readonly fd: number;
  readonly places: Map<string, Place>;
  /** Reads and writes under way: the descriptor is closed after the last. */
  busy: number;
  deleted: boolean;
}

export class SpillFiles {
  readonly #directory: string;
  readonly #arena: Arena;
  /** Bytes that the files may have together. */
  readonly #maxBytes: number;
  readonly #files = new Map<number, SpillFile>();
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
    const crc32 = await loadCrc32();
    const file = this.#create(id);
    await this.#using(file, async (buffer) => {
      let position = 0;
      for (const { objectId, offset, sizeBytes } of parts) {
        const checksums = new Uint32Array(Math.ceil(sizeBytes / SPILL_PIECE_BYTES));
        for (let at = 0; at < sizeBytes; at += buffer.length) {
          const bytes = buffer.subarray(0, Math.min(buffer.length, sizeBytes - at));
          this.#arena.readInto(offset + at, bytes);
          forPieces(bytes, at, (piece, number) => {
            checksums[number] = crc32(piece, 0);
          });
          await this.#writeAll(file, bytes, position + at);
        }
        file.places.set(objectId, { position, sizeBytes, checksums });
        position += sizeBytes;
        this.#bytes += sizeBytes;
      }
    });
  }

  /**
   * Copy an object from its file into the arena.
   *
   * @throws (rejects) ObjectLostError when the file cannot be read or has other bytes than were written.
   */
  async restore(id: number, objectId: string, offset: number): Promise<void> {
    const crc32 = await loadCrc32();
    const { file, place } = this.#find(id, objectId); // in use from this turn on: it may be deleted in the next
    await this.#using(file, async (buffer) => {
      for (let at = 0; at < place.sizeBytes; at += buffer.length) {
        const bytes = buffer.subarray(0, Math.min(buffer.length, place.sizeBytes - at));
        await this.#readChecked(file, objectId, place, at, bytes, crc32);
        this.#arena.write(offset + at, [bytes]);
      }
    });
  }

  /**
   * Fill `target` with the object's bytes from `from` on, a multiple of `SPILL_PIECE_BYTES`; the target is one piece.
   *
   * @throws (rejects) ObjectLostError, as `restore`.
   */
  async readPiece(id: number, objectId: string, from: number, target: Uint8Array): Promise<void> {
    const crc32 = await loadCrc32();
    const { file, place } = this.#find(id, objectId);
    file.busy++;
    try {
      await this.#readChecked(file, objectId, place, from, target, crc32);
    } finally {
      this.#rest(file);
    }
  }

  delete(id: number): void {
    const file = this.#files.get(id);
    if (file === undefined) return;
    this.#files.delete(id);
    for (const { sizeBytes } of file.places.values()) this.#bytes -= sizeBytes;
    file.deleted = true;
    rmSync(file.path, { force: true });
    if (file.busy === 0) closeSync(file.fd);
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

  #create(id: number): SpillFile {
    assert(!this.#files.has(id), "a spill file is written once");
    const path = join(this.#directory, `${id}.spill`);
    if (this.#closed) throw new OutOfDiskError("this node is stopping");
    try {
      const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
      const file = { path, fd, places: new Map(), busy: 0, deleted: false };
      this.#files.set(id, file);
      return file;
    } catch (cause) {
      throw outOfDisk(path, cause);
    }
  }

  #find(id: number, objectId: string): { readonly file: SpillFile; readonly place: Place } {
    const file = this.#files.get(id);
    const place = file?.places.get(objectId);
    if (file === undefined || place === undefined) {
      throw new ObjectLostError(`object ${objectId} is in no spill file ${id}: the node is stopping`);
    }
    return { file, place };
  }

  async #writeAll(file: SpillFile, bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeAt(file.fd, bytes, at, bytes.length - at, position + at).catch((cause) => {
        throw outOfDisk(file.path, cause);
      });
      at += bytesWritten;
    }
  }

  async #readChecked(
    file: SpillFile,
    objectId: string,
    place: Place,
    from: number,
    target: Uint8Array,
    crc32: Crc32,
  ): Promise<void> {
    for (let at = 0; at < target.length; ) {
      const position = place.position + from + at;
      const { bytesRead } = await readAt(file.fd, target, at, target.length - at, position).catch((cause) => {
        throw new ObjectLostError(`object ${objectId} cannot be read from ${file.path}: ${wordsOf(cause)}`, { cause });
      });
      if (bytesRead === 0) throw new ObjectLostError(`object ${objectId}: the spill file ${file.path} was cut`);
      at += bytesRead;
    }
    forPieces(target, from, (piece, number) => {
      if (crc32(piece, 0) === place.checksums[number]) return;
      throw new ObjectLostError(`object ${objectId} was damaged on disk, in ${file.path}`);
    });
  }

  async #using(file: SpillFile, action: (buffer: Uint8Array) => Promise<void>): Promise<void> {
    const buffer = this.#buffers.pop() ?? new Uint8Array(SPILL_BUFFER_BYTES);
    file.busy++;
    try {
      await action(buffer);
    } finally {
      if (this.#buffers.length < MAX_KEPT_BUFFERS) this.#buffers.push(buffer);
      this.#rest(file);
    }
  }

  #rest(file: SpillFile): void {
    file.busy--;
    if (file.deleted && file.busy === 0) closeSync(file.fd);
  }
}

/** Each piece of an object, of which `bytes` begin at `from`, with its number. */
function forPieces(bytes: Uint8Array, from: number, action: (piece: Uint8Array, number: number) => void): void {
  for (let at = 0; at < bytes.length; at += SPILL_PIECE_BYTES) {
    action(bytes.subarray(at, at + SPILL_PIECE_BYTES), (from + at) / SPILL_PIECE_BYTES);
  }
}

function outOfDisk(path: string, cause: unknown): OutOfDiskError {
  return new OutOfDiskError(`${path} cannot be written: ${wordsOf(cause)}`, { cause });
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
