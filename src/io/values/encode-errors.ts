/**
 * Errors must always arrive: a property that cannot be copied is replaced by a description of it, and an error whose
 * class cannot be shipped becomes one of the nearest class that both ends have, under its own name.
 *
 * An error is written as its class and its own properties, hidden ones (message, stack, cause, errors) included.
 */
import { constructorOf, refuseHostState } from "./classes.js";
import { writeStack } from "./encode-builtins.js";
import { writeIfRevivable } from "./encode-revivable.js";
import type { Encoding } from "./encoding.js";
import { errorClassName } from "./error-classes.js";
import { isNative } from "./functions.js";
import { MAX_ERROR_DEPTH } from "./limits.js";
import { nounOf, Obstacle, SERIALIZE_HINT } from "./obstacles.js";
import { writeString } from "./primitives.js";
import { isShared } from "./symbols.js";
import * as tags from "./tags.js";

const DEPTH_SENTENCE = `is an error within ${MAX_ERROR_DEPTH} errors`;
const DEPTH_HINT = "keep only the causes that matter";

export function writeError(encoding: Encoding, error: object, prototype: object): void {
  if (encoding.errorDepth >= MAX_ERROR_DEPTH) throw new Obstacle(DEPTH_SENTENCE, DEPTH_HINT);
  encoding.errorDepth++;
  encoding.attempt(
    () => {
      if (!writeIfRevivable(encoding, error)) writeWithClass(encoding, error, prototype);
    },
    () => writeWithoutClass(encoding, error, prototype),
  );
  encoding.errorDepth--;
}

function writeWithClass(encoding: Encoding, error: object, prototype: object): void {
  const name = errorClassName(prototype);
  encoding.writer.byte(tags.ERROR);
  if (name !== undefined) {
    encoding.writer.varint(0);
    writeString(encoding.writer, name);
  } else {
    const type = constructorOf(prototype);
    if (type === undefined) throw new Obstacle(`is ${nounOf(error)} without a class`, SERIALIZE_HINT);
    refuseHostState(error, prototype, true);
    encoding.writer.varint(encoding.classIndex(type) + 1);
  }
  writeOwnProperties(encoding, error);
  encoding.writer.byte(tags.END);
}

function writeWithoutClass(encoding: Encoding, error: object, prototype: object): void {
  const ancestor = nearestClassName(prototype);
  encoding.writer.byte(tags.ERROR);
  encoding.writer.varint(0);
  writeString(encoding.writer, ancestor);
  writeOwnProperties(encoding, error);
  writeInherited(encoding, error, "name", (name) => (name === ancestor ? prototype.constructor.name : name));
  writeInherited(encoding, error, "message", (message) => (message === "" ? undefined : message));
  writeInherited(encoding, error, "code", (code) => code);
  encoding.writer.byte(tags.END);
}

/** What the class gave to its instances by inheritance has to be written with the instance. */
function writeInherited(encoding: Encoding, error: object, key: string, choose: (value: unknown) => unknown): void {
  if (Object.hasOwn(error, key)) return;
  encoding.attempt(
    () => {
      const value = choose(Reflect.get(error, key));
      if (typeof value !== "string" && typeof value !== "number") return;
      encoding.writer.byte(tags.HIDDEN);
      writeString(encoding.writer, key);
      encoding.write(value);
    },
    () => {},
  );
}

function nearestClassName(prototype: object): string {
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at)) {
    const name = errorClassName(at) ?? nameInOtherRealm(at);
    if (name !== undefined) return name;
  }
  return "Error";
}

/** The errors of a vm context have classes of their own, with the same names. */
function nameInOtherRealm(prototype: object): string | undefined {
  const type = constructorOf(prototype);
  return type !== undefined && type !== Object && isNative(type) && type.name !== "Object" ? type.name : undefined;
}

function writeOwnProperties(encoding: Encoding, error: object): void {
  const { writer } = encoding;
  const level = encoding.path.enter();
  for (const key of Reflect.ownKeys(error)) {
    const isEnumerable = Object.prototype.propertyIsEnumerable.call(error, key);
    if (!isEnumerable && isLeftOut(error, key)) continue;
    if (typeof key === "symbol" && !isShared(key)) continue;
    writer.byte(isEnumerable ? tags.ENUMERABLE : tags.HIDDEN);
    encoding.write(key);
    if (key === "stack") writeStack(encoding, error);
    else encoding.writeProperty(error, key, level);
  }
  encoding.path.leave();
}

/** Node hides a `toString` in its own errors. The stack is not looked at: its text is made then, by user code maybe. */
function isLeftOut(error: object, key: PropertyKey): boolean {
  return key !== "stack" && typeof Object.getOwnPropertyDescriptor(error, key)?.value === "function";
}
