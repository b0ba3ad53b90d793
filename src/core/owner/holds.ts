/**
 * A process's holds in the object table: asked for and given back in batches, one message a turn.
 *
 * Decides: what is sent, and when holds that were asked for are known to be registered.
 *
 * Invariant: I-05. An id is in at most one of the two batches: a ref that comes back in the same turn was never let go.
 */
import { assert } from "../../base/assert.js";
import type { ActorId, ObjectId, ProcessRef } from "../../base/ids.js";
import { MAX_HOLDS_PER_MESSAGE } from "../../base/limits.js";
import type { Message } from "../../protocol/messages.js";
import type { Origin } from "./origin.js";

export interface HoldsPort {
  sendToGcs(message: Message): void;
  /** An own object is let go, and others may hold it still: where did it come from? */
  keepOrigin(id: ObjectId, origin: Origin): void;
  /** Call `flush` at the end of this turn. */
  wakeUp(): void;
}

export class Holds {
  readonly #port: HoldsPort;
  readonly #toRelease = new Set<ObjectId | ActorId>();
  readonly #toHold = new Set<ObjectId | ActorId>();
  #nextSequence = 1;
  /** Holds asked for and not confirmed yet, oldest first; whoever needs them confirmed waits in `#onSettled`. */
  readonly #unconfirmed = new Set<number>();
  #onSettled: { readonly upTo: number; readonly action: () => void }[] = [];

  constructor(port: HoldsPort) {
    this.#port = port;
  }

  /** Of an object, or of an actor: its handle counts like an object's ref. */
  take(id: ObjectId | ActorId): void {
    if (this.#toRelease.delete(id)) return;
    this.#toHold.add(id);
    this.#port.wakeUp();
  }

  letGo(id: ObjectId | ActorId, origin?: Origin): void {
    if (origin !== undefined) this.#port.keepOrigin(id as ObjectId, origin);
    if (this.#toHold.delete(id)) return;
    this.#toRelease.add(id);
    this.#port.wakeUp();
  }

  /** The ref of an own object leaves before its value exists, or at once with it: the hold must not come later. */
  declare(id: ObjectId, runner: ProcessRef | undefined): void {
    this.#toRelease.delete(id);
    this.#port.sendToGcs({ type: "addHolds", sequence: this.#ask(), objects: [id], declare: true, runner });
  }

  /** The object table has registered a batch. */
  added(sequence: number): void {
    if (!this.#unconfirmed.delete(sequence)) return;
    const [oldest = this.#nextSequence] = this.#unconfirmed;
    const settled = this.#onSettled.filter(({ upTo }) => upTo < oldest);
    this.#onSettled = this.#onSettled.filter(({ upTo }) => upTo >= oldest);
    for (const { action } of settled) action();
  }

  /** Run an action once every hold asked for so far is registered: a sender may let go of its own then. */
  whenSettled(action: () => void): void {
    this.flush();
    if (this.#unconfirmed.size === 0) action();
    else this.#onSettled.push({ upTo: this.#nextSequence - 1, action });
  }

  get areSettled(): boolean {
    return this.#unconfirmed.size === 0 && this.#toHold.size === 0;
  }

  /** Send what this turn has gathered. New holds go before releases: what was taken out of a container stays covered. */
  flush(): void {
    for (const objects of takeBatches(this.#toHold)) {
      this.#port.sendToGcs({ type: "addHolds", sequence: this.#ask(), objects, declare: false, runner: undefined });
    }
    for (const objects of takeBatches(this.#toRelease)) this.#port.sendToGcs({ type: "releaseHolds", objects });
  }

  /** A process died, or an object was lost: answered when everything so far has been sent. */
  flushFor(epoch: number): void {
    this.flush();
    this.#port.sendToGcs({ type: "holdsFlushed", epoch });
  }

  check(): void {
    for (const id of this.#toHold) assert(!this.#toRelease.has(id), "a hold is asked for or given back, never both");
  }

  #ask(): number {
    const sequence = this.#nextSequence++;
    this.#unconfirmed.add(sequence);
    return sequence;
  }
}

/** Everything in the set, in pieces that fit into a message; the set is empty then. */
function takeBatches(ids: Set<ObjectId | ActorId>): readonly (readonly (ObjectId | ActorId)[])[] {
  if (ids.size === 0) return [];
  const all = [...ids];
  ids.clear();
  if (all.length <= MAX_HOLDS_PER_MESSAGE) return [all];
  const batches: (ObjectId | ActorId)[][] = [];
  for (let i = 0; i < all.length; i += MAX_HOLDS_PER_MESSAGE) batches.push(all.slice(i, i + MAX_HOLDS_PER_MESSAGE));
  return batches;
}
