/**
 * The arena: the one file in which a node's store keeps its objects, in shared memory where there is any.
 *
 * The raylet makes the file and decides which block belongs to whom; this page only moves bytes. Every process of the
 * node opens the file by its path, writes blocks it was given and reads blocks it was told of, with positioned reads
 * and writes: no mapping, so a full file system is an error and never a signal. (The mapped store of the addon uses
 * the same file and the same places.)
 *
 * Offsets from `FALLBACK_OFFSET` on lie in the fallback file, on disk: blocks for which the arena had no room and could
 * not be given any. It is never mapped for writing, since a full disk must be an error and never a signal.
 */
import { closeSync, constants, ftruncateSync, openSync, readSync, statfsSync, unlinkSync, writevSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { FALLBACK_OFFSET, MAX_IO_BYTES } from "../base/limits.js";
import { ObjectLostError, ObjectStoreFullError, OutOfDiskError } from "../errors.js";

export const SHARED_MEMORY = "/dev/shm";
export const ARENA_PREFIX = "mobula-";

/**
 * Where a node's arena goes: shared memory if it has room for `capacity` (a container often gives it 64 MiB), else
 * the session's directory, which is slower and may wear a disk; `warn` is told.
 */
export function chooseArenaPath(
  session: { readonly name: string; readonly directory: string },
  nodeId: string,
  capacity: number,
  warn: (line: string) => void,
): string {
  const name = `${ARENA_PREFIX}${session.name}-${nodeId}`;
  const free = freeBytes(SHARED_MEMORY);
  if (free >= capacity) return join(SHARED_MEMORY, name);
  const path = join(session.directory, name);
  const why = free < 0 ? "does not exist" : `has ${free} bytes free and the object store may take ${capacity}`;
  warn(`${SHARED_MEMORY} ${why}; objects go to ${path} instead, which is slower`);
  return path;
}

function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return -1;
  }
}

export class Arena {
  readonly path: string;
  readonly capacity: number;
  readonly #fallbackPath: string | undefined;
  #fd: number;
  /** Opened when the first block lies there. */
  #fallbackFd = -1;

  private constructor(path: string, fd: number, capacity: number, fallbackPath: string | undefined) {
    this.path = path;
    this.#fd = fd;
    this.capacity = capacity;
    this.#fallbackPath = fallbackPath;
  }

  /** Make the file, for this user only. It is sparse: memory is taken as blocks are written. */
  static create(path: string, capacity: number, fallbackPath?: string): Arena {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      ftruncateSync(fd, capacity);
    } catch (cause) {
      closeSync(fd);
      unlinkSync(path);
      throw new ObjectStoreFullError(`cannot make an object store of ${capacity} bytes at ${path}`, { cause });
    }
    return new Arena(path, fd, capacity, fallbackPath);
  }

  /** Open the arena that the raylet of this node has made. */
  static open(path: string, capacity: number, fallbackPath?: string): Arena {
    return new Arena(path, openSync(path, constants.O_RDWR), capacity, fallbackPath);
  }

  /**
   * Write the pieces one after the other from `offset` on.
   *
   * @throws ObjectStoreFullError when the file system has no room for them, OutOfDiskError for the fallback file's.
   */
  write(offset: number, pieces: readonly Uint8Array[]): void {
    let left = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const place = this.#placeOf(offset, left);
    let { position } = place;
    let rest = pieces;
    while (left > 0) {
      const written = this.#writeSome(place.fd, rest, position);
      position += written;
      left -= written;
      if (left > 0) rest = without(rest, written);
    }
  }

  #writeSome(fd: number, pieces: readonly Uint8Array[], position: number): number {
    try {
      const written = writevSync(fd, pieces as Uint8Array[], position);
      if (written > 0) return written;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    }
    if (fd !== this.#fd) throw new OutOfDiskError(`the file system of ${this.#fallbackPath} is full`);
    throw new ObjectStoreFullError(`the file system of the object store ${this.path} is full`);
  }

  /** A copy of `size` bytes at `offset`, with memory of its own. */
  read(offset: number, size: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(size);
    this.readInto(offset, bytes);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, size);
  }

  /** Fill `target` with the bytes from `offset` on. */
  readInto(offset: number, target: Uint8Array): void {
    const { fd, position } = this.#placeOf(offset, target.length);
    for (let at = 0; at < target.length; ) {
      const want = Math.min(target.length - at, MAX_IO_BYTES);
      const got = readSync(fd, target, at, want, position + at);
      if (got === 0)
        throw new ObjectLostError(`the object store ${this.path} ends at byte ${offset + at}: somebody cut it`);
      at += got;
    }
  }

  close(): void {
    for (const fd of [this.#fd, this.#fallbackFd]) if (fd >= 0) closeSync(fd);
    this.#fd = this.#fallbackFd = -1;
  }

  /** Remove the file. Processes that have it open go on; its memory is free when the last one closes it. */
  unlink(): void {
    try {
      unlinkSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }

  /** Give the fallback file's space back: no block lies in it. */
  emptyFallback(): void {
    ftruncateSync(this.#openFallback(), 0);
  }

  #placeOf(offset: number, size: number): { readonly fd: number; readonly position: number } {
    assert(this.#fd >= 0, "the arena is open");
    if (offset >= FALLBACK_OFFSET) return { fd: this.#openFallback(), position: offset - FALLBACK_OFFSET };
    assert(offset >= 0 && offset + size <= this.capacity, "a block lies inside the arena");
    return { fd: this.#fd, position: offset };
  }

  #openFallback(): number {
    assert(this.#fallbackPath !== undefined, "an arena whose blocks lie on disk has a fallback file");
    if (this.#fallbackFd < 0)
      this.#fallbackFd = openSync(this.#fallbackPath, constants.O_RDWR | constants.O_CREAT, 0o600);
    return this.#fallbackFd;
  }
}

/** What is left of the pieces when the first `count` bytes are gone. */
function without(pieces: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let gone = count;
  let first = 0;
  for (; first < pieces.length; first++) {
    const length = (pieces[first] as Uint8Array).length;
    if (gone < length) break;
    gone -= length;
  }
  const [head, ...tail] = pieces.slice(first);
  return head === undefined ? [] : [head.subarray(gone), ...tail];
}
