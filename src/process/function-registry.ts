/**
 * Functions and classes of a process: captured at their first use and registered in the function table, fetched from
 * there once when a task needs them.
 *
 * Lecture: step `registerFunction`.
 */
import { hash96 } from "../base/hash.js";
import type { FunctionId } from "../base/ids.js";
import { MAX_FUNCTION_BYTES, MAX_FUNCTIONS } from "../base/limits.js";
import { ObjectLostError, ObjectTooLargeError } from "../errors.js";
import { type CaptureHooks, capture, type External, hashOf, Reviver } from "../functions/index.js";
import type { AnyFunction } from "../io/values/index.js";
import type { Message } from "../protocol/messages.js";

export interface FunctionRegistryHooks {
  describe(value: object): External | undefined;
  revive(external: External): unknown;
  /** Large captured data becomes an object that lives to the end of the job, and is read from there. */
  externalize(bytes: Uint8Array): External;
  fetch(external: External): Promise<Uint8Array>;
  warn(message: string): void;
}

interface Fetching {
  readonly promise: Promise<AnyFunction>;
  readonly found: (payload: Uint8Array) => void;
  readonly failed: (error: Error) => void;
}

export class FunctionRegistry {
  readonly #sendToGcs: (message: Message) => void;
  readonly #capture: CaptureHooks;
  /** Modules of the project whose exports travel by name. */
  #byReference: readonly string[] = [];
  readonly #reviver: Reviver;
  /** What this process captured itself: its own classes come back as themselves. */
  readonly #captured = new Map<FunctionId, AnyFunction>();
  readonly #ids = new WeakMap<AnyFunction, FunctionId>();
  readonly #capturing = new Set<AnyFunction>();
  readonly #aliases = new WeakMap<AnyFunction, FunctionId>();
  readonly #aliasSpace: string;
  #nextAlias = 0;
  readonly #fetching = new Map<FunctionId, Fetching>();

  /** `aliasSpace`: the own process's id, which keeps aliases of different processes apart. */
  constructor(hooks: FunctionRegistryHooks, aliasSpace: string, sendToGcs: (message: Message) => void) {
    this.#aliasSpace = aliasSpace;
    this.#sendToGcs = sendToGcs;
    this.#capture = {
      describe: (value) => hooks.describe(value),
      externalize: (bytes) => hooks.externalize(bytes),
      warn: (message) => hooks.warn(message),
    };
    this.#reviver = new Reviver({
      revive: (external) => hooks.revive(external),
      fetch: (external) => hooks.fetch(external),
    });
  }

  /** For all functions and classes that are captured from now on. */
  shipByReference(urls: readonly string[]): void {
    this.#byReference = urls;
  }

  /**
   * Lecture, `registerFunction`: capture a function or class at its first use; the same one again is known by its id.
   *
   * @param byReference URLs of further modules of the project that travel by reference with this function; the caller
   *   remembers its id then.
   * @throws SerializationError when it cannot be shipped; ObjectTooLargeError above 100 MB.
   */
  registerFunction(fn: AnyFunction, byReference: readonly string[] = []): FunctionId {
    const known = byReference.length > 0 ? undefined : (this.#ids.get(fn) ?? (hashOf(fn) as FunctionId | undefined));
    if (known !== undefined) return known;
    this.#capturing.add(fn);
    const { hash, payload, name } = this.#captureNow(fn, byReference);
    if (payload.length > MAX_FUNCTION_BYTES) {
      throw new ObjectTooLargeError(
        `function ${name} is ${payload.length} bytes with what it captures, ${MAX_FUNCTION_BYTES} are allowed: put() the data and pass the ref`,
      );
    }
    const functionId = hash as FunctionId;
    if (byReference.length === 0) this.#ids.set(fn, functionId);
    this.#captured.set(functionId, fn);
    this.#sendToGcs({ type: "registerFunction", functionId, name, payload });
    const alias = this.#aliases.get(fn);
    if (alias !== undefined) this.#sendToGcs({ type: "registerFunction", functionId: alias, name, payload });
    return functionId;
  }

  #captureNow(fn: AnyFunction, byReference: readonly string[]): ReturnType<typeof capture> {
    try {
      const modules = [...this.#byReference, ...byReference];
      return capture(fn as CallableFunction, { ...this.#capture, byReference: modules });
    } finally {
      this.#capturing.delete(fn);
    }
  }

  /**
   * The id of a function that is being captured right now and captures its own remote handle: recursion. Its hash is
   * not known before the capture ends, so the handle inside gets this name, and the payload is registered under both.
   */
  aliasOf(fn: AnyFunction): FunctionId {
    const known = this.#aliases.get(fn);
    if (known !== undefined) return known;
    const alias = hash96(`alias ${this.#aliasSpace} ${this.#nextAlias++}`).padEnd(32, "0") as FunctionId;
    this.#aliases.set(fn, alias);
    this.#captured.set(alias, fn);
    return alias;
  }

  isCapturing(fn: AnyFunction): boolean {
    return this.#capturing.has(fn);
  }

  /** The function, if this process has it already. */
  get(functionId: FunctionId): AnyFunction | undefined {
    return this.#captured.get(functionId) ?? this.#reviver.get(functionId);
  }

  /** The function, fetched and revived if need be. Rejects when it cannot be revived here. */
  load(functionId: FunctionId): Promise<AnyFunction> {
    const known = this.get(functionId);
    if (known !== undefined) return Promise.resolve(known);
    const fetching = this.#fetching.get(functionId);
    if (fetching !== undefined) return fetching.promise;
    let found: Fetching["found"] = () => {};
    let failed: Fetching["failed"] = () => {};
    const payload = new Promise<Uint8Array>((resolve, reject) => {
      found = resolve;
      failed = reject;
    });
    const promise = payload.then((bytes) => this.#reviver.revive(functionId, bytes));
    const done = () => this.#fetching.delete(functionId);
    promise.then(done, done);
    this.#fetching.set(functionId, { promise, found, failed });
    this.#sendToGcs({ type: "fetchFunction", functionId });
    return promise;
  }

  /** The function table's answer. */
  functionFound(functionId: FunctionId, payload: Uint8Array): void {
    if (payload.length > 0) this.#fetching.get(functionId)?.found(payload);
    else this.#fetching.get(functionId)?.failed(dropped(functionId));
  }
}

function dropped(functionId: FunctionId): Error {
  return new ObjectLostError(
    `function ${functionId} is not in the function table any more, which keeps the last ${MAX_FUNCTIONS}: call remote() once for each function, outside of loops, and pass what changes as arguments`,
  );
}
