/**
 * The raylet's side of objects: brings objects that somebody here wants into the local store.
 *
 * Lecture: `checkLocalStore`, `subscribeObject`, `locateArgument`, `fetchArgument`, `fetchResult`, `storeResult`,
 * `returnValue`.
 *
 * One subscription and one fetch for each object, however many want it. Readers in `get` come before those in `wait`, and these before
 * task arguments; fetches under way are bounded in number and bytes.
 * What this node has on disk is fetched from there. A fetch begins when the store has room for the object.
 * Decides: which replicas are asked, when, and who is told.
 * Does not know: bytes; the port moves them and says how it went.
 *
 * Invariant: I-01 whoever wants an object is told that it is here, or why it will never be.
 */
import { assert } from "../../base/assert.js";
import type { LeaseId, NodeId, ObjectId, ProcessId, TaskId } from "../../base/ids.js";
import { MAX_CONCURRENT_FETCHES, MAX_FETCH_ATTEMPTS, MAX_FETCHING_BYTES } from "../../base/limits.js";
import type { Failure, NodeInfo } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { Place } from "../store/entry.js";
import type { Room } from "../store/room.js";
import type { Spilling } from "../store/spilling.js";
import type { StoreIndex } from "../store/store-index.js";

/** Who wants an object: a process in `get` or (`waits`) in `wait`, or a lease request whose task takes it as an argument. */
export type Want =
  | { readonly kind: "get"; readonly process: ProcessId; readonly fetch: boolean; readonly waits: boolean }
  | { readonly kind: "argument"; readonly leaseId: LeaseId; readonly taskId: TaskId };

export interface ObjectManagerPort {
  /** `fetch`: the object is wanted itself, not only that it exists. */
  subscribeObject(object: ObjectId, forTask: TaskId | undefined, fetch: boolean): void;
  unsubscribeObject(object: ObjectId): void;
  /** A replica has been sealed here. */
  registerReplica(object: ObjectId, sizeBytes: number): void;
  /** Copy an object from other nodes' stores into the local block at `offset`; `fetched` says how it went. */
  fetchObject(object: ObjectId, from: Sources, offset: number, sizeBytes: number): void;
  /** Copy a spilled object from its file into the local block at `offset`; `restored` says how it went. */
  restoreObject(object: ObjectId, offset: number, sizeBytes: number): void;
  /** The copy of this node is gone. */
  dropLocation(object: ObjectId): void;
  objectReady(want: Want, object: ObjectId): void;
  objectFailed(want: Want, object: ObjectId, reason: Failure): void;
}

/** Where an object is, the best first; the first `width` may be asked at the same time. */
export interface Sources {
  readonly locations: readonly NodeId[];
  readonly width: number;
}

/** The same with their addresses. */
export interface FetchSources {
  readonly nodes: readonly NodeInfo[];
  readonly width: number;
}

export interface StoreParts {
  readonly index: StoreIndex;
  readonly spilling: Spilling;
  readonly room: Room;
}

interface Pull {
  readonly wants: Want[];
  sizeBytes: number;
  sources: Sources;
  /** "fetching": from the wait for a block on. */
  state: "subscribed" | "queued" | "fetching";
  attempts: number;
}

const NOWHERE: Sources = { locations: [], width: 1 };

export class ObjectManager {
  readonly #self: NodeId;
  readonly #port: ObjectManagerPort;
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #room: Room;
  readonly #journey: Journey;
  readonly #pulls = new Map<ObjectId, Pull>();
  /** What came from other nodes' stores so far. */
  fetchedBytes = 0;
  /** What went from here to other nodes' stores so far; the shell counts it. */
  servedBytes = 0;
  /** Fetches and restores under way, those that wait for room included, with their bytes. */
  readonly #underWay = new Map<ObjectId, number>();
  #underWayBytes = 0;

  constructor(self: NodeId, port: ObjectManagerPort, store: StoreParts, journey: Journey) {
    this.#self = self;
    this.#port = port;
    this.#store = store.index;
    this.#spilling = store.spilling;
    this.#room = store.room;
    this.#journey = journey;
  }

  /** Somebody here wants an object. Answered at once if it is local. */
  want(object: ObjectId, want: Want): void {
    if (want.kind === "get") this.#journey.record("checkLocalStore", object);
    if (this.#store.has(object)) {
      this.#deliver(object, want);
      return;
    }
    const pull = this.#pulls.get(object);
    if (pull !== undefined) {
      pull.wants.push(want);
      return;
    }
    const sizeBytes = this.#spilling.sizeOf(object);
    if (sizeBytes !== undefined) return this.#restore(object, want, sizeBytes);
    this.#pulls.set(object, { wants: [want], sizeBytes: 0, sources: NOWHERE, state: "subscribed", attempts: 0 });
    this.#port.subscribeObject(object, want.kind === "argument" ? want.taskId : undefined, !isCurious(want));
  }

  /** Nobody in this process wants the object any more, or the lease request is gone. A fetch under way goes on. */
  cancel(object: ObjectId, who: (want: Want) => boolean): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined) return;
    const left = pull.wants.filter((want) => !who(want));
    pull.wants.splice(0, pull.wants.length, ...left);
    if (left.length > 0 || pull.state === "fetching") return;
    this.#pulls.delete(object);
    this.#port.unsubscribeObject(object);
  }

  processDied(process: ProcessId): void {
    for (const object of [...this.#pulls.keys()]) {
      this.cancel(object, (want) => want.kind === "get" && want.process === process);
    }
  }

  /** The object table's callback: the object exists. A message that comes twice finds the pull further on. */
  objectAvailable(object: ObjectId, sizeBytes: number, { locations, width }: Sources): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined || pull.state !== "subscribed") return;
    pull.sizeBytes = sizeBytes;
    pull.sources = { locations: locations.filter((node) => node !== this.#self), width };
    this.#known(object, pull);
  }

  objectGone(object: ObjectId, reason: Failure): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined || pull.state === "fetching") return;
    this.#fail(object, pull, reason);
  }

  /** The object is on its way here, or will be. */
  isPulling(object: ObjectId): boolean {
    return this.#pulls.has(object);
  }

  /** A block was sealed here, by a writer of this node. */
  sealedHere(object: ObjectId): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined) return;
    if (pull.state === "fetching") {
      for (const want of pull.wants.splice(0)) this.#deliver(object, want); // the fetch still waits for room
      return;
    }
    if (pull.state === "subscribed") this.#port.unsubscribeObject(object);
    this.#finish(object, pull);
  }

  /** A fetch ended. Another replica is tried, then the object table asked again. */
  fetched(object: ObjectId, ok: boolean): void {
    assert(this.#ended(object), "a fetch ends once");
    const pull = this.#pulls.get(object);
    if (ok) {
      const sizeBytes = this.#store.seal(object, "replica");
      if (sizeBytes !== undefined) {
        this.fetchedBytes += sizeBytes;
        this.#port.registerReplica(object, sizeBytes);
      }
      if (pull !== undefined) this.#finish(object, pull);
    } else {
      this.#store.abort(object);
      if (pull !== undefined) this.#retry(object, pull);
    }
    this.#startFetches();
  }

  /** A spilled object has come back into memory; or its bytes on disk are lost, or there was no room after all. */
  restored(object: ObjectId, failure: Failure | undefined): void {
    assert(this.#ended(object), "a restore ends once");
    const pull = this.#pulls.get(object);
    if (failure === undefined) {
      this.#store.seal(object, "spilled");
      if (pull !== undefined) this.#finish(object, pull);
      if (!this.#spilling.has(object)) this.#store.free(object); // while it was read
    } else {
      this.#store.abort(object);
      if (failure.code === "OBJECT_LOST") this.lost(object);
      if (pull !== undefined && this.#spilling.has(object)) this.#fail(object, pull, failure);
      else if (pull !== undefined) this.#retry(object, pull);
    }
    this.#startFetches();
  }

  /** The bytes on disk are not what was written: without a copy in memory the object is not here any more. */
  lost(object: ObjectId): void {
    if (this.#spilling.has(object) && this.#spilling.lose(object) === "lost") this.#port.dropLocation(object);
  }

  check(): void {
    assert(this.#underWay.size <= MAX_CONCURRENT_FETCHES, "fetches under way are bounded");
    const isBounded = this.#underWay.size <= 1 || this.#underWayBytes <= MAX_FETCHING_BYTES;
    assert(isBounded, "bytes under way are bounded, unless one object is more");
    for (const [object, pull] of this.#pulls) {
      assert(pull.wants.length > 0 || pull.state === "fetching", "nobody's object is not pulled");
      assert(pull.wants.length === 0 || !this.#store.has(object), "an object that is here is not pulled");
    }
  }

  /** It exists somewhere: tell those who only asked whether, and fetch it for the others. */
  #known(object: ObjectId, pull: Pull): void {
    for (const want of pull.wants.filter(isCurious)) this.#port.objectReady(want, object);
    pull.wants.splice(0, pull.wants.length, ...pull.wants.filter((want) => !isCurious(want)));
    if (pull.wants.length === 0) {
      this.#pulls.delete(object);
      return;
    }
    pull.state = "queued";
    this.#startFetches();
  }

  #restore(object: ObjectId, want: Want, sizeBytes: number): void {
    if (isCurious(want)) return this.#port.objectReady(want, object);
    this.#pulls.set(object, { wants: [want], sizeBytes, sources: NOWHERE, state: "queued", attempts: 0 });
    this.#startFetches();
  }

  #startFetches(): void {
    while (this.#underWay.size < MAX_CONCURRENT_FETCHES) {
      const next = this.#next();
      if (next === undefined) return;
      // Who comes first keeps its turn: smaller ones that would fit do not pass it for ever.
      if (this.#underWay.size > 0 && this.#underWayBytes + next[1].sizeBytes > MAX_FETCHING_BYTES) return;
      this.#startFetch(next[0], next[1]);
    }
  }

  #ended(object: ObjectId): boolean {
    this.#underWayBytes -= this.#underWay.get(object) ?? 0;
    return this.#underWay.delete(object);
  }

  /** Whoever waits in `get` comes before who waits in `wait`, and both before a task that has not started. */
  #next(): [ObjectId, Pull] | undefined {
    let first: [ObjectId, Pull] | undefined;
    for (const each of this.#pulls) {
      if (each[1].state !== "queued") continue;
      if (first === undefined || urgency(each[1]) > urgency(first[1])) first = each;
    }
    return first;
  }

  /** Lecture, `fetchArgument` and `fetchResult`: as soon as there is room. */
  #startFetch(object: ObjectId, pull: Pull): void {
    const isNowhere = pull.sources.locations.length === 0;
    if (isNowhere && !this.#spilling.has(object)) return this.#retry(object, pull);
    pull.state = "fetching";
    this.#underWay.set(object, pull.sizeBytes);
    this.#underWayBytes += pull.sizeBytes;
    this.#room.ask({
      process: this.#self as string as ProcessId,
      objectId: object,
      sizeBytes: pull.sizeBytes,
      take: (place) => this.#take(object, pull, place),
      refuse: (reason) => {
        this.#ended(object);
        this.#port.unsubscribeObject(object); // nobody is to be sent here for it
        this.#fail(object, pull, reason);
        this.#startFetches();
      },
    });
  }

  /** There may be room for it. True when nothing more is wanted of the room. */
  #take(object: ObjectId, pull: Pull, place: Place): boolean {
    if (pull.wants.length === 0) {
      this.#ended(object); // everybody left while it waited
      this.#pulls.delete(object);
      this.#port.unsubscribeObject(object);
      return true;
    }
    const block = this.#store.create(object, pull.sizeBytes, this.#self as string as ProcessId, place);
    if (block === "full") return false;
    if (block === "exists") {
      this.#ended(object);
      assert(this.#store.has(object), "what is here has been sealed: an object is fetched once at a time");
      this.#finish(object, pull);
      return true;
    }
    this.#record(object, pull);
    if (this.#spilling.has(object)) this.#port.restoreObject(object, block.offset, pull.sizeBytes);
    else if (pull.sources.locations.length === 0) this.#vanished(object, pull);
    else this.#port.fetchObject(object, rotated(pull.sources, pull.attempts), block.offset, pull.sizeBytes);
    return true;
  }

  /** It was freed on disk while its restore waited for room. */
  #vanished(object: ObjectId, pull: Pull): void {
    this.#ended(object);
    this.#store.abort(object);
    this.#retry(object, pull);
  }

  #record(object: ObjectId, pull: Pull): void {
    for (const want of pull.wants) {
      if (want.kind === "get") return this.#journey.record("fetchResult", object);
      this.#journey.record("fetchArgument", want.taskId, object);
    }
  }

  #retry(object: ObjectId, pull: Pull): void {
    pull.attempts++;
    if (pull.wants.length === 0) {
      this.#pulls.delete(object);
      this.#port.unsubscribeObject(object); // nobody is to be sent here for it
      return;
    }
    if (pull.attempts >= MAX_FETCH_ATTEMPTS) {
      const message = `object ${object} could not be fetched from ${pull.sources.locations.join(", ")} in ${pull.attempts} attempts`;
      return this.#fail(object, pull, { code: "OBJECT_LOST", message });
    }
    pull.state = "subscribed";
    pull.sources = NOWHERE;
    const argument = pull.wants.find((want) => want.kind === "argument");
    this.#port.subscribeObject(object, argument?.taskId, true);
  }

  #finish(object: ObjectId, pull: Pull): void {
    this.#pulls.delete(object);
    for (const want of pull.wants) this.#deliver(object, want);
  }

  /** Lecture, `returnValue`: the store gives the object to whoever waits for it. */
  #deliver(object: ObjectId, want: Want): void {
    if (want.kind === "get") this.#journey.record("returnValue", object);
    this.#port.objectReady(want, object);
  }

  #fail(object: ObjectId, pull: Pull, reason: Failure): void {
    this.#pulls.delete(object);
    for (const want of pull.wants) this.#port.objectFailed(want, object, reason);
  }
}

function urgency({ wants }: Pull): number {
  if (!wants.some((want) => want.kind === "get")) return 0;
  return wants.some((want) => want.kind === "get" && !want.waits) ? 2 : 1;
}

function isCurious(want: Want): boolean {
  return want.kind === "get" && !want.fetch;
}

/** Another first for each attempt. */
function rotated({ locations, width }: Sources, by: number): Sources {
  const first = by % locations.length;
  return { locations: [...locations.slice(first), ...locations.slice(0, first)], width };
}
