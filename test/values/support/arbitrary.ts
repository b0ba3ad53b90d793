/**
 * Random values: graphs of every kind of object, with cycles and shared references.
 *
 * A graph is drawn as a list of nodes whose slots are leaves or numbers of nodes; then the objects are made, then
 * filled. A shrunk counter-example is a short list.
 */
import fc from "fast-check";

class Point {
  x: unknown = 1;

  get norm(): unknown {
    return this.x;
  }
}
class Registry extends Map<unknown, unknown> {
  label: unknown = "registry";
}
class Stack extends Array<unknown> {}
class Failure extends TypeError {
  code: unknown = "E_FAILURE";
}
export const CLASSES = [Point, Registry, Stack, Failure];

type Slot = { readonly leaf: unknown } | { readonly node: number };
interface Entry {
  readonly key: string;
  readonly slot: Slot;
}
interface Node {
  readonly kind: number;
  readonly entries: readonly Entry[];
}

/** Any sequence of UTF-16 units, lone surrogates included. */
const units = fc
  .array(fc.oneof(fc.integer({ min: 0, max: 0xff }), fc.integer({ min: 0, max: 0xffff })), { maxLength: 40 })
  .map((codes) => String.fromCharCode(...codes));

const key = fc.oneof(
  fc.constantFrom("a", "b", "c", "id", "name", "__proto__", "constructor", "toString", "", "0", "7", "length"),
  units,
);

const typedArray = fc.oneof(
  fc.int8Array(),
  fc.uint8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
);

const primitive = fc.oneof(
  fc.constantFrom(undefined, null, true, false, 0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.integer(),
  fc.integer({ min: -200, max: 40_000 }),
  fc.double(),
  fc.bigInt(),
  fc.bigInt({ min: -5n, max: 5n }),
  units,
  fc.constantFrom(Symbol.iterator, Symbol.for("shared"), Symbol.asyncIterator),
  fc.string({ minLength: 20, maxLength: 2_000 }),
);

/** Objects that hold no others. Each is made anew, so that sharing comes only from the graph. */
const leafObject = fc.oneof(
  fc.date({ noInvalidDate: false }),
  typedArray,
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.uint8Array().map((bytes) => new DataView(bytes.slice().buffer)),
  fc.uint8Array().map((bytes) => bytes.slice().buffer),
  fc.webUrl().map((url) => new URL(url)),
  fc.webQueryParameters().map((query) => new URLSearchParams(query)),
  fc.tuple(fc.constantFrom("a+", "(?<x>\\d)", "/"), fc.constantFrom("", "g", "giu", "dy"), fc.nat(9)).map(matcher),
  fc.oneof(fc.double(), units, fc.boolean(), fc.bigInt()).map((value) => Object(value)),
);

function matcher([source, flags, lastIndex]: readonly [string, string, number]): RegExp {
  const regExp = new RegExp(source, flags);
  regExp.lastIndex = lastIndex;
  return regExp;
}

const slot: fc.Arbitrary<Slot> = fc.oneof(
  { weight: 4, arbitrary: primitive.map((leaf) => ({ leaf })) },
  { weight: 1, arbitrary: leafObject.map((leaf) => ({ leaf })) },
  { weight: 3, arbitrary: fc.nat().map((node) => ({ node })) },
);

/** How an object of each kind is made, and how an entry gets into it. */
const KINDS: readonly { make(): object; fill(into: object, entry: Entry, value: unknown): void }[] = [
  { make: () => ({}), fill: define },
  { make: () => Object.create(null) as object, fill: define },
  { make: () => [], fill: (into, _, value) => (into as unknown[]).push(value) },
  { make: () => [], fill: (into, entry, value) => define(into, { ...entry, key: `${3 * entry.key.length}` }, value) },
  { make: () => [1, 2], fill: (into, entry, value) => define(into, { ...entry, key: `extra ${entry.key}` }, value) },
  { make: () => new Map(), fill: (into, entry, value) => (into as Map<unknown, unknown>).set(entry.key, value) },
  { make: () => new Map(), fill: (into, entry, value) => (into as Map<unknown, unknown>).set(value, entry.key) },
  { make: () => new Set(), fill: (into, _, value) => (into as Set<unknown>).add(value) },
  { make: () => withStack(new Error("an error")), fill: defineUnlessBuiltin },
  { make: () => new RangeError("with a cause", { cause: null }), fill: (into, _, value) => hide(into, "cause", value) },
  { make: () => new AggregateError([]), fill: (into, _, value) => (into as AggregateError).errors.push(value) },
  { make: () => new Point(), fill: define },
  { make: () => new Registry(), fill: (into, entry, value) => (into as Registry).set(entry.key, value) },
  { make: () => new Stack(), fill: (into, _, value) => (into as Stack).push(value) },
  { make: () => withStack(new Failure("own class")), fill: defineUnlessBuiltin },
  { make: () => Object.assign(new Set(), { tag: 1 }), fill: (into, _, value) => (into as Set<unknown>).add(value) },
];

/** V8 makes the text of a stack when it is first asked for, with the `toString` that the error then has. */
function withStack(error: Error): Error {
  return error.stack === undefined ? new Error("an error without a stack") : error;
}

function define(into: object, { key }: Entry, value: unknown): void {
  Object.defineProperty(into, key, { value, writable: true, enumerable: true, configurable: true });
}

function defineUnlessBuiltin(into: object, entry: Entry, value: unknown): void {
  if (!["stack", "message", "cause", "errors"].includes(entry.key)) define(into, entry, value);
}

function hide(into: object, key: string, value: unknown): void {
  Object.defineProperty(into, key, { value, writable: true, enumerable: false, configurable: true });
}

const node: fc.Arbitrary<Node> = fc.record({
  kind: fc.nat(KINDS.length - 1),
  entries: fc.array(fc.record({ key, slot }), { maxLength: 6 }),
});

function build(nodes: readonly Node[]): unknown {
  const kindOf = ({ kind }: Node) => KINDS[kind] as (typeof KINDS)[number];
  const objects = nodes.map((each) => kindOf(each).make());
  nodes.forEach((each, i) => {
    for (const entry of each.entries) {
      const value = "node" in entry.slot ? objects[entry.slot.node % objects.length] : entry.slot.leaf;
      kindOf(each).fill(objects[i] as object, entry, value);
    }
  });
  return objects[0];
}

export const graph: fc.Arbitrary<unknown> = fc.array(node, { minLength: 1, maxLength: 12 }).map(build);
export const anyValue: fc.Arbitrary<unknown> = fc.oneof(primitive, leafObject, graph);
