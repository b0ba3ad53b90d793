/** `prototype` objects: which are a function's own, and what a program did to them. */

/** The function whose `prototype` an object is. */
export function constructorOf(prototype: object): CallableFunction | undefined {
  const owner: unknown = Object.getOwnPropertyDescriptor(prototype, "constructor")?.value;
  if (typeof owner !== "function") return undefined;
  return Object.getOwnPropertyDescriptor(owner, "prototype")?.value === prototype ? owner : undefined;
}

/** The `prototype` of a function when evaluating the function's text makes one like it. */
export function ownPrototype(fn: CallableFunction): object | undefined {
  const prototype: unknown = Object.getOwnPropertyDescriptor(fn, "prototype")?.value;
  if (typeof prototype !== "object" || prototype === null) return undefined;
  return constructorOf(prototype) === fn || isGeneratorPrototype(prototype) ? prototype : undefined;
}

const GENERATORS: readonly unknown[] = [
  Object.getPrototypeOf(function* () {}.prototype),
  Object.getPrototypeOf(async function* () {}.prototype),
];

function isGeneratorPrototype(prototype: object): boolean {
  return GENERATORS.includes(Object.getPrototypeOf(prototype));
}
