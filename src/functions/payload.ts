/**
 * The bytes in which a captured function travels.
 *
 *     u32 length of the header · header (JSON in UTF-8) · segments (binary data and the source map, one after another)
 *
 * The header holds the code to evaluate and a flat list of nodes: every object, function and variable block of the
 * captured graph, naming each other by index. Flat, so that depth costs nothing; JSON with a fixed order of keys, so
 * that equal functions give equal bytes in every process and on every version of Node.
 */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** What the layers above know how to carry: object refs, actor handles, remote functions and classes. */
export interface External {
  readonly kind: string;
  readonly data: JsonValue;
}

/**
 * A value inside a node: JSON's own primitives as they are, `[index]` for a node, and a tagged text for the primitives
 * that JSON loses: `["u"]` undefined, `["n", "NaN" | "-0" | …]` a number, `["b", digits]` a bigint.
 */
export type Ref = null | boolean | number | string | readonly [number] | readonly ["u"] | readonly ["n" | "b", string];

/** Attributes of a property that is not a plain writable, enumerable, configurable data property. */
export const WRITABLE = 1;
export const ENUMERABLE = 2;
export const CONFIGURABLE = 4;
export const ACCESSOR = 8;

/** key, attributes, then the value, or the getter and the setter. */
export type Slot = readonly [key: Ref, attributes: number, value: Ref, setter?: Ref];

/** What every object can have besides its kind's own content. */
export interface Shape {
  /** Absent: the prototype that the kind has by default. */
  readonly proto?: Ref;
  /** Plain properties with string keys: key, value, key, value … */
  readonly props?: readonly Ref[];
  /** All other properties. */
  readonly slots?: readonly Slot[];
  /** Properties that the definition makes and that were deleted since. */
  readonly gone?: readonly Ref[];
  /** 1 not extensible, 2 sealed, 3 frozen. */
  readonly level?: 1 | 2 | 3;
}

/**
 * Where a value of a package, of a builtin module or of the project is found: import `spec` as the module at `from`
 * would, then walk `path`.
 */
export interface ModuleNode {
  readonly k: "mod";
  readonly spec: string;
  /** URL of the importing script; absent for `node:` modules. */
  readonly from?: string;
  /** A module of the project that travels by reference: `spec` is its URL. */
  readonly project?: true;
  /** Load with `require` instead of `import`. */
  readonly cjs?: true;
  readonly path: readonly string[];
}

/** The bytes of a buffer: a segment of the payload, or an object in the store. */
export type BufferContent = { readonly segment: number } | { readonly object: External };

export type PayloadNode =
  | ModuleNode
  | { readonly k: "sym"; readonly description?: string }
  | { readonly k: "symfor" | "wellknown"; readonly name: string }
  | { readonly k: "intrinsic"; readonly path: readonly string[] }
  | { readonly k: "ext"; readonly kind: string; readonly data: JsonValue }
  | { readonly k: "require"; readonly url: string }
  | ({ readonly k: "fn"; readonly name?: string; readonly scope?: number; readonly strict?: true } & Shape)
  | ({
      readonly k: "class";
      readonly name?: string;
      readonly scope?: number;
      readonly parent?: Ref;
      /** Current values of static private fields, in the order in which the code's setter numbers them. */
      readonly statics?: readonly Ref[];
    } & Shape)
  | ({ readonly k: "bound"; readonly target: Ref; readonly self: Ref; readonly args: readonly Ref[] } & Shape)
  /** A method or accessor of a class in this payload: the re-evaluated class's own. */
  | {
      readonly k: "member";
      readonly of: number;
      readonly static?: true;
      readonly key: Ref;
      readonly part: "value" | "get" | "set";
    }
  /** The `prototype` object of a function or class. */
  | ({ readonly k: "proto"; readonly of: number } & Shape)
  | ({ readonly k: "obj" } & Shape)
  | ({ readonly k: "arr"; readonly length: number; readonly items?: readonly Ref[] } & Shape)
  | ({ readonly k: "map"; readonly entries: readonly Ref[] } & Shape)
  | ({ readonly k: "set"; readonly items: readonly Ref[] } & Shape)
  | ({ readonly k: "wmap"; readonly entries: readonly Ref[] } & Shape)
  | ({ readonly k: "wset"; readonly items: readonly Ref[] } & Shape)
  | ({ readonly k: "date"; readonly time: Ref } & Shape)
  | ({ readonly k: "regexp"; readonly source: string; readonly flags: string; readonly last: number } & Shape)
  | ({ readonly k: "error"; readonly type: string } & Shape)
  | ({ readonly k: "buffer"; readonly shared?: true } & BufferContent & Shape)
  | ({
      readonly k: "view";
      readonly type: string;
      readonly buffer: Ref;
      readonly offset: number;
      readonly length: number;
    } & Shape)
  | ({ readonly k: "boxed"; readonly value: Ref } & Shape)
  /** A builtin object made again by its constructor: URL, TextDecoder, Intl … */
  | ({ readonly k: "made"; readonly type: readonly string[]; readonly args: readonly Ref[] } & Shape)
  /** `reviver(...args)`, as `Symbol.for("mobula.serialize")` asked for. */
  | { readonly k: "custom"; readonly reviver: Ref; readonly args: readonly Ref[] }
  /** A library's object, made again by running its initializer. */
  | { readonly k: "replay"; readonly scope?: number };

/** A lexical block of the emitted code: its parent block, its variables and their values. */
export interface ScopeRecord {
  readonly parent?: number;
  readonly names: readonly string[];
  readonly values: readonly Ref[];
}

/** A class whose identity outlives the payload. See class-identity.ts. */
export interface ClassRecord {
  readonly node: number;
  readonly key: string;
  /** Hash of everything that the class reaches, and its nodes in a fixed order. */
  readonly digest: string;
  readonly closure: readonly number[];
}

/** A module that prepares a process for the program's files, as `--import` or `--require` would. */
export interface Loader {
  readonly spec: string;
  readonly from: string;
  readonly cjs?: true;
}

/** The program that a function belongs to; see program.ts. */
export interface ProgramRecord {
  readonly entry?: string;
  readonly loaders: readonly Loader[];
  /** URLs of the modules that travel by reference. */
  readonly byReference: readonly string[];
}

export interface PayloadHeader {
  readonly v: 1;
  readonly name: string;
  readonly kind: "function" | "class";
  readonly code: string;
  readonly root: number;
  /** null: the node turned out not to be needed. */
  readonly nodes: readonly (PayloadNode | null)[];
  readonly scopes?: readonly ScopeRecord[];
  readonly classes?: readonly ClassRecord[];
  /** Nodes that are made by running code, in order, each after what it needs. See `Staging` in order.ts. */
  readonly stages?: readonly Stage[];
  /** Byte lengths of the segments. */
  readonly segments?: readonly number[];
  /** The segment that holds the source map of `code`. */
  readonly map?: number;
  /** Present if the function makes its process import modules of the project. */
  readonly program?: ProgramRecord;
}

/** Run node `run` once the nodes and variables listed are complete. */
export interface Stage {
  readonly run: number;
  readonly nodes: readonly number[];
  readonly variables: readonly (readonly [scope: number, index: number])[];
}

export interface Payload {
  readonly header: PayloadHeader;
  readonly segments: readonly Uint8Array[];
}

const LENGTH_BYTES = 4;

export function encodePayload(header: Omit<PayloadHeader, "segments">, segments: readonly Uint8Array[]): Uint8Array {
  const lengths = segments.map((segment) => segment.byteLength);
  const full = segments.length === 0 ? header : { ...header, segments: lengths };
  const text = Buffer.from(JSON.stringify(full), "utf8");
  const bytes = new Uint8Array(LENGTH_BYTES + text.length + lengths.reduce((sum, length) => sum + length, 0));
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, LENGTH_BYTES);
  let at = LENGTH_BYTES + text.length;
  for (const segment of segments) {
    bytes.set(segment, at);
    at += segment.byteLength;
  }
  return bytes;
}

/** Throws a plain Error when the bytes are not a payload; the caller names the function. */
export function decodePayload(bytes: Uint8Array): Payload {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < LENGTH_BYTES) throw new Error("the payload is cut short");
  const textLength = view.getUint32(0, true);
  let at = LENGTH_BYTES + textLength;
  if (at > bytes.byteLength) throw new Error("the payload is cut short");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + LENGTH_BYTES, textLength).toString("utf8");
  const header = JSON.parse(text) as PayloadHeader;
  if (header.v !== 1) throw new Error(`the payload has format ${String(header.v)}, this process knows format 1`);
  const segments: Uint8Array[] = [];
  for (const length of header.segments ?? []) {
    if (length > bytes.byteLength - at) throw new Error("the payload is cut short");
    segments.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { header, segments };
}
