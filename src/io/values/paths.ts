/**
 * Where in the value the encoder is.
 *
 * Each container notes the key it is about to visit: one array store per property. Text is made of it only when
 * something cannot be copied.
 */
import { MAX_DEPTH } from "./limits.js";

/** An index, the name of a property, or something that prints itself. */
export type PathKey = PropertyKey | EntryKey;

/** Thrown by `enter`; the encoder turns it into an error with a path. */
export const TOO_DEEP: unique symbol = Symbol("too deep");

/** Segments shown of a path that is longer than anybody reads. */
const SHOWN_SEGMENTS = 16;
const SHOWN_KEY_CHARACTERS = 64;
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;

export class Path {
  /** `keys[level]` is the key that the container at that level is visiting. */
  readonly keys: PathKey[] = [];
  depth = 0;
  #label = "";

  begin(label: string): void {
    this.#label = label;
    this.depth = 0;
  }

  /** Go into a container. Returns its level, the index of its key in `keys`. */
  enter(): number {
    if (this.depth >= MAX_DEPTH) throw TOO_DEEP;
    this.keys[this.depth] = "";
    return this.depth++;
  }

  leave(): void {
    this.depth--;
  }

  /** Forget the keys: they may hold on to the user's objects. */
  clear(): void {
    // Setting a length takes 40 ns; a few stores are cheaper.
    if (this.keys.length > SHOWN_SEGMENTS) this.keys.length = 0;
    else for (let level = 0; level < this.keys.length; level++) this.keys[level] = "";
    this.depth = 0;
  }

  /** Such as `args[0].db.socket`. */
  text(): string {
    const shown = this.depth > 2 * SHOWN_SEGMENTS ? SHOWN_SEGMENTS : this.depth;
    const start = this.#label + this.keys.slice(0, shown).map(segment).join("");
    return shown === this.depth ? start : `${start}… (${this.depth.toLocaleString("en-US")} levels)`;
  }
}

/** The entry of a map or set that is being visited. One per container, moved from entry to entry. */
export class EntryKey {
  #index = -1;
  #key: unknown;
  #atKey = false;

  /** Move to the next entry of a map, to its key. */
  toKey(key: unknown): this {
    this.#index++;
    this.#key = key;
    this.#atKey = true;
    return this;
  }

  /** Move on to the value of the same entry. */
  toValue(): this {
    this.#atKey = false;
    return this;
  }

  /** Move to the next element of a set. */
  toElement(): this {
    this.#index++;
    return this;
  }

  /** `.get("x")` where that names the entry, else its position: `.keys()[3]`. */
  toString(): string {
    const key = this.#key;
    if (this.#atKey) return `.keys()[${this.#index}]`;
    if (typeof key === "string") return `.get(${JSON.stringify(cut(key))})`;
    if (typeof key === "number" || typeof key === "boolean") return `.get(${String(key)})`;
    return `.values()[${this.#index}]`;
  }
}

function segment(key: PathKey): string {
  if (typeof key === "number") return `[${key}]`;
  if (typeof key === "symbol") return `[${String(key)}]`;
  if (typeof key !== "string") return key.toString();
  return IDENTIFIER.test(key) ? `.${cut(key)}` : `[${JSON.stringify(cut(key))}]`;
}

function cut(key: string): string {
  return key.length <= SHOWN_KEY_CHARACTERS ? key : `${key.slice(0, SHOWN_KEY_CHARACTERS)}…`;
}
