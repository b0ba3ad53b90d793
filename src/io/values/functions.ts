/** What kind of function a function is: told by its source text. */
import type { AnyFunction } from "./hooks.js";

export function isClass(value: AnyFunction): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}

/** Part of V8 or of Node's C++. Bound functions look the same, but have no prototype and so no instances. */
export function isNative(value: AnyFunction): boolean {
  return /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(value));
}

/** A class, or a constructor of the language such as Map. Functions of the user's are called, whatever they are. */
export function needsNew(reviver: AnyFunction): boolean {
  return isClass(reviver) || (isNative(reviver) && typeof reviver.prototype === "object");
}
