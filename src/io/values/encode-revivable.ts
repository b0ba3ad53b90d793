/** Objects of classes that say themselves how they are copied: `[Symbol.for("mobula.serialize")]()`. */
import type { Encoding } from "./encoding.js";
import { needsNew } from "./functions.js";
import type { AnyFunction } from "./hooks.js";
import { Obstacle } from "./obstacles.js";
import { SERIALIZE } from "./symbols.js";
import * as tags from "./tags.js";

const SHAPE_HINT = "return an array whose first element is a function or class";

/** Write an object by its `mobula.serialize` method, if it has one. */
export function writeIfRevivable(encoding: Encoding, value: object): boolean {
  const number = encoding.objectCount - 1;
  const level = encoding.path.enter();
  encoding.path.keys[level] = SERIALIZE;
  const method: unknown = Reflect.get(value, SERIALIZE);
  if (typeof method === "function") {
    const parts: unknown = method.call(value);
    const reviver: unknown = Array.isArray(parts) ? parts[0] : undefined;
    if (typeof reviver !== "function") throw new Obstacle("did not return [reviver, ...args]", SHAPE_HINT);
    encoding.writeOrigin(number, () => writeReviver(encoding, reviver, parts as unknown[]));
  }
  encoding.path.leave();
  return typeof method === "function";
}

function writeReviver(encoding: Encoding, reviver: AnyFunction, parts: readonly unknown[]): void {
  const { writer } = encoding;
  writer.byte(tags.REVIVED);
  writer.byte(needsNew(reviver) ? 1 : 0);
  const level = encoding.path.enter();
  encoding.path.keys[level] = 0;
  writer.varint(encoding.classIndex(reviver));
  writer.varint(parts.length - 1);
  for (let i = 1; i < parts.length; i++) encoding.writeProperty(parts, i, level);
  encoding.path.leave();
}
