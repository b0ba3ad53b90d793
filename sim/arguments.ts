/** Arguments of tasks and calls, as an owner keeps them and as messages carry them. */
import { ObjectEntry } from "../src/core/owner/records.js";
import type { Argument } from "../src/protocol/messages.js";
import { encode, type SimValue } from "./values.js";

/** An argument as the owner keeps it until it is sent. */
export type OwnedArgument = SimValue | ObjectEntry;

/** How many bytes of it travel with the task. */
export function inlineSize(arg: OwnedArgument): number {
  if (!(arg instanceof ObjectEntry)) return arg.sizeBytes;
  return arg.state === "inline" ? (arg.value as SimValue).sizeBytes : 0;
}

/** A small value, or the name of an object. */
export function wireArgument(arg: OwnedArgument): Argument {
  if (!(arg instanceof ObjectEntry)) return { kind: "value", bytes: encode(arg) };
  if (arg.state === "inline") return { kind: "value", bytes: encode(arg.value as SimValue) };
  return { kind: "object", objectId: arg.id };
}
