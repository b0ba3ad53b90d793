/**
 * Values of user code to stored values and back, with everything they name: refs, handles, functions, classes.
 */
import { cutText } from "../base/bytes.js";
import type { ObjectId } from "../base/ids.js";
import {
  MAX_ACTOR_ERROR_BYTES,
  MAX_ARGUMENTS,
  MAX_CONTAINED_REFS,
  MAX_ERROR_BYTES,
  MAX_INLINE_BYTES,
  MAX_INLINE_SUM_BYTES,
  MAX_TEXT_BYTES,
} from "../base/limits.js";
import type { Owner } from "../core/owner/owner.js";
import { type Held, ObjectEntry, type Outcome } from "../core/owner/records.js";
import {
  ActorDiedError,
  errorFromCode,
  InvalidOptionError,
  MobulaError,
  markAsTaskError,
  ObjectTooLargeError,
  SerializationError,
  TaskError,
  type TaskInfo,
} from "../errors.js";
import { type External, privateMemberOf } from "../functions/index.js";
import {
  type AnyFunction,
  classIdsOf,
  decodeValue,
  type EncodedValue,
  encodeValue,
  type Handle,
  type ValueHooks,
} from "../io/values/index.js";
import type { ActorFailure, Failure } from "../protocol/messages.js";
import { EncodedBytes } from "./encoded-bytes.js";
import type { FunctionRegistry } from "./function-registry.js";
import type { Lineage } from "./lineage.js";
import { type LocalStore, type LocalValue, resolvePut } from "./local-store.js";
import { StoredBytes } from "./stored-bytes.js";
import { encodedPieces, StoredError, StoredFailure, type StoredValue } from "./stored-value.js";

/** What an encoded value names and must be kept alive with it. */
export interface Named {
  readonly held: Held[];
  readonly ids: ObjectId[];
}

/** The same when the value has been encoded. */
type Collected = { readonly [K in keyof Named]: Readonly<Named[K]> };

/** The user-facing things of the layer above: refs, actor handles, remote functions and classes. */
export interface HandleHooks {
  /** The object behind a ref; undefined when the value is no ref. */
  entryOf(value: object): ObjectEntry | undefined;
  describe(value: object, named: Named): Handle | undefined;
  revive(handle: Handle): unknown;
  describeExternal(value: object): External | undefined;
  reviveExternal(external: External): unknown;
  /** Large captured data becomes an object of its own; and back to the object. */
  externalize(bytes: Uint8Array): External;
  objectOf(external: External): ObjectId;
}

export interface EncodedArguments {
  readonly args: readonly unknown[];
  readonly dependencies: readonly ObjectEntry[];
  readonly nested: readonly Held[];
}

const NO_ENTRIES: readonly ObjectEntry[] = [];
const NO_HELD: readonly Held[] = [];
/** Values up to this size share buffers of 8 KiB: one that is kept keeps its buffer. */
const MAX_SHARED_VALUE_BYTES = 2_048;
/** Strings up to this length travel as they are; longer ones are encoded once. */
const MAX_PRIMITIVE_STRING = 1_024;

export class ValueCodec {
  readonly #handles: HandleHooks;
  readonly #functions: FunctionRegistry;
  readonly #hooks: ValueHooks;
  readonly #escape: (entry: ObjectEntry) => void;
  readonly #store: LocalStore;
  #named: Named = newNamed();
  /** Nothing was put into it: the next encoding can have it. */
  #unused: Named | undefined;

  constructor(
    handles: HandleHooks,
    functions: FunctionRegistry,
    store: LocalStore,
    onEscape: (entry: ObjectEntry) => void,
  ) {
    this.#store = store;
    this.#handles = handles;
    this.#functions = functions;
    this.#escape = onEscape;
    this.#hooks = {
      describe: (value) => handles.describe(value, this.#named),
      revive: (handle) => handles.revive(handle),
      classId: (type, path) => this.#classId(type, path),
      privateMemberOf,
      classById: (id) => this.#classById(id),
    };
  }

  /**
   * A copy of the value. One that is too large to stay with its owner, or that names others and must keep them alive, is
   * written into the store.
   *
   * @throws SerializationError with the path to what cannot be copied, ObjectStoreFullError.
   */
  encode(value: unknown, label: string): StoredValue | LocalValue {
    if (isPrimitive(value)) return value;
    const { encoded, named } = this.#encode(value, label);
    if (encoded.sizeBytes <= MAX_INLINE_BYTES && named.ids.length === 0) return new EncodedBytes(copyOf(encoded));
    return this.#place(encoded, named);
  }

  /**
   * Hot path: arguments of a call. Primitives stay as they are, refs become dependencies, the rest is encoded now, so
   * that nobody's later change is seen. A large argument becomes an object of its own.
   */
  encodeArguments(args: readonly unknown[], owner: Owner, lineage: Lineage): EncodedArguments {
    if (args.length > MAX_ARGUMENTS) {
      throw new InvalidOptionError(
        `a call has ${args.length} arguments, at most ${MAX_ARGUMENTS} are allowed: pass them in one array`,
      );
    }
    let inlineBytes = 0;
    let prepared: unknown[] | undefined;
    let dependencies: ObjectEntry[] | undefined;
    let nested: Held[] | undefined;
    for (let i = 0; i < args.length; i++) {
      const arg = args[i];
      if (isPrimitive(arg)) continue;
      prepared ??= [...args];
      let entry = typeof arg === "object" && arg !== null ? this.#handles.entryOf(arg) : undefined;
      if (entry === undefined) {
        const encoded = this.#encodeArgument(arg, i, inlineBytes, owner, lineage, dependencies);
        if (encoded instanceof EncodedBytes) {
          inlineBytes += encoded.bytes.length;
          prepared[i] = encoded;
          if (encoded.held.length > 0) nested = [...(nested ?? []), ...encoded.held];
          continue;
        }
        entry = encoded;
      }
      prepared[i] = entry;
      dependencies = dependencies ?? [];
      dependencies.push(entry);
    }
    return { args: prepared ?? args, dependencies: dependencies ?? NO_ENTRIES, nested: nested ?? NO_HELD };
  }

  /** A large argument, or one beyond what a call carries, becomes an object of its own. When one cannot be made, those made before it are nobody's. */
  #encodeArgument(
    arg: unknown,
    index: number,
    inlineBytes: number,
    owner: Owner,
    lineage: Lineage,
    before: readonly ObjectEntry[] = NO_ENTRIES,
  ): EncodedBytes | ObjectEntry {
    try {
      const { encoded, named } = this.#encode(arg, `args[${index}]`);
      const fits = encoded.sizeBytes <= MAX_INLINE_BYTES && inlineBytes + encoded.sizeBytes <= MAX_INLINE_SUM_BYTES;
      if (fits) return new EncodedBytes(copyOf(encoded), named.ids, named.held);
      const value = this.#place(encoded, named);
      const entry = owner.references.create(lineage.contextId, lineage.counter++, 0, undefined);
      resolvePut(owner.references, entry, value);
      return entry;
    } catch (error) {
      for (const entry of before) {
        owner.references.pin(entry);
        owner.references.unpin(entry);
      }
      throw error;
    }
  }

  /** The classes of a value must be here before it is decoded; undefined when they are. What is damaged has none: `decode` says so. */
  prepare(value: unknown): Promise<void> | undefined {
    if (value instanceof StoredError) return this.prepare(value.error);
    // The first bit of a value says whether it names anything at all.
    if (!(value instanceof EncodedBytes) || ((value.bytes[0] ?? 0) & 0x80) === 0) return undefined;
    const missing = classesNamedIn(value.bytes).filter((id) => this.#functions.get(id as never) === undefined);
    if (missing.length === 0) return undefined;
    return Promise.all(missing.map((id) => this.#functions.load(id as never))).then(() => undefined);
  }

  /** A fresh copy of a value whose classes are here. */
  decode(value: StoredValue): unknown {
    if (!(value instanceof EncodedBytes)) return value;
    if (!(value instanceof StoredBytes)) return decodeValue(value.bytes, this.#hooks);
    return decodeValue(value.bytes, this.#hooks, { share: (at, sizeBytes) => value.map(at, sizeBytes) });
  }

  // ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What a task threw, with the place: always encodable, and never too large for an answer. */
  encodeError(thrown: unknown, task: TaskInfo): EncodedBytes {
    const error = this.#encodeError(thrown, task);
    if (error.bytes.length <= MAX_ERROR_BYTES) return error;
    const why = `its ${error.bytes.length} bytes are too many, ${MAX_ERROR_BYTES} are allowed`;
    return this.#errorInWords(thrown, task, why);
  }

  /** Why mobula has no result of a task: an error of ours, not of the task's. */
  encodeRefusal(error: unknown, task: TaskInfo): EncodedBytes {
    if (!(error instanceof MobulaError) || error instanceof TaskError) return this.encodeError(error, task);
    const { code, message } = error;
    return new EncodedBytes(
      copyOf(encodeValue({ code, message: cutText(message, MAX_TEXT_BYTES), task }, this.#hooks, "error")),
    );
  }

  /** Why an actor was not made, for its callers: an error of ours, caused by what was thrown, or by its words. */
  encodeActorFailure(thrown: unknown, task: TaskInfo): ActorFailure {
    const what = describeThrown(thrown);
    const message = cutText(`actor ${task.name} (${task.taskId}) was not made: ${what}`, MAX_ACTOR_ERROR_BYTES / 8);
    const inWords = new Error(cutText(what, MAX_ACTOR_ERROR_BYTES / 16));
    for (const cause of [thrown, inWords]) {
      const error = this.#encodedOrNothing({ code: ActorDiedError.code, message, thrown: cause, task });
      if (error !== undefined && error.length <= MAX_ACTOR_ERROR_BYTES) return { message, error };
    }
    return { message, error: new Uint8Array(0) };
  }

  #encodedOrNothing(error: object): Uint8Array | undefined {
    try {
      return copyOf(encodeValue(error, this.#hooks, "error"));
    } catch {
      return undefined;
    }
  }

  #encodeError(thrown: unknown, task: TaskInfo): EncodedBytes {
    try {
      return new EncodedBytes(copyOf(encodeValue({ thrown, task }, this.#hooks, "error")));
    } catch (error) {
      return this.#errorInWords(thrown, task, error instanceof Error ? error.message : String(error));
    }
  }

  #errorInWords(thrown: unknown, task: TaskInfo, why: string): EncodedBytes {
    const what = cutText(describeThrown(thrown), MAX_TEXT_BYTES);
    const error = new Error(`${what} (it could not be copied as it is: ${cutText(why, MAX_TEXT_BYTES)})`);
    return new EncodedBytes(copyOf(encodeValue({ thrown: error, task }, this.#hooks, "error")));
  }

  /** A fresh error object for each `get`. */
  decodeError(error: StoredValue): unknown {
    const told = this.decode(error) as {
      readonly thrown?: unknown;
      readonly code?: string;
      readonly message?: string;
      readonly task: TaskInfo;
    };
    const { thrown, code, message = "", task } = told;
    if (code === undefined) return thrownBy(thrown, task);
    if (!("thrown" in told)) return errorFromCode(code, message);
    // An argument's error tells of the task that threw it, and one of ours of none.
    return errorFromCode(code, message, { cause: thrown instanceof MobulaError ? thrown : thrownBy(thrown, task) });
  }

  /** The error with which something ended; undefined when it ended well. */
  errorOf(outcome: Outcome): unknown {
    if (outcome.kind === "threw") return this.decodeError(outcome.error as StoredValue);
    return outcome.kind === "failed" ? this.failureError(outcome) : undefined;
  }

  failureError(failure: Failure): MobulaError {
    return errorFromCode(failure.code, failure.message);
  }

  /** What a waiter got, as the value, or thrown as the error that it is. */
  unwrap(entry: ObjectEntry, value: unknown): unknown {
    if (entry.failure !== undefined) throw this.failureError(entry.failure);
    if (value instanceof StoredFailure) throw this.failureError(value.failure);
    if (value instanceof StoredError) throw this.decodeError(value.error);
    if (entry.isError) throw this.decodeError(value as StoredValue);
    return this.decode(value as StoredValue);
  }

  #place(encoded: EncodedValue, named: Collected): LocalValue {
    return this.#store.place(encodedPieces(encoded), { contains: named.ids, held: named.held });
  }

  #encode(value: unknown, label: string): { readonly encoded: EncodedValue; readonly named: Collected } {
    const before = this.#named;
    const named = this.#unused ?? newNamed();
    this.#unused = undefined;
    this.#named = named;
    try {
      const encoded = encodeValue(value, this.#hooks, label);
      if (named.ids.length === 0 && named.held.length === 0) {
        this.#unused = named;
        return { encoded, named: NOTHING_NAMED };
      }
      if (named.ids.length > MAX_CONTAINED_REFS) {
        throw new ObjectTooLargeError(
          `${label} contains ${named.ids.length} refs and handles, at most ${MAX_CONTAINED_REFS} are allowed: put() parts of it`,
        );
      }
      for (const held of named.held) if (held instanceof ObjectEntry) this.#escape(held);
      return { encoded, named };
    } finally {
      this.#named = before;
    }
  }

  #classId(type: AnyFunction, path: () => string): string {
    try {
      return this.#functions.registerFunction(type);
    } catch (error) {
      if (!(error instanceof SerializationError)) throw error;
      const details = { path: path(), cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) };
      throw new SerializationError(`${path()}: its class cannot be copied: ${error.message}`, details);
    }
  }

  #classById(id: string): AnyFunction {
    const type = this.#functions.get(id as never);
    if (type === undefined) throw new SerializationError(`class ${id} is not loaded in this process`);
    return type;
  }
}

/** What a task threw, as `get` shows it. */
function thrownBy(thrown: unknown, task: TaskInfo): Error {
  if (!(thrown instanceof Error)) {
    return new TaskError(`task ${task.name} threw ${describeThrown(thrown)}, which is not an Error`, task, { thrown });
  }
  markAsTaskError(thrown, task);
  return thrown;
}

function classesNamedIn(bytes: Uint8Array): readonly string[] {
  try {
    return classIdsOf(bytes);
  } catch {
    return [];
  }
}

function newNamed(): Named {
  return { held: [], ids: [] };
}

const NOTHING_NAMED = { held: NO_HELD, ids: [] as readonly ObjectId[] };

export function isPrimitive(value: unknown): value is Exclude<StoredValue, EncodedBytes> {
  switch (typeof value) {
    case "number":
    case "boolean":
    case "undefined":
      return true;
    case "string":
      return value.length <= MAX_PRIMITIVE_STRING;
    default:
      return value === null;
  }
}

function copyOf(encoded: EncodedValue): Buffer {
  // Encoded bytes are never written to again. Small ones stay where they are, in a buffer that they share with their
  // neighbours: memory of its own costs a small value more than its encoding.
  const shared = encoded.sizeBytes <= MAX_SHARED_VALUE_BYTES ? encoded.whole() : undefined;
  if (shared !== undefined) return shared;
  const bytes = Buffer.allocUnsafeSlow(encoded.sizeBytes);
  encoded.writeTo(bytes);
  return bytes;
}

function describeThrown(thrown: unknown): string {
  if (thrown instanceof Error) return `${thrown.name}: ${thrown.message}`;
  try {
    return typeof thrown === "string" ? JSON.stringify(thrown) : String(thrown);
  } catch {
    return `a ${typeof thrown}`;
  }
}
