/** Figures and tables for people. */
import { top, type WordCounts } from "./words.js";

const MIB = 1024 * 1024;

export function inBytes(bytes: number): string {
  return bytes < MIB ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / MIB).toFixed(1)} MiB`;
}

export function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** The most frequent words in two columns. */
export function topWords(counts: WordCounts, many: number): string {
  const rows = top(counts, many).map(
    ([word, count], i) => `${`${i + 1}`.padStart(4)}  ${`${count}`.padStart(8)}  ${word}`,
  );
  const half = Math.ceil(rows.length / 2);
  const width = Math.max(0, ...rows.slice(0, half).map((row) => row.length));
  return rows
    .slice(0, half)
    .map((row, i) => `${row.padEnd(width)}  ${rows[half + i] ?? ""}`.trimEnd())
    .join("\n");
}
