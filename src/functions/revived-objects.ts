/**
 * Objects coming to life: made empty, so that cycles close, then filled, and closed to changes last.
 */
import { intrinsicAt } from "./intrinsics.js";
import {
  ACCESSOR,
  type BufferContent,
  CONFIGURABLE,
  ENUMERABLE,
  type PayloadNode,
  type Ref,
  type Shape,
  type Slot,
  WRITABLE,
} from "./payload.js";

/** The value that a ref names; made at its first mention. */
export type Resolve = (ref: Ref) => unknown;

/** The bytes of a buffer's node. */
export type BytesOf = (content: BufferContent) => Uint8Array;

export function emptyObject(node: PayloadNode, bytesOf: BytesOf, resolve: Resolve): unknown {
  switch (node.k) {
    case "obj":
      return node.proto === undefined ? {} : (Object.create(resolve(node.proto) as object | null) as object);
    case "arr":
      return new Array(node.length);
    case "map":
      return new Map();
    case "set":
      return new Set();
    case "wmap":
      return new WeakMap();
    case "wset":
      return new WeakSet();
    case "date":
      return new Date(resolve(node.time) as number);
    case "regexp":
      return Object.assign(new RegExp(node.source, node.flags), { lastIndex: node.last });
    case "error":
      return emptyError(node.type);
    case "buffer":
      return bufferOf(bytesOf(node), node.shared === true);
    case "view":
      return viewOf(node, resolve(node.buffer) as ArrayBuffer);
    case "boxed":
      return Object(resolve(node.value)) as object;
    default:
      throw new Error(`the payload has a node of the unknown kind ${node.k}`);
  }
}

/** A real error, so that Node prints it as one; its stack is among the properties that travel. */
function emptyError(type: string): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return type === "AggregateError" ? new AggregateError([]) : new (intrinsicAt([type]) as ErrorConstructor)();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function bufferOf(bytes: Uint8Array, shared: boolean): ArrayBufferLike {
  const buffer = shared ? new SharedArrayBuffer(bytes.byteLength) : new ArrayBuffer(bytes.byteLength);
  new Uint8Array(buffer).set(bytes);
  return buffer;
}

type ViewConstructor = new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView;

function viewOf(node: Extract<PayloadNode, { k: "view" }>, buffer: ArrayBuffer): ArrayBufferView {
  if (node.type === "Buffer") return Buffer.from(buffer, node.offset, node.length);
  return new (intrinsicAt([node.type]) as ViewConstructor)(buffer, node.offset, node.length);
}

export function fillContents(node: PayloadNode, value: unknown, resolve: Resolve): void {
  switch (node.k) {
    case "arr":
      node.items?.forEach((ref, index) => {
        (value as unknown[])[index] = resolve(ref);
      });
      return;
    case "map":
    case "wmap":
      for (let i = 0; i < node.entries.length; i += 2) {
        const [key = null, item = null] = [node.entries[i], node.entries[i + 1]];
        (value as Map<unknown, unknown>).set(resolve(key), resolve(item));
      }
      return;
    case "set":
    case "wset":
      for (const ref of node.items) (value as Set<unknown>).add(resolve(ref));
      return;
    default:
  }
}

export function fillShape(node: Extract<PayloadNode, Shape>, target: object, resolve: Resolve): void {
  if (node.proto !== undefined && node.k !== "obj") Object.setPrototypeOf(target, resolve(node.proto) as object | null);
  for (const ref of node.gone ?? []) Reflect.deleteProperty(target, resolve(ref) as string);
  const plain = node.k === "obj" && node.proto === undefined;
  const { props = [], slots = [] } = node;
  for (let i = 0; i < props.length; i += 2) {
    const key = props[i] as string;
    const value = resolve(props[i + 1] ?? null);
    // Assigning is several times faster, and means something else where a prototype has a setter.
    if (plain && key !== "__proto__") (target as Record<string, unknown>)[key] = value;
    else Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  }
  for (const slot of slots) Object.defineProperty(target, resolve(slot[0]) as string, descriptorOf(slot, resolve));
}

function descriptorOf([, attributes, value, setter]: Slot, resolve: Resolve): PropertyDescriptor {
  const shared = { enumerable: (attributes & ENUMERABLE) !== 0, configurable: (attributes & CONFIGURABLE) !== 0 };
  if ((attributes & ACCESSOR) === 0)
    return { ...shared, value: resolve(value), writable: (attributes & WRITABLE) !== 0 };
  const accessor = (ref: Ref | undefined): never => (ref === undefined ? undefined : resolve(ref)) as never;
  return { ...shared, get: accessor(value), set: accessor(setter) };
}

export function closeShape({ level }: Shape, target: object): void {
  if (level === 3) Object.freeze(target);
  else if (level === 2) Object.seal(target);
  else if (level === 1) Object.preventExtensions(target);
}
