/**
 * A log file: lines of time, level and text. Nodes write a few lines in their life, so there is no library here: pino
 * takes 32 to 45 ms to load, more than everything else a node loads together.
 */
import { appendFileSync, renameSync, statSync } from "node:fs";
import { MAX_LOG_FILE_BYTES } from "../base/limits.js";

export interface Logger {
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/** Lines go to the file at once, so that the last one before a crash is there. A full file moves to `<path>.old`. */
export function openLog(path: string, maxBytes = MAX_LOG_FILE_BYTES): Logger {
  let bytes = sizeOf(path);
  const write = (level: string, text: string) => {
    const line = `${new Date().toISOString()} ${level} ${text}\n`;
    try {
      if (bytes > 0 && bytes + line.length > maxBytes) {
        renameSync(path, `${path}.old`);
        bytes = 0;
      }
      appendFileSync(path, line, { mode: 0o600 });
      bytes += line.length;
    } catch {
      // A log that cannot be written must not stop the node.
    }
  };
  return {
    info: (text) => write("info", text),
    warn: (text) => write("warn", text),
    error: (text) => write("error", text),
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
