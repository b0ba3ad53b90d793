/**
 * Errors must always arrive: a property that cannot be copied is replaced by a description of it, and an error whose
 * class cannot be shipped becomes one of the nearest class that both ends have, under its own name.
 *
 * An error is written as its class and its own properties, hidden ones (message, stack, cause, errors) included.
 */
import { constructorOf, refuseHostState } from "./classes.js";
import { writeStack } from "./encode-builtins.js";
import { writeIfRevivable } from "./encode-revivable.js";
import type { Encoder } from "./encoder.js";
import { errorClassName } from "./error-classes.js";
import { isNative } from "./functions.js";
import { nounOf, Obstacle, SERIALIZE_HINT } from "./obstacles.js";
import { writeString } from "./primitives.js";
import { isShared } from "./symbols.js";
import * as tags from "./tags.js";

export function writeError(encoder: Encoder, error: object, prototype: object): void {
  const { lenient } = encoder;
  encoder.lenient = true;
  encoder.attempt(
    () => {
      if (!writeIfRevivable(encoder, error)) writeWithClass(encoder, error, prototype);
    },
    () => writeWithoutClass(encoder, error, prototype),
  );
  encoder.lenient = lenient;
}

function writeWithClass(encoder: Encoder, error: object, prototype: object): void {
  const name = errorClassName(prototype);
  encoder.writer.byte(tags.ERROR);
  if (name !== undefined) {
    encoder.writer.varint(0);
    writeString(encoder.writer, name);
  } else {
    const type = constructorOf(prototype);
    if (type === undefined) throw new Obstacle(`is ${nounOf(error)} without a class`, SERIALIZE_HINT);
    refuseHostState(error, prototype, true);
    encoder.writer.varint(encoder.classIndex(type) + 1);
  }
  writeOwnProperties(encoder, error);
  encoder.writer.byte(tags.END);
}

function writeWithoutClass(encoder: Encoder, error: object, prototype: object): void {
  const ancestor = nearestClassName(prototype);
  encoder.writer.byte(tags.ERROR);
  encoder.writer.varint(0);
  writeString(encoder.writer, ancestor);
  writeOwnProperties(encoder, error);
  writeInherited(encoder, error, "name", (name) => (name === ancestor ? prototype.constructor.name : name));
  writeInherited(encoder, error, "message", (message) => (message === "" ? undefined : message));
  writeInherited(encoder, error, "code", (code) => code);
  encoder.writer.byte(tags.END);
}

/** What the class gave to its instances by inheritance has to be written with the instance. */
function writeInherited(encoder: Encoder, error: object, key: string, choose: (value: unknown) => unknown): void {
  if (Object.hasOwn(error, key)) return;
  encoder.attempt(
    () => {
      const value = choose(Reflect.get(error, key));
      if (typeof value !== "string" && typeof value !== "number") return;
      encoder.writer.byte(tags.HIDDEN);
      writeString(encoder.writer, key);
      encoder.write(value);
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

function writeOwnProperties(encoder: Encoder, error: object): void {
  const { writer } = encoder;
  const level = encoder.path.enter();
  for (const key of Reflect.ownKeys(error)) {
    const property = Object.getOwnPropertyDescriptor(error, key);
    if (property === undefined || (typeof key === "symbol" && !isShared(key))) continue;
    // Node hides a `toString` in its own errors.
    if (property.enumerable !== true && typeof property.value === "function") continue;
    writer.byte(property.enumerable === true ? tags.ENUMERABLE : tags.HIDDEN);
    encoder.write(key);
    if (key === "stack") writeStack(encoder, error);
    else encoder.writeProperty(error, key, level);
  }
  encoder.path.leave();
}
