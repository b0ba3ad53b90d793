/**
 * Everything that stands in the way of shipping a function, at once, and what would travel with it.
 */
import { MobulaError, ObjectTooLargeError, SerializationError } from "../errors.js";
import { captureInto } from "./capture.js";
import type { CaptureHooks } from "./graph.js";

export interface CaptureReport {
  /** Empty: the function can be shipped. */
  readonly obstacles: readonly MobulaError[];
  /** Size of the payload, as far as it could be made. */
  readonly bytes: number;
  /** What each variable that the function itself uses adds; what two variables share counts for both. */
  readonly variables: readonly { readonly name: string; readonly bytes: number }[];
}

export function inspectCapture(fn: CallableFunction, hooks: CaptureHooks): CaptureReport {
  const obstacles: SerializationError[] = [];
  try {
    const { captured, variables } = captureInto(fn, hooks, obstacles);
    return { obstacles, bytes: captured.payload.length, variables };
  } catch (error) {
    if (!(error instanceof ObjectTooLargeError)) throw error;
    return { obstacles: [...obstacles, error], bytes: 0, variables: [] };
  }
}
