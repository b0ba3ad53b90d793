/**
 * Objects that stand for something in this process or outside of it, and what to do instead of shipping them.
 */
import { types } from "node:util";
import { inspectFunction } from "./inspect.js";
import { intrinsicPath } from "./intrinsics.js";
import { withArticle } from "./obstacles.js";
import { scriptOf } from "./scripts.js";

export interface Refusal {
  readonly what: string;
  readonly hint: string;
}

const CANNOT = "which cannot be copied to another process";

/** Kinds that V8 knows, whatever their prototype says. */
const KINDS: readonly { readonly is: (value: object) => boolean; readonly name: string; readonly hint: string }[] = [
  { is: types.isProxy, name: "Proxy", hint: "ship the object behind the proxy and wrap it inside the task" },
  { is: types.isPromise, name: "Promise", hint: "await it first and capture the result, or create it inside the task" },
  {
    is: (value) => value instanceof WeakRef,
    name: "WeakRef",
    hint: "capture the object itself, or make the WeakRef inside the task",
  },
  {
    is: types.isGeneratorObject,
    name: "running generator",
    hint: "capture the generator function and call it inside the task",
  },
  {
    is: types.isMapIterator,
    name: "running iterator of a Map",
    hint: "capture the Map, or an array made from the iterator",
  },
  {
    is: types.isSetIterator,
    name: "running iterator of a Set",
    hint: "capture the Set, or an array made from the iterator",
  },
  { is: types.isExternal, name: "native handle", hint: "create it inside the task" },
];

export function hostObstacle(value: object): Refusal | undefined {
  for (const { is, name, hint } of KINDS) if (is(value)) return { what: `is ${withArticle(name)}, ${CANNOT}`, hint };
  if (Array.isArray(value)) return undefined;
  const owner = hostConstructor(value);
  if (owner === undefined) return undefined;
  return { what: `is ${withArticle(owner)}, ${CANNOT}`, hint: hostHint(value, owner) };
}

/** What a hint can say depends on what the object does, which its methods show. */
function hostHint(value: object, name: string): string {
  const can = (method: string): boolean => typeof findValue(value, method) === "function";
  if (/Timeout|Immediate|Timer/.test(name)) return "start the timer inside the task/actor instead";
  if (can("connect") || can("listen") || can("write") || can("query"))
    return "open the connection inside the task/actor instead";
  return `create the ${name} inside the task/actor instead`;
}

/** A method along the prototype chain, without calling getters. */
function findValue(value: object, key: string): unknown {
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    const descriptor = Object.getOwnPropertyDescriptor(at, key);
    if (descriptor !== undefined) return descriptor.value;
  }
  return undefined;
}

/** Classes of Node whose instances are nothing but their own properties. */
const PLAIN_CLASSES: ReadonlySet<string> = new Set(["EventEmitter", "Stats", "Dirent"]);

/** The name of the first class along the prototype chain that is Node's own or native, and not plain data. */
function hostConstructor(value: object): string | undefined {
  for (
    let at = Object.getPrototypeOf(value) as object | null;
    at !== null;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    const type: unknown = Object.getOwnPropertyDescriptor(at, "constructor")?.value;
    if (typeof type !== "function" || type.prototype !== at) continue;
    if (!isHostClass(type)) continue;
    return nearestName(value) ?? type.name;
  }
  return undefined;
}

function nearestName(value: object): string | undefined {
  const type: unknown = findValue(value, "constructor");
  return typeof type === "function" && type.name !== "" ? type.name : undefined;
}

const hostClasses = new WeakMap<object, boolean>();

function isHostClass(type: object): boolean {
  let known = hostClasses.get(type);
  if (known === undefined) {
    known = decide(type);
    hostClasses.set(type, known);
  }
  return known;
}

function decide(type: object): boolean {
  const name: unknown = Object.getOwnPropertyDescriptor(type, "name")?.value;
  if (typeof name === "string" && PLAIN_CLASSES.has(name)) return false;
  if (/\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(type))) {
    return intrinsicPath(type) === undefined || HOST_INTRINSICS.has(String(name));
  }
  const { location } = inspectFunction(type);
  if (location === undefined) return false;
  const { isNode } = scriptOf(location.scriptId);
  return isNode && !MADE_AGAIN.has(String(name));
}

const HOST_INTRINSICS: ReadonlySet<string> = new Set(["FinalizationRegistry", "Promise", "WeakRef"]);
/** Captured by what made them; see capture-object.ts. */
const MADE_AGAIN: ReadonlySet<string> = new Set(["URL", "URLSearchParams", "TextEncoder", "TextDecoder", "Buffer"]);
