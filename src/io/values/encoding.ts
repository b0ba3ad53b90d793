/** What the writers of the several kinds of objects need of the encoding that they are part of; see encoder.ts. */
import type { AnyFunction } from "./hooks.js";
import type { Path } from "./paths.js";
import type { ValueWriter } from "./writer.js";

export interface Encoding {
  readonly writer: ValueWriter;
  readonly path: Path;
  /** Objects met so far; each has the number that this was when it was met. */
  readonly objectCount: number;
  /** Inside so many errors. There, what cannot be copied is replaced by its description: errors must always arrive. */
  errorDepth: number;

  /** Write any value. */
  write(value: unknown): void;
  /** Write a property. Its key is noted before it is read: a getter that throws is reported at this path. */
  writeProperty(holder: object, key: PropertyKey, level: number): void;
  /** Write what a container holds, its place having been noted. */
  writeHeld(value: unknown): void;
  /** Write something; if that fails, undo it and write something else: why it failed, unless told otherwise. */
  attempt(write: () => void, instead?: () => void): void;
  /** The properties of an object under string keys, after a tag that says what object it is. */
  writeProperties(value: object): void;
  /** The elements of an array of any class. */
  writeArray(value: readonly unknown[]): void;
  /** An object that is more than its tag says: of a user's class, or with properties beside its contents. */
  writeDressed(value: object, writeInner: () => void, classPlusOne: number, keys: readonly PropertyKey[]): void;
  /** Length, padding and bytes. */
  writeBinary(bytes: Uint8Array): void;
  /** Write a value by its handle, if it has one. */
  writeIfHandle(value: object): boolean;
  /** The index of a class or reviver in the trailer. */
  classIndex(type: AnyFunction): number;
  /** The next objects with this prototype are ordinary instances of the class, and need not be looked at again. */
  /** Throws if instances of the class have private members. */
  refusePrivate(type: AnyFunction): void;
  rememberClass(prototype: object, classIndex: number): void;
  /** Write what an object is revived from: nothing in there can refer to the object itself. */
  writeOrigin(objectNumber: number, write: () => void): void;
}
