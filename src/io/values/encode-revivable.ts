/** Objects of classes that say themselves how they are copied: `[Symbol.for("mobula.serialize")]()`. */
import type { Encoder } from "./encoder.js";
import { needsNew } from "./functions.js";
import type { AnyFunction } from "./hooks.js";
import { Obstacle } from "./obstacles.js";
import { SERIALIZE } from "./symbols.js";
import * as tags from "./tags.js";

/** Write an object by its `mobula.serialize` method, if it has one. */
export function writeIfRevivable(encoder: Encoder, value: object): boolean {
  const number = encoder.seen.count - 1;
  const level = encoder.path.enter();
  encoder.path.keys[level] = SERIALIZE;
  const method: unknown = Reflect.get(value, SERIALIZE);
  if (typeof method === "function") {
    const parts: unknown = method.call(value);
    const reviver: unknown = Array.isArray(parts) ? parts[0] : undefined;
    if (typeof reviver !== "function") {
      throw new Obstacle("did not return [reviver, ...args]", "return an array whose first element is a function or class");
    }
    writeRevival(encoder, number, reviver, parts as unknown[]);
  }
  encoder.path.leave();
  return typeof method === "function";
}

function writeRevival(encoder: Encoder, number: number, reviver: AnyFunction, parts: readonly unknown[]): void {
  const { writer } = encoder;
  encoder.reviving.push(number);
  writer.byte(tags.REVIVED);
  writer.byte(needsNew(reviver) ? 1 : 0);
  const level = encoder.path.enter();
  encoder.path.keys[level] = 0;
  writer.varint(encoder.classIndex(reviver));
  writer.varint(parts.length - 1);
  for (let i = 1; i < parts.length; i++) encoder.writeProperty(parts, i, level);
  encoder.path.leave();
  encoder.reviving.pop();
}
