/** From what went wrong inside an encoding to the error that the user gets: with the path, and with a hint. */
import { ObjectTooLargeError, SerializationError } from "../../errors.js";
import { MAX_DEPTH } from "./limits.js";
import { HookFailure, Obstacle } from "./obstacles.js";
import { type Path, TOO_DEEP } from "./paths.js";

/** Made when it is needed: the first number that is formatted loads the locale data, which takes 30 ms. */
const depthSentence = () => `is nested deeper than ${MAX_DEPTH.toLocaleString("en-US")} levels`;
const DEPTH_HINT = "pass a flat form of it, such as an array of nodes that name each other by index";
const STACK_HINT = "make the call from a function that is nested less deeply";
const GETTER_HINT = "pass a plain copy without the getter that throws";
const SIZE_HINT = "split it, and put() the parts one by one";

export function explain(failure: unknown, path: Path): unknown {
  const at = path.text();
  if (failure instanceof HookFailure) return failure.error;
  if (failure instanceof ObjectTooLargeError) {
    return new ObjectTooLargeError(`${at} ${failure.message} (hint: ${SIZE_HINT})`);
  }
  const [hint, cause] = hintAndCause(failure);
  const reason = sentenceOf(failure);
  const message = `${at} ${reason} (hint: ${hint})`;
  return new SerializationError(message, { path: at, reason, hint, ...(cause === undefined ? {} : { cause }) });
}

/** What is wrong, to follow a path. */
export function sentenceOf(failure: unknown): string {
  if (failure instanceof Obstacle) return failure.sentence;
  if (failure === TOO_DEEP) return depthSentence();
  if (isStackOverflow(failure)) return "is nested too deeply for what is left of the stack";
  const error = failure instanceof HookFailure ? failure.error : failure;
  const text = textOf(error);
  if (failure instanceof HookFailure || error instanceof ObjectTooLargeError) return text;
  return `threw while it was read: ${text}`;
}

function hintAndCause(failure: unknown): [hint: string, cause: unknown] {
  if (failure instanceof Obstacle) return [failure.hint, undefined];
  if (failure === TOO_DEEP) return [DEPTH_HINT, undefined];
  return [isStackOverflow(failure) ? STACK_HINT : GETTER_HINT, failure];
}

/** Thrown values are the user's: even making a string of one can throw. */
export function textOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "an error without a message";
  }
}

export function isStackOverflow(failure: unknown): boolean {
  return failure instanceof RangeError && failure.message === "Maximum call stack size exceeded";
}
