/**
 * Objects with a prototype that is not of the language: handles, instances of users' classes, classes that say
 * themselves how they are copied, and all that cannot be copied.
 */
import { types } from "node:util";
import { extraKeysOf } from "./arrays.js";
import { constructorOf, refuseHostState } from "./classes.js";
import { type Builtin, innerBuiltinOf } from "./encode-builtins.js";
import { writeError } from "./encode-errors.js";
import { writeIfRevivable } from "./encode-revivable.js";
import type { Encoding } from "./encoding.js";
import { isErrorPrototype } from "./error-classes.js";
import { isNative } from "./functions.js";
import { nounOf, Obstacle, obstacleOf, SERIALIZE_HINT } from "./obstacles.js";
import { sharedSymbolKeys } from "./symbols.js";
import * as tags from "./tags.js";

export function writeOther(encoding: Encoding, value: object, prototype: object): void {
  if (encoding.writeIfHandle(value)) return;
  if (types.isNativeError(value) || isErrorPrototype(prototype)) return writeError(encoding, value, prototype);
  if (writeIfRevivable(encoding, value)) return;
  const obstacle = obstacleOf(value);
  if (obstacle !== undefined) throw obstacle;

  const inner = innerBuiltinOf(value);
  const type = constructorOf(prototype);
  if (type === undefined) throw classlessObstacle(value);
  if (isNative(type) && writeOfOtherRealm(encoding, value, prototype, inner)) return;
  refuseHostState(value, prototype, inner !== undefined);
  encoding.refusePrivate(type);
  const classIndex = encoding.classIndex(type);
  if (inner !== undefined) return writeDressedBuiltin(encoding, value, inner, classIndex);
  encoding.rememberClass(prototype, classIndex);
  writeInstance(encoding, value, classIndex);
}

/** Plain and built-in objects of a vm context have prototypes of their own, and arrive with ours. */
function writeOfOtherRealm(encoding: Encoding, value: object, prototype: object, inner: Builtin | undefined): boolean {
  if (inner !== undefined) inner.write(encoding, value);
  else if (Object.getPrototypeOf(prototype) === null) encoding.writeProperties(value);
  else return false;
  return true;
}

/** An instance of a class of which it is known that its instances are nothing but their properties. */
export function writeInstance(encoding: Encoding, value: object, classIndex: number): void {
  const write = (): void => {
    encoding.writer.byte(tags.INSTANCE);
    encoding.writer.varint(classIndex);
    encoding.writeProperties(value);
  };
  const symbols = sharedSymbolKeys(value);
  if (symbols.length > 0) encoding.writeDressed(value, write, 0, symbols);
  else write();
}

/** An instance of a class that extends Map, Array, Date … */
function writeDressedBuiltin(encoding: Encoding, value: object, inner: Builtin, classIndex: number): void {
  const keys = Array.isArray(value) ? extraKeysOf(value) : inner.hasProperties ? ownKeys(value) : [];
  encoding.writeDressed(value, () => inner.write(encoding, value), classIndex + 1, keys);
}

function ownKeys(value: object): readonly PropertyKey[] {
  return [...Object.keys(value), ...sharedSymbolKeys(value)];
}

function classlessObstacle(value: object): Obstacle {
  return new Obstacle(`is ${nounOf(value)} whose prototype belongs to no class`, SERIALIZE_HINT);
}
