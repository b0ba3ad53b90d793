/**
 * One encoding: its state, and plain objects and arrays, the bulk of all values.
 *
 * What has contents of its own is in encode-builtins.ts, errors in encode-errors.ts, instances of users' classes and
 * what cannot be copied at all in encode-instances.ts.
 * Runs user code (getters, `mobula.serialize` methods), which may throw and may start another encoding meanwhile.
 */
import { types } from "node:util";
import { extraKeysOf, indicesIfSparse } from "./arrays.js";
import { builtinOf, writeBigInt, writeSymbol } from "./encode-builtins.js";
import { writeInstance, writeOther } from "./encode-instances.js";
import { writeIfRevivable } from "./encode-revivable.js";
import type { Encoding } from "./encoding.js";
import { explain, isStackOverflow, sentenceOf } from "./failures.js";
import type { AnyFunction, Handle, ValueHooks } from "./hooks.js";
import { ALIGN_FROM } from "./limits.js";
import { functionObstacle, HookFailure, Obstacle, proxyObstacle, SERIALIZE_HINT } from "./obstacles.js";
import { Path } from "./paths.js";
import { writeNumber, writeString } from "./primitives.js";
import { Seen } from "./seen.js";
import { isShape, ShapeTable } from "./shapes.js";
import { SERIALIZE, sharedSymbolKeys } from "./symbols.js";
import * as tags from "./tags.js";
import { writeTrailer } from "./trailer.js";
import type { ValueWriter, WriterMark } from "./writer.js";

/** Told of what cannot be copied, where, and why. To stop, it throws. */
export type OnObstacle = (path: string, error: unknown) => void;

/** The `errorDepth` of an encoding that tells of obstacles, outside of any error. */
const INSPECTING_DEPTH = 1;

/** How far an encoding has come, to return to when an attempt fails. */
interface Mark {
  readonly writer: WriterMark;
  readonly depth: number;
  readonly errorDepth: number;
  readonly seen: number;
  readonly shapes: number;
  readonly handles: number;
  readonly classes: number;
  readonly reviving: number;
}

export class Encoder implements Encoding {
  readonly path = new Path();
  handles: Handle[] = [];
  classIds: string[] = [];
  writer!: ValueWriter;
  errorDepth = 0;
  readonly #seen = new Seen();
  readonly #shapes = new ShapeTable();
  /** Numbers of the objects whose origins are being written (see writeOrigin). */
  readonly #reviving: number[] = [];
  #hooks!: ValueHooks;
  #onObstacle: OnObstacle | undefined;
  #classes: AnyFunction[] = [];
  /** Prototypes of which it is known that their instances are nothing but properties, with the class. */
  readonly #plainClasses = new Map<object, number>();

  /**
   * Append a value. On failure the writer is as it was before. With `onObstacle`, what cannot be copied is told and
   * left out instead, as it is within errors: all of it is found, not only the first.
   */
  run(writer: ValueWriter, value: unknown, hooks: ValueHooks, label: string, onObstacle?: OnObstacle): void {
    this.writer = writer;
    this.#onObstacle = onObstacle;
    if (onObstacle !== undefined) this.errorDepth = INSPECTING_DEPTH;
    this.#hooks = hooks;
    this.path.begin(label);
    const first = writer.position;
    const mark = writer.begin();
    try {
      this.write(value);
      if (this.handles.length > 0 || this.classIds.length > 0) {
        (writer.buffer[first] as number) |= tags.HAS_TRAILER;
        writeTrailer(writer, this.classIds, this.handles);
      }
    } catch (error) {
      writer.rollBack(mark);
      throw explain(error, this.path);
    } finally {
      writer.end();
    }
  }

  /** Let go of everything of the user's, to be used again. */
  clear(): void {
    this.path.clear();
    this.#seen.clear();
    this.#shapes.clear();
    this.errorDepth = 0;
    this.#onObstacle = undefined;
    // The lists may have been handed out. Setting a length takes 40 ns, also if it is 0 already.
    if (this.handles.length > 0) this.handles = [];
    if (this.classIds.length > 0) this.classIds = [];
    if (this.#classes.length > 0) this.#classes = [];
    if (this.#plainClasses.size > 0) this.#plainClasses.clear();
    if (this.#reviving.length > 0) this.#reviving.length = 0;
  }

  get objectCount(): number {
    return this.#seen.count;
  }

  write(value: unknown): void {
    switch (typeof value) {
      case "string":
        return writeString(this.writer, value);
      case "number":
        return writeNumber(this.writer, value);
      case "object":
        return value === null ? this.writer.byte(tags.NULL) : this.#writeObject(value);
      case "boolean":
        return this.writer.byte(value ? tags.TRUE : tags.FALSE);
      case "undefined":
        return this.writer.byte(tags.UNDEFINED);
      case "bigint":
        return writeBigInt(this, value);
      case "symbol":
        return writeSymbol(this, value);
      case "function":
        return this.#writeFunction(value);
    }
  }

  writeProperty(holder: object, key: PropertyKey, level: number): void {
    this.path.keys[level] = key;
    if (this.errorDepth > 0) this.attempt(() => this.write(Reflect.get(holder, key)));
    else this.write((holder as Record<PropertyKey, unknown>)[key]);
  }

  writeHeld(value: unknown): void {
    if (this.errorDepth > 0) this.attempt(() => this.write(value));
    else this.write(value);
  }

  attempt(write: () => void, instead?: () => void): void {
    const mark = this.#mark();
    try {
      write();
    } catch (error) {
      if (mark.errorDepth === INSPECTING_DEPTH) this.#onObstacle?.(this.path.text(), explain(error, this.path));
      this.#rollBack(mark);
      // On the last of the stack a second attempt would fail as the first did, and so would that of each caller.
      if (instead !== undefined && isStackOverflow(error)) throw error;
      if (instead === undefined) writeString(this.writer, `[${sentenceOf(error).replace(/^is /, "")}]`);
      else instead();
    }
  }

  writeProperties(value: object): void {
    const { writer } = this;
    const keys = Object.keys(value);
    const count = keys.length;
    const shape = isShape(count) ? this.#shapes.findOrAdd(keys) : -1;
    const level = this.path.enter();
    if (shape >= 0) {
      writer.byte(tags.OBJECT_OF_SHAPE);
      writer.varint(shape);
    } else {
      writer.byte(tags.OBJECT_OF_NEW_SHAPE);
      writer.varint(count);
      for (let i = 0; i < count; i++) writeString(writer, keys[i] as string);
    }
    for (let i = 0; i < count; i++) this.writeProperty(value, keys[i] as string, level);
    this.path.leave();
  }

  writeArray(value: readonly unknown[]): void {
    const indices = indicesIfSparse(value);
    if (indices !== undefined) return this.#writeSparse(value, indices);
    const { writer } = this;
    const { length } = value;
    writer.byte(tags.ARRAY);
    writer.varint(length);
    const level = this.path.enter();
    for (let i = 0; i < length; i++) {
      this.path.keys[level] = i;
      if (this.errorDepth > 0) this.attempt(() => this.#writeElement(value, i));
      else this.#writeElement(value, i);
    }
    this.path.leave();
  }

  writeDressed(value: object, writeInner: () => void, classPlusOne: number, keys: readonly PropertyKey[]): void {
    const { writer } = this;
    writer.byte(tags.DRESSED);
    writeInner();
    writer.varint(classPlusOne);
    writer.varint(keys.length);
    const level = this.path.enter();
    for (const key of keys) {
      this.write(key);
      this.writeProperty(value, key, level);
    }
    this.path.leave();
  }

  writeBinary(bytes: Uint8Array): void {
    const { writer } = this;
    writer.varint(bytes.length);
    if (bytes.length >= ALIGN_FROM) writer.align();
    writer.append(bytes);
  }

  writeIfHandle(value: object): boolean {
    const handle = this.#ask(() => this.#hooks.describe(value, () => this.path.text()));
    if (handle === undefined) return false;
    this.writer.byte(tags.HANDLE);
    this.writer.varint(this.handles.length);
    this.handles.push(handle);
    return true;
  }

  classIndex(type: AnyFunction): number {
    const known = this.#classes.indexOf(type);
    if (known >= 0) return known;
    this.classIds.push(this.#ask(() => this.#hooks.classId(type, () => this.path.text())));
    return this.#classes.push(type) - 1;
  }

  refusePrivate(type: AnyFunction): void {
    const member = this.#ask(() => this.#hooks.privateMemberOf?.(type));
    if (member === undefined) return;
    const what = `is an instance of ${type.name || "a class"} with the private member ${member}, which only the class itself can copy`;
    throw new Obstacle(what, SERIALIZE_HINT);
  }

  rememberClass(prototype: object, classIndex: number): void {
    this.#plainClasses.set(prototype, classIndex);
  }

  writeOrigin(objectNumber: number, write: () => void): void {
    this.#reviving.push(objectNumber);
    write();
    this.#reviving.pop();
  }

  #writeObject(value: object): void {
    const before = this.#seen.findOrAdd(value);
    if (before >= 0) return this.#writeAgain(before);
    if (types.isProxy(value)) return this.#writeProxy(value);
    const prototype: object | null = Object.getPrototypeOf(value);
    if (prototype === Object.prototype) return this.#writePlain(value);
    if (prototype === Array.prototype && Array.isArray(value)) return this.#writePlainArray(value);
    if (prototype === null) return this.#writePlain(value, tags.NULL_PROTOTYPE);
    const plainClass = this.#plainClasses.size > 0 ? this.#plainClasses.get(prototype) : undefined;
    if (plainClass !== undefined) return writeInstance(this, value, plainClass);
    const builtin = builtinOf(value, prototype);
    if (builtin === undefined) return writeOther(this, value, prototype);
    const keys = builtin.hasProperties ? Object.keys(value) : [];
    if (keys.length > 0) this.writeDressed(value, () => builtin.write(this, value), 0, keys);
    else builtin.write(this, value);
  }

  #writePlain(value: object, tag?: number): void {
    // 60 ns: a symbol key must not be lost in silence.
    if (Object.getOwnPropertySymbols(value).length > 0) return this.#writePlainWithSymbols(value, tag);
    if (tag !== undefined) this.writer.byte(tag);
    this.writeProperties(value);
  }

  #writePlainWithSymbols(value: object, tag?: number): void {
    if (Object.hasOwn(value, SERIALIZE) && writeIfRevivable(this, value)) return;
    const write = (): void => {
      if (tag !== undefined) this.writer.byte(tag);
      this.writeProperties(value);
    };
    const symbols = sharedSymbolKeys(value);
    if (symbols.length > 0) this.writeDressed(value, write, 0, symbols);
    else write();
  }

  #writePlainArray(value: readonly unknown[]): void {
    const extra = extraKeysOf(value);
    if (extra.length > 0) this.writeDressed(value, () => this.writeArray(value), 0, extra);
    else this.writeArray(value);
  }

  #writeElement(array: readonly unknown[], index: number): void {
    const element = array[index];
    if (element === undefined && !Object.hasOwn(array, index)) this.writer.byte(tags.HOLE);
    else this.write(element);
  }

  #writeSparse(value: readonly unknown[], indices: readonly number[]): void {
    const { writer } = this;
    writer.byte(tags.SPARSE_ARRAY);
    writer.varint(value.length);
    writer.varint(indices.length);
    const level = this.path.enter();
    for (const index of indices) {
      writer.varint(index);
      this.writeProperty(value, index, level);
    }
    this.path.leave();
  }

  #writeAgain(number: number): void {
    if (this.#reviving.includes(number)) {
      throw new Obstacle(
        "is contained in what its own mobula.serialize method returned",
        "return data without the object itself",
      );
    }
    this.writer.byte(tags.BACKREF);
    this.writer.varint(number);
  }

  /** A handle may be a proxy; all others are refused, because their traps are code. */
  #writeProxy(value: object): void {
    if (!this.writeIfHandle(value)) throw proxyObstacle();
  }

  #writeFunction(value: AnyFunction): void {
    const before = this.#seen.findOrAdd(value);
    if (before >= 0) return this.#writeAgain(before);
    if (!this.writeIfHandle(value)) throw types.isProxy(value) ? proxyObstacle() : functionObstacle(value);
  }

  /** What a hook throws reaches the user as it is. */
  #ask<T>(question: () => T): T {
    try {
      return question();
    } catch (error) {
      throw new HookFailure(error);
    }
  }

  #mark(): Mark {
    return {
      writer: this.writer.mark(),
      depth: this.path.depth,
      errorDepth: this.errorDepth,
      seen: this.#seen.count,
      shapes: this.#shapes.count,
      handles: this.handles.length,
      classes: this.classIds.length,
      reviving: this.#reviving.length,
    };
  }

  #rollBack(mark: Mark): void {
    this.writer.rollBack(mark.writer);
    this.path.depth = mark.depth;
    this.errorDepth = mark.errorDepth;
    this.#seen.truncate(mark.seen);
    this.#shapes.truncate(mark.shapes);
    this.handles.length = mark.handles;
    this.classIds.length = mark.classes;
    if (this.#classes.length > mark.classes) {
      this.#classes.length = mark.classes;
      this.#plainClasses.clear();
    }
    this.#reviving.length = mark.reviving;
  }
}
