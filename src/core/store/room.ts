/**
 * Room in a node's store: who needs a block gets it now, or when others have given way, in the order of asking. Pulls share
 * the turns that they have asked for: the most urgent takes the first of them. So who waits in `get` comes before task
 * arguments, and no writer waits longer for that.
 *
 *     asked ──▶ granted: a block of the arena
 *       └──▶ waiting ──▶ granted, once writers have given back what they do not use, replicas and spilled blocks are
 *               │        evicted, or a spill has ended
 *               ├──▶ granted in the fallback file: nothing can give way
 *               └──▶ refused: there is no disk either, after several rounds of asking; or it took too long
 *
 * Decides: what gives way, in which order, and when a request goes to disk or is refused.
 * Does not know: who asks and what for; a request takes its block itself.
 *
 * Invariants: I-01 every request is answered; I-07 the queue is bounded.
 */
import { assert } from "../../base/assert.js";
import type { ObjectId, ProcessId } from "../../base/ids.js";
import {
  ALLOCATION_WAIT_MS,
  FALLBACK_AFTER_MS,
  GARBAGE_AGAIN_MS,
  MAX_WAITING_ALLOCATIONS,
  ROUNDS_BEFORE_REFUSAL,
} from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import { wholePages } from "./allocator.js";
import type { Place } from "./entry.js";
import type { Spilling } from "./spilling.js";
import type { StoreIndex } from "./store-index.js";

/** Somebody here wants an object that lies elsewhere: the most urgent pull has the first of the turns that pulls have. */
export interface PullRequest {
  /** Larger is more urgent. It may change while the request waits. */
  urgency(): number;
  /** The request has left the queue for one that is more urgent: it is neither served nor refused. */
  postponed(): void;
}

export interface RoomRequest {
  /** The request ends with this process. */
  readonly process: ProcessId;
  /** What the block is for, when that is known. */
  readonly objectId: ObjectId | undefined;
  readonly sizeBytes: number;
  /** Absent: a writer's, which keeps its turn. */
  readonly pull?: PullRequest;
  /** Its process has just let go of something here, and waits: a round is waited for the news of that in any case. */
  readonly hasLetGo?: boolean;
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
  /** Requests are served in the order of their turns. A writer's is when it asked; pulls change theirs with each other. */
  readonly asked: number;
  turn: number;
  /** Writers have been asked for what they do not use. */
  revoked: boolean;
  /** It waits for what others write or collect until this wake-up, by its number: a round. */
  wakeUp: number | undefined;
  /** Rounds that it has waited. */
  rounds: number;
}

export class Room {
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #port: RoomPort;
  /** Writers, in the order of their turns. */
  readonly #writers = new Set<Waiting>();
  /** Pulls, a handful, in the order of their turns when `#next` has put them in order. */
  readonly #pulls: Waiting[] = [];
  #turns = 0;
  #pumping = false;
  /** Its turn has come: whoever it tells must not take its place. */
  #serving: Waiting | undefined;
  #served = 0;
  /** What had been done when something was last done, and when that was seen. */
  #progress = -1;
  #progressMs = 0;
  /** Wake-ups that were asked for, and that came. */
  #wakeUps = 0;
  #wokenUp = 0;
  /** As time was last told. */
  #nowMs = 0;
  /** Somebody has waited so many rounds for garbage lately, in vain; when that was, and how much was in use then. */
  #roundsInVain = 0;
  #inVainMs = 0;
  #usedInVainBytes = 0;

  constructor(store: StoreIndex, spilling: Spilling, port: RoomPort) {
    this.#store = store;
    this.#spilling = spilling;
    this.#port = port;
  }

  get waiting(): number {
    return this.#writers.size + this.#pulls.length;
  }

  /** The request takes its block now or later, or is refused: one of the two, once. `turn` is one that was given up. */
  ask(request: RoomRequest, turn?: number): void {
    const { sizeBytes } = request;
    if (wholePages(sizeBytes) > this.#store.capacityBytes) {
      const message = `${wordsFor(request)} is larger than the whole store of ${this.#store.capacityBytes} bytes. Give the node more with objectStoreMemory, or make smaller objects`;
      return request.refuse({ code: "OBJECT_STORE_FULL", message });
    }
    if (this.waiting >= MAX_WAITING_ALLOCATIONS) {
      return request.refuse(this.#full(request, `${MAX_WAITING_ALLOCATIONS} requests wait for room already`));
    }
    if (this.waiting === 0 && request.take("memory")) return;
    const asked = ++this.#turns;
    const waiting: Waiting = { request, asked, turn: turn ?? asked, revoked: false, wakeUp: undefined, rounds: 0 };
    if (request.pull === undefined) this.#writers.add(waiting);
    else this.#pulls.push(waiting);
    this.pump();
  }

  /** The request takes its block now if one is free and nobody waits for it. It is not answered otherwise. */
  askNow(request: RoomRequest): boolean {
    return this.waiting === 0 && request.take("memory");
  }

  hasLessUrgent(urgency: number): boolean {
    return this.#pulls.some((pull) => pull !== this.#serving && urgencyOf(pull) < urgency);
  }

  /** The least urgent pull leaves, if it is less urgent than this. Says the turn that it gives up. */
  postpone(urgency: number): number | undefined {
    this.#order();
    const last = this.#pulls.at(-1);
    if (last === undefined || last === this.#serving || urgencyOf(last) >= urgency) return undefined;
    this.#pulls.pop();
    last.request.pull?.postponed();
    return last.turn;
  }

  /** Something may have become free, or may be spilled now. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    // Somebody does collect: what goes to disk goes there at once, but before a refusal this is waited for again.
    if (this.#store.usedBytes < this.#usedInVainBytes) this.#roundsInVain = Math.min(this.#roundsInVain, 1);
    do this.#serving = this.#next();
    while (this.#serving !== undefined && this.#serve(this.#serving));
    this.#serving = undefined;
    this.#pumping = false;
    this.#spilling.spill(this.waiting > 0);
  }

  processDied(process: ProcessId): void {
    for (const waiting of [...this.#writers, ...this.#pulls]) {
      if (waiting.request.process === process) this.#leave(waiting);
    }
  }

  wakeUp(): void {
    this.#wokenUp = Math.min(this.#wokenUp + 1, this.#wakeUps);
    this.pump();
  }

  tick(nowMs: number): void {
    this.#spilling.retry();
    this.#nowMs = nowMs;
    if (nowMs - this.#inVainMs > GARBAGE_AGAIN_MS) this.#roundsInVain = 0;
    this.pump();
    const progress = this.#served + this.#spilling.filesWritten;
    if (this.waiting === 0 || progress !== this.#progress) this.#progressMs = nowMs;
    this.#progress = progress;
    if (nowMs - this.#progressMs <= ALLOCATION_WAIT_MS) return;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#leave(next);
      next.request.refuse(this.#full(next.request, `nothing gave way within ${ALLOCATION_WAIT_MS} ms`));
    }
  }

  check(): void {
    assert(this.waiting <= MAX_WAITING_ALLOCATIONS, "requests that wait for room are bounded");
    for (const [i, pull] of this.#pulls.entries()) {
      const before = this.#pulls[i - 1] ?? pull;
      const isInOrder = before.turn <= pull.turn && urgencyOf(before) >= urgencyOf(pull);
      assert(isInOrder, "of the pulls that wait for room the most urgent is served first");
    }
    for (const { asked, turn } of this.#writers) assert(turn === asked, "no pull takes a writer's turn");
    const first = this.#next();
    const mayMove = first === undefined || this.#spilling.isWriting || this.#isPatient(first);
    assert(mayMove, "a request waits for something that will end");
  }

  #next(): Waiting | undefined {
    this.#order();
    const [writer] = this.#writers;
    const [pull] = this.#pulls;
    if (writer === undefined || pull === undefined) return writer ?? pull;
    return writer.turn < pull.turn ? writer : pull;
  }

  /** Pulls share the turns that they have: the more urgent first, and those of one urgency as they asked. */
  #order(): void {
    if (this.#pulls.length < 2) return;
    const turns = this.#pulls.map(({ turn }) => turn).sort((a, b) => a - b);
    this.#pulls.sort((a, b) => urgencyOf(b) - urgencyOf(a) || a.asked - b.asked);
    for (const [i, pull] of this.#pulls.entries()) pull.turn = turns[i] as number;
  }

  #leave(waiting: Waiting): void {
    if (this.#writers.delete(waiting)) return;
    const at = this.#pulls.indexOf(waiting);
    if (at >= 0) this.#pulls.splice(at, 1);
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
    if (this.#waitsForOthers(waiting)) return false;
    const obstacle = this.#spilling.obstacle();
    this.#end(waiting);
    if (this.#spilling.takeDisk(request.sizeBytes) && request.take("disk")) return true;
    request.refuse(this.#refusal(request, obstacle));
    return true;
  }

  /**
   * What others hold, write or have not collected yet may be given back: one round is waited for that before the
   * fallback file is used, several before an error. Not by everybody in turn: what one has waited for in vain is not there.
   */
  #waitsForOthers(waiting: Waiting): boolean {
    const { request } = waiting;
    if (waiting.wakeUp !== undefined && !this.#isPatient(waiting)) this.#endRound(waiting);
    const enough = this.#spilling.diskFits(request.sizeBytes) ? 1 : ROUNDS_BEFORE_REFUSAL;
    if (waiting.rounds >= enough) return false;
    if (this.#roundsInVain >= enough && (waiting.rounds > 0 || !this.#mayGiveWay(request))) return false;
    if (waiting.wakeUp === undefined && waiting.rounds > 0) this.#port.revoke(request.process);
    waiting.wakeUp ??= this.#askToBeWoken();
    return true;
  }

  /** A round was in vain. */
  #endRound(waiting: Waiting): void {
    waiting.wakeUp = undefined;
    waiting.rounds++;
    this.#roundsInVain = Math.max(this.#roundsInVain, waiting.rounds);
    this.#inVainMs = this.#nowMs;
    this.#usedInVainBytes = this.#store.usedBytes;
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
    this.#roundsInVain = 0;
    return this.#end(waiting);
  }

  #end(waiting: Waiting): true {
    this.#served++;
    this.#leave(waiting);
    return true;
  }

  /** What others write or hold now may be sealed, or given back, soon; so may what the asker has let go of. */
  #mayGiveWay({ process, hasLetGo }: RoomRequest): boolean {
    if (hasLetGo === true || this.#store.unsealedBlocks > 0) return true;
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
    const message = `${wordsFor(request)} does not fit, and nothing can be moved to disk: ${obstacle.message}. ${this.#port.holders()}. Free disk space, choose another disk with spillDirectory, or drop refs`;
    return { code: obstacle.code, message };
  }

  #full(request: RoomRequest, why: string): Failure {
    const { usedBytes, capacityBytes } = this.#store;
    const message = `${wordsFor(request)} does not fit: the store has ${usedBytes} of ${capacityBytes} bytes in use, ${why}. ${this.#port.holders()}. Drop refs, or give the node more with objectStoreMemory`;
    return { code: "OBJECT_STORE_FULL", message };
  }
}

function urgencyOf({ request }: Waiting): number {
  return request.pull?.urgency() ?? 0;
}

function wordsFor({ objectId, sizeBytes }: RoomRequest): string {
  return objectId === undefined ? `an object of ${sizeBytes} bytes` : `object ${objectId} of ${sizeBytes} bytes`;
}
