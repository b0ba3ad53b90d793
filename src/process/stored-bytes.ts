/**
 * A value in the node's store, read where it lies: what is small is copied while it is decoded, large arrays become
 * copy-on-write mappings. The block stays pinned until nobody will decode the value any more and the last mapping of it
 * is gone. Without the addon the bytes are a copy, and the block is released at once.
 */
import type { Arena } from "../io/arena.js";
import { STORE_HEAD_BYTES } from "../io/values/index.js";
import { EncodedBytes } from "./encoded-bytes.js";

/** Keeps a block in its place for readers and mappings, and says so once when there are none left. */
class Pin {
  #readers = 1;
  #mappings = 0;
  readonly #onReleased: () => void;

  constructor(onReleased: () => void) {
    this.#onReleased = onReleased;
  }

  addReader(): void {
    this.#readers++;
  }

  removeReader(): void {
    if (this.#readers === 0) return;
    this.#readers--;
    this.#endIfUnused();
  }

  /** The value itself is garbage: whoever was to read it has forgotten it. */
  removeReaders(): void {
    if (this.#readers === 0) return;
    this.#readers = 0;
    this.#endIfUnused();
  }

  addMapping(): void {
    this.#mappings++;
  }

  removeMapping(): void {
    this.#mappings--;
    this.#endIfUnused();
  }

  #endIfUnused(): void {
    if (this.#readers === 0 && this.#mappings === 0) this.#onReleased();
  }
}

const forgotten = new FinalizationRegistry<Pin>((pin) => pin.removeReaders());

export class StoredBytes extends EncodedBytes {
  readonly #arena: Arena;
  readonly #offset: number;
  readonly #pin: Pin;

  private constructor(bytes: Buffer, arena: Arena, offset: number, pin: Pin) {
    super(bytes);
    this.#arena = arena;
    this.#offset = offset;
    this.#pin = pin;
  }

  /** The value in a block of the arena. The caller is its first reader; `onReleased` is called once, later. */
  static at(arena: Arena, offset: number, sizeBytes: number, onReleased: () => void): StoredBytes {
    const block = blockBytes(arena, offset, sizeBytes);
    const start = block.byteOffset + STORE_HEAD_BYTES;
    const bytes = Buffer.from(block.buffer, start, sizeBytes - STORE_HEAD_BYTES);
    const pin = new Pin(onReleased);
    const value = new StoredBytes(bytes, arena, offset + STORE_HEAD_BYTES, pin);
    forgotten.register(value, pin);
    return value;
  }

  /** Somebody keeps the value beyond this turn, to decode it later. */
  retain(): void {
    this.#pin.addReader();
  }

  /** A reader will not decode it again. */
  release(): void {
    this.#pin.removeReader();
  }

  /** The array at this place of the value, as memory of its own; undefined to have it copied. */
  map(at: number, sizeBytes: number): ArrayBuffer | undefined {
    this.#pin.addMapping();
    let buffer: ArrayBuffer | undefined;
    try {
      buffer = this.#arena.map(this.#offset + at, sizeBytes, () => this.#pin.removeMapping());
    } finally {
      if (buffer === undefined) this.#pin.removeMapping();
    }
    return buffer;
  }
}

/** The block as a whole, from which small things are copied. A block of gigabytes may lie in no window of the arena. */
function blockBytes(arena: Arena, offset: number, sizeBytes: number): Uint8Array {
  return arena.view(offset, sizeBytes) ?? arena.read(offset, sizeBytes);
}
