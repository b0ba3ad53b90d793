/** The classes of an object: which it has, and whether instances of them can be copied at all. */
import { isBuiltinPrototype } from "./encode-builtins.js";
import { isNative } from "./functions.js";
import type { AnyFunction } from "./hooks.js";
import { notCopyable } from "./obstacles.js";

/** The class whose prototype this is. */
export function constructorOf(prototype: object): AnyFunction | undefined {
  const type: unknown = Object.hasOwn(prototype, "constructor") ? Reflect.get(prototype, "constructor") : undefined;
  return typeof type === "function" && type.prototype === prototype ? type : undefined;
}

/** Refuse an object one of whose classes is part of Node or V8: its state is where no property shows it. */
export function refuseHostState(value: object, prototype: object, isBuiltinInside: boolean): void {
  for (let at: object | null = prototype; at !== null && !isBuiltinPrototype(at); at = Object.getPrototypeOf(at)) {
    const type = constructorOf(at);
    if (type === undefined || !isHostClass(type)) continue;
    const isRoot = Object.getPrototypeOf(at) === null || (isBuiltinInside && isNative(type));
    if (!isRoot) throw notCopyable(value);
  }
}

/**
 * A native class or one of Node's own globals (Headers, EventTarget, Blob …): it keeps its state where nobody can
 * copy it. A class that the program itself made global is enumerable on globalThis, Node's are not.
 */
function isHostClass(type: AnyFunction): boolean {
  if (isNative(type)) return true;
  const global = Object.getOwnPropertyDescriptor(globalThis, type.name);
  return global !== undefined && global.enumerable !== true && Reflect.get(globalThis, type.name) === type;
}
