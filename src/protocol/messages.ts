/**
 * Every control message, once: its fields, who may send it and to whom. Types, encoder, checking decoder, the role
 * check and the message table of docs/ARCHITECTURE.md all come from this page.
 *
 * Control messages carry ids, sizes and places. The only opaque bytes among them are functions (the function table),
 * small inline arguments and errors of constructors. Object bytes travel on the data plane: `direct.ts` and bulk transfers.
 */
import type { ActorId, ConnectionId, NodeId, ObjectId } from "../base/ids.js";
import {
  MAX_ACTOR_ERROR_BYTES,
  MAX_CONTAINED_REFS,
  MAX_FUNCTION_BYTES,
  MAX_HOLDS_PER_MESSAGE,
  MAX_NODES,
  MAX_OUTPUT_BATCH_LINES,
} from "../base/limits.js";
import {
  actorId,
  actorSpec,
  address,
  amounts,
  failure,
  functionId,
  jobId,
  leaseId,
  leaseRequest,
  lineageSpec,
  nodeId,
  nodeInfo,
  objectId,
  outputLine,
  processRef,
  taskId,
  taskSpec,
} from "./fields.js";
import { blob, flag, type Infer, id, list, oneOf, optional, size, struct, text, u16, u32, words } from "./schema.js";

export type {
  ActorSpec,
  Argument,
  Failure,
  LeaseRequest,
  LineageSpec,
  NodeInfo,
  OutputLine,
  ProcessAddress,
  Strategy,
  TaskSpec,
} from "./fields.js";

export type Role = "driver" | "worker" | "raylet" | "gcs" | "tool";

const OWNERS = ["driver", "worker"] as const;
const ASKERS = ["driver", "worker", "tool"] as const;

interface Definition<F> {
  readonly from: readonly Role[];
  readonly to: readonly Role[];
  readonly body: F;
}

function message<F>(from: readonly Role[], to: readonly Role[], body: F): Definition<F> {
  return { from, to, body };
}

/** Why an actor was not made: in words, and as the encoded error for its callers, which nobody between them decodes. */
const actorFailure = struct({ message: words(), error: blob(MAX_ACTOR_ERROR_BYTES) });
export type ActorFailure = Infer<typeof actorFailure>;
/** Both ends of a connection know it by this name: `src/protocol/handshake.ts`. */
const connection = id<ConnectionId>();

/** The order of this table is the numbering on the wire: append, never reorder, and raise the protocol version. */
export const MESSAGES = {
  // ── Joining and leaving ──────────────────────────────────────────────────────────────────────────────────────────
  registerNode: message(["raylet"], ["gcs"], nodeInfo),
  clusterView: message(["gcs"], ["raylet"], struct({ nodes: list(nodeInfo, MAX_NODES) })),
  reportResources: message(["raylet"], ["gcs"], struct({ available: amounts })),
  drainNode: message(["tool", "driver"], ["gcs"], struct({ nodeId })),
  nodeDrained: message(["gcs"], ["raylet"], struct({})),
  nodeLost: message(["gcs", "raylet"], ["raylet", "driver", "worker"], struct({ nodeId, reason: failure })),
  attachDriver: message(["driver"], ["gcs"], struct({ namespace: text(), showsOutput: flag })),
  jobStarted: message(["gcs"], ["driver"], struct({ jobId })),
  /** A raylet tells every process of its node what the cluster has, and again when that changes. */
  clusterTotals: message(["raylet"], OWNERS, struct({ nodes: u32, total: amounts, largest: amounts })),
  /** `recallable`: it shares claim words with its raylet. */
  workerReady: message(["worker"], ["raylet"], struct({ pid: u32, unixPath: text(256), recallable: flag })),
  /** Said again when a worker is given to a job. */
  processJoined: message(["raylet"], ["gcs"], struct({ process: processRef, jobId: optional(jobId) })),
  /** The GCS passes it on to the other raylets: the process may own leases there. */
  processDied: message(["raylet", "gcs"], ["gcs", "raylet"], struct({ process: processRef, reason: failure })),
  jobEnded: message(["gcs"], ["raylet"], struct({ jobId })),

  // ── Function table (lecture step 0) ──────────────────────────────────────────────────────────────────────────────
  registerFunction: message(OWNERS, ["gcs"], struct({ functionId, name: words(), payload: blob(MAX_FUNCTION_BYTES) })),
  fetchFunction: message(["worker", "driver", "raylet"], ["gcs", "raylet"], struct({ functionId })),
  functionFound: message(
    ["gcs", "raylet"],
    ["worker", "driver", "raylet"],
    struct({ functionId, payload: blob(MAX_FUNCTION_BYTES) }),
  ),

  // ── Leases (lecture steps 1–5, 8) ────────────────────────────────────────────────────────────────────────────────
  requestLease: message(OWNERS, ["raylet"], leaseRequest),
  leaseForwarded: message(["raylet"], OWNERS, struct({ leaseId })),
  placeLease: message(["raylet"], ["gcs"], leaseRequest),
  queueLease: message(["gcs"], ["raylet"], leaseRequest),
  /** A raylet's word on its own resources is final: it gives a lease back that the GCS placed on stale news. */
  leaseSpilled: message(["raylet"], ["gcs"], struct({ request: leaseRequest, available: amounts })),
  leaseInfeasible: message(["gcs"], OWNERS, struct({ leaseId, reason: words() })),
  leaseRefused: message(["gcs", "raylet"], ["driver", "worker", "gcs"], struct({ leaseId, reason: failure })),
  /** `recallable`: what waits behind a task in synchronous code can be had back. */
  leaseGranted: message(
    ["raylet"],
    ["driver", "worker", "gcs"],
    struct({ leaseId, worker: processRef, pid: u32, address, dispatched: flag, recallable: flag }),
  ),
  cancelLease: message(["driver", "worker", "raylet", "gcs"], ["raylet", "gcs"], struct({ leaseId })),
  /** To the GCS, when it had placed the request: refused requests end there in the same way. */
  leaseCancelled: message(["raylet", "gcs"], ["driver", "worker", "gcs"], struct({ leaseId })),
  returnLease: message(["driver", "worker", "gcs"], ["raylet"], struct({ leaseId })),
  /** Others wait for what this lease holds: its owner gives it back as soon as nothing is in flight. */
  leaseWanted: message(["raylet"], OWNERS, struct({ leaseId })),
  /** `bystander`: the worker was killed because of another lease that shared it, and this one's task had not begun. */
  leaseLost: message(
    ["raylet", "gcs"],
    ["driver", "worker", "gcs"],
    struct({ leaseId, reason: failure, bystander: flag }),
  ),
  /** Requests wait at the global scheduler: idle leases everywhere are wanted back. */
  leasesWanted: message(["gcs"], ["raylet"], struct({})),
  /**
   * `held`: what the lease's tasks hold of the node, for `context().resources`. `claim`: its number in the claim words.
   * `hasFirst`: `dispatchTask` follows.
   */
  openLease: message(
    ["raylet"],
    ["worker"],
    struct({
      leaseId,
      owner: processRef,
      jobId,
      namespace: text(),
      exclusive: flag,
      held: amounts,
      claim: u32,
      hasFirst: flag,
    }),
  ),
  closeLease: message(["raylet"], ["worker"], struct({ leaseId })),
  dispatchTask: message(["raylet"], ["worker"], struct({ leaseId, task: taskSpec })),
  /** The lease's task waits in `get` or `wait`: its CPU is free for others. */
  taskBlocked: message(["worker"], ["raylet"], struct({ leaseId })),
  taskResumed: message(["worker"], ["raylet"], struct({ leaseId })),
  /** The task outlived its `timeoutMs`: the owner asks for the end of the worker that it leased. */
  killLeasedWorker: message(OWNERS, ["raylet"], struct({ leaseId, why: words() })),
  killProcess: message(["gcs"], ["raylet"], struct({ process: processRef, reason: failure })),

  // ── Store of the own node ────────────────────────────────────────────────────────────────────────────────────────
  /** Room to make objects in. `last`: nothing more can be given or announced; the raylet may take its time. */
  leaseExtent: message(OWNERS, ["raylet"], struct({ request: u32, minBytes: size, last: flag, letGo: flag })),
  extentLeased: message(["raylet"], OWNERS, struct({ request: u32, offset: size, sizeBytes: size })),
  extentRefused: message(["raylet"], OWNERS, struct({ request: u32, reason: failure })),
  /** A block of the sender's extents is an object from here on. `pins`: readers of its own, each to be released. */
  sealObject: message(
    OWNERS,
    ["raylet"],
    struct({
      objectId,
      attempt: u16,
      offset: size,
      sizeBytes: size,
      pins: u32,
      holder: optional(processRef),
      contains: list(id<ObjectId>(), MAX_CONTAINED_REFS),
    }),
  ),
  returnExtent: message(OWNERS, ["raylet"], struct({ offset: size, sizeBytes: size })),
  /** Others need room: what is free goes back, and what nobody else knows is sealed, so that it can be spilled. */
  extentsWanted: message(["raylet"], OWNERS, struct({})),
  objectSealed: message(["raylet"], OWNERS, struct({ objectId })),
  /** The object table has no room for the object: nobody could ever find it, and its block is free again. */
  objectRefused: message(["raylet", "gcs"], ["driver", "worker", "raylet"], struct({ objectId, reason: failure })),
  /**
   * Make an object local (`fetch`), or just say when it exists. `waits`: the process is in `wait`, and those in `get` come
   * first. `mustBeHere`: a task that holds resources takes it, which its raylet has brought before; if it is gone since,
   * the task goes back instead of waiting.
   */
  getObject: message(OWNERS, ["raylet"], struct({ objectId, fetch: flag, waits: flag, mustBeHere: flag })),
  objectReady: message(["raylet"], OWNERS, struct({ objectId, local: flag, offset: size, sizeBytes: size })),
  /** From its owner to the GCS: no store takes the value, so nobody else will have it. */
  objectFailed: message(
    ["raylet", "gcs", "driver", "worker"],
    ["driver", "worker", "gcs"],
    struct({ objectId, reason: failure }),
  ),
  cancelGet: message(OWNERS, ["raylet"], struct({ objectId })),
  /** The reader is done with the block that `objectReady` named. */
  releaseBlock: message(OWNERS, ["raylet"], struct({ objectId, offset: size })),

  // ── Object table (lecture steps 3, 6 and get's 2, 4, 5) ──────────────────────────────────────────────────────────
  registerObject: message(
    ["raylet"],
    ["gcs"],
    struct({
      objectId,
      sizeBytes: size,
      /** Which run of its task made this copy: copies of two runs never stand beside each other. */
      attempt: u16,
      holder: optional(processRef),
      contains: list(id<ObjectId>(), MAX_CONTAINED_REFS),
    }),
  ),
  objectRegistered: message(["gcs"], ["raylet"], struct({ objectId })),
  /**
   * `fetch`: this node is going to pull the object, and may be asked for what it has got of it. `failedAt`: the copy there
   * could not be fetched; another is wanted, or a little time.
   */
  subscribeObject: message(
    ["raylet"],
    ["gcs"],
    struct({ objectId, forTask: optional(taskId), fetch: flag, failedAt: optional(nodeId) }),
  ),
  unsubscribeObject: message(["raylet"], ["gcs"], struct({ objectId })),
  /** Where to pull it from, the best first; the first `width` may be used at the same time. */
  objectAvailable: message(
    ["gcs"],
    ["raylet"],
    struct({ objectId, sizeBytes: size, attempt: u16, locations: list(id<NodeId>(), MAX_NODES), width: u32 }),
  ),
  objectGone: message(["gcs"], ["raylet"], struct({ objectId, reason: failure })),
  freeObject: message(["gcs"], ["raylet"], struct({ objectId })),
  /** A copy that the raylet could not keep or read any more. */
  dropLocation: message(["raylet"], ["gcs"], struct({ objectId, nodeId })),

  // ── Holds ────────────────────────────────────────────────────────────────────────────────────────────────────────
  /**
   * `declare`: the sender is the owner and the value does not exist yet. `runner`: the worker that its task was pushed
   * to before the ref left.
   */
  addHolds: message(
    OWNERS,
    ["gcs"],
    struct({
      sequence: u32,
      objects: list(id<ObjectId | ActorId>(), MAX_HOLDS_PER_MESSAGE),
      declare: flag,
      runner: optional(processRef),
    }),
  ),
  /** Somebody waits for a result of yours whose owner may be busy: put it into the store. */
  promoteResult: message(["gcs"], ["worker"], struct({ objectId })),
  holdsAdded: message(["gcs"], OWNERS, struct({ sequence: u32 })),
  releaseHolds: message(OWNERS, ["gcs"], struct({ objects: list(id<ObjectId | ActorId>(), MAX_HOLDS_PER_MESSAGE) })),
  /** A process of the job died: say when every hold you took so far has been sent. */
  flushHolds: message(["gcs"], OWNERS, struct({ epoch: u32 })),
  holdsFlushed: message(OWNERS, ["gcs"], struct({ epoch: u32 })),

  // ── Actors ───────────────────────────────────────────────────────────────────────────────────────────────────────
  registerActor: message(OWNERS, ["gcs"], actorSpec),
  subscribeActor: message(OWNERS, ["gcs"], struct({ actorId })),
  actorState: message(
    ["gcs"],
    OWNERS,
    struct({
      actorId,
      state: oneOf("pending", "alive", "dead"),
      incarnation: u32,
      worker: optional(processRef),
      address: optional(address),
      reason: optional(failure),
      /** The encoded error of its calls, where it is more than `reason`. */
      error: optional(blob(MAX_ACTOR_ERROR_BYTES)),
    }),
  ),
  createActor: message(["gcs"], ["worker"], struct({ leaseId, actor: actorSpec })),
  actorCreated: message(["worker"], ["gcs"], struct({ actorId, leaseId, failure: optional(actorFailure) })),
  /** The raylet of an actor's lease keeps only what the living actor holds. */
  settleActor: message(["gcs"], ["raylet"], struct({ leaseId })),
  killActor: message(OWNERS, ["gcs"], struct({ actorId })),
  findActor: message(OWNERS, ["gcs"], struct({ query: u32, name: text(), namespace: text() })),
  actorFound: message(
    ["gcs"],
    OWNERS,
    struct({ query: u32, actorId: optional(actorId), functionId: optional(functionId), className: text() }),
  ),

  // ── Questions of tools and of the API ────────────────────────────────────────────────────────────────────────────
  query: message(
    ASKERS,
    ["gcs"],
    struct({
      query: u32,
      about: oneOf("nodes", "trace", "workers", "traffic", "output", "memory", "store"),
      subject: words(),
    }),
  ),
  answer: message(["gcs"], ASKERS, struct({ query: u32, json: text(64 * 1024 * 1024) })),
  collect: message(["gcs", "raylet"], ["raylet", "driver", "worker"], struct({ query: u32, subject: words() })),
  collected: message(
    ["raylet", "driver", "worker"],
    ["gcs", "raylet"],
    struct({ query: u32, json: text(64 * 1024 * 1024), last: flag }),
  ),
  /** A driver that leaves hands over its journey records; its raylet keeps them for a while. */
  keepLadders: message(["driver"], ["raylet"], struct({ json: text(64 * 1024 * 1024) })),
  stopCluster: message(["tool", "driver"], ["gcs"], struct({})),
  /** The GCS asks a raylet to stop, with everything on its node. */
  stopNode: message(["gcs"], ["raylet"], struct({ reason: words() })),
  /** What workers of a job wrote on one node, for the user of its driver. A node numbers its batches. */
  workerOutput: message(
    ["raylet", "gcs"],
    ["gcs", "driver"],
    struct({ jobId, nodeId, sequence: u32, lines: list(outputLine, MAX_OUTPUT_BATCH_LINES), dropped: u32 }),
  ),
  /** That batch has been shown, or nobody wants it: the next may come. */
  outputShown: message(["driver", "gcs"], ["raylet"], struct({ jobId, sequence: u32 })),
  /** A spare worker is asked before it is stopped: does it own tasks, objects or handles that are still in use? */
  askUse: message(["raylet"], ["worker"], struct({})),
  workerUse: message(["worker"], ["raylet"], struct({ inUse: flag })),

  // ── Lineage ──────────────────────────────────────────────────────────────────────────────────────────────────────
  /** How objects in the object table are made again: their task, beside their entries. */
  registerLineage: message(OWNERS, ["gcs"], lineageSpec),
  /** A task that the GCS had run again has ended; `failure` when its code threw or could not run. */
  taskRebuilt: message(["worker"], ["gcs"], struct({ leaseId, failure: optional(failure) })),
  /** The answer to `getObject` with `mustBeHere` when it is not. */
  argumentMissing: message(["raylet"], ["worker"], struct({ objectId })),

  // ── Replicas ─────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The primary copy is gone: the receiver's replica stands for the object now, and is not evicted. */
  becomePrimary: message(["gcs"], ["raylet"], struct({ objectId })),

  // ── Shortage ─────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Refs and handles that nobody can reach may hold what others wait for: collect garbage now. */
  garbageWanted: message(["gcs", "raylet"], ["gcs", "raylet", "driver", "worker"], struct({})),

  // ── Recall ───────────────────────────────────────────────────────────────────────────────────────────────────────
  /** The lease's oldest task does not end, and its worker may read nothing: its owner wants back what has not started. */
  recallTasks: message(OWNERS, ["raylet"], struct({ leaseId, upTo: u32 })),
  /** Pushes above `started` and up to `upTo` will never start there. No answer when nothing is known. */
  tasksRecalled: message(["raylet"], OWNERS, struct({ leaseId, upTo: u32, started: u32 })),
  /** The lease's first task waits in `get`, and its owner has not connected: it would not hear of it otherwise. */
  leaseBlocked: message(["worker"], OWNERS, struct({ leaseId })),

  // ── Actors that are never made ───────────────────────────────────────────────────────────────────────────────────
  /** Instead of `registerActor`: its constructor cannot have its arguments. Whoever has a handle is told why. */
  actorFailed: message(OWNERS, ["gcs"], struct({ actor: actorSpec, failure: actorFailure })),

  // ── Lineage of tasks that still run ──────────────────────────────────────────────────────────────────────────────
  /** A task whose spec was handed over while it ran is tried again, or done. "void": without a result to make again. */
  updateLineage: message(
    OWNERS,
    ["gcs"],
    struct({ taskId, lostAttempts: u32, run: u32, state: oneOf("running", "done", "void") }),
  ),

  // ── Runs that their owner has given up ───────────────────────────────────────────────────────────────────────────
  /**
   * The lease's connection is lost, and what was in flight is tried elsewhere: `returnLease`, and `leaseLost` follows when
   * its worker seals nothing more in the owner's name.
   */
  giveUpLease: message(OWNERS, ["raylet"], struct({ leaseId })),
  /** What still runs on the lease is nobody's. Answered when all that was sealed before has been registered. */
  disownLease: message(["raylet"], ["worker"], struct({ leaseId })),
  leaseDisowned: message(["worker"], ["raylet"], struct({ leaseId })),
  /**
   * The connection to the actor in this process is lost, and the calls that were under way on it have ended for their
   * owner. `callsDisowned` follows when nothing more is sealed in the owner's name of what came by it.
   */
  giveUpCalls: message(OWNERS, ["raylet"], struct({ worker: processRef, connection })),
  /** What came by the connection is nobody's, and does not start. Answered when all that was sealed before is registered. */
  disownCalls: message(["raylet"], ["worker"], struct({ connection })),
  callsDisowned: message(["worker", "raylet"], ["raylet", "driver", "worker"], struct({ connection })),
} as const;

export type MessageType = keyof typeof MESSAGES;
export type MessageBody<T extends MessageType> = Infer<(typeof MESSAGES)[T]["body"]>;
/** A message in memory: its type beside its fields. */
export type Message = { [T in MessageType]: { readonly type: T } & MessageBody<T> }[MessageType];
