/**
 * A log file for nodes: lines of time, level and text. A logging library costs more start-up time than the rest of a
 * node's imports together, and nodes write a few lines in their life.
 */
import { appendFileSync } from "node:fs";

export interface Logger {
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/** Lines go to the file at once, so that the last one before a crash is there. */
export function openLog(path: string): Logger {
  const write = (level: string, text: string) => {
    try {
      appendFileSync(path, `${new Date().toISOString()} ${level} ${text}\n`, { mode: 0o600 });
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
