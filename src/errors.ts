/**
 * Every error a user of mobula can meet, in one table.
 *
 * A `MobulaError` says what happened, to which id, the limit, and what to do. Its `code` is the class name without
 * `Error` in UPPER_SNAKE and never changes. `instanceof` goes by a brand on a global symbol, so that it holds across
 * two copies of the package and for errors that crossed a process border.
 */

const BRAND = Symbol.for("mobula.error");
const TASK_ERROR_BRAND = Symbol.for("mobula.taskError");

export interface ErrorDetails {
  readonly cause?: unknown;
}

/** The root of all errors of this package. */
export class MobulaError extends Error {
  static readonly code: string = "MOBULA";
  readonly code: string;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    const type = new.target;
    this.code = type.code;
    Object.defineProperty(this, "name", { value: type.name, configurable: true, writable: true });
    Object.defineProperty(this, BRAND, { value: brandsOf(type) });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== "object" || value === null) return false;
    const code = ownCode(this);
    // A user's own error that a task threw is a TaskError, and so one of ours.
    if (code === "MOBULA" && Reflect.get(value, TASK_ERROR_BRAND) === true) return true;
    const brands: unknown = Reflect.get(value, BRAND);
    if (!Array.isArray(brands)) return false;
    // A class that users derive from ours has no brand of its own: ordinary rules apply to it.
    return code === undefined ? Function.prototype[Symbol.hasInstance].call(this, value) : brands.includes(code);
  }
}

/**
 * Which class of ours that is. Its code says it: a class that named itself would get another name in the bundle, and
 * errors show the name of their class.
 */
function ownCode(type: object): string | undefined {
  const code: unknown = Object.hasOwn(type, "code") ? Reflect.get(type, "code") : undefined;
  return typeof code === "string" ? code : undefined;
}

/** The codes of a class and of all its ancestors: what `instanceof` asks for. */
function brandsOf(type: typeof MobulaError): readonly string[] {
  const codes: string[] = [];
  for (let at: unknown = type; typeof at === "function"; at = Object.getPrototypeOf(at)) {
    const code = ownCode(at);
    if (code !== undefined) codes.push(code);
  }
  return codes;
}

// ── The connection to a cluster ─────────────────────────────────────────────────────────────────────────────────────

/** Something that needs a cluster was called before `init()` or after `shutdown()`. */
export class NotInitializedError extends MobulaError {
  static override readonly code = "NOT_INITIALIZED";
}
/** `init()` was called a second time in one process. */
export class AlreadyInitializedError extends MobulaError {
  static override readonly code = "ALREADY_INITIALIZED";
}
/** The head or a raylet could not be reached, or the connection to it was lost. */
export class ConnectionError extends MobulaError {
  static override readonly code = "CONNECTION";
}
/** The peers do not share the cluster's secret. */
export class AuthenticationError extends MobulaError {
  static override readonly code = "AUTHENTICATION";
}
/** A peer sent bytes that break the protocol. */
export class ProtocolError extends MobulaError {
  static override readonly code = "PROTOCOL";
}
/** The peers speak different versions of the protocol. */
export class VersionMismatchError extends MobulaError {
  static override readonly code = "VERSION_MISMATCH";
}

// ── Wrong use, noticed at the call ──────────────────────────────────────────────────────────────────────────────────

/** An argument or option is not what the contract asks for. Also a `TypeError` (by prototype chain, see below). */
export class InvalidOptionError extends MobulaError {
  static override readonly code = "INVALID_OPTION";
}
// `instanceof TypeError` asks the prototype chain. MobulaError.prototype stays an ancestor in name only: its one
// inherited role is the brand, which every instance carries itself.
Object.setPrototypeOf(InvalidOptionError.prototype, TypeError.prototype);

export interface SerializationDetails extends ErrorDetails {
  /** Where in the value the obstacle is, such as `args[0].db.socket`. */
  readonly path?: string;
  /** What is wrong there, to follow the path: "is a Socket, which cannot be copied to another process". */
  readonly reason?: string;
  /** What the user can do about it. */
  readonly hint?: string;
}

/** A value, function or class cannot be copied to another process. */
export class SerializationError extends MobulaError {
  static override readonly code = "SERIALIZATION";
  readonly path: string | undefined;
  readonly reason: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, details: SerializationDetails = {}) {
    super(message, details);
    this.path = details.path;
    this.reason = details.reason;
    this.hint = details.hint;
  }
}
/** A ref was used after `using` or `ref[Symbol.dispose]()` gave it back. */
export class ReferenceReleasedError extends MobulaError {
  static override readonly code = "REFERENCE_RELEASED";
}

// ── Tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `get` or `wait` did not finish within `timeoutMs`; the task goes on. */
export class GetTimeoutError extends MobulaError {
  static override readonly code = "GET_TIMEOUT";
}

/** Where and in which attempt a task failed. */
export interface TaskInfo {
  readonly taskId: string;
  readonly name: string;
  readonly nodeId: string;
  readonly pid: number;
  readonly attempt: number;
}

/**
 * What a task threw. A thrown Error arrives as the user's own class and is `instanceof TaskError` by brand
 * (see `markAsTaskError`); a thrown non-Error arrives as a plain `TaskError` with `thrown`.
 */
export class TaskError extends MobulaError {
  static override readonly code = "TASK";
  readonly task: TaskInfo;
  readonly thrown: unknown;

  constructor(message: string, task: TaskInfo, details: ErrorDetails & { thrown?: unknown } = {}) {
    super(message, details);
    this.task = task;
    this.thrown = details.thrown;
    Object.defineProperty(this, TASK_ERROR_BRAND, { value: true, configurable: true });
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== "object" || value === null) return false;
    if (ownCode(this) === "TASK") return Reflect.get(value, TASK_ERROR_BRAND) === true;
    return super[Symbol.hasInstance](value);
  }
}

/** Make a revived error of the user `instanceof TaskError`, with the place where it was thrown. */
export function markAsTaskError(error: Error, task: TaskInfo): void {
  Object.defineProperty(error, TASK_ERROR_BRAND, { value: true, configurable: true });
  Object.defineProperty(error, "task", { value: task, configurable: true, writable: true });
  if (codeOf(error) === undefined) {
    Object.defineProperty(error, "code", { value: TaskError.code, configurable: true, writable: true });
  }
}

/** A user's error may have a getter that throws. */
function codeOf(error: Error): unknown {
  try {
    return Reflect.get(error, "code");
  } catch {
    return undefined;
  }
}

/** The task was cancelled. */
export class TaskCancelledError extends MobulaError {
  static override readonly code = "TASK_CANCELLED";
}
/** The task did not finish within its `timeoutMs`. */
export class TaskTimeoutError extends MobulaError {
  static override readonly code = "TASK_TIMEOUT";
}
/** No node of the cluster, as it is, can ever meet the task's demand. */
export class TaskUnschedulableError extends MobulaError {
  static override readonly code = "TASK_UNSCHEDULABLE";
}
/** The worker process died while it ran the task, and the retries are used up. */
export class WorkerCrashedError extends MobulaError {
  static override readonly code = "WORKER_CRASHED";
}
/** The worker ran out of memory. */
export class OutOfMemoryError extends MobulaError {
  static override readonly code = "OUT_OF_MEMORY";
}
/** The node that ran the task died, and the retries are used up. */
export class NodeDiedError extends MobulaError {
  static override readonly code = "NODE_DIED";
}

// ── Actors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The actor is dead for good. When its constructor failed, `cause` is the error with which it did. */
export class ActorDiedError extends MobulaError {
  static override readonly code = "ACTOR_DIED";
}
/** The actor cannot be reached now; the call may or may not have run. */
export class ActorUnavailableError extends MobulaError {
  static override readonly code = "ACTOR_UNAVAILABLE";
}
/** No actor has this name in this namespace. */
export class ActorNotFoundError extends MobulaError {
  static override readonly code = "ACTOR_NOT_FOUND";
}
/** Another actor has this name in this namespace. */
export class ActorNameTakenError extends MobulaError {
  static override readonly code = "ACTOR_NAME_TAKEN";
}
/** The caller has too many unfinished calls or tasks. */
export class PendingCallsLimitError extends MobulaError {
  static override readonly code = "PENDING_CALLS_LIMIT";
}

// ── Objects ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Every copy of the object is gone and it cannot be rebuilt. */
export class ObjectLostError extends MobulaError {
  static override readonly code = "OBJECT_LOST";
}
/** The process that owned the object died before its value existed elsewhere. */
export class OwnerDiedError extends MobulaError {
  static override readonly code = "OWNER_DIED";
}
/** The object was lost and running its task again failed. */
export class ObjectReconstructionError extends MobulaError {
  static override readonly code = "OBJECT_RECONSTRUCTION";
}
/** The node's object store has no room. */
export class ObjectStoreFullError extends MobulaError {
  static override readonly code = "OBJECT_STORE_FULL";
}
/** The disk for spilled objects has no room. */
export class OutOfDiskError extends MobulaError {
  static override readonly code = "OUT_OF_DISK";
}
/** One value is larger than an object may be. */
export class ObjectTooLargeError extends MobulaError {
  static override readonly code = "OBJECT_TOO_LARGE";
}

// ── The rest ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The runtime environment of a task or actor could not be made. */
export class RuntimeEnvError extends MobulaError {
  static override readonly code = "RUNTIME_ENV";
}
/** A placement group could not be made or was removed. */
export class PlacementGroupError extends MobulaError {
  static override readonly code = "PLACEMENT_GROUP";
}
/** A bug of ours: an invariant does not hold. */
export class InvariantError extends MobulaError {
  static override readonly code = "INVARIANT";
}

/** The classes that travel between processes as `{ code, message }`. */
const BY_CODE: ReadonlyMap<string, new (message: string, details?: ErrorDetails) => MobulaError> = new Map(
  [
    NotInitializedError,
    AlreadyInitializedError,
    ConnectionError,
    AuthenticationError,
    ProtocolError,
    VersionMismatchError,
    InvalidOptionError,
    SerializationError,
    ReferenceReleasedError,
    GetTimeoutError,
    TaskCancelledError,
    TaskTimeoutError,
    TaskUnschedulableError,
    WorkerCrashedError,
    OutOfMemoryError,
    NodeDiedError,
    ActorDiedError,
    ActorUnavailableError,
    ActorNotFoundError,
    ActorNameTakenError,
    PendingCallsLimitError,
    ObjectLostError,
    OwnerDiedError,
    ObjectReconstructionError,
    ObjectStoreFullError,
    OutOfDiskError,
    ObjectTooLargeError,
    RuntimeEnvError,
    PlacementGroupError,
    InvariantError,
  ].map((type) => [type.code, type]),
);

/** The error class for a code that a peer sent; a code we do not know becomes the base class. */
export function errorFromCode(code: string, message: string, details: ErrorDetails = {}): MobulaError {
  const type = BY_CODE.get(code) ?? MobulaError;
  return new type(message, details);
}
