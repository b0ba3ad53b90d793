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
  /** The evaluated code in which the function stands. */
  readonly code: EvaluatedCode;
}

export interface EvaluatedCode {
  readonly url: string;
  readonly text: string;
  /** A data URL; empty if the code has no source map. */
  readonly mapUrl: string;
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

/** How a value was made by its initializer, to make it again elsewhere. */
const makers = new WeakMap<object, () => unknown>();

export function rememberMaker(value: object, make: () => unknown): void {
  makers.set(value, make);
}

export function makerOf(value: object): (() => unknown) | undefined {
  return makers.get(value);
}

export function rememberHash(fn: object, hash: string): void {
  hashes.set(fn, hash);
}

/** Hash under which a revived function or class is known in this process. */
export function hashOf(fn: object): string | undefined {
  return hashes.get(fn);
}
