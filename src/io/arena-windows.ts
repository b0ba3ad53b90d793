/**
 * A process's persistent mapping of the arena for writing: shared, never shown to user code.
 *
 * An ArrayBuffer holds 4 GiB at most in some versions of Node, so a large arena is seen through windows that overlap by
 * half: a block of up to half a window lies in the window in which it begins. Windows are mapped when they are first
 * needed and stay, because what makes writing fast is that the pages have been touched before.
 *
 * Pages are touched by the kernel in one call for all of a range, which reports a full file system as an error; a plain
 * write to a page that cannot be had would kill the process.
 */
import { constants } from "node:buffer";
import { ARENA_GRANULE_BYTES } from "../base/limits.js";
import type { Native } from "./native.js";

const MAX_WINDOW_BYTES = Math.min(constants.MAX_LENGTH, 64 * 1024 ** 3);

interface Window {
  /** Its place in the arena. */
  readonly start: number;
  readonly buffer: ArrayBuffer;
  /** By granule: 1 when this process has touched all of its pages. */
  readonly touched: Uint8Array;
}

export class ArenaWindows {
  readonly #native: Native;
  readonly #fd: number;
  readonly #capacity: number;
  readonly #windowBytes: number;
  readonly #windows = new Map<number, Window>();

  /** `windowBytes` is for tests; a multiple of two granules. */
  constructor(native: Native, fd: number, capacity: number, windowBytes = MAX_WINDOW_BYTES) {
    this.#native = native;
    this.#fd = fd;
    this.#capacity = capacity;
    this.#windowBytes = windowBytes;
  }

  /** The block's memory, to read what has been written there. Undefined if it cannot be mapped here. */
  readable(offset: number, sizeBytes: number): Uint8Array | undefined {
    const window = this.#windowOf(offset, sizeBytes);
    return window && new Uint8Array(window.buffer, offset - window.start, sizeBytes);
  }

  /**
   * The block's memory, safe to write. Undefined if it cannot be mapped here: the caller writes to the file.
   *
   * @throws ENOSPC when the file system has no room for it.
   */
  writable(offset: number, sizeBytes: number): Uint8Array | undefined {
    const window = this.#windowOf(offset, sizeBytes);
    if (window === undefined) return undefined;
    this.#touch(window, offset - window.start, sizeBytes);
    return new Uint8Array(window.buffer, offset - window.start, sizeBytes);
  }

  close(): void {
    for (const { buffer } of this.#windows.values()) this.#native.unmap(buffer);
    this.#windows.clear();
  }

  #windowOf(offset: number, sizeBytes: number): Window | undefined {
    const stride = this.#windowBytes / 2;
    const start = this.#windowBytes >= this.#capacity ? 0 : Math.floor(offset / stride) * stride;
    if (offset + sizeBytes > start + this.#windowBytes) return undefined;
    return this.#windows.get(start) ?? this.#open(start);
  }

  #open(start: number): Window | undefined {
    const sizeBytes = Math.min(this.#windowBytes, this.#capacity - start);
    const buffer = this.#native.mapShared(this.#fd, start, sizeBytes);
    if (buffer === undefined) return undefined;
    const window = { start, buffer, touched: new Uint8Array(Math.ceil(sizeBytes / ARENA_GRANULE_BYTES)) };
    this.#windows.set(start, window);
    return window;
  }

  /** Each stretch of granules that are new to this process, in one call. */
  #touch({ start, buffer, touched }: Window, offset: number, sizeBytes: number): void {
    const end = Math.ceil((offset + sizeBytes) / ARENA_GRANULE_BYTES);
    let first = touched.indexOf(0, Math.floor(offset / ARENA_GRANULE_BYTES));
    while (first >= 0 && first < end) {
      const next = touched.indexOf(1, first);
      const last = next < 0 || next > end ? end : next;
      const from = first * ARENA_GRANULE_BYTES;
      const length = Math.min(last * ARENA_GRANULE_BYTES, buffer.byteLength) - from;
      if (!this.#native.populate(new Uint8Array(buffer, from, length))) {
        // An older kernel: at least the space must be there.
        this.#native.reserve(this.#fd, start + from, length);
      }
      touched.fill(1, first, last);
      first = touched.indexOf(0, last);
    }
  }
}
