/** Counting words, without a cluster: what a map task does with a portion, and what one process alone does with all. */
import { readFileSync } from "node:fs";

export type WordCounts = Map<string, number>;

const WORD = /[\p{L}\p{N}_]+/gu;

/** The words of these files, in lower case, and how often each occurs. */
export function countWords(paths: readonly string[]): WordCounts {
  const asWritten: WordCounts = new Map();
  for (const path of paths) {
    for (const word of readFileSync(path, "utf8").match(WORD) ?? []) add(asWritten, word, 1);
  }
  // Lower case once for each different word instead of once for each occurrence.
  const counts: WordCounts = new Map();
  for (const [word, count] of asWritten) add(counts, word.toLowerCase(), count);
  return counts;
}

function add(counts: WordCounts, word: string, count: number): void {
  counts.set(word, (counts.get(word) ?? 0) + count);
}

/** Words and their counts as values travel best: one string and one typed array instead of a Map of thousands of strings. */
export interface Packed {
  readonly words: string;
  readonly counts: Uint32Array;
}

/** No word contains it. */
const SEPARATOR = "\n";

export function pack(counts: WordCounts): Packed {
  return { words: [...counts.keys()].join(SEPARATOR), counts: Uint32Array.from(counts.values()) };
}

/** Add packed counts to `into`. */
export function unpack(packed: Packed, into: WordCounts): void {
  if (packed.counts.length === 0) return;
  const words = packed.words.split(SEPARATOR);
  for (const [i, word] of words.entries()) add(into, word, packed.counts[i] ?? 0);
}

/** Split counts by word, so that all counts of one word meet in one place whoever counted them. */
export function partition(counts: WordCounts, partitions: number): Packed[] {
  const parts = Array.from({ length: partitions }, (): WordCounts => new Map());
  for (const [word, count] of counts) parts[hash(word) % partitions]?.set(word, count);
  return parts.map(pack);
}

/** FNV-1a: the same on every node, unlike anything a process draws at its start. */
function hash(word: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) value = Math.imul(value ^ word.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** Words whose counts differ, with both counts; empty when the two agree word by word. */
export function differences(a: WordCounts, b: WordCounts): string[] {
  const words = new Set([...a.keys(), ...b.keys()]);
  const differing = [...words].filter((word) => a.get(word) !== b.get(word));
  return differing.map((word) => `${word}: ${a.get(word) ?? 0} and ${b.get(word) ?? 0}`);
}

/** The most frequent words; those of equal count in alphabetical order. */
export function top(counts: WordCounts, many: number): [string, number][] {
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, many);
}
