/** How much a node's store may take when nobody says. */
import { dirname } from "node:path";
import { MIN_SHARED_STORE_BYTES, STORE_PAGE_BYTES } from "../base/limits.js";
import { freeBytes, SHARED_MEMORY } from "../io/arena.js";
import { usableMemoryBytes } from "../io/container-limits.js";
import { sessionBase } from "../io/session.js";

const SHARE_OF_MEMORY = 0.3;
const SHARE_OF_FILE_SYSTEM = 0.8;

export interface Room {
  readonly memoryBytes: number;
  /** Free in shared memory; negative where there is none. */
  readonly sharedBytes: number;
  /** Free where the arena goes otherwise. */
  readonly diskBytes: number;
}

/**
 * 30 % of memory, at most 80 % of what the shared-memory file system has. Where that is next to nothing (Docker gives
 * a container 64 MiB, and another program may have filled it), the arena goes to a file, and shared memory is no limit.
 */
export function defaultStoreBytes({ memoryBytes, sharedBytes, diskBytes }: Room): number {
  const wanted = memoryBytes * SHARE_OF_MEMORY;
  const shared = sharedBytes * SHARE_OF_FILE_SYSTEM;
  if (shared >= Math.min(wanted, MIN_SHARED_STORE_BYTES)) return Math.floor(Math.min(wanted, shared));
  return Math.max(STORE_PAGE_BYTES, Math.floor(Math.min(wanted, diskBytes * SHARE_OF_FILE_SYSTEM)));
}

export function roomHere(): Room {
  return {
    memoryBytes: usableMemoryBytes(),
    sharedBytes: freeBytes(SHARED_MEMORY),
    diskBytes: freeBytesAt(sessionBase()),
  };
}

/** Of the file system where `path` will be made. */
function freeBytesAt(path: string): number {
  for (let at = path; ; at = dirname(at)) {
    const free = freeBytes(at);
    if (free >= 0 || at === dirname(at)) return free;
  }
}
