/**
 * The function table: every remote function and class, by the hash of what was captured.
 *
 * Lecture: step `registerFunction`. The payload is opaque here; only workers open it.
 * Does not know: which worker has which function. A worker asks once and keeps the answer.
 */
import { assert } from "../../base/assert.js";
import type { FunctionId, ProcessRef } from "../../base/ids.js";
import { MAX_FUNCTIONS } from "../../base/limits.js";
import { Recent } from "../recent.js";

/** The payload of a function that the table has no more: no function is empty. */
const DROPPED = new Uint8Array(0);

export interface FunctionTablePort {
  functionFound(to: ProcessRef, functionId: FunctionId, payload: Uint8Array): void;
}

export class FunctionTable {
  readonly #port: FunctionTablePort;
  readonly #maxFunctions: number;
  readonly #dropped = new Recent<FunctionId>(MAX_FUNCTIONS);
  readonly #payloads = new Map<FunctionId, Uint8Array>();
  /** Processes that asked before the function was registered: a call may overtake its registration. */
  readonly #waiters = new Map<FunctionId, Map<string, ProcessRef>>();

  constructor(port: FunctionTablePort, maxFunctions = MAX_FUNCTIONS) {
    this.#port = port;
    this.#maxFunctions = maxFunctions;
  }

  /** Lecture, `registerFunction`. The same id always names the same bytes, so a second message changes nothing. */
  register(functionId: FunctionId, payload: Uint8Array): void {
    if (this.#payloads.has(functionId)) return;
    this.#payloads.set(functionId, payload);
    this.#dropOldest();
    const waiters = this.#waiters.get(functionId);
    this.#waiters.delete(functionId);
    for (const to of waiters?.values() ?? []) this.#port.functionFound(to, functionId, payload);
  }

  fetch(from: ProcessRef, functionId: FunctionId): void {
    const payload = this.#payloads.get(functionId) ?? (this.#dropped.has(functionId) ? DROPPED : undefined);
    if (payload !== undefined) {
      this.#port.functionFound(from, functionId, payload);
      return;
    }
    const waiters = this.#waiters.get(functionId) ?? new Map<string, ProcessRef>();
    this.#waiters.set(functionId, waiters.set(from.processId, from));
  }

  forgetProcess(process: ProcessRef): void {
    for (const [functionId, waiters] of this.#waiters) {
      waiters.delete(process.processId);
      if (waiters.size === 0) this.#waiters.delete(functionId);
    }
  }

  check(): void {
    assert(this.#payloads.size <= this.#maxFunctions, "the function table is bounded");
    for (const functionId of this.#waiters.keys()) {
      assert(!this.#payloads.has(functionId), "nobody waits for a function that is registered");
    }
  }

  /** Beyond the limit the oldest goes; a worker that has not had it is told so. */
  #dropOldest(): void {
    if (this.#payloads.size <= this.#maxFunctions) return;
    const oldest = this.#payloads.keys().next();
    if (oldest.done) return;
    this.#payloads.delete(oldest.value);
    this.#dropped.add(oldest.value);
  }
}
