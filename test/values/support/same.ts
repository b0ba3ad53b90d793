/**
 * Sameness of two values, stricter than `assert.deepStrictEqual`: `Object.is` for primitives, equal prototypes, own
 * keys in equal order, holes, buffers of one's own, and equal sharing: two places hold one object in the one value if
 * and only if they do in the other.
 */
import assert from "node:assert/strict";
import { types } from "node:util";

export function assertSame(actual: unknown, expected: unknown): void {
  new Comparison().compare(actual, expected, "value");
}

class Comparison {
  readonly #forward = new Map<object, object>();
  readonly #backward = new Map<object, object>();

  compare(actual: unknown, expected: unknown, path: string): void {
    if (!isObject(actual) || !isObject(expected)) {
      assert.ok(Object.is(actual, expected), `${path}: ${String(actual)} is not ${String(expected)}`);
      return;
    }
    if (this.#forward.has(actual) || this.#backward.has(expected)) {
      assert.equal(this.#forward.get(actual), expected, `${path}: shared in one value only`);
      assert.equal(this.#backward.get(expected), actual, `${path}: shared in one value only`);
      return;
    }
    this.#forward.set(actual, expected);
    this.#backward.set(expected, actual);
    assert.equal(Object.getPrototypeOf(actual), Object.getPrototypeOf(expected), `${path}: another prototype`);
    this.#compareContents(actual, expected, path);
    this.#compareProperties(actual, expected, path);
  }

  #compareContents(actual: object, expected: object, path: string): void {
    if (types.isMap(expected)) {
      this.compare([...(actual as Map<unknown, unknown>)].flat(1), [...expected].flat(1), `${path}.entries()`);
    } else if (types.isSet(expected)) {
      this.compare([...(actual as Set<unknown>)], [...expected], `${path}.values()`);
    } else if (types.isDate(expected)) {
      this.compare((actual as Date).getTime(), expected.getTime(), `${path}.getTime()`);
    } else if (types.isRegExp(expected)) {
      assert.equal(String(actual), String(expected), path);
    } else if (types.isBoxedPrimitive(expected)) {
      this.compare(Object(actual).valueOf(), expected.valueOf(), `${path}.valueOf()`);
    } else if (types.isAnyArrayBuffer(expected)) {
      assert.deepEqual(Buffer.from(actual as ArrayBuffer), Buffer.from(expected as ArrayBuffer), path);
    } else if (ArrayBuffer.isView(expected)) {
      assert.deepEqual(bytesOf(actual as ArrayBufferView), bytesOf(expected), path);
      assert.equal((actual as ArrayBufferView).buffer.byteLength, expected.byteLength, `${path}: more than its bytes`);
    } else if (expected instanceof URL || expected instanceof URLSearchParams) {
      assert.equal(String(actual), String(expected), path);
    }
  }

  #compareProperties(actual: object, expected: object, path: string): void {
    if (ArrayBuffer.isView(expected) || expected instanceof URL) return;
    assert.deepEqual(keysOf(actual), keysOf(expected), `${path}: other keys`);
    for (const key of keysOf(expected)) {
      const mine = Object.getOwnPropertyDescriptor(actual, key) as PropertyDescriptor;
      const theirs = Object.getOwnPropertyDescriptor(expected, key) as PropertyDescriptor;
      assert.equal(mine.enumerable, theirs.enumerable, `${path}.${String(key)}: visibility`);
      this.compare(mine.value, Reflect.get(expected, key), `${path}.${String(key)}`);
    }
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function bytesOf(view: ArrayBufferView): Buffer {
  return Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);
}

/** Local symbols do not travel. */
function keysOf(value: object): PropertyKey[] {
  return Reflect.ownKeys(value).filter((key) => typeof key === "string" || Symbol.keyFor(key) !== undefined);
}
