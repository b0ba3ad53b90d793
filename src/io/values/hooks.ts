/** What the encoder asks of the layers above it, which know handles and the function table. */

/** A thing that is carried by name and not by value: an object ref, an actor handle, a remote function. */
export interface Handle {
  /** One byte, chosen by the layer above. */
  readonly kind: number;
  readonly data: Uint8Array;
}

/** A class or a function: anything with a prototype, or to be called. */
// biome-ignore lint/complexity/noBannedTypes: classes have no call signature in common with functions
export type AnyFunction = Function;

export interface ValueHooks {
  /**
   * The handle behind a value, or undefined if it is none.
   * Asked only for functions and for objects whose prototype the encoder does not know.
   */
  describe(value: object, path: () => string): Handle | undefined;
  /** The value for a handle. */
  revive(handle: Handle): unknown;
  /** The id (32 hex digits) under which a class or reviver function travels. @throws SerializationError if it cannot. */
  classId(ctor: AnyFunction, path: () => string): string;
  /** A member that instances of a class have and that no copy can carry (`#secret`); undefined if there is none. */
  privateMemberOf?(type: AnyFunction): string | undefined;
  /** The class or function with this id, loaded beforehand (see `classIdsOf`). */
  classById(id: string): AnyFunction;
}
