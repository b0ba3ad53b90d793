/** Options as users give them, checked key by key, and what the machines make of them. */
import { utf8Bytes } from "../base/bytes.js";
import {
  MAX_ACTOR_CONCURRENCY,
  MAX_BYTES_AMOUNT,
  MAX_CUSTOM_RESOURCES,
  MAX_ID_BYTES,
  MAX_KEY_BYTES,
  MAX_LABELS,
  MAX_RESOURCE_AMOUNT,
  MAX_RETURNS,
  MAX_TEXT_BYTES,
  STORE_PAGE_BYTES,
} from "../base/limits.js";
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
  "runtimeEnv",
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
  "runtimeEnv",
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
  "runtimeEnv",
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
const CLUSTER_KEYS = ["nodes", "storage"] as const;
const GET_KEYS = ["timeoutMs", "signal"] as const;
const GET_ACTOR_KEYS = ["namespace"] as const;
const KILL_KEYS = ["noRestart"] as const;
const WAIT_KEYS = ["numReturns", "timeoutMs", "fetchLocal", "signal"] as const;

const KEYS = {
  task: TASK_KEYS,
  actor: ACTOR_KEYS,
  method: METHOD_KEYS,
  init: INIT_KEYS,
  node: NODE_KEYS,
  cluster: CLUSTER_KEYS,
  get: GET_KEYS,
  wait: WAIT_KEYS,
  getActor: GET_ACTOR_KEYS,
  kill: KILL_KEYS,
} as const;

/** How each option is checked; an option is the same thing wherever it stands. */
const CHECKS: Readonly<Record<string, (name: string, value: unknown) => void>> = {
  name: text,
  namespace: text,
  address: someText,
  authToken: text,
  spillDirectory: someText,
  numCpus: amount,
  numGpus: gpus,
  memory: bytes,
  objectStoreMemory: storeBytes,
  resources: amounts,
  labels: texts,
  numReturns: (name, value) => whole(name, value, 0, MAX_RETURNS),
  maxRetries: (name, value) => whole(name, value, -1, Number.MAX_SAFE_INTEGER),
  maxConcurrency: (name, value) => whole(name, value, 1, MAX_ACTOR_CONCURRENCY),
  timeoutMs: amount,
  logToDriver: flag,
  ignoreReinitError: flag,
  fetchLocal: flag,
  noRestart: flag,
  nodes: list,
  storage,
  schedulingStrategy: strategy,
  runtimeEnv,
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
  const hint = distance(key, nearest) <= Math.max(3, key.length / 2) ? `; did you mean ${nearest}?` : ".";
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

function amount(name: string, value: unknown, least = 0, most = MAX_RESOURCE_AMOUNT): void {
  if (typeof value !== "number" || !Number.isFinite(value) || value < least || value > most) {
    throw new InvalidOptionError(`${name} must be a finite number from ${least} to ${most}, got ${show(value)}`);
  }
}

function bytes(name: string, value: unknown): void {
  amount(name, value, 0, MAX_BYTES_AMOUNT);
}

/** A store without a page can hold nothing. */
function storeBytes(name: string, value: unknown): void {
  amount(name, value, STORE_PAGE_BYTES, MAX_BYTES_AMOUNT);
}

function gpus(name: string, value: unknown): void {
  amount(name, value);
  const number = value as number;
  if (number > 1 && !Number.isInteger(number)) {
    throw new InvalidOptionError(`${name} above 1 must be a whole number, got ${show(value)}`);
  }
}

/** @throws InvalidOptionError */
export function whole(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidOptionError(`${name} must be a whole number from ${least} to ${most}, got ${show(value)}`);
  }
}

function amounts(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null) {
    throw new InvalidOptionError(`${name} must be an object of numbers, got ${show(value)}`);
  }
  keys(name, value, MAX_CUSTOM_RESOURCES);
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
  keys(name, value, MAX_LABELS);
  for (const [key, each] of Object.entries(value)) text(`${name}.${key}`, each);
}

function text(name: string, value: unknown): void {
  if (typeof value !== "string") throw new InvalidOptionError(`${name} must be a string, got ${show(value)}`);
  checkText(name, value);
}

/** An empty one is a mistake, as of an environment variable that is not set, and says nothing about what was meant. */
function someText(name: string, value: unknown): void {
  text(name, value);
  if (value === "") throw new InvalidOptionError(`${name} is empty: leave it out, or say which`);
}

/** Text that travels as it is: a peer would refuse a longer one with the connection. @throws InvalidOptionError */
export function checkText(what: string, value: string, maxBytes = MAX_TEXT_BYTES): void {
  if (value.length * 3 <= maxBytes) return;
  const bytes = utf8Bytes(value);
  if (bytes <= maxBytes) return;
  throw new InvalidOptionError(`${what} has ${bytes} bytes, at most ${maxBytes} are allowed: use a shorter one`);
}

function keys(name: string, value: object, most: number): void {
  const names = Object.keys(value);
  if (names.length > most) {
    throw new InvalidOptionError(`${name} has ${names.length} names, at most ${most} are allowed`);
  }
  for (const key of names) checkText(`a name in ${name}`, key, MAX_KEY_BYTES);
}

function list(name: string, value: unknown): void {
  if (!Array.isArray(value)) throw new InvalidOptionError(`${name} must be an array, got ${show(value)}`);
}

function storage(name: string, value: unknown): void {
  if (value === "memory") return;
  throw new InvalidOptionError(`${name}: only "memory" is supported yet, got ${show(value)}`);
}

function flag(name: string, value: unknown): void {
  if (typeof value !== "boolean") throw new InvalidOptionError(`${name} must be true or false, got ${show(value)}`);
}

function abortSignal(name: string, value: unknown): void {
  if (!(value instanceof AbortSignal))
    throw new InvalidOptionError(`${name} must be an AbortSignal, got ${show(value)}`);
}

const STRATEGY_KEYS = ["nodeId", "soft"];

function strategy(name: string, value: unknown): void {
  if (value === "default" || value === "spread") return;
  const nodeId: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "nodeId") : undefined;
  if (typeof nodeId === "string") {
    for (const key of Object.keys(value as object)) {
      if (!STRATEGY_KEYS.includes(key)) throw new InvalidOptionError(`${name}: ${unknownKey(key, STRATEGY_KEYS)}`);
    }
    const soft: unknown = Reflect.get(value as object, "soft");
    if (soft !== undefined) flag(`${name}.soft`, soft);
    return checkText(`${name}.nodeId`, nodeId, MAX_ID_BYTES);
  }
  throw new InvalidOptionError(`${name} must be "default", "spread" or { nodeId, soft? }, got ${show(value)}`);
}

const RUNTIME_ENV_KEYS = ["byReference"];
/** In the contract, and still to come. */
const LATER_RUNTIME_ENV_KEYS = ["workingDir", "npm", "envVars", "nodeArgs", "bundle"];

function runtimeEnv(name: string, value: unknown): void {
  if (typeof value !== "object" || value === null)
    throw new InvalidOptionError(`${name} must be an object, got ${show(value)}`);
  for (const [key, each] of Object.entries(value)) {
    if (LATER_RUNTIME_ENV_KEYS.includes(key)) {
      throw new InvalidOptionError(`${name}.${key} is not supported yet; of ${name}, only byReference is`);
    }
    if (!RUNTIME_ENV_KEYS.includes(key)) throw new InvalidOptionError(`${name}: ${unknownKey(key, RUNTIME_ENV_KEYS)}`);
    const isList = Array.isArray(each) && each.every((path) => typeof path === "string" && path !== "");
    if (each !== undefined && !isList) {
      throw new InvalidOptionError(`${name}.${key} must be an array of paths or file URLs, got ${show(each)}`);
    }
  }
}

export function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return `a ${value.constructor?.name ?? "bare object"}`;
  return typeof value === "function" ? "a function" : String(value);
}
