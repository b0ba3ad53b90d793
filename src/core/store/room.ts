/**
 * Room in a node's store: who needs a block gets it now, or when others have given way, in the order of asking.
 *
 *     asked ──▶ granted: a block of the arena
 *       └──▶ waiting ──▶ granted, once writers have given back what they do not use, replicas and spilled blocks are
 *               │        evicted, or a spill has ended
 *               ├──▶ granted in the fallback file: nothing can give way
 *               └──▶ refused: there is no disk either, or it took too long
 *
 * Decides: what gives way, in which order, and when a request goes to disk or is refused.
 * Does not know: who asks and what for; a request takes its block itself.
 *
 * Invariants: I-01 every request is answered; I-07 the queue is bounded.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { ALLOCATION_WAIT_MS, FALLBACK_AFTER_MS, GARBAGE_AGAIN_MS, MAX_WAITING_ALLOCATIONS } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { wholePages } from "./allocator.js";
import type { Place } from "./entry.js";
import type { Spilling } from "./spilling.js";
import type { StoreIndex } from "./store-index.js";

export interface RoomRequest {
  /** The request ends with this process. */
  readonly process: ProcessId;
  /** What the block is for, when that is known. */
  readonly objectId: ObjectId | undefined;
  readonly sizeBytes: number;
  /** Take the block there, if it fits. True when nothing more is wanted. */
  take(place: Place): boolean;
  refuse(reason: Failure): void;
}

export interface RoomPort {
  /**
   * Ask all other writers for what they hold and do not use, and to make known what only they know; and all processes of
   * the node to find the refs that nobody can reach any more.
   */
  revoke(except: ProcessId): void;
  /** A replica gave way: this node has no copy any more. */
  dropLocation(object: ObjectId): void;
  /** Call `wakeUp` after this time. */
  wakeUpAfter(delayMs: number): void;
  /** Who keeps the store full, in words. */
  holders(): string;
}

interface Waiting {
  readonly request: RoomRequest;
  /** Writers have been asked for what they do not use. */
  revoked: boolean;
  /** It waits for what others write or collect until this wake-up, by its number. */
  wakeUp: number | undefined;
}

export class Room {
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #port: RoomPort;
  readonly #waiting = new Set<Waiting>();
  #pumping = false;
  #served = 0;
  /** What had been done when something was last done, and when that was seen. */
  #progress = -1;
  #progressMs = 0;
  /** Wake-ups that were asked for, and that came. */
  #wakeUps = 0;
  #wokenUp = 0;
  /** Garbage has been waited for in vain lately. */
  #garbageIsGone = false;
  #garbageIsGoneMs = 0;

  constructor(store: StoreIndex, spilling: Spilling, port: RoomPort) {
    this.#store = store;
    this.#spilling = spilling;
    this.#port = port;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** The request takes its block now or later, or is refused: one of the two, once. */
  ask(request: RoomRequest): void {
    const { sizeBytes } = request;
    if (wholePages(sizeBytes) > this.#store.capacityBytes) {
      const message = `${wordsFor(request)} is larger than the whole store of ${this.#store.capacityBytes} bytes. Give the node more with objectStoreMemory, or make smaller objects`;
      return request.refuse({ code: "OBJECT_STORE_FULL", message });
    }
    if (this.#waiting.size >= MAX_WAITING_ALLOCATIONS) {
      return request.refuse(this.#full(request, `${MAX_WAITING_ALLOCATIONS} requests wait for room already`));
    }
    if (this.#waiting.size === 0 && request.take("memory")) return;
    this.#waiting.add({ request, revoked: false, wakeUp: undefined });
    this.pump();
  }

  /** The request takes its block now if one is free and nobody waits for it. It is not answered otherwise. */
  askNow(request: RoomRequest): boolean {
    return this.#waiting.size === 0 && request.take("memory");
  }

  /** Something may have become free, or may be spilled now. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (const waiting of this.#waiting) if (!this.#serve(waiting)) break;
    this.#pumping = false;
    this.#spilling.spill(this.#waiting.size > 0);
  }

  processDied(process: ProcessId): void {
    for (const waiting of this.#waiting) if (waiting.request.process === process) this.#waiting.delete(waiting);
  }

  wakeUp(): void {
    this.#wokenUp++;
    this.pump();
  }

  tick(nowMs: number): void {
    this.#spilling.retry();
    if (nowMs - this.#garbageIsGoneMs > GARBAGE_AGAIN_MS) this.#garbageIsGone = false;
    if (!this.#garbageIsGone) this.#garbageIsGoneMs = nowMs;
    this.pump();
    const progress = this.#served + this.#spilling.filesWritten;
    if (this.#waiting.size === 0 || progress !== this.#progress) this.#progressMs = nowMs;
    this.#progress = progress;
    if (nowMs - this.#progressMs <= ALLOCATION_WAIT_MS) return;
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      waiting.request.refuse(this.#full(waiting.request, `nothing gave way within ${ALLOCATION_WAIT_MS} ms`));
    }
  }

  check(): void {
    assert(this.#waiting.size <= MAX_WAITING_ALLOCATIONS, "requests that wait for room are bounded");
    for (const waiting of this.#waiting) {
      const mayMove = this.#spilling.isWriting || this.#isPatient(waiting);
      assert(mayMove, "a request waits for something that will end");
      return;
    }
  }

  /** True when the request is over. */
  #serve(waiting: Waiting): boolean {
    const { request } = waiting;
    if (request.take("memory")) return this.#endInMemory(waiting);
    if (!waiting.revoked) {
      waiting.revoked = true; // the answers come later; what has another copy, and the disk, need not wait for them
      this.#port.revoke(request.process);
    }
    if (this.#takeEvicted(request)) return this.#endInMemory(waiting);
    this.#spilling.spill(true);
    if (this.#spilling.isWriting) return false;
    if (this.#mayGiveWay(request) || !this.#garbageIsGone) {
      waiting.wakeUp ??= this.#askToBeWoken();
      if (this.#isPatient(waiting)) return false;
      this.#garbageIsGone = true;
    }
    const obstacle = this.#spilling.obstacle();
    this.#end(waiting);
    if (this.#spilling.takeDisk(request.sizeBytes) && request.take("disk")) return true;
    request.refuse(this.#refusal(request, obstacle));
    return true;
  }

  /** All wake-ups come after the same time, and so in the order in which they were asked for. */
  #askToBeWoken(): number {
    this.#port.wakeUpAfter(FALLBACK_AFTER_MS);
    return ++this.#wakeUps;
  }

  #isPatient({ wakeUp }: Waiting): boolean {
    return wakeUp !== undefined && wakeUp > this.#wokenUp;
  }

  /** Something gave way. */
  #endInMemory(waiting: Waiting): true {
    this.#garbageIsGone = false;
    return this.#end(waiting);
  }

  #end(waiting: Waiting): true {
    this.#served++;
    this.#waiting.delete(waiting);
    return true;
  }

  /** What others write or hold now may be sealed, or given back, soon. */
  #mayGiveWay({ process }: RoomRequest): boolean {
    if (this.#store.unsealedBlocks > 0) return true;
    for (const [writer] of this.#store.holdings()) if (writer !== process) return true;
    return false;
  }

  /** What has another copy gives way at once: replicas first, then what is on disk. */
  #takeEvicted(request: RoomRequest): boolean {
    while (this.#evictOne()) if (this.#mayFit(request) && request.take("memory")) return true;
    return false;
  }

  #mayFit({ sizeBytes }: RoomRequest): boolean {
    return this.#store.capacityBytes - this.#store.usedBytes >= wholePages(sizeBytes);
  }

  #evictOne(): boolean {
    for (const { object } of this.#store.idle("replica")) {
      this.#store.evict(object);
      this.#port.dropLocation(object);
      return true;
    }
    for (const { object } of this.#store.idle("spilled")) {
      this.#store.evict(object);
      return true;
    }
    return false;
  }

  #refusal(request: RoomRequest, obstacle: Failure | undefined): Failure {
    if (obstacle === undefined) return this.#full(request, "nothing in it can be spilled, and the disk has no room");
    const message = `${wordsFor(request)} does not fit, and nothing can be moved to disk: ${obstacle.message}. Free disk space, choose another disk with spillDirectory, or drop refs`;
    return { code: obstacle.code, message };
  }

  #full(request: RoomRequest, why: string): Failure {
    const { usedBytes, capacityBytes } = this.#store;
    const message = `${wordsFor(request)} does not fit: the store has ${usedBytes} of ${capacityBytes} bytes in use, ${why}. ${this.#port.holders()}. Drop refs, or give the node more with objectStoreMemory`;
    return { code: "OBJECT_STORE_FULL", message };
  }
}

function wordsFor({ objectId, sizeBytes }: RoomRequest): string {
  return objectId === undefined ? `an object of ${sizeBytes} bytes` : `object ${objectId} of ${sizeBytes} bytes`;
}
