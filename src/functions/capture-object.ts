/**
 * Capturing everything that is not a function: plain data, collections, binary data, errors, instances of classes.
 * What stands for something outside of the process (a socket, a timer, a promise) is refused, with a way out.
 */
import { types } from "node:util";
import { ELEMENT_BYTES } from "./captured-sizes.js";
import type { Graph, Task } from "./graph.js";
import { hostObstacle } from "./host-objects.js";
import { hasNamedProperties, inspectFunction, privateFieldsOf } from "./inspect.js";
import { step } from "./obstacles.js";
import { isPackageFile } from "./packages.js";
import type { BufferContent, PayloadNode, Ref, Shape } from "./payload.js";
import { constructorOf } from "./prototypes.js";
import { scriptOf } from "./scripts.js";
import { shapeOf } from "./shape.js";

export const SERIALIZE = Symbol.for("mobula.serialize");

export function captureObject(graph: Graph, task: Task): PayloadNode {
  const { value, path } = task;
  if (!types.isProxy(value) && Object.getPrototypeOf(value) === Object.prototype) {
    return { k: "obj", ...plainShape(graph, task, Object.prototype) };
  }
  const refused = hostObstacle(value);
  if (refused !== undefined) graph.refuse(path, refused.what, refused.hint);
  const made = captureMade(graph, task);
  if (made !== undefined) return made;
  checkPrivateFields(graph, task);
  return (
    captureBinary(graph, task) ??
    captureCollection(graph, task) ??
    captureBuiltin(graph, task) ?? { k: "obj", ...plainShape(graph, task, Object.prototype) }
  );
}

/** Private fields can be seen, but only the class's own code can put them back. */
function checkPrivateFields(graph: Graph, { value, path }: Task): void {
  for (let at = prototypeOf(value); at !== null && at !== Object.prototype; at = prototypeOf(at)) {
    const owner = constructorOf(at);
    if (owner === undefined || !declaresPrivates(owner)) continue;
    const [field] = privateFieldsOf(value);
    if (field === undefined) continue;
    const internal = isFromPackage(owner);
    graph[internal ? "refuseInternal" : "refuse"](
      path,
      `is an instance of ${owner.name || "a class"} with the private field ${field}, which only the class itself can copy`,
      `give the class a [Symbol.for("mobula.serialize")]() that returns [factory, ...args], or create the instance inside the task/actor`,
    );
  }
}

function isFromPackage(type: CallableFunction): boolean {
  const { location } = inspectFunction(type);
  return location !== undefined && isPackageFile(scriptOf(location.scriptId).url);
}

function prototypeOf(value: object): object | null {
  return Object.getPrototypeOf(value) as object | null;
}

const withPrivates = new WeakMap<object, boolean>();

/** By its text; a false alarm costs a question to the inspector. */
function declaresPrivates(type: CallableFunction): boolean {
  let known = withPrivates.get(type);
  if (known === undefined) {
    known = /#[\p{ID_Start}$_\\]/u.test(Function.prototype.toString.call(type));
    withPrivates.set(type, known);
  }
  return known;
}

function plainShape(graph: Graph, { value, path }: Task, defaultProto: object): Shape {
  return shapeOf(graph, value, path, { defaultProto });
}

function captureCollection(graph: Graph, task: Task): PayloadNode | undefined {
  const { value, path } = task;
  if (Array.isArray(value)) return captureArray(graph, task, value);
  if (types.isMap(value)) {
    const entries: Ref[] = [];
    for (const [key, item] of Map.prototype.entries.call(value) as Iterable<[unknown, unknown]>) {
      entries.push(graph.ref(key, step(path, "a key of the Map")), graph.ref(item, step(path, `.get(${show(key)})`)));
    }
    return { k: "map", entries, ...plainShape(graph, task, Map.prototype) };
  }
  if (types.isSet(value)) {
    const items: Ref[] = [];
    for (const item of Set.prototype.values.call(value) as Iterable<unknown>) {
      items.push(graph.ref(item, step(path, "a member of the Set")));
    }
    return { k: "set", items, ...plainShape(graph, task, Set.prototype) };
  }
  if (types.isWeakMap(value) || types.isWeakSet(value)) {
    graph.weak.push(task);
    return types.isWeakMap(value)
      ? { k: "wmap", entries: [], ...plainShape(graph, task, WeakMap.prototype) }
      : { k: "wset", items: [], ...plainShape(graph, task, WeakSet.prototype) };
  }
  return undefined;
}

function show(key: unknown): string {
  if (typeof key === "string") return JSON.stringify(key);
  return typeof key === "object" || typeof key === "function" ? "…" : String(key);
}

/** Dense arrays travel as a list; with holes, element by element as properties. */
function captureArray(graph: Graph, { value, path }: Task, array: readonly unknown[]): PayloadNode {
  graph.sizes.add(path, array.length * ELEMENT_BYTES);
  const items: Ref[] = [];
  let dense = array.length;
  for (let i = 0; i < array.length; i++) {
    const descriptor = Object.getOwnPropertyDescriptor(array, i);
    if (descriptor === undefined || !descriptor.writable || !descriptor.enumerable || !descriptor.configurable) {
      dense = i;
      break;
    }
    items.push(graph.ref(descriptor.value, step(path, `[${i}]`)));
  }
  const skip = (key: string | symbol): boolean =>
    key === "length" || (typeof key === "string" && /^\d+$/.test(key) && Number(key) < dense);
  const shape = shapeOf(graph, value, path, { defaultProto: Array.prototype, skip });
  return { k: "arr", length: array.length, items, ...shape };
}

// ── Binary data ─────────────────────────────────────────────────────────────────────────────────────────────────────

function captureBinary(graph: Graph, task: Task): PayloadNode | undefined {
  const { value, path } = task;
  if (ArrayBuffer.isView(value)) return captureView(graph, task, value);
  if (!types.isAnyArrayBuffer(value)) return undefined;
  const shared = types.isSharedArrayBuffer(value);
  const content = captureBytes(graph, task, new Uint8Array(value));
  const shape = shapeOf(graph, value, path, {
    defaultProto: shared ? SharedArrayBuffer.prototype : ArrayBuffer.prototype,
  });
  return { k: "buffer", ...content, ...(shared ? { shared } : {}), ...shape };
}

/** The bytes go into the payload; large ones leave it again when everything is known to be shippable. */
function captureBytes(graph: Graph, { path }: Task, bytes: Uint8Array): BufferContent {
  graph.sizes.add(path, bytes.byteLength);
  return { segment: graph.segments.push(bytes) - 1 };
}

/** A view carries its own bytes only; views of one buffer that is captured whole keep sharing it. */
function captureView(graph: Graph, task: Task, view: ArrayBufferView): PayloadNode {
  const { value, path } = task;
  const type = Buffer.isBuffer(view) ? "Buffer" : types.isDataView(view) ? "DataView" : typedArrayName(view);
  const whole = view.byteOffset === 0 && view.byteLength === view.buffer.byteLength;
  const length = "length" in view ? Number(view.length) : view.byteLength;
  const buffer = whole ? graph.ref(view.buffer, path) : ([graph.add(partOfBuffer(graph, task, view))] as const);
  const proto = type === "Buffer" ? Buffer.prototype : (prototypeNamed(type) ?? null);
  const bare = Object.getPrototypeOf(value) === proto && (length === 0 || !hasNamedProperties(value));
  const skip = (key: string | symbol): boolean => typeof key === "string" && /^\d+$/.test(key);
  const shape = bare ? {} : shapeOf(graph, value, path, { defaultProto: proto, skip });
  return { k: "view", type, buffer, offset: 0, length, ...shape };
}

function partOfBuffer(graph: Graph, task: Task, view: ArrayBufferView): PayloadNode {
  return { k: "buffer", ...captureBytes(graph, task, new Uint8Array(view.buffer, view.byteOffset, view.byteLength)) };
}

const typeTag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)?.get;

function typedArrayName(view: ArrayBufferView): string {
  return String(typeTag?.call(view));
}

function prototypeNamed(type: string): object | undefined {
  const view: unknown = Reflect.get(globalThis, type);
  return typeof view === "function" ? (view.prototype as object) : undefined;
}

// ── Other builtin kinds ─────────────────────────────────────────────────────────────────────────────────────────────

function captureBuiltin(graph: Graph, task: Task): PayloadNode | undefined {
  const { value, path } = task;
  if (types.isDate(value)) {
    return {
      k: "date",
      time: graph.ref(Date.prototype.getTime.call(value), path),
      ...plainShape(graph, task, Date.prototype),
    };
  }
  if (types.isRegExp(value)) {
    const shape = shapeOf(graph, value, path, { defaultProto: RegExp.prototype, skip: (key) => key === "lastIndex" });
    return { k: "regexp", source: value.source, flags: value.flags, last: value.lastIndex, ...shape };
  }
  if (types.isNativeError(value)) return captureError(graph, task, value);
  if (types.isBoxedPrimitive(value)) {
    const primitive: unknown = Reflect.apply(boxedValueOf(value), value, []);
    const skip = (key: string | symbol): boolean =>
      typeof primitive === "string" && typeof key === "string" && (key === "length" || /^\d+$/.test(key));
    const defaultProto = Object.getPrototypeOf(Object(primitive)) as object;
    return { k: "boxed", value: graph.ref(primitive, path), ...shapeOf(graph, value, path, { defaultProto, skip }) };
  }
  return undefined;
}

function boxedValueOf(value: object): () => unknown {
  for (const type of [Number, String, Boolean, Symbol, BigInt]) {
    const unbox = type.prototype.valueOf as () => unknown;
    try {
      Reflect.apply(unbox, value, []);
      return unbox;
    } catch {
      // not this type
    }
  }
  return Object.prototype.valueOf;
}

/** `stack` is an own accessor with a native getter on Node 22 and later: it is data all the same. */
function captureError(graph: Graph, { value, path }: Task, error: Error): PayloadNode {
  const proto = Object.getPrototypeOf(error) as object | null;
  const type = ERROR_TYPES.find((each) => each.prototype === proto)?.name ?? "Error";
  const defaultProto = ERROR_TYPES.find((each) => each.name === type)?.prototype ?? Error.prototype;
  const shape = shapeOf(graph, value, path, { defaultProto, skip: (key) => key === "stack" });
  const stack = [graph.ref("stack", path), WRITABLE_HIDDEN, graph.ref(String(error.stack), path)] as const;
  return { k: "error", type, ...shape, slots: [stack, ...(shape.slots ?? [])] };
}

const WRITABLE_HIDDEN = 1 | 4;
const ERROR_TYPES = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, AggregateError];

/** Builtin objects whose state their own accessors give back, made again by their constructors. */
const MADE: readonly {
  readonly path: readonly string[];
  readonly args: (value: object) => readonly unknown[] | undefined;
}[] = [
  { path: ["URL"], args: (value) => (value instanceof URL ? [value.href] : undefined) },
  { path: ["URLSearchParams"], args: (value) => (value instanceof URLSearchParams ? [value.toString()] : undefined) },
  { path: ["TextEncoder"], args: (value) => (value instanceof TextEncoder ? [] : undefined) },
  {
    path: ["TextDecoder"],
    args: (value) =>
      value instanceof TextDecoder ? [value.encoding, { fatal: value.fatal, ignoreBOM: value.ignoreBOM }] : undefined,
  },
  ...["Collator", "DateTimeFormat", "ListFormat", "NumberFormat", "PluralRules", "RelativeTimeFormat", "Segmenter"].map(
    (name) => ({ path: ["Intl", name], args: (value: object) => intlArguments(name, value) }),
  ),
];

function intlArguments(name: string, value: object): readonly unknown[] | undefined {
  const type: unknown = Reflect.get(Intl, name);
  if (typeof type !== "function" || !(value instanceof type)) return undefined;
  const options = (value as Intl.NumberFormat).resolvedOptions();
  return [options.locale, { ...options }];
}

function captureMade(graph: Graph, { value, path }: Task): PayloadNode | undefined {
  if (Array.isArray(value)) return undefined;
  for (const { path: type, args } of MADE) {
    const found = args(value);
    if (found === undefined) continue;
    return { k: "made", type, args: found.map((arg) => graph.ref(arg, path)) };
  }
  return undefined;
}
