/**
 * How much data a function captures, and through which variable: much is warned of, too much refused while the capture
 * is still going on, so that an array of gigabytes costs neither its time nor its memory.
 */
import { CAPTURE_WARNING_BYTES, MAX_CAPTURED_BYTES } from "../base/limits.js";
import { ObjectTooLargeError } from "../errors.js";
import { type Path, pathText } from "./obstacles.js";

/** What an object or function costs in a payload besides its strings and binary data, about. */
export const NODE_BYTES = 32;
/** An element of an array, about. */
export const ELEMENT_BYTES = 8;
/** Shorter strings are not counted: there is more to them than their length anyway. */
const COUNTED_FROM = 64;
const MIB = 1024 * 1024;

export class CapturedSizes {
  readonly #name: string;
  readonly #byVariable = new Map<Path | undefined, number>();
  #total = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** @throws ObjectTooLargeError naming the variable with the most data, once all are more than 100 MB. */
  add(path: Path, bytes: number): void {
    this.#byVariable.set(path.through, (this.#byVariable.get(path.through) ?? 0) + bytes);
    this.#total += bytes;
    if (this.#total <= MAX_CAPTURED_BYTES) return;
    throw new ObjectTooLargeError(
      `cannot ship ${this.#name} to a worker: ${this.#largest()}, a function may capture at most ` +
        `${MAX_CAPTURED_BYTES / MIB} MB (hint: put() the data once and pass the ref as an argument)`,
    );
  }

  addString(path: Path, text: string): void {
    if (text.length >= COUNTED_FROM) this.add(path, text.length);
  }

  /** What to say of it, if it is much. */
  get warning(): string | undefined {
    if (this.#total <= CAPTURE_WARNING_BYTES) return undefined;
    return `${this.#largest()} that travel with the function; put() the data and pass the ref instead`;
  }

  #largest(): string {
    const [[path, bytes] = [undefined, 0]] = [...this.#byVariable].sort(([, a], [, b]) => b - a);
    const where = path === undefined ? this.#name : pathText(path);
    const others = megabytes(this.#total) === megabytes(bytes) ? "" : ` of ${megabytes(this.#total)} in all`;
    return `${where} holds ${megabytes(bytes)}${others}`;
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / MIB)} MB`;
}
