/** Who keeps a store full, in words: what its error tells the user. */
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { NAMED_HOLDERS } from "../../base/limits.js";
import type { Entry } from "./entry.js";
import type { StoreIndex } from "./store-index.js";

export interface OwnObject {
  readonly id: ObjectId;
  readonly sizeBytes: number;
}

/** The largest blocks, those that cannot give way first; `nameOf` says what is known of a process. */
export function holdersInWords(store: StoreIndex, nameOf: (process: ProcessId) => string): string {
  const words = firstOf(store.blocks(), inUseThenLargest).map((block) => {
    const { object, sizeBytes, sealed, writer, readers } = block;
    const how = !sealed ? "being written" : isInUse(block) ? "read" : "in scope, written";
    const who = sealed && isInUse(block) ? [...readers.keys()].map(nameOf).join(" and ") : nameOf(writer);
    return `${object} of ${sizeBytes} bytes, ${how} by ${who}`;
  });
  const leased = firstOf(store.holdings(), (a, b) => b[1] - a[1]);
  words.push(...leased.map(([process, bytes]) => `${bytes} bytes leased to ${nameOf(process)}`));
  if (words.length === 0) return "No object lies in it now";
  return `The largest in it: ${words.join("; ")}`;
}

/** The same where only one process's own objects in the store are known: its own word, when it cannot ask. */
export function ownInWords(objects: Iterable<OwnObject>): string {
  const words = firstOf(objects, (a, b) => b.sizeBytes - a.sizeBytes).map(
    ({ id, sizeBytes }) => `${id} of ${sizeBytes} bytes`,
  );
  return words.length === 0
    ? "This process holds nothing in the store"
    : `The largest that this process holds in the store: ${words.join("; ")}`;
}

function isInUse({ sealed, readers }: Readonly<Entry>): boolean {
  return !sealed || readers.size > 0;
}

function inUseThenLargest(a: Readonly<Entry>, b: Readonly<Entry>): number {
  return Number(isInUse(b)) - Number(isInUse(a)) || b.sizeBytes - a.sizeBytes;
}

/** The first few in an order, without sorting them all: a store may have millions of blocks, and many to refuse. */
export function firstOf<T>(all: Iterable<T>, order: (a: T, b: T) => number): T[] {
  const kept: T[] = [];
  for (const each of all) {
    const last = kept[NAMED_HOLDERS - 1];
    if (last !== undefined && order(each, last) >= 0) continue;
    const at = kept.findIndex((other) => order(each, other) < 0);
    kept.splice(at < 0 ? kept.length : at, 0, each);
    kept.length = Math.min(kept.length, NAMED_HOLDERS);
  }
  return kept;
}
