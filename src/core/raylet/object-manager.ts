/**
 * The raylet's side of objects: brings objects that somebody here wants into the local store.
 *
 * Lecture: `checkLocalStore`, `subscribeObject`, `locateArgument`, `fetchArgument`, `fetchResult`, `storeResult`,
 * `returnValue`.
 *
 * One subscription and one fetch for each object, however many want it. Readers in `get` come before those in `wait`, and these before
 * task arguments, also where they wait for room, and wait for no fetch of these; fetches under way are bounded in number and bytes.
 * What this node has on disk is fetched from there. A fetch begins when the store has room for the object.
 * Decides: which replicas are asked, when, and who is told.
 * Does not know: bytes; the port moves them and says how it went.
 *
 * Invariant: I-01 whoever wants an object is told that it is here, or why it will never be.
 */
import { assert } from "../../base/assert.js";
import type { NodeId, ObjectId, ProcessId } from "../../base/ids.js";
import { FETCH_PATIENCE_MS, MAX_FETCH_ATTEMPTS, MAX_PULLS, MAX_REMEMBERED_EVICTIONS } from "../../base/limits.js";
import type { Failure } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import { Recent } from "../recent.js";
import type { Place } from "../store/entry.js";
import type { Room, RoomRequest } from "../store/room.js";
import type { SpillFileId, Spilling } from "../store/spilling.js";
import type { StoreIndex } from "../store/store-index.js";
import { FetchBudget } from "./fetch-budget.js";
import {
  isCurious,
  isImpatient,
  NOWHERE,
  newPull,
  type ObjectManagerPort,
  type Pull,
  rotated,
  type Sources,
  urgency,
  type Want,
} from "./pull.js";

export interface StoreParts {
  readonly index: StoreIndex;
  readonly spilling: Spilling;
  readonly room: Room;
}

const VANISHED: Failure = { code: "OBJECT_LOST", message: "it was freed on disk while its restore waited for room" };

export class ObjectManager {
  readonly #self: NodeId;
  readonly #maxPulls: number;
  readonly #port: ObjectManagerPort;
  readonly #store: StoreIndex;
  readonly #spilling: Spilling;
  readonly #room: Room;
  readonly #journey: Journey;
  readonly #pulls = new Map<ObjectId, Pull>();
  /** Replicas that gave way here: another node has the object, most likely. */
  readonly #evicted = new Recent<ObjectId>(MAX_REMEMBERED_EVICTIONS);
  /** What came from other nodes' stores so far. */
  fetchedBytes = 0;
  #nowMs = 0;
  /** What went from here to other nodes' stores so far; the shell counts it. */
  servedBytes = 0;
  readonly #budget = new FetchBudget();

  constructor(self: NodeId, port: ObjectManagerPort, store: StoreParts, journey: Journey, maxPulls = MAX_PULLS) {
    this.#maxPulls = maxPulls;
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
    if (this.#store.has(object)) return this.#deliver(object, want);
    if (isImpatient(want) && !this.#spilling.has(object) && !this.#evicted.has(object)) {
      return this.#port.objectMissing(want.process, object);
    }
    const pull = this.#pulls.get(object);
    if (pull !== undefined) {
      pull.wants.push(want);
      if (pull.state === "queued") this.#startFetches(pull); // it may be more urgent now
      return;
    }
    const sizeBytes = this.#spilling.sizeOf(object);
    if (sizeBytes !== undefined && isCurious(want)) return this.#port.objectReady(want, object);
    if (this.#pulls.size >= this.#maxPulls) {
      const message = `object ${object} cannot be waited for: node ${this.#self} waits for ${this.#maxPulls} objects, which is the limit. get() fewer refs at a time`;
      return this.#port.objectFailed(want, object, { code: "PENDING_CALLS_LIMIT", message });
    }
    if (sizeBytes !== undefined) return this.#restore(object, want, sizeBytes);
    this.#pulls.set(object, newPull(want));
    this.#port.subscribeObject(object, want.kind === "argument" ? want.taskId : undefined, !isCurious(want));
  }

  /** Nobody in this process wants the object any more, or the lease request is gone. A fetch under way goes on. */
  cancel(object: ObjectId, who: (want: Want) => boolean): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined) return;
    const left = pull.wants.filter((want) => !who(want));
    pull.wants.splice(0, pull.wants.length, ...left);
    if (pull.state === "fetching") return this.#makeWay();
    if (left.length === 0) this.#abandon(object);
  }

  processDied(process: ProcessId): void {
    for (const object of [...this.#pulls.keys()]) {
      this.cancel(object, (want) => want.kind === "get" && want.process === process);
    }
  }

  /** The object table's callback: the object exists. A message that comes twice finds the pull further on. */
  objectAvailable(object: ObjectId, sizeBytes: number, attempt: number, { locations, width }: Sources): void {
    const pull = this.#pulls.get(object);
    if (pull === undefined || pull.state !== "subscribed") return;
    pull.sizeBytes = sizeBytes;
    pull.attempt = attempt;
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
      for (const want of pull.wants.splice(0)) this.#deliver(object, want); // the fetch ends in vain, or never begins
      return this.#makeWay();
    }
    if (pull.state === "subscribed") this.#port.unsubscribeObject(object);
    this.#finish(object, pull);
  }

  /** A replica of this node gave way to something else. */
  evicted(object: ObjectId): void {
    this.#evicted.add(object);
    this.#port.dropLocation(object, this.#self);
  }

  /** Time has passed. A task that holds resources does not wait for an object that is nowhere: its rebuild may need them. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [object, pull] of [...this.#pulls]) {
      if (pull.state === "subscribed" && ++pull.ticks > 1) this.#giveBack(object, pull);
      if (pull.state === "resting") this.#askAgain(object, pull);
    }
  }

  /**
   * A fetch ended. Another replica is tried, then the object table asked again. `OBJECT_LOST`: the copy is not there, or
   * is damaged. Everything else says nothing bad of it: it was not reached, or could not be written here.
   */
  fetched(object: ObjectId, failure: Failure | undefined): void {
    assert(this.#budget.end(object), "a fetch ends once");
    const pull = this.#pulls.get(object);
    if (failure === undefined) {
      const sizeBytes = this.#store.seal(object, "replica");
      if (sizeBytes !== undefined) {
        this.fetchedBytes += sizeBytes;
        this.#port.registerReplica(object, sizeBytes, pull?.attempt ?? 0);
      }
      this.#arrived(object, pull, sizeBytes !== undefined);
    } else {
      this.#store.abort(object);
      if (pull !== undefined && failure.code !== "OBJECT_LOST") this.#tryLater(object, pull, failure);
      else if (pull !== undefined) this.#retry(object, pull);
    }
    this.#startFetches();
  }

  /** A spilled object has come back into memory; or its bytes in this file are lost, or there was no room after all. */
  restored(object: ObjectId, file: SpillFileId, failure: Failure | undefined): void {
    assert(this.#budget.end(object), "a restore ends once");
    const pull = this.#pulls.get(object);
    if (failure === undefined) {
      const isSealed = this.#store.seal(object, "spilled") !== undefined;
      this.#arrived(object, pull, isSealed);
      if (isSealed && !this.#spilling.has(object)) this.#store.free(object); // while it was read
    } else {
      this.#store.abort(object);
      if (failure.code === "OBJECT_LOST") this.lost(object, file);
      if (pull !== undefined && this.#spilling.isIn(object, file)) this.#fail(object, pull, failure);
      else if (pull !== undefined) {
        this.#retry(object, pull);
        this.#giveBack(object, pull);
      }
    }
    this.#startFetches();
  }

  /** The bytes in this file are not what was written: without a copy in memory the object is not here any more. */
  lost(object: ObjectId, file: SpillFileId): void {
    if (this.#spilling.isIn(object, file) && this.#spilling.lose(object) === "lost") {
      this.#port.dropLocation(object, this.#self);
    }
  }

  check(): void {
    assert(this.#pulls.size <= this.#maxPulls, "objects waited for are bounded");
    this.#budget.check();
    for (const [object, pull] of this.#pulls) {
      const hasTurn = pull.state !== "queued" || !this.#room.hasLessUrgent(urgency(pull));
      assert(hasTurn, "nobody waits for room while somebody more urgent may not even begin");
      assert(pull.wants.length > 0 || pull.state === "fetching", "nobody's object is not pulled");
      assert(pull.wants.length === 0 || !this.#store.has(object), "an object that is here is not pulled");
    }
  }

  /** It exists somewhere: tell those who only asked whether, and fetch it for the others. */
  #known(object: ObjectId, pull: Pull): void {
    for (const want of pull.wants.filter(isCurious)) this.#port.objectReady(want, object);
    pull.wants.splice(0, pull.wants.length, ...pull.wants.filter((want) => !isCurious(want)));
    if (pull.wants.length === 0) return void this.#pulls.delete(object);
    pull.state = "queued";
    this.#startFetches(pull);
  }

  #restore(object: ObjectId, want: Want, sizeBytes: number): void {
    const pull: Pull = { ...newPull(want), sizeBytes, state: "queued" };
    this.#pulls.set(object, pull);
    this.#startFetches(pull);
  }

  /**
   * Who comes first keeps its turn, so smaller ones that would fit do not pass it for ever; who is less urgent and waits for
   * room makes way for it. `changed`: nothing but this pull is new.
   */
  #startFetches(changed?: Pull): void {
    const mayBegin = (pull: Pull) => !this.#budget.isFull(urgency(pull)) || this.#room.hasLessUrgent(urgency(pull));
    if (changed !== undefined && !mayBegin(changed)) return;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [object, pull] = next;
      let turn: number | undefined;
      while (!this.#budget.fits({ sizeBytes: pull.sizeBytes, urgency: urgency(pull) })) {
        turn = this.#room.postpone(urgency(pull));
        if (turn === undefined) return;
      }
      this.#startFetch(object, pull, turn);
    }
  }

  /** A pull that may be waiting for room is less urgent now: others may begin, or take their blocks before it. */
  #makeWay(): void {
    this.#startFetches();
    this.#room.pump();
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
  #startFetch(object: ObjectId, pull: Pull, turn: number | undefined): void {
    const { locations } = pull.sources;
    const from = locations[pull.attempts % Math.max(1, locations.length)];
    pull.from = this.#spilling.has(object) ? undefined : from;
    if (from === undefined && !this.#spilling.has(object)) return this.#retry(object, pull);
    pull.state = "fetching";
    this.#budget.begin(object, { sizeBytes: pull.sizeBytes, urgency: urgency(pull) });
    const request: RoomRequest = {
      process: this.#self as string as ProcessId,
      objectId: object,
      sizeBytes: pull.sizeBytes,
      pull: { urgency: () => urgency(pull), postponed: () => this.#postponed(object, pull) },
      take: (place) => this.#take(object, pull, place),
      refuse: (reason) => {
        this.#budget.end(object);
        this.#port.unsubscribeObject(object); // nobody is to be sent here for it
        this.#fail(object, pull, reason);
        this.#startFetches();
      },
    };
    this.#room.ask(request, turn);
  }

  /** Its wait for room has made way for somebody more urgent. */
  #postponed(object: ObjectId, pull: Pull): void {
    this.#budget.end(object);
    pull.state = "queued";
    if (pull.wants.length === 0) this.#abandon(object);
  }

  #abandon(object: ObjectId): void {
    this.#pulls.delete(object);
    this.#port.unsubscribeObject(object);
  }

  /** There may be room for it. True when nothing more is wanted of the room. */
  #take(object: ObjectId, pull: Pull, place: Place): boolean {
    if (pull.wants.length === 0) {
      this.#budget.end(object); // everybody left while it waited
      this.#abandon(object);
      this.#startFetches();
      return true;
    }
    const block = this.#store.create(object, pull.sizeBytes, this.#self as string as ProcessId, place);
    if (block === "full") return false;
    if (block === "exists") {
      this.#budget.end(object);
      assert(this.#store.has(object), "what is here has been sealed: an object is fetched once at a time");
      this.#finish(object, pull);
      this.#startFetches();
      return true;
    }
    this.#record(object, pull);
    if (this.#spilling.has(object)) this.#port.restoreObject(object, block.offset, pull.sizeBytes);
    else if (pull.sources.locations.length === 0) this.fetched(object, VANISHED);
    else this.#port.fetchObject(object, rotated(pull.sources, pull.attempts), block.offset, pull.sizeBytes);
    return true;
  }

  #record(object: ObjectId, pull: Pull): void {
    for (const want of pull.wants) {
      if (want.kind === "get") return this.#journey.record("fetchResult", object);
      this.#journey.record("fetchArgument", want.taskId, object);
    }
  }

  #giveBack(object: ObjectId, { wants }: Pull): void {
    const impatient = wants.filter(isImpatient);
    if (impatient.length === 0) return;
    this.cancel(object, isImpatient);
    for (const { process } of impatient) this.#port.objectMissing(process, object);
  }

  /** The copy may be sound: it is not given up. After a few attempts in a row this rests until time has passed. */
  #tryLater(object: ObjectId, pull: Pull, failure: Failure): void {
    pull.failingSinceMs ??= this.#nowMs;
    if (pull.attempts + 1 < MAX_FETCH_ATTEMPTS || pull.wants.length === 0) return this.#retry(object, pull);
    this.#port.unsubscribeObject(object); // nobody is to be sent here for it
    if (this.#nowMs - pull.failingSinceMs > FETCH_PATIENCE_MS) {
      const message = `object ${object} could not be fetched from node ${pull.from} for ${FETCH_PATIENCE_MS} ms: ${failure.message}. The copy there is kept: try again when the nodes reach each other`;
      return this.#fail(object, pull, { code: "OBJECT_LOST", message });
    }
    pull.attempts = 0;
    pull.state = "resting";
    this.#giveBack(object, pull);
  }

  #retry(object: ObjectId, pull: Pull): void {
    pull.attempts++;
    if (pull.wants.length === 0) return this.#abandon(object);
    if (pull.attempts >= MAX_FETCH_ATTEMPTS) {
      this.#port.dropLocation(object, pull.from ?? this.#self);
      pull.attempts = 0;
    }
    this.#askAgain(object, pull);
  }

  #askAgain(object: ObjectId, pull: Pull): void {
    pull.state = "subscribed";
    pull.sources = NOWHERE;
    const argument = pull.wants.find((want) => want.kind === "argument");
    this.#port.subscribeObject(object, argument?.taskId, true, pull.from);
  }

  /** Its bytes are here. Or it was outrun by a seal: who wants it after that copy has gone asks anew. */
  #arrived(object: ObjectId, pull: Pull | undefined, isSealed: boolean): void {
    if (pull === undefined) return;
    if (isSealed) return this.#finish(object, pull);
    Object.assign(pull, { attempts: 0, from: undefined });
    this.#retry(object, pull);
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
