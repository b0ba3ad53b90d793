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
import type { Encoder } from "./encoder.js";
import { isErrorPrototype } from "./error-classes.js";
import { isNative } from "./functions.js";
import { nounOf, Obstacle, obstacleOf, SERIALIZE_HINT } from "./obstacles.js";
import { sharedSymbolKeys } from "./symbols.js";
import * as tags from "./tags.js";

export function writeOther(encoder: Encoder, value: object, prototype: object): void {
  if (encoder.writeIfHandle(value)) return;
  if (types.isNativeError(value) || isErrorPrototype(prototype)) return writeError(encoder, value, prototype);
  if (writeIfRevivable(encoder, value)) return;
  const obstacle = obstacleOf(value);
  if (obstacle !== undefined) throw obstacle;

  const inner = innerBuiltinOf(value);
  const type = constructorOf(prototype);
  if (type === undefined) throw classlessObstacle(value);
  if (isNative(type) && writeOfOtherRealm(encoder, value, prototype, inner)) return;
  refuseHostState(value, prototype, inner !== undefined);
  writeInstance(encoder, value, encoder.classIndex(type), inner);
}

/** Plain and built-in objects of a vm context have prototypes of their own, and arrive with ours. */
function writeOfOtherRealm(encoder: Encoder, value: object, prototype: object, inner: Builtin | undefined): boolean {
  if (inner !== undefined) inner.write(encoder, value);
  else if (Object.getPrototypeOf(prototype) === null) encoder.writeProperties(value);
  else return false;
  return true;
}

function writeInstance(encoder: Encoder, value: object, classIndex: number, inner: Builtin | undefined): void {
  if (inner !== undefined) {
    const keys = inner.hasProperties ? (Array.isArray(value) ? extraKeysOf(value) : ownKeys(value)) : [];
    return encoder.writeDressed(value, () => inner.write(encoder, value), classIndex + 1, keys);
  }
  const write = (): void => {
    encoder.writer.byte(tags.INSTANCE);
    encoder.writer.varint(classIndex);
    encoder.writeProperties(value);
  };
  const symbols = sharedSymbolKeys(value);
  if (symbols.length > 0) encoder.writeDressed(value, write, 0, symbols);
  else write();
}

function ownKeys(value: object): readonly PropertyKey[] {
  return [...Object.keys(value), ...sharedSymbolKeys(value)];
}

function classlessObstacle(value: object): Obstacle {
  return new Obstacle(`is ${nounOf(value)} whose prototype belongs to no class`, SERIALIZE_HINT);
}
