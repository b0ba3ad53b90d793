/** `put`, `get` and `wait`. */
import type { ObjectEntry, Waiter } from "../core/owner/records.js";
import { GetTimeoutError, InvalidOptionError, NotInitializedError } from "../errors.js";
import { importedModule } from "../functions/index.js";
import { EVERY_SITE, originNow } from "../process/call-sites.js";
import { StoredBytes } from "../process/stored-bytes.js";
import { currentTask } from "../process/task-context.js";
import { entryOfRef, ObjectRefImpl, refOf } from "./object-ref.js";
import { checkNumReturns, checkOptions } from "./options.js";
import { PendingCall } from "./pending-call.js";
import { currentLineage, type Runtime, requireCluster, requireRuntime } from "./runtime.js";
import type { GetOptions, ObjectRef, WaitOptions } from "./types.js";

/**
 * Copy a value into an object. Synchronous: later changes of the value are not seen. A large value goes straight into the
 * node's store; when that is full, the call waits for room, which needs no turn of the event loop.
 *
 * @throws SerializationError when the value cannot be copied, InvalidOptionError for a ref, ObjectStoreFullError when
 *   there is no room for it, ConnectionError when the raylet of this process has gone.
 */
export function put<T>(value: T): ObjectRef<T> {
  const runtime = requireCluster("put()");
  if (ObjectRefImpl.is(value))
    throw new InvalidOptionError("put() takes a value, got an ObjectRef: pass the ref itself");
  const entry = runtime.core.put(value, currentLineage(runtime));
  // A small value goes with its ref; a large one lives in the store, where the end of its ref must be noticed.
  const isSmall = entry.state === "inline";
  if (!isSmall || EVERY_SITE) entry.origin = originNow("put()");
  return (isSmall ? new ObjectRefImpl(entry) : refOf(entry)) as ObjectRef<T>;
}

type Values<Refs extends readonly unknown[]> = {
  -readonly [K in keyof Refs]: Refs[K] extends ObjectRef<infer T> ? T : never;
};

/** The value of a ref. @throws (rejects) what its task threw, GetTimeoutError, or why there is no value. */
export function get<T>(ref: ObjectRef<T>, options?: GetOptions): Promise<T>;
/** The values of refs, in order. Rejects with the first error at once. */
export function get<const Refs extends readonly ObjectRef<unknown>[]>(
  refs: Refs,
  options?: GetOptions,
): Promise<Values<Refs>>;
export function get(refs: unknown, options?: GetOptions): Promise<unknown> {
  try {
    checkOptions("get", options);
    const runtime = waitingRuntime("get()");
    if (!Array.isArray(refs)) return getOne(runtime, entryOfRef(refs, "get()"), options);
    const entries = refs.map((ref, i) => entryOfRef(ref, `get(), element ${i},`));
    return getAll(runtime, entries, options);
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Wait until `numReturns` of the refs are ready, or the time is over. Both lists keep the order of `refs`. */
export function wait<T>(
  refs: readonly ObjectRef<T>[],
  options?: WaitOptions,
): Promise<{ ready: ObjectRef<T>[]; pending: ObjectRef<T>[] }>;
/** The same for refs to values of several types. */
export function wait<Ref extends ObjectRef<unknown>>(
  refs: readonly Ref[],
  options?: WaitOptions,
): Promise<{ ready: Ref[]; pending: Ref[] }>;
export function wait(
  refs: readonly ObjectRef<unknown>[],
  options?: WaitOptions,
): Promise<{ ready: ObjectRef<unknown>[]; pending: ObjectRef<unknown>[] }> {
  try {
    checkOptions("wait", options);
    const runtime = waitingRuntime("wait()");
    if (!Array.isArray(refs)) throw new InvalidOptionError("wait() takes an array of ObjectRefs");
    const entries = refs.map((ref, i) => entryOfRef(ref, `wait(), element ${i},`));
    if (new Set(refs).size !== refs.length || new Set(entries).size !== entries.length) {
      throw new InvalidOptionError("wait() takes each ref once: the list has duplicates");
    }
    if (refs.length > 0) checkNumReturns(options?.numReturns ?? 1, refs.length);
    if (options?.signal?.aborted === true) return Promise.reject(options.signal.reason);
    if (refs.length === 0) return Promise.resolve({ ready: [], pending: [] });
    return new WaitCall(runtime, entries, options ?? {}).promise.then((ready) => split(refs, entries, ready));
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A module that a worker imports for a task must not wait for other tasks at its top level: they may wait for it. */
function waitingRuntime(what: string): Runtime {
  const runtime = requireRuntime(what);
  const module = runtime.role === "worker" && currentTask() === undefined ? importedModule() : undefined;
  if (module === undefined) return runtime;
  throw new InvalidOptionError(
    `${what} at the top level of ${module}, which a worker imports: the task that needs the module would wait for other tasks. Call it inside a function`,
  );
}

function split<T>(
  refs: readonly ObjectRef<T>[],
  entries: readonly ObjectEntry[],
  ready: ReadonlySet<ObjectEntry>,
): { ready: ObjectRef<T>[]; pending: ObjectRef<T>[] } {
  const result: { ready: ObjectRef<T>[]; pending: ObjectRef<T>[] } = { ready: [], pending: [] };
  for (const [i, ref] of refs.entries()) result[ready.has(entries[i] as ObjectEntry) ? "ready" : "pending"].push(ref);
  return result;
}

/** Hot path: a value that is in this process needs nothing to wait with, which is half of what such a `get` costs. */
function getOne(runtime: Runtime, entry: ObjectEntry, options: GetOptions | undefined): Promise<unknown> {
  const { values } = runtime.core;
  const isHere = entry.state === "inline" && options?.signal === undefined;
  if (isHere && values.prepare(entry.value) === undefined) return Promise.resolve(values.unwrap(entry, entry.value));
  return getAll(runtime, [entry], options).then((all) => all[0]);
}

function getAll(
  runtime: Runtime,
  entries: readonly ObjectEntry[],
  options: GetOptions | undefined,
): Promise<unknown[]> {
  if (options?.signal?.aborted === true) return Promise.reject(options.signal.reason);
  return new GetCall(runtime, entries, options ?? {}).promise;
}

/** One ref of a `get`: its place in the list. */
class GetSlot implements Waiter {
  readonly onlyExistence = false;
  readonly #call: GetCall;
  readonly #index: number;

  constructor(call: GetCall, index: number) {
    this.#call = call;
    this.#index = index;
  }

  entryReady(entry: ObjectEntry, value: unknown): void {
    this.#call.ready(this.#index, entry, value);
  }
}

class GetCall extends PendingCall<unknown[]> {
  readonly #entries: readonly ObjectEntry[];
  readonly #values: unknown[];
  readonly #slots: GetSlot[] = [];
  #missing: number;

  constructor(runtime: Runtime, entries: readonly ObjectEntry[], options: GetOptions) {
    super(runtime);
    this.#entries = entries;
    this.#values = new Array<unknown>(entries.length);
    this.#missing = entries.length;
    if (entries.length === 0) this.succeed([]);
    for (let i = 0; i < entries.length && !this.isSettled; i++) {
      const slot = new GetSlot(this, i);
      this.#slots.push(slot);
      runtime.core.want(entries[i] as ObjectEntry, slot);
    }
    this.startWaiting(options);
  }

  /** One task that still runs is reason enough to give up. */
  protected get isAsking(): boolean {
    return this.#entries.every((entry) => entry.state !== "pending" || !entry.owned);
  }

  ready(index: number, entry: ObjectEntry, value: unknown): void {
    if (this.isSettled) return;
    const classes = this.runtime.core.values.prepare(value);
    if (classes === undefined) return this.#take(index, entry, value);
    const stored = value instanceof StoredBytes ? value : undefined;
    stored?.retain();
    classes
      .then(
        () => this.#take(index, entry, value),
        (error: unknown) => this.fail(error),
      )
      .finally(() => stored?.release());
  }

  protected timedOut(timeoutMs: number): void {
    const first = this.#entries.find((entry) => entry.state === "pending") ?? this.#entries[0];
    const { id, task } = first ?? {};
    const name = task === undefined ? "" : ` of task ${task.template.name} (${task.state})`;
    this.fail(
      new GetTimeoutError(
        `object ${id}${name} was not there within timeoutMs ${timeoutMs}; ${this.#missing} of ${this.#entries.length} are missing. The tasks go on`,
      ),
    );
  }

  protected letGo(): void {
    for (const [i, slot] of this.#slots.entries()) {
      this.runtime.core.owner.references.unwant(this.#entries[i] as ObjectEntry, slot);
    }
  }

  #take(index: number, entry: ObjectEntry, value: unknown): void {
    try {
      this.#values[index] = this.runtime.core.values.unwrap(entry, value);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (--this.#missing === 0) this.succeed(this.#values);
    else this.answered();
  }
}

class WaitCall extends PendingCall<ReadonlySet<ObjectEntry>> implements Waiter {
  readonly isPatient = true;
  readonly onlyExistence: boolean;
  readonly #entries: readonly ObjectEntry[];
  readonly #ready = new Set<ObjectEntry>();
  readonly #wanted: number;

  constructor(runtime: Runtime, entries: readonly ObjectEntry[], options: WaitOptions) {
    super(runtime);
    this.#entries = entries;
    this.#wanted = options.numReturns ?? 1;
    this.onlyExistence = options.fetchLocal === false;
    for (const entry of entries) {
      if (this.isSettled) break;
      runtime.core.want(entry, this);
    }
    this.startWaiting(options);
  }

  protected get isAsking(): boolean {
    return this.#entries.some((entry) => !this.#ready.has(entry) && (entry.state !== "pending" || !entry.owned));
  }

  entryReady(entry: ObjectEntry): void {
    if (this.isSettled || this.#ready.size >= this.#wanted) return;
    this.#ready.add(entry);
    if (this.#ready.size === this.#wanted) this.#finish();
    else this.answered();
  }

  protected timedOut(): void {
    this.#finish();
  }

  protected letGo(): void {
    for (const entry of this.#entries) {
      if (!this.#ready.has(entry)) this.runtime.core.owner.references.unwant(entry, this);
    }
  }

  #finish(): void {
    this.letGo();
    this.succeed(this.#ready);
  }
}

/** What pending gets are told at shutdown. */
export function shutdownError(): NotInitializedError {
  return new NotInitializedError(
    "the cluster connection was shut down while this waited: await get() before shutdown()",
  );
}
