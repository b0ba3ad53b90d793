/**
 * What V8 knows about a function and JavaScript does not tell: its surrounding variables, where it stands in its
 * script, what a bound function binds, and private fields.
 *
 * An inspector session inside the process answers synchronously. `Debugger.enable` is not needed for any of this; what
 * needs it is in scripts.ts. The names and values of scopes are copies made at the moment of the question.
 */
import type { Session } from "node:inspector";
import { SerializationError } from "../errors.js";

export interface Location {
  readonly scriptId: string;
  readonly line: number;
  readonly column: number;
}

export interface RawScope {
  /** `Module`, `Closure (name)`, `Block`, `Catch`, `Script`, `Global` … */
  readonly description: string;
  /** The variables. Reading one that is not initialised yet throws on Node 22 and later. */
  readonly object: object;
}

export interface BoundParts {
  readonly target: unknown;
  readonly self: unknown;
  readonly args: readonly unknown[];
}

export interface FunctionFacts {
  readonly location: Location | undefined;
  /** Innermost first, without the global scope. */
  readonly scopes: readonly RawScope[];
  readonly bound: BoundParts | undefined;
  readonly statics: ReadonlyMap<string, unknown>;
}

interface RemoteObject {
  readonly objectId?: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
}

interface Property {
  readonly name: string;
  readonly value?: RemoteObject;
}

interface Properties {
  readonly result?: readonly Property[];
  readonly internalProperties?: readonly Property[];
  readonly privateProperties?: readonly Property[];
}

/** Through this object real values pass between the session's remote objects and this program. */
interface Slot {
  value: unknown;
  out: readonly unknown[];
}

const SLOT = Symbol.for("mobula.functions.slot");
const GROUP = "mobula";
const slot: Slot = { value: undefined, out: [] };

let session: Session | undefined;
let slotId = "";

/** The session of this process, opened at its first use and kept: a connected session costs nothing. */
export function openSession(): Session {
  return session ?? connect();
}

function connect(): Session {
  const inspector = loadInspector();
  const opened = new inspector.Session();
  try {
    opened.connect();
  } catch (cause) {
    throw new SerializationError("the inspector, which captures variables, is refused to this process", {
      cause,
      hint: "run Node with --allow-inspector when --permission is in force",
    });
  }
  session = opened;
  Object.defineProperty(globalThis, SLOT, { value: slot, configurable: true });
  const { result } = call<{ result: RemoteObject }>("Runtime.evaluate", {
    expression: `globalThis[Symbol.for(${JSON.stringify(SLOT.description)})]`,
  });
  Reflect.deleteProperty(globalThis, SLOT);
  slotId = result.objectId ?? "";
  return opened;
}

function loadInspector(): typeof import("node:inspector") {
  const inspector = process.getBuiltinModule("node:inspector") as typeof import("node:inspector") | undefined;
  if (inspector !== undefined) return inspector;
  throw new SerializationError("this build of Node has no inspector, so captured variables cannot be read", {
    hint: "ship functions without captured variables, or use runtimeEnv.byReference",
  });
}

/** One request. The session calls back before `post` returns. */
export function call<T>(method: string, parameters: object = {}): T {
  let failure: Error | null = null;
  let answer: unknown;
  openSession().post(method, parameters, (error: Error | null, result?: object) => {
    failure = error;
    answer = result;
  });
  if (failure !== null) throw failure as Error;
  return answer as T;
}

/** What was asked in this capture: three requests take half the time of a simple one. */
const inspected = new Map<object, FunctionFacts>();

/** What the inspector tells of a function. About 0.2 ms; the same capture asks once. */
export function inspectFunction(fn: object): FunctionFacts {
  let facts = inspected.get(fn);
  if (facts === undefined) {
    facts = inspectNow(fn);
    inspected.set(fn, facts);
  }
  return facts;
}

function inspectNow(fn: object): FunctionFacts {
  const { internalProperties = [], privateProperties = [] } = properties(fn);
  const internal = (name: string): RemoteObject | undefined =>
    internalProperties.find((property) => property.name === name)?.value;
  const scopes = internal("[[Scopes]]");
  const target = internal("[[TargetFunction]]");
  const wanted = [scopes, target, internal("[[BoundThis]]"), internal("[[BoundArgs]]")];
  const statics = privateProperties.filter((property) => property.value !== undefined);
  const [rawScopes, boundTarget, boundThis, boundArgs, ...values] = fetchValues([
    ...wanted,
    ...statics.map((property) => property.value),
  ]);
  return {
    location: locationOf(internal("[[FunctionLocation]]")?.value),
    scopes: scopeList(rawScopes),
    bound: target && {
      target: boundTarget,
      self: boundThis,
      args: Array.from((boundArgs ?? []) as ArrayLike<unknown>),
    },
    statics: new Map(statics.map((property, index) => [property.name.slice(1), values[index]])),
  };
}

/** Names of the private fields and methods that an object carries. */
export function privateFieldsOf(value: object): readonly string[] {
  const { internalProperties = [], privateProperties = [] } = properties(value);
  const names = privateProperties.map((property) => property.name);
  const methods = internalProperties.some((property) => property.name === "[[PrivateMethods]]");
  return names.length === 0 && methods ? ["private methods"] : names;
}

/** The session holds on to everything it was asked about until this is called. */
export function releaseInspected(): void {
  slot.value = undefined;
  slot.out = [];
  inspected.clear();
  if (session !== undefined) call("Runtime.releaseObjectGroup", { objectGroup: GROUP });
}

/** Does an array have properties besides its elements? Listing them all would make a string of every index. */
export function hasNamedProperties(array: object): boolean {
  const found = properties(array, { nonIndexedPropertiesOnly: true }).result ?? [];
  return found.some(({ name }) => name !== "length" && name !== "__proto__");
}

function properties(value: object, options: object = {}): Properties {
  openSession();
  slot.value = value;
  const { result } = call<{ result: RemoteObject }>("Runtime.callFunctionOn", {
    objectId: slotId,
    functionDeclaration: "function () { return this.value }",
    objectGroup: GROUP,
  });
  return call<Properties>("Runtime.getProperties", { objectId: result.objectId, ownProperties: true, ...options });
}

/** The real values behind remote objects. */
function fetchValues(objects: readonly (RemoteObject | undefined)[]): readonly unknown[] {
  call("Runtime.callFunctionOn", {
    objectId: slotId,
    functionDeclaration: "function (...values) { this.out = values }",
    arguments: objects.map(argument),
  });
  return slot.out;
}

function argument(object: RemoteObject | undefined): object {
  if (object === undefined) return {};
  if (object.objectId !== undefined) return { objectId: object.objectId };
  if (object.unserializableValue !== undefined) return { unserializableValue: object.unserializableValue };
  return "value" in object ? { value: object.value } : {};
}

function scopeList(raw: unknown): readonly RawScope[] {
  const scopes = Array.from((raw ?? []) as ArrayLike<RawScope>);
  return scopes.filter((scope) => scope.description !== "Global");
}

function locationOf(value: unknown): Location | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { scriptId, lineNumber, columnNumber } = value as {
    scriptId: string;
    lineNumber: number;
    columnNumber?: number;
  };
  return { scriptId, line: lineNumber, column: columnNumber ?? 0 };
}
