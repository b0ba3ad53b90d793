/** Handles, instances of users' classes and errors: read in the order in which their writers write them. */
import { SerializationError } from "../../errors.js";
import type { Decoding, ReadTag } from "./decoding.js";
import { errorPrototype } from "./error-classes.js";
import * as tags from "./tags.js";

function readHandle(decoding: Decoding): unknown {
  const handle = decoding.readHandle();
  return decoding.add(decoding.ask("reviving a handle", () => decoding.hooks.revive(handle)));
}

/** `Object.create` and no constructor: the fields come with the instance. */
function readInstance(decoding: Decoding): object {
  const instance = decoding.add(Object.create(readPrototype(decoding, decoding.varint())));
  return decoding.readProperties(decoding.byte(), instance, false);
}

function readPrototype(decoding: Decoding, classIndex: number): object {
  const type = decoding.readClass(classIndex);
  const prototype: unknown = type.prototype;
  if (typeof prototype === "object" && prototype !== null) return prototype;
  throw new SerializationError(`${type.name}, the class of an object in a value, has no prototype`);
}

/** `reviver(...args)`, or `new reviver(...args)` for a class. */
function readRevived(decoding: Decoding): unknown {
  const number = decoding.reserve();
  const isConstructor = decoding.byte() === 1;
  const reviver = decoding.readClass(decoding.varint());
  const count = decoding.count(1);
  const args: unknown[] = [];
  decoding.enter();
  for (let i = 0; i < count; i++) args.push(decoding.read());
  decoding.leave();
  const revived: unknown = decoding.ask(`the reviver ${reviver.name}`, () =>
    isConstructor ? Reflect.construct(reviver, args) : Reflect.apply(reviver, undefined, args),
  );
  decoding.settle(number, revived);
  return revived;
}

function readDressed(decoding: Decoding): object {
  const tag = decoding.byte();
  // Never an object that exists already: its prototype and properties are its own business.
  if (tag < tags.ARRAY || tag > tags.URL_SEARCH_PARAMS) decoding.malformed("no object to add properties to");
  const object = decoding.readTagged(tag) as object;
  const classPlusOne = decoding.varint();
  if (classPlusOne > 0) Object.setPrototypeOf(object, readPrototype(decoding, classPlusOne - 1));
  const count = decoding.count(2);
  decoding.enter();
  for (let i = 0; i < count; i++) define(object, decoding.readKey(), decoding.read(), true);
  decoding.leave();
  return object;
}

function readError(decoding: Decoding): Error {
  const classPlusOne = decoding.varint();
  const prototype =
    classPlusOne === 0 ? errorPrototype(decoding.readString()) : readPrototype(decoding, classPlusOne - 1);
  const error = decoding.add(blankError());
  if (prototype !== Error.prototype) Object.setPrototypeOf(error, prototype);
  decoding.enter();
  for (let visibility = decoding.byte(); visibility !== tags.END; visibility = decoding.byte()) {
    define(error, decoding.readKey(), decoding.read(), visibility === tags.ENUMERABLE);
  }
  decoding.leave();
  return error;
}

/** An error inside, without message and stack. Not to walk our own stack for one that is thrown away saves 3 µs. */
function blankError(): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  Reflect.deleteProperty(error, "stack");
  return error;
}

function define(object: object, key: PropertyKey, value: unknown, enumerable: boolean): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable, configurable: true });
}

export const INSTANCE_READERS: readonly (readonly [tag: number, read: ReadTag])[] = [
  [tags.HANDLE, readHandle],
  [tags.INSTANCE, readInstance],
  [tags.REVIVED, readRevived],
  [tags.DRESSED, readDressed],
  [tags.ERROR, readError],
];
