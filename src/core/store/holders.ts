/** Who keeps a store full, in words: what its error tells the user. */
import type { ProcessId } from "../../base/ids.js";
import { NAMED_HOLDERS } from "../../base/limits.js";
import type { StoreIndex } from "./store-index.js";

/** The largest blocks that cannot give way; `nameOf` says what is known of a process. */
export function holdersInWords(store: StoreIndex, nameOf: (process: ProcessId) => string): string {
  const blocks = [...store.blocks()].filter((block) => !block.sealed || block.readers.size > 0);
  blocks.sort((a, b) => b.sizeBytes - a.sizeBytes);
  const words = blocks.slice(0, NAMED_HOLDERS).map(({ object, sizeBytes, sealed, writer, readers }) => {
    const who = sealed ? [...readers.keys()].map(nameOf).join(" and ") : nameOf(writer);
    return `${object} of ${sizeBytes} bytes, ${sealed ? "read" : "being written"} by ${who}`;
  });
  const leased = [...store.holdings()].sort((a, b) => b[1] - a[1]).slice(0, NAMED_HOLDERS);
  words.push(...leased.map(([process, bytes]) => `${bytes} bytes leased to ${nameOf(process)}`));
  if (words.length === 0) return "Nobody reads or writes a block now";
  return `The largest in use: ${words.join("; ")}`;
}
