/**
 * Values of virtual programs. Bytes are not kept: a value is a token that stands for its content, and its size.
 * Two values are equal if and only if their tokens are, so a wrong, torn or stale value shows.
 */
import type { ActorId, ObjectId } from "../src/base/ids.js";
import type { Failure } from "../src/protocol/messages.js";

/** A ref or handle inside a value, as it travels. */
export type Named =
  | { readonly kind: "object"; readonly id: ObjectId }
  | { readonly kind: "actor"; readonly id: ActorId; readonly name: string };

export interface SimValue {
  readonly token: string;
  readonly sizeBytes: number;
  readonly names: readonly Named[];
  /** Set when a task threw it, or the system in its place. */
  readonly error: Failure | undefined;
}

/** What user code of a virtual program threw. */
export const USER_ERROR = "TASK";

export function plain(token: string, sizeBytes: number, names: readonly Named[] = []): SimValue {
  return { token, sizeBytes, names, error: undefined };
}

export function errorValue(error: Failure): SimValue {
  return { token: `error ${error.code}`, sizeBytes: 200, names: [], error };
}

/** For messages that carry small values: they go through the real codec. */
export function encode(value: SimValue): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

export function decode(bytes: Uint8Array): SimValue {
  return JSON.parse(new TextDecoder().decode(bytes)) as SimValue;
}

/** What `get` throws in a virtual program. */
export class SimError extends Error {
  readonly code: string;

  constructor({ code, message }: Failure) {
    super(message);
    this.code = code;
  }
}
