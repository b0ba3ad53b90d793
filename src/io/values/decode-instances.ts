/** Handles, instances of users' classes and errors: read in the order in which their writers write them. */
import { SerializationError } from "../../errors.js";
import type { Decoder, ReadTag } from "./decoder.js";
import { errorPrototype } from "./error-classes.js";
import * as tags from "./tags.js";

function readHandle(decoder: Decoder): unknown {
  const handle = decoder.readHandle();
  return decoder.add(decoder.ask("reviving a handle", () => decoder.hooks.revive(handle)));
}

/** `Object.create` and no constructor: the fields come with the instance. */
function readInstance(decoder: Decoder): object {
  const instance = decoder.add(Object.create(readPrototype(decoder, decoder.varint())));
  return decoder.readProperties(decoder.byte(), instance, false);
}

function readPrototype(decoder: Decoder, classIndex: number): object {
  const type = decoder.readClass(classIndex);
  const prototype: unknown = type.prototype;
  if (typeof prototype === "object" && prototype !== null) return prototype;
  throw new SerializationError(`${type.name}, the class of an object in a value, has no prototype`);
}

/** `reviver(...args)`, or `new reviver(...args)` for a class. */
function readRevived(decoder: Decoder): unknown {
  const number = decoder.reserve();
  const isConstructor = decoder.byte() === 1;
  const reviver = decoder.readClass(decoder.varint());
  const count = decoder.count(1);
  const args: unknown[] = [];
  decoder.enter();
  for (let i = 0; i < count; i++) args.push(decoder.read());
  decoder.leave();
  const revived: unknown = decoder.ask(`the reviver ${reviver.name}`, () =>
    isConstructor ? Reflect.construct(reviver, args) : Reflect.apply(reviver, undefined, args),
  );
  decoder.settle(number, revived);
  return revived;
}

function readDressed(decoder: Decoder): object {
  const tag = decoder.byte();
  // Never an object that exists already: its prototype and properties are its own business.
  if (tag < tags.ARRAY || tag > tags.URL_SEARCH_PARAMS) decoder.malformed("no object to add properties to");
  const object = decoder.readTagged(tag) as object;
  const classPlusOne = decoder.varint();
  if (classPlusOne > 0) Object.setPrototypeOf(object, readPrototype(decoder, classPlusOne - 1));
  const count = decoder.count(2);
  decoder.enter();
  for (let i = 0; i < count; i++) define(object, decoder.readKey(), decoder.read(), true);
  decoder.leave();
  return object;
}

function readError(decoder: Decoder): Error {
  const classPlusOne = decoder.varint();
  const prototype =
    classPlusOne === 0 ? errorPrototype(decoder.readString()) : readPrototype(decoder, classPlusOne - 1);
  const error = decoder.add(blankError());
  if (prototype !== Error.prototype) Object.setPrototypeOf(error, prototype);
  decoder.enter();
  for (let visibility = decoder.byte(); visibility !== tags.END; visibility = decoder.byte()) {
    define(error, decoder.readKey(), decoder.read(), visibility === tags.ENUMERABLE);
  }
  decoder.leave();
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
