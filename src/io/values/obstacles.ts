/** What cannot be copied to another process, what it is called in an error, and what the user can do instead. */
import { Server } from "node:net";
import { Stream } from "node:stream";
import { types } from "node:util";
import { isClass } from "./functions.js";
import type { AnyFunction } from "./hooks.js";

/** Why a value cannot be encoded. Thrown inside the encoder, which adds the path. */
export class Obstacle {
  /** What follows the path in the message: "is a Socket, which cannot be copied to another process". */
  readonly sentence: string;
  readonly hint: string;

  constructor(sentence: string, hint: string) {
    this.sentence = sentence;
    this.hint = hint;
  }
}

/** An error of a hook, thrown through the encoder unchanged. */
export class HookFailure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

export const SERIALIZE_HINT =
  'give its class a method [Symbol.for("mobula.serialize")]() that returns [reviver, ...args], or leave it out';
export const LOCAL_SYMBOL_HINT = "use Symbol.for(key), which is the same symbol in every process";
const OPEN_THERE = "open it inside the task or actor that uses it, and pass what is needed to open it";
const START_THERE = "start it inside the task or actor";
const LOCAL_IDENTITY = "it means something only inside this process: pass the data behind it";
const PROXY_HINT = "pass a plain copy of it, such as { ...proxy }";
const FUNCTION_HINT = "wrap it in remote(), or use it in the body of the task, which takes along what it uses";

const noop = (): void => {};
const timeout = setTimeout(noop, 0);
const immediate = setImmediate(noop);
clearTimeout(timeout);
clearImmediate(immediate);
/** The classes of timers, which Node does not export. */
const TIMERS: readonly unknown[] = [timeout.constructor, immediate.constructor];

/** First match wins. */
const KINDS: readonly (readonly [matches: (value: object) => boolean, hint: string])[] = [
  [types.isPromise, "await it first, or pass the ObjectRef of a remote call"],
  [(value) => value instanceof Stream || value instanceof Server, OPEN_THERE],
  [(value) => TIMERS.includes(value.constructor), START_THERE],
  [types.isGeneratorObject, "pass an array of what it yields, or make it inside the task"],
  [(value) => types.isMapIterator(value) || types.isSetIterator(value), "pass an array of its elements"],
  [(value) => types.isWeakMap(value) || types.isWeakSet(value), LOCAL_IDENTITY],
  [(value) => value instanceof WeakRef || value instanceof FinalizationRegistry, LOCAL_IDENTITY],
  [types.isExternal, LOCAL_IDENTITY],
  [
    (value) => value instanceof AbortSignal || value instanceof AbortController,
    "pass it as the option `signal` of the call; the task has context().signal",
  ],
];

/** The reason why an object can never be copied, or undefined. */
export function obstacleOf(value: object): Obstacle | undefined {
  for (const [matches, hint] of KINDS) if (matches(value)) return notCopyable(value, hint);
  return undefined;
}

export function notCopyable(value: object, hint: string = SERIALIZE_HINT): Obstacle {
  return new Obstacle(`is ${nounOf(value)}, which cannot be copied to another process`, hint);
}

/** A proxy is asked for nothing, not even for its name: its traps are the user's code. */
export function proxyObstacle(): Obstacle {
  return new Obstacle("is a Proxy, which cannot be copied to another process", PROXY_HINT);
}

export function functionObstacle(value: AnyFunction): Obstacle {
  const name = value.name === "" ? "" : ` (${value.name})`;
  const kind = isClass(value) ? "class" : "function";
  return new Obstacle(`is a ${kind}${name}, which cannot be copied to another process`, FUNCTION_HINT);
}

/** "a Socket", "an Agent". */
export function nounOf(value: object): string {
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  const type: unknown = value.constructor;
  // Generators and iterators have a tag but no class of their own.
  const name = typeof type === "function" && type !== Object ? type.name : "";
  const noun = tag !== "Object" || name === "" ? tag : name;
  return `${/^[AEIO]/i.test(noun) ? "an" : "a"} ${noun}`;
}
