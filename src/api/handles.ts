/**
 * How refs, actor handles, remote functions and actor classes travel: inside values as handles, inside captured
 * functions as externals. Both say the same in two spellings.
 */
import type { ActorId, FunctionId, ObjectId } from "../base/ids.js";
import { SerializationError } from "../errors.js";
import type { External, JsonValue } from "../functions/index.js";
import type { Handle } from "../io/values/index.js";
import type { HandleHooks, Named } from "../process/value-codec.js";
import { type ClassState, classOf, classStateOf } from "./actor-classes.js";
import { borrowedHandle, handleStateOf, linkOf } from "./actor-handles.js";
import { ObjectRefImpl, refOf } from "./object-ref.js";
import { type FunctionCell, functionStateOf, handleOf, registered } from "./remote-function.js";
import { currentLineage, type Runtime, requireRuntime } from "./runtime.js";
import type { ActorOptions, TaskOptions } from "./types.js";

/** What travels, as data. */
type Description =
  | { readonly kind: "ref"; readonly id: string }
  | { readonly kind: "actor"; readonly id: string; readonly name: string; readonly methods: readonly string[] | null }
  | { readonly kind: "function"; readonly id: string; readonly name: string; readonly options: TaskOptions }
  | {
      readonly kind: "class";
      readonly id: string;
      readonly name: string;
      readonly options: ActorOptions;
      readonly methods: readonly string[] | null;
    }
  | { readonly kind: "api"; readonly name: string };

const KINDS = ["ref", "actor", "function", "class", "api"] as const;

/** The package's own exports: code that uses them finds them on the worker by their names. */
const exportsByName = new Map<string, object>();
const namesOfExports = new Map<object, string>();

export function rememberExports(exports: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(exports)) {
    if ((typeof value !== "function" && typeof value !== "object") || value === null) continue;
    exportsByName.set(name, value);
    namesOfExports.set(value, name);
  }
}

/** The name of one of the package's own exports. */
export function nameOfExport(value: object): string | undefined {
  return namesOfExports.get(value);
}

export const handleHooks: HandleHooks = {
  entryOf: (value) => (ObjectRefImpl.is(value) ? ObjectRefImpl.entryOf(value) : undefined),
  describe: (value, named) => {
    const description = describe(value, named);
    if (description === undefined) return undefined;
    const data = Buffer.from(JSON.stringify(description));
    return { kind: KINDS.indexOf(description.kind), data };
  },
  revive: (handle: Handle) => revive(parse(Buffer.from(handle.data).toString())),
  describeExternal: (value) => {
    // What a captured function names lives as long as the function table keeps the function: to the job's end.
    const named: Named = { held: [], ids: [] };
    const description = describe(value, named);
    if (description === undefined) return undefined;
    const { owner } = requireRuntime("a captured ref").core;
    for (const held of named.held) {
      if (ObjectRefImpl.is(value)) owner.references.pin(ObjectRefImpl.entryOf(value));
      else if ("actorId" in held) owner.actors.addHandle(held);
    }
    if (ObjectRefImpl.is(value)) owner.references.escape(ObjectRefImpl.entryOf(value));
    return { kind: description.kind, data: description as unknown as JsonValue };
  },
  reviveExternal: (external: External) => revive(external.data as unknown as Description),
  externalize: (bytes) => {
    const runtime = requireRuntime("captured data");
    const { id } = runtime.core.putForJob(bytes, currentLineage(runtime));
    return { kind: "ref", data: { kind: "ref", id } };
  },
  objectOf: (external: External) => (external.data as unknown as { readonly id: ObjectId }).id,
};

/** Also collects what the value names, so that it is kept alive on the way. */
function describe(value: object, named: Named): Description | undefined {
  if (ObjectRefImpl.is(value)) return describeRef(value, named);
  if (typeof value === "function") return describeCallable(value);
  const actor = handleStateOf(value);
  if (actor === undefined) {
    const exported = namesOfExports.get(value);
    return exported === undefined ? undefined : { kind: "api", name: exported };
  }
  const link = linkOf(actor, requireRuntime("an actor handle"));
  named.held.push(link);
  named.ids.push(link.actorId as string as ObjectId);
  return { kind: "actor", id: link.actorId, name: actor.className, methods: actor.methods ?? null };
}

function describeRef(ref: ObjectRefImpl<unknown>, named: Named): Description {
  const entry = ObjectRefImpl.entryOf(ref);
  named.held.push(entry);
  named.ids.push(entry.id);
  if (!ObjectRefImpl.isTracked(ref)) requireRuntime("an ObjectRef").core.track(entry, ref);
  return { kind: "ref", id: entry.id };
}

function describeCallable(value: object): Description | undefined {
  const exported = namesOfExports.get(value);
  if (exported !== undefined) return { kind: "api", name: exported };
  const fn = functionStateOf(value);
  if (fn !== undefined) {
    return { kind: "function", id: idOf(fn.cell), name: fn.cell.name, options: plain(fn.options) };
  }
  const type = classStateOf(value);
  if (type === undefined) return undefined;
  const { cell, options, methods } = type;
  return { kind: "class", id: idOf(cell), name: cell.name, options: plain(options), methods: methods() ?? null };
}

/** A function that is being captured right now and names itself is known by an alias. */
function idOf(cell: FunctionCell): FunctionId {
  const runtime = requireRuntime(cell.name);
  const { functions } = runtime.core;
  if (cell.fn !== undefined && functions.isCapturing(cell.fn)) return functions.aliasOf(cell.fn);
  return registered(cell, runtime);
}

function revive(description: Description): unknown {
  const runtime = requireRuntime("a handle");
  switch (description.kind) {
    case "ref":
      return refOf(runtime.core.owner.references.borrow(description.id as ObjectId));
    case "actor":
      return borrowedHandle(runtime, description.id as ActorId, description.name, description.methods ?? undefined);
    case "function":
      return handleOf({ cell: cellOf(description, runtime), options: description.options });
    case "class":
      return classOf(classStateFrom(description, runtime));
    default:
      return exported(description.name);
  }
}

function exported(name: string): object {
  const value = exportsByName.get(name);
  if (value === undefined) throw new SerializationError(`this version of mobula has no export ${name}`);
  return value;
}

function classStateFrom(description: Extract<Description, { kind: "class" }>, runtime: Runtime): ClassState {
  return {
    cell: cellOf(description, runtime),
    options: description.options,
    methods: () => description.methods ?? undefined,
  };
}

function cellOf(description: { readonly id: string; readonly name: string }, runtime: Runtime): FunctionCell {
  const functionId = description.id as FunctionId;
  const fn = runtime.core.functions.get(functionId) as FunctionCell["fn"];
  return { name: description.name, fn, functionId, byReference: [], registeredIn: runtime };
}

function parse(text: string): Description {
  const value: unknown = JSON.parse(text);
  const kind: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "kind") : undefined;
  if (!KINDS.includes(kind as (typeof KINDS)[number])) throw new SerializationError("a handle of an unknown kind");
  return value as Description;
}

/** Options as JSON can carry them. */
function plain<T extends object>(options: T): T {
  return JSON.parse(JSON.stringify(options)) as T;
}
