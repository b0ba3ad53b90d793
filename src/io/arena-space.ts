/**
 * Which parts of the arena's file have their space: a mapping of a file is written without asking the file system, and a
 * page that it cannot give kills the writer. So the raylet reserves space before it hands out a block.
 */
import { statfsSync, writeSync } from "node:fs";
import { ARENA_RESERVE_BYTES, MAX_FILL_BYTES, STORE_PAGE_BYTES } from "../base/limits.js";
import type { Native } from "./native.js";

const ZEROS = new Uint8Array(1024 * 1024);

export interface Space {
  /** Take space for a range of the arena's file. False when the file system has no room. */
  reserve(offset: number, sizeBytes: number): boolean;
}

export class ArenaSpace implements Space {
  readonly #native: Native;
  readonly #fd: number;
  readonly #capacity: number;
  /** By piece of the file: 1 when all of it is reserved. It stays so until the file goes. */
  readonly #reserved: Uint8Array;
  #isSupported = true;

  constructor(native: Native, fd: number, capacity: number) {
    this.#native = native;
    this.#fd = fd;
    this.#capacity = capacity;
    this.#reserved = new Uint8Array(Math.ceil(capacity / ARENA_RESERVE_BYTES));
  }

  /** False when the file system has no room. */
  reserve(offset: number, sizeBytes: number): boolean {
    const end = Math.ceil((offset + sizeBytes) / ARENA_RESERVE_BYTES);
    const first = this.#reserved.indexOf(0, Math.floor(offset / ARENA_RESERVE_BYTES));
    if (first < 0 || first >= end || !this.#isSupported) return true;
    // Pieces between that are reserved already cost little; the call is one.
    if (this.#take(first * ARENA_RESERVE_BYTES, Math.min(end * ARENA_RESERVE_BYTES, this.#capacity))) {
      this.#reserved.fill(1, first, end);
      return true;
    }
    return this.#take(offset, offset + sizeBytes); // whole pieces are too much, but the block itself may fit
  }

  #take(start: number, end: number): boolean {
    try {
      this.#native.reserve(this.#fd, start, end - start);
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
