/** Where shared memory is on this machine, and the two ways in which an arena works. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { type ArenaOptions, SHARED_MEMORY } from "../../src/io/arena.js";
import { loadNative } from "../../src/io/native.js";

export function sharedMemoryDirectory(): string {
  return existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir();
}

/** Mapped where there is the addon, and with positioned reads and writes always. */
export function arenaModes(): ReadonlyMap<string, ArenaOptions> {
  const native = loadNative();
  const modes = new Map<string, ArenaOptions>([["with files", { native: undefined }]]);
  if (native !== undefined) modes.set("mapped", { native });
  return modes;
}
