/** The layers above the encoder, as far as a test needs them: a few classes that travel, and things with a handle. */
import { createHash } from "node:crypto";
import { SerializationError } from "../../../src/errors.js";
import {
  type AnyFunction,
  decodeValue,
  encodeValue,
  type Handle,
  type Share,
  type ValueHooks,
} from "../../../src/io/values/index.js";

const HANDLE_KIND = 7;

/** Stands for an ObjectRef: travels by its id. Its state would not be copyable. */
export class Ref {
  readonly id: string;
  readonly #connection = "a connection";

  constructor(id: string) {
    this.id = id;
  }

  get connection(): string {
    return this.#connection;
  }
}

export function hooksFor(...classes: readonly AnyFunction[]): ValueHooks {
  const byId = new Map(classes.map((type, i) => [idOf(`${type.name} ${i}`), type]));
  return {
    describe: (value) =>
      value instanceof Ref || isNamed(value) ? { kind: HANDLE_KIND, data: Buffer.from(nameOf(value)) } : undefined,
    revive: ({ data }: Handle) => new Ref(Buffer.from(data).toString()),
    classId: (type, path) => {
      for (const [id, known] of byId) if (known === type) return id;
      throw new SerializationError(`${path()} is of class ${type.name}, which cannot be shipped`, { path: path() });
    },
    classById: (id) => {
      const type = byId.get(id);
      if (type === undefined) throw new SerializationError(`class ${id} is not here`);
      return type;
    },
  };
}

/** Stands for remote functions: functions, and proxies, that have a handle. */
const names = new WeakMap<object, string>();

export function named<T extends object>(name: string, value: T): T {
  names.set(value, name);
  return value;
}

function isNamed(value: object): boolean {
  return names.has(value);
}

function nameOf(value: object): string {
  return names.get(value) ?? (value as Ref).id;
}

function idOf(text: string): string {
  return createHash("md5").update(text).digest("hex");
}

export const NO_CLASSES = hooksFor();

export function encode(value: unknown, hooks: ValueHooks = NO_CLASSES, label = "value"): Buffer {
  const encoded = encodeValue(value, hooks, label);
  const bytes = Buffer.alloc(encoded.sizeBytes);
  encoded.writeTo(bytes);
  return bytes;
}

export function roundTrip<T>(value: T, hooks: ValueHooks = NO_CLASSES, share: Share = false): T {
  return decodeValue(encode(value, hooks), hooks, { share }) as T;
}
