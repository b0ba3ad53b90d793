/**
 * What this process remembers of the values that were shipped to it, so that they can be shipped on: code on a worker
 * captures too. Everything is held weakly.
 */
import type { PayloadNode } from "./payload.js";

/** Where a revived function came from. */
export interface Origin {
  /** One object per block around the function, innermost first. */
  readonly scopes: readonly object[];
  readonly strict: boolean;
}

const origins = new WeakMap<object, Origin>();
const references = new WeakMap<object, PayloadNode>();
const hashes = new WeakMap<object, string>();

export function rememberOrigin(fn: object, origin: Origin): void {
  origins.set(fn, origin);
}

export function originOf(fn: object): Origin | undefined {
  return origins.get(fn);
}

export function scopeTokensOf(fn: object): readonly object[] | undefined {
  return origins.get(fn)?.scopes;
}

/** A value that was imported, not copied. */
export function rememberReference(value: object, node: PayloadNode): void {
  references.set(value, node);
}

export function referenceOf(value: object): PayloadNode | undefined {
  return references.get(value);
}

export function rememberHash(fn: object, hash: string): void {
  hashes.set(fn, hash);
}

/** Hash under which a revived function or class is known in this process. */
export function hashOf(fn: object): string | undefined {
  return hashes.get(fn);
}
