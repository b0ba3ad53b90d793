/**
 * Sealed blocks that nobody reads now, by what would be lost with them, the least recently used first.
 *
 * Decides: in which order blocks give way under pressure. Does not know: who asks for room.
 */
import { wholePages } from "./allocator.js";
import type { Copy, Entry } from "./entry.js";

export class IdleBlocks {
  readonly #blocks: Readonly<Record<Copy, Set<Entry>>> = { primary: new Set(), spilled: new Set(), replica: new Set() };
  readonly #bytes: Record<Copy, number> = { primary: 0, spilled: 0, replica: 0 };

  add(entry: Entry): void {
    const blocks = this.#blocks[entry.copy];
    if (blocks.has(entry)) return;
    blocks.add(entry);
    this.#bytes[entry.copy] += wholePages(entry.sizeBytes);
  }

  delete(entry: Entry): void {
    if (this.#blocks[entry.copy].delete(entry)) this.#bytes[entry.copy] -= wholePages(entry.sizeBytes);
  }

  has(entry: Entry): boolean {
    return this.#blocks[entry.copy].has(entry);
  }

  bytes(copy: Copy): number {
    return this.#bytes[copy];
  }

  of(copy: Copy): IterableIterator<Entry> {
    return this.#blocks[copy].values();
  }
}
