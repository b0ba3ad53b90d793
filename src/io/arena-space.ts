/**
 * Which parts of the arena's file have their space: a mapping of a file is written without asking the file system, and a
 * page that it cannot give kills the writer. So the raylet reserves space before it hands out a block.
 */
import { fstatSync, statfsSync, writeSync } from "node:fs";
import { ARENA_RESERVE_BYTES, MAX_FILL_BYTES, MAX_RESERVE_BYTES, STORE_PAGE_BYTES } from "../base/limits.js";
import type { Native } from "./native.js";

/** `fstat` counts in blocks of this size, whatever those of the file system are. */
export const STAT_BLOCK_BYTES = 512;
const ZEROS = new Uint8Array(1024 * 1024);

export interface Space {
  /** For the raylet: space for a range of the arena's file is there, or promised. False when the file system has no room. */
  reserve(offset: number, sizeBytes: number): boolean;
  /** For whoever is about to write there through a mapping: take what was only promised, in large pages if there are any. */
  redeem(offset: number, sizeBytes: number): void;
}

export class ArenaSpace implements Space {
  readonly #native: Native;
  readonly #path: string;
  readonly #fd: number;
  readonly #capacity: number;
  /** By piece of the file: 1 when all of it is reserved, or promised. It stays so until the file goes. */
  readonly #reserved: Uint8Array;
  /** By piece: 1 when this process has taken its space, or tried to. */
  readonly #taken: Uint8Array;
  #isSupported = true;

  constructor(native: Native, path: string, fd: number, capacity: number) {
    this.#native = native;
    this.#path = path;
    this.#fd = fd;
    this.#capacity = capacity;
    this.#reserved = new Uint8Array(Math.ceil(capacity / ARENA_RESERVE_BYTES));
    this.#taken = new Uint8Array(this.#reserved.length);
  }

  reserve(offset: number, sizeBytes: number): boolean {
    const end = Math.ceil((offset + sizeBytes) / ARENA_RESERVE_BYTES);
    const first = this.#reserved.indexOf(0, Math.floor(offset / ARENA_RESERVE_BYTES));
    if (first < 0 || first >= end || !this.#isSupported) return true;
    // Pieces between that are reserved already cost little; the call is one.
    if (!this.#mayPromise(first, end) && !this.#takePieces(first, end)) {
      return this.#take(offset, sizeBytes); // whole pieces are too much, but the block itself may fit
    }
    this.#reserved.fill(1, first, end);
    return true;
  }

  redeem(offset: number, sizeBytes: number): void {
    const end = Math.ceil((offset + sizeBytes) / ARENA_RESERVE_BYTES);
    const first = this.#taken.indexOf(0, Math.floor(offset / ARENA_RESERVE_BYTES));
    if (first < 0 || first >= end || !this.#isSupported) return;
    this.#takePieces(first, end); // without room for whole pieces, the pages are taken as they are touched
    this.#taken.fill(1, first, end);
  }

  /**
   * The kernel fills what it takes with zeros, 0.06 to 2.4 s for each GiB, and for so long the raylet would answer
   * nobody. So much at once is only promised, where more than as much again is left for whoever else takes space there:
   * who writes there takes it, a raylet piece by piece. Should there be none after all, that is an error to the writer.
   */
  #mayPromise(first: number, end: number): boolean {
    const newBytes = (end - first) * ARENA_RESERVE_BYTES;
    if (newBytes <= MAX_RESERVE_BYTES) return false;
    const { bavail, bsize } = statfsSync(this.#path);
    let reservedBytes = 0;
    for (const isReserved of this.#reserved) reservedBytes += isReserved * ARENA_RESERVE_BYTES;
    const promisedBytes = reservedBytes - fstatSync(this.#fd).blocks * STAT_BLOCK_BYTES;
    return bavail * bsize - Math.max(0, promisedBytes) > 2 * newBytes;
  }

  #takePieces(first: number, end: number): boolean {
    const offset = first * ARENA_RESERVE_BYTES;
    if (!this.#take(offset, Math.min(end * ARENA_RESERVE_BYTES, this.#capacity) - offset)) return false;
    this.#taken.fill(1, first, end);
    return true;
  }

  #take(offset: number, sizeBytes: number): boolean {
    try {
      this.#native.reserve(this.#fd, offset, sizeBytes);
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      // A file system that cannot reserve: writers touch each page before they use it, and learn of its end there.
      this.#isSupported = false;
      return true;
    }
  }
}

/**
 * The same without the addon. What Node offers to take space in a file is to write there: pages are filled with zeros,
 * once, before the first block lies in them, so that nobody who was given a block finds the file system full.
 */
export class FilledSpace implements Space {
  readonly #path: string;
  readonly #fd: number;
  readonly #capacity: number;
  /** By page of the file: 1 when it has been written to. Made when it is needed: only raylets reserve. */
  #filled: Uint8Array | undefined;

  constructor(path: string, fd: number, capacity: number) {
    this.#path = path;
    this.#fd = fd;
    this.#capacity = capacity;
  }

  /** False when the file system has no room. Nobody may have a block in the range: its bytes are lost. */
  reserve(offset: number, sizeBytes: number): boolean {
    this.#filled ??= new Uint8Array(Math.ceil(this.#capacity / STORE_PAGE_BYTES));
    const start = Math.floor(offset / STORE_PAGE_BYTES);
    const pages = this.#filled.subarray(start, Math.ceil((offset + sizeBytes) / STORE_PAGE_BYTES));
    for (let from = pages.indexOf(0); from >= 0; from = pages.indexOf(0, from)) {
      const next = pages.indexOf(1, from);
      const to = next < 0 ? pages.length : next;
      if (!this.#fill((start + from) * STORE_PAGE_BYTES, (to - from) * STORE_PAGE_BYTES)) return false;
      pages.fill(1, from, to);
    }
    return true;
  }

  /** Blocks are written with positioned writes, which take their space themselves. */
  redeem(): void {}

  #fill(position: number, sizeBytes: number): boolean {
    if (!this.#mayHave(sizeBytes)) return false; // and nothing is taken for a part of it
    if (sizeBytes > MAX_FILL_BYTES) return true; // it would keep the raylet for too long
    try {
      for (let done = 0; done < sizeBytes; ) {
        done += writeSync(this.#fd, ZEROS, 0, Math.min(ZEROS.length, sizeBytes - done), position + done);
      }
      return true;
    } catch (error) {
      if (!isFull(error)) throw error;
      return false;
    }
  }

  /** A file system without a size of its own does not tell. */
  #mayHave(sizeBytes: number): boolean {
    const { blocks, bavail, bsize } = statfsSync(this.#path);
    return blocks === 0 || bavail * bsize >= sizeBytes;
  }
}

/** The file system has no room. */
export function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
