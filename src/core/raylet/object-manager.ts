/**
 * The raylet's side of objects: brings objects that somebody here wants into the local store.
 *
 * Lecture: `checkLocalStore`, `subscribeObject`, `locateArgument`, `fetchArgument`, `fetchResult`, `storeResult`,
 * `returnValue`.
 *
 * One subscription and one fetch for each object, however many want it. Readers in `get` come before task arguments.
 * Decides: which replicas are asked, when, and who is told.
 * Does not know: bytes; the port moves them and says how it went.
 *
 * Invariant: I-01 whoever wants an object is told that it is here, or why it will never be.
 */
import { assert } from "../../base/assert.js";
import type { LeaseId, NodeId, ObjectId, ProcessId, TaskId } from "../../base/ids.js";
import { MAX_CONCURRENT_FETCHES, MAX_FETCH_ATTEMPTS } from "../../base/limits.js";
import type { Failure, NodeInfo } from "../../protocol/messages.js";
import type { Journey } from "../journey.js";
import type { StoreIndex } from "../store/store-index.js";

/** Who wants an object: a process in `get` or `wait`, or a lease request whose task takes it as an argument. */
export type Want =
  | { readonly kind: "get"; readonly process: ProcessId; readonly fetch: boolean }
  | { readonly kind: "argument"; readonly leaseId: LeaseId; readonly taskId: TaskId };

export interface ObjectManagerPort {
  /** `fetch`: the object is wanted itself, not only that it exists. */
  subscribeObject(object: ObjectId, forTask: TaskId | undefined, fetch: boolean): void;
  unsubscribeObject(object: ObjectId): void;
  /** A replica has been sealed here. */
  registerReplica(object: ObjectId, sizeBytes: number): void;
  /** Copy an object from other nodes' stores into the local block at `offset`; `fetched` says how it went. */
  fetchObject(object: ObjectId, from: Sources, offset: number, sizeBytes: number): void;
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

interface Pull {
  readonly wants: Want[];
  sizeBytes: number;
  sources: Sources;
  /** "writing": a process of this node is making the same object. */
  state: "subscribed" | "queued" | "fetching" | "writing";
  attempts: number;
}

const NOWHERE: Sources = { locations: [], width: 1 };

export class ObjectManager {
  readonly #self: NodeId;
  readonly #port: ObjectManagerPort;
  readonly #store: StoreIndex;
  readonly #journey: Journey;
  readonly #pulls = new Map<ObjectId, Pull>();
  /** What came from other nodes' stores so far. */
  fetchedBytes = 0;
  /** What went from here to other nodes' stores so far; the shell counts it. */
  servedBytes = 0;
  #fetching = 0;

  constructor(self: NodeId, port: ObjectManagerPort, store: StoreIndex, journey: Journey) {
    this.#self = self;
    this.#port = port;
    this.#store = store;
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
    if (pull === undefined || pull.state === "fetching") return;
    if (pull.state === "subscribed") this.#port.unsubscribeObject(object);
    this.#finish(object, pull);
  }

  /** A writer died or gave up: what it was going to seal here is fetched after all. */
  writersGone(): void {
    for (const pull of this.#pulls.values()) if (pull.state === "writing") pull.state = "queued";
    this.#startFetches();
  }

  /** A fetch ended. Another replica is tried, then the object table asked again. */
  fetched(object: ObjectId, ok: boolean): void {
    this.#fetching--;
    assert(this.#fetching >= 0, "a fetch ends once");
    const pull = this.#pulls.get(object);
    if (ok) {
      const sizeBytes = this.#store.seal(object);
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

  check(): void {
    assert(this.#fetching <= MAX_CONCURRENT_FETCHES, "fetches under way are bounded");
    for (const [object, pull] of this.#pulls) {
      assert(pull.wants.length > 0 || pull.state === "fetching", "nobody's object is not pulled");
      assert(!this.#store.has(object), "an object that is here is not pulled");
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

  #startFetches(): void {
    while (this.#fetching < MAX_CONCURRENT_FETCHES) {
      const queued = [...this.#pulls].filter(([, pull]) => pull.state === "queued");
      const next = queued.find(([, pull]) => pull.wants.some((want) => want.kind === "get")) ?? queued[0];
      if (next === undefined) return;
      this.#startFetch(next[0], next[1]);
    }
  }

  /** Lecture, `fetchArgument` and `fetchResult`. */
  #startFetch(object: ObjectId, pull: Pull): void {
    if (pull.sources.locations.length === 0) return this.#retry(object, pull);
    const block = this.#store.create(object, pull.sizeBytes, this.#self as string as ProcessId);
    if (block === "full") return this.#fail(object, pull, storeFull(object, pull.sizeBytes, this.#store));
    if (block === "exists") {
      pull.state = "writing"; // its seal will end the pull
      return;
    }
    pull.state = "fetching";
    this.#fetching++;
    this.#record(object, pull);
    this.#port.fetchObject(object, rotated(pull.sources, pull.attempts), block.offset, pull.sizeBytes);
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

function isCurious(want: Want): boolean {
  return want.kind === "get" && !want.fetch;
}

/** Another first for each attempt. */
function rotated({ locations, width }: Sources, by: number): Sources {
  const first = by % locations.length;
  return { locations: [...locations.slice(first), ...locations.slice(0, first)], width };
}

export function storeFull(object: ObjectId, sizeBytes: number, store: StoreIndex): Failure {
  return {
    code: "OBJECT_STORE_FULL",
    message: `object ${object} of ${sizeBytes} bytes does not fit: the store has ${store.usedBytes} of ${store.capacityBytes} bytes in use. Drop refs, or give the node more with objectStoreMemory`,
  };
}
