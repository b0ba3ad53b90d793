/** The error classes that both ends have: those of the language and mobula's own. They travel by name. */
import * as mobula from "../../errors.js";

const LANGUAGE = [
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
  "ReferenceError",
  "EvalError",
  "URIError",
  "AggregateError",
  "SuppressedError", // since Node 24
];

const PROTOTYPES: ReadonlyMap<string, object> = new Map(
  [
    ...LANGUAGE.map((name): [string, unknown] => [name, Reflect.get(globalThis, name)]),
    ...Object.entries(mobula),
  ].flatMap(([name, type]): [string, object][] =>
    typeof type === "function" && isErrorPrototype(type.prototype) ? [[name, type.prototype]] : [],
  ),
);
const NAMES: ReadonlyMap<object, string> = new Map([...PROTOTYPES].map(([name, prototype]) => [prototype, name]));

/** The prototype of a class, also of one that this version of Node or of mobula does not have. */
export function errorPrototype(name: string): object {
  return PROTOTYPES.get(name) ?? Error.prototype;
}

export function errorClassName(prototype: object): string | undefined {
  return NAMES.get(prototype);
}

/** Also true for errors that are none inside: those of classes made with functions and `Object.create`. */
export function isErrorPrototype(prototype: unknown): prototype is object {
  return prototype === Error.prototype || Object.prototype.isPrototypeOf.call(Error.prototype, prototype as object);
}
