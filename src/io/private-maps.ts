/** Copy-on-write mappings, and who is to be told when one is gone. */
import { IdleCollector } from "./idle-collector.js";
import type { Native } from "./native.js";

const released = new Map<number, () => void>();
let nextToken = 0;
const NOBODY = -1;
let listening: Native | undefined;
const collector = new IdleCollector(() => released.size > 0);

/**
 * `onReleased` undefined: the mapping is used only as long as its block is pinned, and nobody is told of its end.
 *
 * Undefined where this runtime allows no external memory, the kernel no further mapping, or the file system none at all.
 */
export function mapPrivately(
  native: Native,
  fd: number,
  offset: number,
  sizeBytes: number,
  onReleased: (() => void) | undefined,
): ArrayBuffer | undefined {
  if (listening !== native) {
    native.onReleased(() => tellReleased(native));
    listening = native;
  }
  const token = onReleased === undefined ? NOBODY : nextToken++;
  try {
    const buffer = native.mapPrivate(fd, offset, sizeBytes, token);
    if (buffer === undefined) return undefined;
    // Its block stays pinned for as long as this thread is there: another one gets a copy.
    process.getBuiltinModule("node:worker_threads").markAsUntransferable(buffer); // loads when a first array is mapped: 3 ms
    if (onReleased === undefined) return buffer;
    released.set(token, onReleased);
    collector.noteMapping();
    return buffer;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOMEM" || code === "ENODEV") return undefined;
    throw error;
  }
}

/** Mappings of which the last view has been collected end now, also in the middle of synchronous code. Says how many. */
export function tellReleased(native: Native): number {
  const tokens = native.takeReleased();
  for (const token of tokens) {
    const onReleased = released.get(token);
    released.delete(token);
    onReleased?.();
  }
  return tokens.length;
}
