/**
 * Which parts of the arena's file have their space: a mapping of a file is written without asking the file system, and a
 * page that it cannot give kills the writer. So the raylet reserves space before it hands out a block.
 */
import { ARENA_RESERVE_BYTES } from "../base/limits.js";
import type { Native } from "./native.js";

export class ArenaSpace {
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
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOSPC" || code === "EDQUOT") return false;
      // A file system that cannot reserve: writers touch each page before they use it, and learn of its end there.
      this.#isSupported = false;
      return true;
    }
  }
}
