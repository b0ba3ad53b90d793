/**
 * One spill file: bytes in whole pages, past the page cache where the file system allows it.
 *
 * Written through the cache, ten gigabytes of spilled objects would push everything else out of it, and be held up as
 * soon as a tenth of the machine's memory is waiting to be written. A direct transfer moves them between the disk and
 * the arena itself, without a copy. It asks for memory, positions and lengths in whole pages.
 */
import { closeSync, constants, openSync, read, rmSync, write } from "node:fs";
import { promisify } from "node:util";
import { assert } from "../base/assert.js";
import { STORE_PAGE_BYTES } from "../base/limits.js";
import { OutOfDiskError } from "../errors.js";

const readAt = promisify(read);
const writeAt = promisify(write);

/** The part that is used here; the compiler's library has it only among the types of browsers. */
declare const WebAssembly: {
  readonly Memory: new (pages: {
    readonly initial: number;
    readonly maximum: number;
  }) => { readonly buffer: ArrayBuffer };
};
const WASM_PAGE_BYTES = 64 * 1024;

/** Memory that begins at a page, which no ordinary buffer promises. */
export function pagedMemory(sizeBytes: number): Uint8Array {
  const initial = Math.ceil(sizeBytes / WASM_PAGE_BYTES);
  return new Uint8Array(new WebAssembly.Memory({ initial, maximum: initial }).buffer, 0, sizeBytes);
}

export class SpillFile<Place> {
  readonly path: string;
  readonly places = new Map<string, Place>();
  #fd: number;
  #isDirect: boolean;
  /** Reads and writes under way: the descriptor is closed after the last. */
  #busy = 0;
  #deleted = false;

  /** @throws OutOfDiskError when it cannot be made. */
  constructor(path: string) {
    this.path = path;
    const direct = open(path, constants.O_CREAT | constants.O_EXCL | (constants.O_DIRECT ?? 0), "if possible");
    this.#isDirect = direct >= 0;
    this.#fd = this.#isDirect ? direct : open(path, constants.O_CREAT, "always");
  }

  /** In whole pages. @throws (rejects) OutOfDiskError */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    assert(bytes.length % STORE_PAGE_BYTES === 0 && position % STORE_PAGE_BYTES === 0, "spill files are whole pages");
    for (let at = 0; at < bytes.length; ) {
      try {
        const { bytesWritten } = await writeAt(this.#fd, bytes, at, bytes.length - at, position + at);
        at += bytesWritten;
      } catch (cause) {
        if (!this.#isDirect || !isRefused(cause)) throw outOfDisk(this.path, cause);
        this.#goThroughCache();
      }
    }
  }

  /** Fill `target`, in whole pages. Says whether the file was long enough. */
  async read(target: Uint8Array, position: number): Promise<boolean> {
    assert(target.length % STORE_PAGE_BYTES === 0 && position % STORE_PAGE_BYTES === 0, "spill files are whole pages");
    for (let at = 0; at < target.length; ) {
      const { bytesRead } = await readAt(this.#fd, target, at, target.length - at, position + at);
      at += bytesRead;
      if (bytesRead % STORE_PAGE_BYTES !== 0 || bytesRead === 0) return false;
    }
    return true;
  }

  /** The file is in use while `action` runs. */
  async using<T>(action: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await action();
    } finally {
      this.#busy--;
      this.#closeIfDone();
    }
  }

  delete(): void {
    this.#deleted = true;
    rmSync(this.path, { force: true });
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#deleted || this.#busy > 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }

  /** The file system lets a file be opened for direct transfers, and then refuses them. */
  #goThroughCache(): void {
    const fd = open(this.path, 0, "always");
    closeSync(this.#fd);
    this.#fd = fd;
    this.#isDirect = false;
  }
}

/** -1 where the file system refuses what was only wanted "if possible". */
function open(path: string, flags: number, how: "if possible" | "always"): number {
  try {
    return openSync(path, constants.O_RDWR | flags, 0o600);
  } catch (cause) {
    if (how === "if possible" && isRefused(cause)) return -1;
    throw outOfDisk(path, cause);
  }
}

function isRefused(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EINVAL";
}

function outOfDisk(path: string, cause: unknown): OutOfDiskError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new OutOfDiskError(`${path} cannot be written: ${words}`, { cause });
}
