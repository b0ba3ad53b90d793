/**
 * One decoding: its state, and plain objects and arrays, the bulk of all values. decoder.ts knows what reads the rest.
 *
 * Objects are numbered in the order in which their tags appear, as the encoder did.
 */
import { ProtocolError, SerializationError } from "../../errors.js";
import { textOf } from "./failures.js";
import type { AnyFunction, Handle, ValueHooks } from "./hooks.js";
import { internedKey } from "./keys.js";
import { MAX_DEPTH } from "./limits.js";
import { Reader } from "./reader.js";
import { isShape } from "./shapes.js";
import * as tags from "./tags.js";
import { readTrailer } from "./trailer.js";

/** How large binary data is handed out: copied, as views of the input's memory, or by a function that maps it. */
export type Share = boolean | ((byteOffset: number, byteLength: number) => ArrayBuffer | undefined);

/** Reads what follows a tag. */
export type ReadTag = (decoding: Decoding) => unknown;

/** A revived object while its arguments are read. Nothing that we write refers to it then. */
const UNFINISHED = Symbol("unfinished");
/** A list of objects that grew beyond this is not kept for the next value. */
const KEEP = 1_024;

interface Shape {
  readonly names: readonly string[];
  /** A name is one that plain assignment would not define: `__proto__` and what else Object.prototype has. */
  readonly needDefine: boolean;
}

export class Decoding extends Reader {
  share: Share = false;
  hooks!: ValueHooks;
  /** By tag. */
  readonly #readers: readonly (ReadTag | undefined)[];
  #objects: unknown[] = [];
  #count = 0;
  #shapes: Shape[] = [];
  #classIds: readonly string[] = [];
  #classes: AnyFunction[] = [];
  #handles: readonly Handle[] = [];
  #depth = 0;

  constructor(readers: readonly (ReadTag | undefined)[]) {
    super();
    this.#readers = readers;
  }

  /** Decode the value in [start, end). */
  run(bytes: Buffer, start: number, end: number, hooks: ValueHooks, share: Share): unknown {
    this.open(bytes, start, end);
    this.hooks = hooks;
    this.share = share;
    try {
      const trailer = readTrailer(bytes, start, end);
      if (trailer !== undefined) {
        this.#classIds = trailer.classIds;
        this.#handles = trailer.handles;
        this.end = trailer.start;
      }
      const value = this.readTagged(this.byte() & (tags.HAS_TRAILER - 1));
      if (this.position !== this.end) this.malformed("bytes after the value");
      return value;
    } catch (error) {
      throw isTyped(error)
        ? error
        : new SerializationError(`a value cannot be decoded: ${textOf(error)}`, { cause: error });
    }
  }

  /** Let go of the value, to be used again. */
  clear(): void {
    this.close();
    this.share = false;
    if (this.#count > KEEP) this.#objects = [];
    else for (let i = 0; i < this.#count; i++) this.#objects[i] = undefined;
    this.#count = 0;
    if (this.#shapes.length > 0) this.#shapes = [];
    if (this.#classes.length > 0) this.#classes = [];
    this.#classIds = [];
    this.#handles = [];
    this.#depth = 0;
  }

  /** Read a value of any kind. */
  read(): unknown {
    return this.readTagged(this.byte());
  }

  /** Go into something that holds other values. */
  enter(): void {
    if (++this.#depth > MAX_DEPTH) this.malformed(`nesting of more than ${MAX_DEPTH} levels`);
  }

  leave(): void {
    this.#depth--;
  }

  /** Give the next number to an object. */
  add<T>(object: T): T {
    this.#objects[this.#count++] = object;
    return object;
  }

  /** Take the next number for an object that does not exist yet. */
  reserve(): number {
    this.#objects[this.#count] = UNFINISHED;
    return this.#count++;
  }

  settle(number: number, object: unknown): void {
    this.#objects[number] = object;
  }

  /** What a hook or a reviver answers. Whatever it throws becomes a SerializationError. */
  ask<T>(what: string, question: () => T): T {
    try {
      return question();
    } catch (error) {
      if (isTyped(error)) throw error;
      throw new SerializationError(`${what} threw: ${textOf(error)}`, { cause: error });
    }
  }

  /** The class or reviver with this index in the trailer. */
  readClass(index: number): AnyFunction {
    const known = this.#classes[index];
    if (known !== undefined) return known;
    const id = this.#classIds[index] ?? this.malformed(`class ${index}, which the trailer does not name`);
    const type: unknown = this.ask(`looking up the class ${id}`, () => this.hooks.classById(id));
    if (typeof type !== "function") throw new SerializationError(`the class ${id} of a value has not been loaded`);
    this.#classes[index] = type;
    return type;
  }

  readHandle(): Handle {
    const index = this.varint();
    return this.#handles[index] ?? this.malformed(`handle ${index}, which the trailer does not have`);
  }

  /** Anything but an object; never recurses. */
  readPrimitive(): unknown {
    const tag = this.byte();
    if (tag > tags.SYMBOL_WELL_KNOWN && tag < tags.SHORT_STRING) this.malformed("an object in place of a primitive");
    return this.readTagged(tag);
  }

  readString(): string {
    const tag = this.byte();
    const isString = tag === tags.LATIN1 || tag === tags.UTF16 || (tag >= tags.SHORT_STRING && tag < tags.SMALL_INT);
    return isString ? (this.readTagged(tag) as string) : this.malformed("no string where one belongs");
  }

  readKey(): string | symbol {
    const value = this.readPrimitive();
    return typeof value === "string" || typeof value === "symbol" ? value : this.malformed("no key where one belongs");
  }

  readTagged(tag: number): unknown {
    if (tag >= tags.SHORT_STRING && tag < tags.HAS_TRAILER) {
      return tag >= tags.SMALL_INT ? tag - tags.SMALL_INT : this.latin1(tag - tags.SHORT_STRING);
    }
    const read = this.#readers[tag];
    return read === undefined ? this.malformed(`the unknown tag ${tag}`) : read(this);
  }

  readBackReference(): unknown {
    const number = this.varint();
    const object = this.#objects[number];
    if (number >= this.#count || object === UNFINISHED) this.malformed(`object ${number}, which does not exist yet`);
    return object;
  }

  /** Read keys and values into an object. */
  readProperties(tag: number, target: Record<string, unknown>, isPlain: boolean): object {
    const { names, needDefine } = this.#readShape(tag);
    this.enter();
    if (isPlain && !needDefine) {
      for (let i = 0; i < names.length; i++) target[names[i] as string] = this.read();
    } else {
      for (const name of names) setProperty(target, name, this.read());
    }
    this.leave();
    return target;
  }

  readArray(): unknown[] {
    const length = this.count(1);
    const array: unknown[] = this.add([]);
    this.enter();
    for (let i = 0; i < length; i++) {
      const tag = this.byte();
      if (tag !== tags.HOLE) array[i] = this.readTagged(tag);
    }
    this.leave();
    if (array.length < length) array.length = length;
    return array;
  }

  readSparseArray(): unknown[] {
    const length = this.varint();
    const count = this.count(2);
    if (length < 1 || length > 0xffff_ffff) this.malformed(`an array of length ${length}`);
    const array: unknown[] = this.add([]);
    // Setting `length` would make V8 allocate up to 32 million elements; a far element turns the array into a table.
    array[length - 1] = undefined;
    delete array[length - 1];
    this.enter();
    for (let i = 0; i < count; i++) {
      const index = this.varint();
      if (index >= length) this.malformed("an index beyond the end of its array");
      array[index] = this.read();
    }
    this.leave();
    return array;
  }

  #readShape(tag: number): Shape {
    if (tag === tags.OBJECT_OF_SHAPE) {
      const number = this.varint();
      return this.#shapes[number] ?? this.malformed(`shape ${number}, which does not exist yet`);
    }
    if (tag !== tags.OBJECT_OF_NEW_SHAPE) this.malformed("no properties where they belong");
    const count = this.count(2);
    const names: string[] = [];
    let needDefine = false;
    for (let i = 0; i < count; i++) {
      const name = this.#readName();
      needDefine ||= name in Object.prototype;
      names.push(name);
    }
    const shape = { names, needDefine };
    if (isShape(count)) this.#shapes.push(shape);
    return shape;
  }

  #readName(): string {
    const tag = this.bytes[this.position] ?? tags.END;
    if (tag < tags.SHORT_STRING || tag >= tags.SMALL_INT) return this.readString();
    const length = tag - tags.SHORT_STRING;
    this.position++;
    return internedKey(this.bytes, this.take(length), length);
  }
}

/** Define a property where assignment would run a setter or change the prototype. */
function setProperty(target: object, key: PropertyKey, value: unknown): void {
  if (key in target)
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else (target as Record<PropertyKey, unknown>)[key] = value;
}

function isTyped(error: unknown): boolean {
  return error instanceof ProtocolError || error instanceof SerializationError;
}
