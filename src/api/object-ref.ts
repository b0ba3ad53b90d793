/** The ref that users hold. It names an object; the owner's machine knows the rest. */
import { inspect } from "node:util";
import type { ObjectEntry } from "../core/owner/records.js";
import { InvalidOptionError, ReferenceReleasedError } from "../errors.js";
import { TRACK, type TrackedHandle, type Tracker } from "../process/tracker.js";
import { show } from "./options.js";
import { connection, requireRuntime, runtimeOrNothing } from "./runtime.js";
import type { ObjectRef } from "./types.js";

export class ObjectRefImpl<out T> implements ObjectRef<T>, TrackedHandle {
  readonly #entry: ObjectEntry;
  #tracker: Tracker | undefined;
  #released = false;
  readonly #connection = connection;

  /** A new ref of this process: it counts until it is disposed of, or garbage. */
  constructor(entry: ObjectEntry) {
    this.#entry = entry;
    entry.localRefs++;
    // While the value is pending the entry keeps the ref: see `ObjectEntry.handle`.
    if (entry.state === "pending" && entry.owned) entry.handle = this;
  }

  static is(value: unknown): value is ObjectRefImpl<unknown> {
    return typeof value === "object" && value !== null && #entry in value;
  }

  /** The object behind a ref. @throws ReferenceReleasedError when the ref was disposed of, or is of an earlier connection. */
  static entryOf(ref: ObjectRefImpl<unknown>): ObjectEntry {
    if (ref.#released) {
      throw new ReferenceReleasedError(
        `object ${ref.#entry.id} was released with this ref (using or dispose): keep the ref as long as you need the object`,
      );
    }
    if (ref.#connection !== connection) {
      throw new ReferenceReleasedError(
        `object ${ref.#entry.id} is of an earlier connection, and went with it at shutdown(): make it again in this one`,
      );
    }
    return ref.#entry;
  }

  /** Whether the ref's end is watched already. */
  static isTracked(ref: ObjectRefImpl<unknown>): boolean {
    return ref.#tracker !== undefined;
  }

  get id(): string {
    return this.#entry.id;
  }

  toString(): string {
    return `ObjectRef(${this.id})`;
  }

  [TRACK](tracker: Tracker): void {
    this.#tracker = tracker;
  }

  /** Give the object back now; garbage collection would do it later. */
  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    const runtime = runtimeOrNothing();
    if (runtime === undefined || this.#connection !== connection) return;
    if (this.#tracker !== undefined) runtime.core.dropTracked(this.#tracker);
    else if (this.#entry.localRefs > 0) runtime.core.owner.references.dropRef(this.#entry);
    if (this.#entry.handle === this) this.#entry.handle = undefined;
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/** @throws InvalidOptionError when the value is no ref. */
export function entryOfRef(value: unknown, what: string): ObjectEntry {
  if (ObjectRefImpl.is(value)) return ObjectRefImpl.entryOf(value);
  throw new InvalidOptionError(`${what} takes an ObjectRef, got ${show(value)}`);
}

/** A ref that came from elsewhere: its end is watched from the beginning. */
export function refOf(entry: ObjectEntry): ObjectRefImpl<unknown> {
  const ref = new ObjectRefImpl(entry);
  requireRuntime("an ObjectRef").core.track(entry, ref);
  return ref;
}

export type { ObjectEntry };
