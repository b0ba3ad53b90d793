/** Values for the fields of messages, generated from the schema's own description of them. */
import fc from "fast-check";
import { MAX_ID_BYTES } from "../../src/base/limits.js";
import { MESSAGES, type Message, type MessageType } from "../../src/protocol/messages.js";
import type { Form } from "../../src/protocol/schema.js";

/** Long lists and texts prove nothing that short ones do not; limits have tests of their own. */
const MAX_LENGTH = 4;

const HEX = "0123456789abcdef";
const id = fc
  .tuple(fc.constantFrom(...HEX), fc.string({ unit: fc.constantFrom(...HEX, "."), maxLength: MAX_ID_BYTES - 1 }))
  .map(([first, rest]) => first + rest);

const MAX_NAME_BYTES = 256;

/** Lone surrogates do not travel: they arrive as U+FFFD (see base/bytes). A character has up to four bytes. */
function text(maxBytes: number): fc.Arbitrary<string> {
  return fc.string({ unit: "binary", maxLength: Math.min(20, Math.floor(maxBytes / 4)) });
}

export function valuesOf(form: Form): fc.Arbitrary<unknown> {
  switch (form.kind) {
    case "u8":
      return fc.integer({ min: 0, max: 0xff });
    case "u16":
      return fc.integer({ min: 0, max: 0xffff });
    case "u32":
      return fc.integer({ min: 0, max: 0xffffffff });
    case "i32":
      return fc.integer({ min: -0x80000000, max: 0x7fffffff });
    case "f64":
      return fc.double();
    case "size":
      return fc.maxSafeNat();
    case "flag":
      return fc.boolean();
    case "id":
      return id;
    case "text":
      return text(form.maxBytes);
    case "blob":
      return fc.uint8Array({ maxLength: Math.min(40, form.maxBytes) });
    case "oneOf":
      return fc.constantFrom(...form.choices);
    case "optional":
      return fc.option(valuesOf(form.of), { nil: undefined });
    case "list":
      return fc.array(valuesOf(form.of), { maxLength: MAX_LENGTH });
    case "map":
      return mapOf(form.of);
    case "struct":
      return structOf(form.parts);
    case "union":
      return fc.oneof(...Object.entries(form.parts).map(([kind, part]) => kindOf(kind, part)));
  }
}

function mapOf(value: Form): fc.Arbitrary<Map<string, unknown>> {
  const entry = fc.tuple(text(MAX_NAME_BYTES), valuesOf(value));
  return fc.array(entry, { maxLength: MAX_LENGTH }).map((entries) => new Map(entries));
}

function kindOf(kind: string, part: Form): fc.Arbitrary<object> {
  return valuesOf(part).map((value) => ({ kind, ...(value as object) }));
}

function structOf(parts: Readonly<Record<string, Form>>): fc.Arbitrary<Record<string, unknown>> {
  const values = Object.entries(parts).map(([name, part]) => [name, valuesOf(part)]);
  return fc.record(Object.fromEntries(values), { noNullPrototype: true });
}

export const MESSAGE_TYPES = Object.keys(MESSAGES) as MessageType[];

export function messageOf(type: MessageType): fc.Arbitrary<Message> {
  return valuesOf(MESSAGES[type].body.form).map((body) => ({ type, ...(body as object) }) as Message);
}
