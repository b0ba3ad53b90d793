/** Values on the command line, from text. A wrong one is wrong usage, which commander reports with the option's name. */
import { InvalidArgumentError } from "commander";

export function count(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidArgumentError("A whole number is expected.");
}

/** Zero is allowed: a node may offer no CPU. */
export function amount(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError("A number that is not negative is expected.");
}

export function regExp(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A JSON object whose values are of one kind. */
export function json<T>(check: (value: unknown) => value is T): (text: string) => Record<string, T> {
  return (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
    if (isRecord(value) && Object.values(value).every(check)) return value as Record<string, T>;
    throw new InvalidArgumentError("A JSON object with values of the right kind is expected.");
  };
}

export function numbers(value: unknown): value is number {
  return typeof value === "number" && value >= 0;
}

export function texts(value: unknown): value is string {
  return typeof value === "string";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
