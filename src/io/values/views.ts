/** Typed arrays and their kin: what each kind is called on the wire, and how one is laid over a buffer. */

interface Kind {
  readonly name: string;
  readonly type: { readonly prototype: object };
  readonly elementBytes: number;
  /** A view of `length` elements. */
  over(buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView;
}

interface TypedArrayClass {
  readonly name: string;
  readonly prototype: object;
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView;
}

function kindOf(type: TypedArrayClass): Kind {
  return {
    name: type.name,
    type,
    elementBytes: type.BYTES_PER_ELEMENT,
    over: (buffer, byteOffset, length) => new type(buffer, byteOffset, length),
  };
}

/** Since Node 24. */
const Float16Array: unknown = Reflect.get(globalThis, "Float16Array");

const BUFFER: Kind = {
  name: "Buffer",
  type: Buffer,
  elementBytes: 1,
  over: (buffer, byteOffset, length) => Buffer.from(buffer as ArrayBuffer, byteOffset, length),
};
const DATA_VIEW: Kind = {
  name: "DataView",
  type: DataView,
  elementBytes: 1,
  over: (buffer, byteOffset, length) => new DataView(buffer as ArrayBuffer, byteOffset, length),
};

/** The index is the kind on the wire: append only. */
export const VIEW_KINDS: readonly (Kind | undefined)[] = [
  BUFFER,
  DATA_VIEW,
  ...[
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
  ].map((type) => kindOf(type as unknown as TypedArrayClass)),
  typeof Float16Array === "function" ? kindOf(Float16Array as unknown as TypedArrayClass) : undefined,
];

/** The kind that needs nothing laid over its bytes. */
export const BYTES = VIEW_KINDS.find((kind) => kind?.type === Uint8Array);

const KIND_BY_NAME: ReadonlyMap<string, number> = new Map(VIEW_KINDS.map((kind, i) => [kind?.name ?? "", i]));
/** Gives the true name of a typed array, whatever its class or own properties say. */
const nameOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)
  ?.get as (this: ArrayBufferView) => string;

/** The kind of a view on the wire. Subclasses count as the class of the language they extend. */
export function viewKind(view: ArrayBufferView): number {
  if (Buffer.isBuffer(view)) return KIND_BY_NAME.get("Buffer") as number;
  return KIND_BY_NAME.get(view instanceof DataView ? "DataView" : nameOf.call(view)) as number;
}
