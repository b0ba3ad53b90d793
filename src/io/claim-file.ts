/**
 * The claim words of a node's workers: a small file in shared memory that raylet and workers map. Each worker has a place
 * of its own in it. The mapping is never shown to user code.
 *
 * Only with the addon; and where a file cannot be made, or not be mapped, there are no words, and nothing else is missing.
 */
import { closeSync, constants, existsSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../base/assert.js";
import { MAX_WORKERS_PER_NODE } from "../base/limits.js";
import { CLAIM_BYTES, CLAIM_WORDS } from "../core/executor/claim-words.js";
import { ARENA_PREFIX, SHARED_MEMORY } from "./arena.js";
import { loadNative } from "./native.js";

const FILE_BYTES = MAX_WORKERS_PER_NODE * CLAIM_BYTES;

/** Beside the arena where there is shared memory: the file system of a disk would write the words back all the time. */
export function chooseClaimsPath(
  session: { readonly name: string; readonly directory: string },
  nodeId: string,
): string {
  const directory = existsSync(SHARED_MEMORY) ? SHARED_MEMORY : session.directory;
  return join(directory, `${ARENA_PREFIX}${session.name}-${nodeId}.claims`);
}

export class ClaimFile {
  readonly #path: string;
  readonly #words: Int32Array;

  private constructor(path: string, words: Int32Array) {
    this.#path = path;
    this.#words = words;
  }

  /** For the raylet. Undefined where there is no room for it, or nothing to map it with. */
  static create(path: string): ClaimFile | undefined {
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    // Written, not only sized: a page that the file system cannot give would kill whoever touches it.
    const fill = (fd: number) => void writeSync(fd, new Uint8Array(FILE_BYTES));
    return ClaimFile.#map(path, O_RDWR | O_CREAT | O_EXCL, fill);
  }

  /** For a worker: the file that its raylet has made. */
  static open(path: string): ClaimFile | undefined {
    return ClaimFile.#map(path, constants.O_RDWR, () => {});
  }

  static #map(path: string, flags: number, prepare: (fd: number) => void): ClaimFile | undefined {
    const native = loadNative();
    if (native === undefined) return undefined;
    let fd = -1;
    try {
      fd = openSync(path, flags, 0o600);
      prepare(fd);
      const buffer = native.mapShared(fd, 0, FILE_BYTES);
      return buffer && new ClaimFile(path, new Int32Array(buffer));
    } catch {
      return undefined;
    } finally {
      if (fd >= 0) closeSync(fd); // the mapping stays
    }
  }

  wordsOf(place: number): Int32Array {
    assert(place >= 0 && place < MAX_WORKERS_PER_NODE, "a worker's claim words lie in the file");
    return this.#words.subarray(place * CLAIM_WORDS, (place + 1) * CLAIM_WORDS);
  }

  /** Remove the file. Processes that have mapped it go on. */
  unlink(): void {
    try {
      unlinkSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}
