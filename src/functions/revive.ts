/**
 * Revival: from the bytes that `capture` made back to a function of this process.
 */
import { SerializationError } from "../errors.js";
import { importNodes } from "./imports.js";
import { rememberHash } from "./origins.js";
import { decodePayload, type External, type Payload } from "./payload.js";
import { Revival } from "./revival.js";

export interface ReviveHooks {
  revive(external: External): unknown;
  /** The bytes that the capture handed to `externalize`. */
  fetch?(external: External): Promise<Uint8Array>;
  /** Directories to look for packages in when the one that the function comes from is not on this machine. */
  readonly directories?: readonly string[];
}

/** Revived functions that a process keeps. */
const MAX_REVIVED = 1_000;

/** One per process; keeps revived values by hash. */
export class Reviver {
  readonly #hooks: ReviveHooks;
  /** In order of use, the latest last. */
  readonly #revived = new Map<string, Promise<CallableFunction>>();
  readonly #ready = new Map<string, CallableFunction>();

  constructor(hooks: ReviveHooks) {
    this.#hooks = hooks;
  }

  revive(hash: string, payload: Uint8Array): Promise<CallableFunction> {
    const known = this.#revived.get(hash);
    if (known !== undefined) {
      this.#touch(hash, known);
      return known;
    }
    const revived = this.#start(hash, payload);
    this.#touch(hash, revived);
    revived.catch(() => this.#forget(hash)); // the next attempt starts afresh
    return revived;
  }

  get(hash: string): CallableFunction | undefined {
    return this.#ready.get(hash);
  }

  async #start(hash: string, bytes: Uint8Array): Promise<CallableFunction> {
    const payload = decode(hash, bytes);
    const [imported, fetched] = await Promise.all([
      importNodes(payload.header, this.#hooks.directories ?? []),
      this.#fetchObjects(payload),
    ]);
    const value = new Revival(payload, hash, { imported, fetched, revive: (each) => this.#hooks.revive(each) }).run();
    if (typeof value !== "function") throw new SerializationError(`function ${hash} revived as ${typeof value}`);
    rememberHash(value, hash);
    if (this.#revived.has(hash)) this.#ready.set(hash, value as CallableFunction);
    return value as CallableFunction;
  }

  /** Large captured data that travels as objects. */
  async #fetchObjects({ header }: Payload): Promise<ReadonlyMap<External, Uint8Array>> {
    const fetched = new Map<External, Uint8Array>();
    const { fetch } = this.#hooks;
    const waiting: Promise<void>[] = [];
    for (const node of header.nodes) {
      if (node?.k !== "buffer" || !("object" in node)) continue;
      const { object } = node;
      if (fetch === undefined) throw new SerializationError(`function ${header.name} captures an object of a cluster`);
      waiting.push(fetch(object).then((bytes) => void fetched.set(object, bytes)));
    }
    if (waiting.length > 0) await Promise.all(waiting);
    return fetched;
  }

  #touch(hash: string, revived: Promise<CallableFunction>): void {
    this.#revived.delete(hash);
    this.#revived.set(hash, revived);
    if (this.#revived.size <= MAX_REVIVED) return;
    const [oldest] = this.#revived.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(hash: string): void {
    this.#revived.delete(hash);
    this.#ready.delete(hash);
  }
}

function decode(hash: string, bytes: Uint8Array): Payload {
  try {
    return decodePayload(bytes);
  } catch (cause) {
    throw new SerializationError(`the payload of function ${hash} cannot be read`, { cause });
  }
}
