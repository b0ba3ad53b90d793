/**
 * Message schemas: one description gives the TypeScript type, the encoder and the checking decoder.
 *
 * Control messages are few but come from other processes, so the decoder trusts nothing: every length has a limit,
 * every id a form, every choice a list. A message that decodes is a message that is valid. (Why not a general
 * serializer: it would decode first and be checked afterwards, and it costs start-up time in every process.)
 */
import { type ByteReader, type ByteWriter, cutText, MalformedBytes } from "../base/bytes.js";
import { MAX_ID_BYTES, MAX_KEY_BYTES, MAX_TEXT_BYTES } from "../base/limits.js";

/** What a field may hold, as data: message tables of documents and generated test values come from it. */
export type Form =
  | { readonly kind: "u8" | "u16" | "u32" | "i32" | "f64" | "size" | "flag" | "id" }
  | { readonly kind: "text" | "blob"; readonly maxBytes: number }
  | { readonly kind: "oneOf"; readonly choices: readonly string[] }
  | { readonly kind: "optional"; readonly of: Form }
  | { readonly kind: "list" | "map"; readonly of: Form; readonly maxItems: number }
  | { readonly kind: "struct" | "union"; readonly parts: Readonly<Record<string, Form>> };

/** How one field of a message travels. Method syntax on purpose: it lets a `Field<X>` stand for a `Field<unknown>`. */
export interface Field<T> {
  readonly form: Form;
  write(writer: ByteWriter, value: T): void;
  read(reader: ByteReader): T;
}

export type Infer<F> = F extends Field<infer T> ? T : never;

type Shape = Readonly<Record<string, Field<unknown>>>;
type InferShape<S extends Shape> = { readonly [K in keyof S]: Infer<S[K]> };

export const u8: Field<number> = { form: { kind: "u8" }, write: (w, v) => w.u8(v), read: (r) => r.u8() };
export const u16: Field<number> = { form: { kind: "u16" }, write: (w, v) => w.u16(v), read: (r) => r.u16() };
export const u32: Field<number> = { form: { kind: "u32" }, write: (w, v) => w.u32(v), read: (r) => r.u32() };
export const i32: Field<number> = { form: { kind: "i32" }, write: (w, v) => w.i32(v), read: (r) => r.i32() };
export const f64: Field<number> = { form: { kind: "f64" }, write: (w, v) => w.f64(v), read: (r) => r.f64() };

/** A whole number of bytes or units: not negative, exact. */
export const size: Field<number> = {
  form: { kind: "size" },
  write: (w, v) => w.f64(v),
  read: (r) => {
    const value = r.f64();
    if (!Number.isSafeInteger(value) || value < 0) throw new MalformedBytes(`${value} is not a size`);
    return value;
  },
};

export const flag: Field<boolean> = {
  form: { kind: "flag" },
  write: (w, v) => w.u8(v ? 1 : 0),
  read: (r) => {
    const value = r.u8();
    if (value > 1) throw new MalformedBytes(`${value} is not a flag`);
    return value === 1;
  },
};

/** Words for people, such as reasons: who writes more than the limit is cut short. */
export function words(maxBytes = MAX_TEXT_BYTES): Field<string> {
  return {
    form: { kind: "text", maxBytes },
    write: (w, v) => w.text(cutText(v, maxBytes)),
    read: (r) => r.text(maxBytes),
  };
}

/** Names and other text that must arrive as it is: who writes it has checked its length. */
export function text(maxBytes = MAX_TEXT_BYTES): Field<string> {
  return { form: { kind: "text", maxBytes }, write: (w, v) => w.text(v), read: (r) => r.text(maxBytes) };
}

/** An id: lower-case hex, perhaps with a dot (lease ids). The brand is the caller's claim about its meaning. */
export function id<Id extends string>(): Field<Id> {
  return {
    form: { kind: "id" },
    write: (w, v) => w.text(v),
    read: (r) => {
      const value = r.text(MAX_ID_BYTES);
      if (!/^[0-9a-f][0-9a-f.]*$/.test(value)) throw new MalformedBytes("not an id");
      return value as Id;
    },
  };
}

/** Opaque bytes: functions, encoded values. A view of the frame: copy what is kept. */
export function blob(maxBytes: number): Field<Uint8Array> {
  return { form: { kind: "blob", maxBytes }, write: (w, v) => w.blob(v), read: (r) => r.blob(maxBytes).slice() };
}

export function oneOf<const Choices extends readonly string[]>(...choices: Choices): Field<Choices[number]> {
  return {
    form: { kind: "oneOf", choices },
    write: (w, v) => w.u8(choices.indexOf(v)),
    read: (r) => {
      const choice = choices[r.u8()];
      if (choice === undefined) throw new MalformedBytes("an unknown choice");
      return choice;
    },
  };
}

export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    form: { kind: "optional", of: field.form },
    write: (w, v) => {
      w.u8(v === undefined ? 0 : 1);
      if (v !== undefined) field.write(w, v);
    },
    read: (r) => (flag.read(r) ? field.read(r) : undefined),
  };
}

export function list<T>(field: Field<T>, maxItems: number): Field<readonly T[]> {
  return {
    form: { kind: "list", of: field.form, maxItems },
    write: (w, v) => {
      w.u32(v.length);
      for (const item of v) field.write(w, item);
    },
    read: (r) => {
      const length = r.u32();
      // An item has at least one byte, so the bytes that are left bound the list before anything is allocated.
      if (length > maxItems || length > r.remaining) throw new MalformedBytes(`a list of ${length} items`);
      const items: T[] = [];
      for (let i = 0; i < length; i++) items.push(field.read(r));
      return items;
    },
  };
}

/** A record from names to values; on arrival a `Map`, so that a name can never be taken for a prototype. */
export function map<T>(field: Field<T>, maxItems: number): Field<ReadonlyMap<string, T>> {
  const entries = list(struct({ name: text(MAX_KEY_BYTES), value: field }), maxItems);
  return {
    form: { kind: "map", of: field.form, maxItems },
    write: (w, v) => {
      w.u32(v.size);
      for (const [name, value] of v) {
        w.text(name);
        field.write(w, value);
      }
    },
    read: (r) => new Map(entries.read(r).map(({ name, value }) => [name, value as T])),
  };
}

export function struct<S extends Shape>(shape: S): Field<InferShape<S>> {
  const fields = Object.entries(shape);
  return {
    form: { kind: "struct", parts: formsOf(shape) },
    write: (w, v) => {
      for (const [name, field] of fields) field.write(w, v[name as keyof S]);
    },
    read: (r) => {
      const value: Record<string, unknown> = {};
      for (const [name, field] of fields) value[name] = field.read(r);
      return value as InferShape<S>;
    },
  };
}

/** One of several structs, told apart by `kind`. */
export function union<U extends Readonly<Record<string, Field<unknown>>>>(
  kinds: U,
): Field<{ [K in keyof U]: { readonly kind: K } & Infer<U[K]> }[keyof U]> {
  const names = Object.keys(kinds);
  type Value = { [K in keyof U]: { readonly kind: K } & Infer<U[K]> }[keyof U];
  return {
    form: { kind: "union", parts: formsOf(kinds) },
    write: (w, v) => {
      w.u8(names.indexOf(v.kind as string));
      kinds[v.kind]?.write(w, v);
    },
    read: (r) => {
      const kind = names[r.u8()];
      const field = kind === undefined ? undefined : kinds[kind];
      if (field === undefined) throw new MalformedBytes("an unknown kind");
      return { kind, ...(field.read(r) as object) } as Value;
    },
  };
}

function formsOf(shape: Shape): Readonly<Record<string, Form>> {
  return Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, field.form]));
}
