/** `inspectSerializability`: what stands in the way of shipping something, and what it weighs. */
import { MobulaError, ObjectTooLargeError, SerializationError } from "../errors.js";
import { type CaptureHooks, inspectCapture } from "../functions/index.js";
import { type AnyFunction, type Handle, inspectValue, type ValueHooks } from "../io/values/index.js";
import { classStateOf } from "./actor-classes.js";
import { handleStateOf } from "./actor-handles.js";
import { nameOfExport } from "./handles.js";
import { ObjectRefImpl } from "./object-ref.js";
import { functionStateOf } from "./remote-function.js";
import type { CapturedPart, SerializabilityObstacle, SerializabilityReport } from "./types.js";

/** Parts of a value that are listed with their sizes; the others count in the whole. */
const MAX_LISTED_PARTS = 1_000;

/** A handle travels by name: what it says is not looked at here. */
const HANDLE: Handle = { kind: 0, data: new Uint8Array(0) };

/**
 * Whether something can be shipped to other processes: a function or class, as `remote()` would, or a value, as an
 * argument, a result or `put()` would. Every obstacle is listed, not only the first. Needs no cluster; runs getters and
 * `[Symbol.for("mobula.serialize")]()` methods of what it looks at, and never throws.
 *
 * Ray behaviour: `ray.util.inspect_serializability`.
 */
export function inspectSerializability(fnOrValue: unknown): SerializabilityReport {
  const inspection = new Inspection();
  try {
    const target = targetOf(fnOrValue);
    if (typeof target === "function") inspection.inspectRoot(target);
    else inspection.inspectValue(target);
  } catch (error) {
    inspection.add(inspection.name, error);
  }
  return inspection.report();
}

/** Remote functions and actor classes stand for the code behind them. */
function targetOf(value: unknown): unknown {
  if (typeof value !== "function") return value;
  return functionStateOf(value)?.cell.fn ?? classStateOf(value)?.cell.fn ?? value;
}

class Report implements SerializabilityReport {
  readonly ok: boolean;
  readonly name: string;
  readonly sizeBytes: number;
  readonly obstacles: readonly SerializabilityObstacle[];
  readonly captured: readonly CapturedPart[];

  constructor(
    name: string,
    sizeBytes: number,
    obstacles: readonly SerializabilityObstacle[],
    captured: readonly CapturedPart[],
  ) {
    this.ok = obstacles.length === 0;
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.obstacles = Object.freeze(obstacles);
    this.captured = Object.freeze(captured);
    Object.freeze(this);
  }

  toString(): string {
    const { length } = this.obstacles;
    const result = this.ok ? "can be shipped" : `cannot be shipped: ${length} obstacle${length === 1 ? "" : "s"}`;
    const lines = [`${this.name} ${result} (${this.sizeBytes} bytes)`];
    for (const { path, reason, hint } of this.obstacles) {
      lines.push(`  ${path} ${reason}`);
      if (hint !== "") lines.push(`    hint: ${hint}`);
    }
    if (this.captured.length > 0) lines.push("captured:");
    for (const { path, kind, sizeBytes } of this.captured) lines.push(`  ${path}: ${kind}, ${sizeBytes} bytes`);
    return lines.join("\n");
  }
}

/** One look at one thing, with everything that it takes along. */
class Inspection {
  readonly #obstacles = new Map<string, SerializabilityObstacle>();
  readonly #captured: CapturedPart[] = [];
  name = "value";
  #sizeBytes = 0;
  /** Functions and classes that were looked at: each is, once. */
  readonly #seen = new Map<AnyFunction, ReturnType<typeof inspectCapture>>();
  /** Code behind remote functions that are captured: it is shipped under a hash of its own. */
  readonly #behindHandles: AnyFunction[] = [];

  readonly #captureHooks: CaptureHooks = {
    describe: (value) => (this.#isHandle(value) ? { kind: "handle", data: null } : undefined),
    warn: () => {},
  };

  inspectRoot(fn: AnyFunction): void {
    this.name = nameOf(fn);
    const { bytes, variables } = this.#inspectCode(fn, "");
    this.#sizeBytes = bytes;
    for (const { name, bytes: sizeBytes, value } of variables) {
      this.#captured.push({ path: name, kind: kindOf(value), sizeBytes });
    }
    this.#inspectBehindHandles();
  }

  inspectValue(value: unknown): void {
    const { obstacles, sizeBytes } = inspectValue(value, this.#valueHooks(true), "value");
    this.#sizeBytes = sizeBytes;
    for (const { path, error } of obstacles) this.add(path, error);
    for (const [path, part] of partsOf(value)) {
      const { sizeBytes: partBytes } = inspectValue(part, this.#valueHooks(false), path);
      this.#captured.push({ path, kind: kindOf(part), sizeBytes: partBytes });
    }
    this.#inspectBehindHandles();
  }

  add(path: string, error: unknown): void {
    const isOurs = error instanceof SerializationError || error instanceof ObjectTooLargeError;
    const details = error instanceof SerializationError ? error : undefined;
    const words = isOurs || error instanceof MobulaError ? error.message : `threw while it was read: ${textOf(error)}`;
    const obstacle = Object.freeze({ path, reason: details?.reason ?? words, hint: details?.hint ?? "" });
    this.#obstacles.set(`${path}\n${obstacle.reason}`, obstacle);
  }

  report(): SerializabilityReport {
    return new Report(this.name, this.#sizeBytes, [...this.#obstacles.values()], this.#captured);
  }

  /** Look at code, and list what is in its way behind `prefix`. */
  #inspectCode(fn: AnyFunction, prefix: string): ReturnType<typeof inspectCapture> {
    const known = this.#seen.get(fn);
    if (known !== undefined) return known;
    const found = inspectCapture(fn as CallableFunction, this.#captureHooks);
    this.#seen.set(fn, found);
    for (const { path, error } of found.obstacles) this.add(`${prefix}${path}`, error);
    return found;
  }

  #inspectBehindHandles(): void {
    for (let fn = this.#behindHandles.pop(); fn !== undefined; fn = this.#behindHandles.pop()) {
      try {
        this.#inspectCode(fn, "");
      } catch (error) {
        this.add(nameOf(fn), error);
      }
    }
  }

  /** With `listing`, the classes of instances are looked at too. */
  #valueHooks(listing: boolean): { strict: ValueHooks; lenient: ValueHooks } {
    const obstaclesOf = (type: AnyFunction, path: () => string) =>
      listing ? this.#inspectCode(type, `${path()} → `).obstacles : [];
    const strict: ValueHooks = {
      describe: (value) => (this.#isHandle(value) ? HANDLE : undefined),
      revive: () => undefined,
      classId: (type, path) => {
        const [first] = obstaclesOf(type, path);
        if (first !== undefined) throw first.error;
        return CLASS_ID;
      },
      classById: () => Object,
    };
    const classId = (type: AnyFunction, path: () => string) => {
      obstaclesOf(type, path);
      return CLASS_ID;
    };
    return { strict, lenient: { ...strict, classId } };
  }

  #isHandle(value: object): boolean {
    if (ObjectRefImpl.is(value)) {
      ObjectRefImpl.entryOf(value); // a ref that was given back cannot be sent
      return true;
    }
    if (nameOfExport(value) !== undefined) return true;
    if (typeof value !== "function") return handleStateOf(value) !== undefined;
    const state = functionStateOf(value) ?? classStateOf(value);
    if (state?.cell.fn !== undefined) this.#behindHandles.push(state.cell.fn);
    return state !== undefined;
  }
}

const CLASS_ID = "0".repeat(32);

/** What a value is made of at first sight: properties or elements; of all else, itself. */
function partsOf(value: unknown): (readonly [path: string, part: unknown])[] {
  const isContainer = Array.isArray(value) || (typeof value === "object" && value !== null && isPlain(value));
  if (!isContainer) return [["value", value]];
  return Object.keys(value)
    .slice(0, MAX_LISTED_PARTS)
    .flatMap((key) => {
      try {
        return [[pathOf(key, Array.isArray(value)), Reflect.get(value, key)] as const];
      } catch {
        return []; // it is among the obstacles
      }
    });
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function pathOf(key: string, isArray: boolean): string {
  if (isArray && /^\d+$/.test(key)) return `value[${key}]`;
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `value.${key}` : `value[${JSON.stringify(key)}]`;
}

/** `number`, `Map`, `Uint8Array`, `function`. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  try {
    const type: unknown = Reflect.get(value, "constructor");
    return typeof type === "function" && type.name !== "" ? String(type.name) : "object";
  } catch {
    return "object";
  }
}

function nameOf(fn: AnyFunction): string {
  return typeof fn.name === "string" && fn.name !== "" ? fn.name : "anonymous";
}

function textOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "an error without a message";
  }
}
