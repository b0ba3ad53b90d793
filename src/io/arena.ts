/**
 * The arena: the one file in which a node's store keeps its objects, in shared memory where there is any.
 *
 * The raylet makes the file and decides which block belongs to whom; this page only moves bytes. Every process of the
 * node opens the file by its path. With the addon, blocks are written through one persistent shared mapping, and read
 * through private mappings, one for each array that user code gets, whose writes stay the reader's own. Without it, the
 * same blocks are written and read with positioned writes and reads. Both may be mixed on one node.
 *
 * Offsets from `FALLBACK_OFFSET` on lie in the fallback file, on disk: blocks for which the arena had no room and could
 * not be given any. It is never mapped for writing, since a full disk must be an error and never a signal.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statfsSync,
  unlinkSync,
  writevSync,
} from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { ARENA_GRANULE_BYTES, FALLBACK_OFFSET, MAX_IO_BYTES, MAX_LIVE_MAPS, STORE_PAGE_BYTES } from "../base/limits.js";
import { ObjectLostError, ObjectStoreFullError, OutOfDiskError } from "../errors.js";
import { ArenaSpace, FilledSpace, isFull, type Space, STAT_BLOCK_BYTES } from "./arena-space.js";
import { ArenaWindows } from "./arena-windows.js";
import { loadNative, type Native } from "./native.js";
import { mapPrivately, tellReleased } from "./private-maps.js";

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

/** Free space of a file system; -1 where it does not exist. */
export function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize;
  } catch {
    return -1;
  }
}

export interface ArenaOptions {
  /** The fallback file: made when the first block lies there. */
  readonly fallbackPath?: string | undefined;
  /** The addon to use; absent: the one of this installation, if there is one. */
  readonly native?: Native | undefined;
  /** Windows smaller than the runtime allows: for tests. */
  readonly windowBytes?: number;
}

export class Arena {
  readonly path: string;
  readonly capacity: number;
  readonly #fallbackPath: string | undefined;
  #fd: number;
  /** Opened when the first block lies there. */
  #fallbackFd = -1;
  readonly #native: Native | undefined;
  readonly #windows: ArenaWindows | undefined;
  readonly #space: Space;
  /** The file system does not allow mappings. */
  #unmappable = false;

  private constructor(path: string, fd: number, capacity: number, options: ArenaOptions) {
    this.path = path;
    this.#fd = fd;
    this.capacity = capacity;
    this.#fallbackPath = options.fallbackPath;
    const native = "native" in options ? options.native : loadNative();
    this.#native = native;
    this.#windows = native && new ArenaWindows(native, fd, capacity, options.windowBytes);
    this.#space =
      native === undefined ? new FilledSpace(path, fd, capacity) : new ArenaSpace(native, path, fd, capacity);
  }

  /** Make the file, for this user only. It is sparse: memory is taken as blocks are reserved or written. */
  static create(path: string, capacity: number, options: ArenaOptions = {}): Arena {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      ftruncateSync(fd, capacity);
    } catch (cause) {
      closeSync(fd);
      unlinkSync(path);
      throw new ObjectStoreFullError(`cannot make an object store of ${capacity} bytes at ${path}`, { cause });
    }
    return new Arena(path, fd, capacity, options);
  }

  /** Open the arena that the raylet of this node has made. */
  static open(path: string, capacity: number, options: ArenaOptions = {}): Arena {
    return new Arena(path, openSync(path, constants.O_RDWR), capacity, options);
  }

  /**
   * For the raylet: take space in the file system for a block before anybody is told to write there. False when there is
   * none. The range must be nobody's: without the addon its bytes may be lost.
   *
   * Whoever writes the block through a mapping touches whole granules, so these are what needs space.
   */
  reserve(offset: number, sizeBytes: number): boolean {
    this.#placeOf(offset, sizeBytes);
    const start = offset - (offset % ARENA_GRANULE_BYTES);
    const end = Math.ceil((offset + sizeBytes) / ARENA_GRANULE_BYTES) * ARENA_GRANULE_BYTES;
    return this.#space.reserve(start, Math.min(end, this.capacity) - start);
  }

  /**
   * A view of the shared mapping, to write a block in place. It must not outlive the block's sealing, nor reach user
   * code. Undefined where the block cannot be mapped: `write` does it then.
   *
   * @throws ObjectStoreFullError when the file system has no room for it.
   */
  writable(offset: number, sizeBytes: number): Uint8Array | undefined {
    return this.#inWindow(offset, sizeBytes, (windows) => {
      this.#space.redeem(offset, sizeBytes);
      return windows.writable(offset, sizeBytes);
    });
  }

  /**
   * A sealed block in the shared mapping, for as long as it is pinned. Only for code that copies what it needs and
   * writes nothing. Undefined where it cannot be mapped.
   */
  readable(offset: number, sizeBytes: number): Uint8Array | undefined {
    return this.#inWindow(offset, sizeBytes, (windows) => windows.readable(offset, sizeBytes));
  }

  /**
   * Memory of its own that shows the bytes at `offset` and may be written: what is written stays the caller's own copy.
   * The bytes must not change while any view of it is left; `onReleased` is called once after that, when the event loop
   * turns. Undefined where that is not possible (no addon, a place inside a page, too many mappings): use `read`.
   */
  map(offset: number, sizeBytes: number, onReleased: () => void): ArrayBuffer | undefined {
    return this.#map(offset, sizeBytes, onReleased);
  }

  /**
   * The same for code that copies what it needs while the block is pinned, wherever the block lies. The view may live on
   * as garbage, when the file has been cut; nobody looks at it then.
   */
  view(offset: number, sizeBytes: number): Uint8Array | undefined {
    const mapped = this.readable(offset, sizeBytes) ?? this.#map(offset, sizeBytes, undefined);
    return mapped instanceof ArrayBuffer ? new Uint8Array(mapped) : mapped;
  }

  #map(offset: number, sizeBytes: number, onReleased: (() => void) | undefined): ArrayBuffer | undefined {
    const { fd, position } = this.#placeOf(offset, sizeBytes);
    const native = this.#native;
    if (native === undefined || this.#unmappable || sizeBytes === 0 || position % STORE_PAGE_BYTES !== 0)
      return undefined;
    if (native.liveMaps() >= MAX_LIVE_MAPS) return undefined;
    return mapPrivately(native, fd, position, sizeBytes, onReleased);
  }

  /**
   * Write the pieces one after the other from `offset` on.
   *
   * @throws ObjectStoreFullError when the file system has no room for them, OutOfDiskError for the fallback file's.
   */
  write(offset: number, pieces: readonly Uint8Array[]): void {
    let left = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const target = this.writable(offset, left);
    if (target !== undefined) return copyInto(target, pieces);
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

  #inWindow(
    offset: number,
    sizeBytes: number,
    look: (windows: ArenaWindows) => Uint8Array | undefined,
  ): Uint8Array | undefined {
    const { fd } = this.#placeOf(offset, sizeBytes);
    if (this.#windows === undefined || this.#unmappable || fd !== this.#fd) return undefined;
    try {
      return look(this.#windows);
    } catch (error) {
      if (isFull(error)) throw this.#full(error);
      this.#unmappable = true;
      return undefined;
    }
  }

  #writeSome(fd: number, pieces: readonly Uint8Array[], position: number): number {
    try {
      const written = writevSync(fd, pieces as Uint8Array[], position);
      if (written > 0) return written;
    } catch (error) {
      if (!isFull(error)) throw error;
    }
    if (fd !== this.#fd) throw new OutOfDiskError(`the file system of ${this.#fallbackPath} is full`);
    throw this.#full();
  }

  /**
   * Space is reserved before a block is handed out: this is met where a file system cannot do that, and without the addon
   * in blocks that are too large to be filled. Whoever knows who holds what adds it.
   */
  #full(cause?: unknown): ObjectStoreFullError {
    const storeBytes = fstatSync(this.#fd).blocks * STAT_BLOCK_BYTES;
    const message = `the file system of the object store ${this.path} is full: of it the store takes ${storeBytes} bytes`;
    return new ObjectStoreFullError(message, { cause });
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

  /** The mappings that a collection has ended are released now, so many; else that takes a turn of the event loop. */
  releaseCollected(): number {
    return this.#native === undefined ? 0 : tellReleased(this.#native);
  }

  /** Make the private mappings of this process independent of the file: its blocks will be others' soon. */
  keepPrivateCopies(): void {
    this.#native?.copyPrivateMaps();
  }

  /** Private mappings stay valid; views of the shared one are empty from here on. */
  close(): void {
    if (this.#fd < 0) return;
    this.#windows?.close();
    closeSync(this.#fd);
    if (this.#fallbackFd >= 0) closeSync(this.#fallbackFd);
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

function copyInto(target: Uint8Array, pieces: readonly Uint8Array[]): void {
  let position = 0;
  for (const piece of pieces) {
    target.set(piece, position);
    position += piece.length;
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
