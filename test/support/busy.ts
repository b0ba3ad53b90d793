/** Synchronous code that keeps its thread until a test lets it go on. */
import { existsSync, writeFileSync } from "node:fs";

/** Make the file `started`, and no turn of the event loop until somebody has made `file`. */
export function busyUntil(started: string, file: string, limitMs: number): void {
  writeFileSync(started, "");
  const end = Date.now() + limitMs;
  while (!existsSync(file)) if (Date.now() > end) throw new Error("nobody made the file in time");
}
