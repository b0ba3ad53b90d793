/**
 * Own properties, prototype and extensibility of an object, as they travel. Getters are never called.
 */

import type { Graph } from "./graph.js";
import { type Path, propertyStep, step } from "./obstacles.js";
import { ACCESSOR, CONFIGURABLE, ENUMERABLE, type Ref, type Shape, type Slot, WRITABLE } from "./payload.js";

const PLAIN = WRITABLE | ENUMERABLE | CONFIGURABLE;

type Key = string | symbol;

/** A shape in the making. */
export interface MutableShape {
  proto?: Ref;
  props?: Ref[];
  slots?: Slot[];
  gone?: Ref[];
  level?: 1 | 2 | 3;
}

export interface ShapeOptions {
  /** The prototype that reviving the kind gives by itself; null for none. */
  readonly defaultProto: object | null;
  /** Properties that reviving the kind makes by itself. */
  readonly skip?: (key: Key, descriptor: PropertyDescriptor) => boolean;
}

export function shapeOf(graph: Graph, value: object, path: Path, options: ShapeOptions): Shape {
  const shape: MutableShape = {};
  const proto = Object.getPrototypeOf(value) as object | null;
  if (proto !== options.defaultProto) shape.proto = graph.ref(proto, step(path, "its prototype"));
  for (const key of Reflect.ownKeys(value)) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined || options.skip?.(key, descriptor)) continue;
    addProperty(graph, shape, key, descriptor, propertyStep(path, key));
  }
  const level = levelOf(value);
  if (level !== undefined) shape.level = level;
  return shape;
}

export function addProperty(
  graph: Graph,
  shape: MutableShape,
  key: Key,
  descriptor: PropertyDescriptor,
  path: Path,
): void {
  const attributes = attributesOf(descriptor);
  if (attributes === PLAIN && typeof key === "string" && shape.slots === undefined) {
    shape.props ??= [];
    shape.props.push(key, graph.ref(descriptor.value, path));
    return;
  }
  const slot: Slot =
    (attributes & ACCESSOR) === 0
      ? [graph.ref(key, path), attributes, graph.ref(descriptor.value, path)]
      : [graph.ref(key, path), attributes, graph.ref(descriptor.get, path), graph.ref(descriptor.set, path)];
  shape.slots ??= [];
  shape.slots.push(slot);
}

function attributesOf(descriptor: PropertyDescriptor): number {
  const shared = (descriptor.enumerable ? ENUMERABLE : 0) | (descriptor.configurable ? CONFIGURABLE : 0);
  if ("value" in descriptor) return shared | (descriptor.writable ? WRITABLE : 0);
  return shared | ACCESSOR;
}

function levelOf(value: object): 1 | 2 | 3 | undefined {
  if (Object.isExtensible(value)) return undefined;
  if (Object.isFrozen(value)) return 3;
  return Object.isSealed(value) ? 2 : 1;
}

/** `name` and `length`, which a function's text or target gives it. */
export function isOwnOfFunctions(key: Key, descriptor: PropertyDescriptor): boolean {
  if (key === "name") return typeof descriptor.value === "string";
  return key === "length" || ((key === "arguments" || key === "caller") && descriptor.value === null);
}
