/** Symbols that are the same in every process: those of `Symbol.for`, and those of the language. */

/** The method by which a class of the user's own says how it is copied. */
export const SERIALIZE: unique symbol = Symbol.for("mobula.serialize") as never;

const WELL_KNOWN: ReadonlyMap<symbol, string> = new Map(
  Object.getOwnPropertyNames(Symbol).flatMap((name): [symbol, string][] => {
    const value: unknown = Reflect.get(Symbol, name);
    return typeof value === "symbol" ? [[value, name]] : [];
  }),
);

/** "iterator" for `Symbol.iterator`. */
export function wellKnownName(value: symbol): string | undefined {
  return WELL_KNOWN.get(value);
}

/** `Symbol.iterator` for "iterator". */
export function wellKnownSymbol(name: string): symbol | undefined {
  const value: unknown = Object.hasOwn(Symbol, name) ? Reflect.get(Symbol, name) : undefined;
  return typeof value === "symbol" ? value : undefined;
}

export function isShared(value: symbol): boolean {
  return Symbol.keyFor(value) !== undefined || WELL_KNOWN.has(value);
}

/**
 * The enumerable properties of an object under shared symbols. Local symbols are left out: libraries tag objects
 * with them (every EventEmitter has two), and nobody in another process could look them up.
 */
export function sharedSymbolKeys(value: object): symbol[] {
  return Object.getOwnPropertySymbols(value).filter(
    (key) => isShared(key) && Object.prototype.propertyIsEnumerable.call(value, key),
  );
}
