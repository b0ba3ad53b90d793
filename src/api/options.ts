/** Options as users give them, checked key by key, and what the machines make of them. */
import { MAX_RESOURCE_AMOUNT, MAX_RETURNS } from "../base/limits.js";
import { type Amounts, amountsOf } from "../core/resources.js";
import { InvalidOptionError } from "../errors.js";
import type { Strategy } from "../protocol/messages.js";
import type { SchedulingStrategy } from "./types.js";

const TASK_KEYS = [
  "name",
  "numCpus",
  "numGpus",
  "memory",
  "resources",
  "numReturns",
  "maxRetries",
  "timeoutMs",
  "schedulingStrategy",
] as const;
const ACTOR_KEYS = [
  "name",
  "namespace",
  "numCpus",
  "numGpus",
  "memory",
  "resources",
  "maxConcurrency",
  "schedulingStrategy",
] as const;
const METHOD_KEYS = ["name", "numReturns", "timeoutMs"] as const;
const INIT_KEYS = [
  "address",
  "numCpus",
  "numGpus",
  "memory",
  "resources",
  "labels",
  "objectStoreMemory",
  "spillDirectory",
  "namespace",
  "logToDriver",
  "ignoreReinitError",
  "authToken",
] as const;
const NODE_KEYS = [
  "numCpus",
  "numGpus",
  "memory",
  "resources",
  "labels",
  "objectStoreMemory",
  "spillDirectory",
] as const;
const GET_KEYS = ["timeoutMs", "signal"] as const;
const WAIT_KEYS = ["numReturns", "timeoutMs", "fetchLocal", "signal"] as const;

const KEYS = {
  task: TASK_KEYS,
  actor: ACTOR_KEYS,
  method: METHOD_KEYS,
  init: INIT_KEYS,
  node: NODE_KEYS,
  get: GET_KEYS,
  wait: WAIT_KEYS,
} as const;

/** How each option is checked; an option is the same thing wherever it stands. */
const CHECKS: Readonly<Record<string, (name: string, value: unknown) => void>> = {
  name: text,
  namespace: text,
  address: text,
  authToken: text,
  spillDirectory: text,
  numCpus: amount,
  numGpus: gpus,
  memory: amount,
  objectStoreMemory: positive,
  resources: amounts,
  labels: texts,
  numReturns: (name, value) => whole(name, value, 0, MAX_RETURNS),
  maxRetries: (name, value) => whole(name, value, -1, Number.MAX_SAFE_INTEGER),
  maxConcurrency: (name, value) => whole(name, value, 1, 0xffff_ffff),
  timeoutMs: amount,
  logToDriver: flag,
  ignoreReinitError: flag,
  fetchLocal: flag,
  schedulingStrategy: strategy,
  signal: abortSignal,
};

/**
 * Check an options object of one kind.
 *
 * @throws InvalidOptionError naming the key, what was given, and what is meant or allowed.
 */
export function checkOptions(kind: keyof typeof KEYS, options: unknown): void {
  if (options === undefined) return;
  if (typeof options !== "object" || options === null) {
    throw new InvalidOptionError(`options must be an object, got ${show(options)}`);
  }
  const known: readonly string[] = KEYS[kind];
  for (const [key, value] of Object.entries(options)) {
    if (!known.includes(key)) throw new InvalidOptionError(unknownKey(key, known));
    if (value !== undefined) CHECKS[key]?.(key, value);
  }
}

export function checkNumReturns(value: number, length: number): void {
  whole("numReturns", value, 1, length);
}

/** What a task or actor asks of its node. */
export function demandOf(
  options: { numCpus?: number; numGpus?: number; memory?: number; resources?: Readonly<Record<string, number>> },
  defaultCpus: number,
): Amounts {
  const { numCpus = defaultCpus, numGpus = 0, memory = 0, resources = {} } = options;
  return amountsOf({ CPU: numCpus, GPU: numGpus, memory, ...resources });
}

export function strategyOf(strategy: SchedulingStrategy | undefined): Strategy {
  if (strategy === undefined || strategy === "default") return { kind: "default" };
  if (strategy === "spread") return { kind: "spread" };
  return { kind: "node", nodeId: strategy.nodeId, soft: strategy.soft ?? false };
}

function unknownKey(key: string, known: readonly string[]): string {
  const nearest = [...known].sort((a, b) => distance(key, a) - distance(key, b))[0] ?? "";
  const hint = distance(key, nearest) <= Math.max(3, key.length / 2) ? `; did you mean ${nearest}?` : "";
  return `unknown option ${key}${hint} Known: ${known.join(", ")}`;
}

/** Edit distance, blind to case and underscores: `num_cpus` is near `numCpus`. */
function distance(a: string, b: string): number {
  const [x, y] = [a, b].map((word) => word.toLowerCase().replaceAll(/[_-]/g, "")) as [string, string];
  let row = Array.from({ length: y.length + 1 }, (_, j) => j);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      const change = (row[j - 1] as number) + (x[i - 1] === y[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[y.length] as number;
}

function amount(name: string, value: unknown): void {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0 || value > MAX_RESOURCE_AMOUNT) {
    throw new InvalidOptionError(
      `${name} must be a finite number from 0 to ${MAX_RESOURCE_AMOUNT}, got ${show(value)}`,
    );
  }
}

function positive(name: string, value: unknown): void {
  amount(name, value);
  if ((value as number) < 1) throw new InvalidOptionError(`${name} must be at least 1, got ${show(value)}`);
}

function gpus(name: string, value: unknown): void {
  amount(name, value);
  const number = value as number;
  if (number > 1 && !Number.isInteger(number)) {
    throw new InvalidOptionError(`${name} above 1 must be a whole number, got ${show(value)}`);
  }
}

function whole(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidOptionError(`${name} must be a whole number from ${least} to ${most}, got ${show(value)}`);
  }
}

function amounts(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null) {
    throw new InvalidOptionError(`${name} must be an object of numbers, got ${show(value)}`);
  }
  for (const [key, each] of Object.entries(value)) {
    if (key === "CPU" || key === "GPU" || key === "memory" || key === "objectStoreMemory") {
      throw new InvalidOptionError(`${name}.${key}: use numCpus, numGpus, memory or objectStoreMemory instead`);
    }
    amount(`${name}.${key}`, each);
  }
}

function texts(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null) {
    throw new InvalidOptionError(`${name} must be an object of strings, got ${show(value)}`);
  }
  for (const [key, each] of Object.entries(value)) text(`${name}.${key}`, each);
}

function text(name: string, value: unknown): void {
  if (typeof value !== "string") throw new InvalidOptionError(`${name} must be a string, got ${show(value)}`);
}

function flag(name: string, value: unknown): void {
  if (typeof value !== "boolean") throw new InvalidOptionError(`${name} must be true or false, got ${show(value)}`);
}

function abortSignal(name: string, value: unknown): void {
  if (!(value instanceof AbortSignal))
    throw new InvalidOptionError(`${name} must be an AbortSignal, got ${show(value)}`);
}

function strategy(name: string, value: unknown): void {
  if (value === "default" || value === "spread") return;
  const nodeId: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "nodeId") : undefined;
  if (typeof nodeId === "string") return;
  throw new InvalidOptionError(`${name} must be "default", "spread" or { nodeId, soft? }, got ${show(value)}`);
}

export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return `a ${value.constructor?.name ?? "bare object"}`;
  return typeof value === "function" ? "a function" : String(value);
}
