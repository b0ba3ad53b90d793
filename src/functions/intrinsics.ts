/**
 * The objects that every JavaScript program has, by name: they are never copied, the worker has its own.
 */
import { types } from "node:util";

/** Names of the global object before the program added its own. */
const BUILTIN_GLOBALS: ReadonlySet<string> = new Set(Object.getOwnPropertyNames(globalThis));

/** Intrinsics without a global name. */
const UNNAMED: ReadonlyMap<string, (global: typeof globalThis) => object> = new Map<
  string,
  (global: typeof globalThis) => object
>([
  ["%TypedArray%", (global) => Object.getPrototypeOf(global.Uint8Array) as object],
  ["%AsyncFunction%", () => (async () => undefined).constructor],
  ["%GeneratorFunction%", () => function* () {}.constructor],
  ["%AsyncGeneratorFunction%", () => async function* () {}.constructor],
  ["%Iterator%", () => prototypeOf(prototypeOf([][Symbol.iterator]()))],
  ["%AsyncIterator%", () => prototypeOf(prototypeOf(prototypeOf(async function* () {}.prototype as object)))],
  ["%ArrayIterator%", () => prototypeOf([][Symbol.iterator]())],
  ["%MapIterator%", () => prototypeOf(new Map().entries())],
  ["%SetIterator%", () => prototypeOf(new Set().entries())],
]);

function prototypeOf(value: object): object {
  return Object.getPrototypeOf(value) as object;
}

let index: Map<object, readonly string[]> | undefined;

/** The way to an intrinsic from the global object, such as `["Object", "defineProperty"]`. */
export function intrinsicPath(value: object): readonly string[] | undefined {
  index ??= buildIndex(globalThis);
  return index.get(value) ?? foreignPath(value, index);
}

/** The other direction, on the worker. */
export function intrinsicAt(path: readonly string[]): unknown {
  const [first = "", ...rest] = path;
  let at: unknown =
    first === "globalThis" ? globalThis : (UNNAMED.get(first)?.(globalThis) ?? Reflect.get(globalThis, first));
  for (const name of rest) {
    const part = /^(get|set) (.*)$/s.exec(name);
    const descriptor = Object.getOwnPropertyDescriptor(at, keyNamed(part?.[2] ?? name));
    at = part === null ? descriptor?.value : part[1] === "get" ? descriptor?.get : descriptor?.set;
  }
  return at;
}

/** Was this global there from the start, as it is now? */
export function isBuiltinGlobal(name: string): boolean {
  return BUILTIN_GLOBALS.has(name);
}

function buildIndex(global: typeof globalThis): Map<object, readonly string[]> {
  const found = new Map<object, readonly string[]>([[global, ["globalThis"]]]);
  for (const name of BUILTIN_GLOBALS) {
    const value: unknown = Object.getOwnPropertyDescriptor(global, name)?.value ?? lazyGlobal(global, name);
    if (isObject(value)) addTree(found, value, [name]);
  }
  for (const [name, get] of UNNAMED) addTree(found, get(global), [name]);
  return found;
}

/** Node defines many globals as getters. Reading those of the REPL prints warnings; they are builtin modules anyway. */
function lazyGlobal(global: typeof globalThis, name: string): unknown {
  return LAZY_GLOBALS.has(name) ? Reflect.get(global, name) : undefined;
}

/** Cheap to read. `Response`, `crypto` and others would load half of Node; `lateGlobalPath` finds them. */
const LAZY_GLOBALS: ReadonlySet<string> = new Set([
  "process",
  "Buffer",
  "fetch",
  "performance",
  "queueMicrotask",
  "structuredClone",
  "atob",
  "btoa",
]);

/** A function that is the builtin global of its own name. */
export function lateGlobalPath(fn: object): readonly string[] | undefined {
  const name: unknown = Object.getOwnPropertyDescriptor(fn, "name")?.value;
  return typeof name === "string" && BUILTIN_GLOBALS.has(name) && Reflect.get(globalThis, name) === fn
    ? [name]
    : undefined;
}

/** A global, its members, and the members of its prototype. */
function addTree(found: Map<object, readonly string[]>, root: object, path: readonly string[]): void {
  add(found, root, path);
  addMembers(found, root, path);
  const prototype: unknown = Object.getOwnPropertyDescriptor(root, "prototype")?.value;
  if (isObject(prototype)) addMembers(found, prototype, [...path, "prototype"]);
}

function addMembers(found: Map<object, readonly string[]>, owner: object, path: readonly string[]): void {
  if (types.isProxy(owner)) return;
  for (const key of Reflect.ownKeys(owner)) {
    const name = nameOfKey(key);
    if (name === undefined) continue;
    const { value, get, set } = Object.getOwnPropertyDescriptor(owner, key) ?? {};
    if (isObject(value)) add(found, value, [...path, name]);
    if (get !== undefined) add(found, get, [...path, `get ${name}`]);
    if (set !== undefined) add(found, set, [...path, `set ${name}`]);
  }
}

function add(found: Map<object, readonly string[]>, value: object, path: readonly string[]): void {
  if (!found.has(value)) found.set(value, path);
}

/** Well-known symbols are written `@@iterator`. */
function nameOfKey(key: string | symbol): string | undefined {
  return typeof key === "string" ? key : wellKnownName(key);
}

function keyNamed(name: string): string | symbol {
  const symbol: unknown = name.startsWith("@@") ? Reflect.get(Symbol, name.slice(2)) : undefined;
  return typeof symbol === "symbol" ? symbol : name;
}

export function wellKnownName(symbol: symbol): string | undefined {
  const name = symbol.description ?? "";
  if (!name.startsWith("Symbol.")) return undefined;
  return Reflect.get(Symbol, name.slice("Symbol.".length)) === symbol ? `@@${name.slice("Symbol.".length)}` : undefined;
}

export function wellKnownSymbol(name: string): symbol {
  const symbol = keyNamed(name);
  return typeof symbol === "symbol" ? symbol : Symbol.for(name);
}

// ── Other realms ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Intrinsics of vm contexts, such as a test runner's: index by the realm's own `Function.prototype`. */
const foreign = new WeakMap<object, Map<object, readonly string[]>>();

function foreignPath(value: object, own: Map<object, readonly string[]>): readonly string[] | undefined {
  const root = realmRoot(value);
  if (root === undefined || own.has(root)) return undefined;
  let realm = foreign.get(root);
  if (realm === undefined) {
    realm = realmIndex(root);
    foreign.set(root, realm);
  }
  return realm.get(value);
}

/** The last object of the prototype chain: `Object.prototype` of the value's realm. */
function realmRoot(value: object): object | undefined {
  if (types.isProxy(value)) return undefined;
  let root: object = value;
  for (let next: object | null = value; next !== null; next = Object.getPrototypeOf(next) as object | null) {
    if (types.isProxy(next)) return undefined;
    root = next;
  }
  return root === value && typeof Object.getOwnPropertyDescriptor(value, "constructor")?.value !== "function"
    ? undefined
    : root;
}

function realmIndex(root: object): Map<object, readonly string[]> {
  const owner: unknown = Object.getOwnPropertyDescriptor(root, "constructor")?.value;
  const make: unknown = typeof owner === "function" ? owner.constructor : undefined;
  if (typeof make !== "function" || !/\{ \[native code\] \}$/.test(Function.prototype.toString.call(make)))
    return new Map();
  const global: unknown = Reflect.apply(make, undefined, ["return globalThis"]).call(undefined);
  return isObject(global) ? buildIndex(global as typeof globalThis) : new Map();
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
