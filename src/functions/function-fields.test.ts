// A field is a method of the instance when its text says that it holds a function, as it was written or as compilers lower it.
// Method: real classes, and the names that an instance has functions under.
import assert from "node:assert/strict";
import { test } from "node:test";
import { functionFieldsOf } from "./function-fields.js";

test("fields that hold functions, and no others", () => {
  const key = "computed";
  class Fields {
    static readonly ofTheClass = () => 0;
    readonly arrow = (x: number) => x + this.count;
    readonly later = async () => this.#secret();
    readonly old = function old() {};
    readonly "any name" = () => {};
    readonly [key] = () => {};
    count = 0;
    readonly list = [() => {}];
    readonly made = Object.assign(() => {}, {});
    declare readonly nothing: () => void;
    readonly #secret = () => {};
    method(): void {}
  }
  assert.deepEqual(functionFieldsOf(Fields), ["arrow", "later", "old", "any name"]);
});

test("what compilers make of them", () => {
  const define = (target: object, name: string, value: unknown) => Reflect.set(target, name, value);
  class Lowered {
    assigned: unknown;
    constructor(given: () => void, value: number) {
      this.assigned = () => {};
      define(this, "helped", () => {});
      define(this, "count", value);
      Object.defineProperty(this, "defined", { enumerable: true, value: () => {} });
      Object.defineProperty(this, "given", { enumerable: true, value: given });
      define(given, "ofAnother", () => {});
    }
  }
  assert.deepEqual(functionFieldsOf(Lowered), ["assigned", "helped", "defined"]);
});

test("what is no class has none", () => {
  function Old(this: { field: unknown }) {
    this.field = () => {};
  }
  for (const type of [Old, Map, Object.create]) assert.deepEqual(functionFieldsOf(type), []);
});
