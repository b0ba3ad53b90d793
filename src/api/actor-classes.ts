/** Actor classes: `remote(Class)`, and how actors are made. */
import { type ActorId, GCS, taskIdOf } from "../base/ids.js";
import { DEFAULT_ACTOR_CONCURRENCY, MAX_INLINE_SUM_BYTES, MAX_LEASE_ARGUMENT_BYTES } from "../base/limits.js";
import { type ActorLink, ObjectEntry, type Outcome, upstreamFailure } from "../core/owner/records.js";
import { type Amounts, NOTHING } from "../core/resources.js";
import { InvalidOptionError } from "../errors.js";
import { functionFieldsOf } from "../functions/index.js";
import { noteArguments } from "../process/call-sites.js";
import type { CoreProcess } from "../process/core-process.js";
import { EncodedBytes } from "../process/encoded-bytes.js";
import { controlArguments } from "../process/lease-request.js";
import type { ActorSpec } from "../protocol/messages.js";
import { handleFor, NEVER_METHODS } from "./actor-handles.js";
import { checkOptions, checkText, demandOf, strategyOf } from "./options.js";
import { cellWith, type FunctionCell, newCell, registered } from "./remote-function.js";
import { currentLineage, requireCluster, requireRuntime } from "./runtime.js";
import type { ActorOptions, AnyFunction, ConcreteClass } from "./types.js";

const CLASS_STATE = Symbol.for("mobula.actorClass");

export interface ClassState {
  readonly cell: FunctionCell;
  readonly options: ActorOptions;
  /** Names of public methods; undefined where the class itself is not here. Asked when an actor is made: reading takes time. */
  readonly methods: () => readonly string[] | undefined;
}

export function makeActorClass(type: ConcreteClass, options: ActorOptions): unknown {
  checkOptions("actor", options);
  const name = type.name === "" ? "anonymous" : type.name;
  checkText("the class's name", name);
  const cell = newCell(name, type as unknown as AnyFunction, options.runtimeEnv);
  let names: readonly string[] | undefined;
  const methods = () => {
    names ??= methodsOf(type);
    return names;
  };
  return classOf({ cell, options, methods });
}

export function classOf(state: ClassState): object {
  const { name, fn } = state.cell;
  // Not an arrow function: `new` is to get the same answer.
  const handle = function notCallable() {
    throw new InvalidOptionError(
      `${name} is an actor class: call ${name}.remote(...) to create an actor, or ${name}.local(...) for an instance here`,
    );
  };
  return Object.defineProperties(handle, {
    [CLASS_STATE]: { value: state },
    name: { value: name },
    remote: { value: (...args: unknown[]) => createActor(state, args), enumerable: true },
    options: {
      value: (options: ActorOptions) => {
        checkOptions("actor", options);
        const cell = cellWith(state.cell, options.runtimeEnv);
        return classOf({ ...state, cell, options: { ...state.options, ...options } });
      },
      enumerable: true,
    },
    local: {
      value: (...args: unknown[]) => {
        if (fn === undefined)
          throw new InvalidOptionError(`class ${name} came from another process: its code is not in this one`);
        return Reflect.construct(fn as unknown as new (...args: unknown[]) => object, args);
      },
      enumerable: true,
    },
  });
}

/** Lecture, `registerActor`: the GCS is told; the handle can be used at once. */
function createActor(state: ClassState, args: readonly unknown[]): object {
  const { cell, options } = state;
  const runtime = requireCluster(`${cell.name}.remote()`);
  const { core } = runtime;
  const functionId = registered(cell, runtime);
  const lineage = currentLineage(runtime);
  const prepared = core.values.encodeArguments(args, core.owner, lineage);
  const actorId = taskIdOf(lineage.contextId, lineage.counter++) as string as ActorId;
  const link = core.owner.actors.link(actorId, cell.name, true);
  const demand = demandOf(options, 1);
  const namespace = options.namespace ?? runtime.core.namespace;
  const spec = (inline: ActorSpec["arguments"], large: readonly ObjectEntry[]): ActorSpec => ({
    actorId,
    jobId: core.jobId,
    name: cell.name,
    actorName: options.name ?? "",
    namespace,
    functionId,
    owner: core.self,
    demand,
    held: heldBy(options, demand),
    strategy: strategyOf(options.schedulingStrategy),
    maxConcurrency: options.maxConcurrency ?? DEFAULT_ACTOR_CONCURRENCY,
    arguments: inline,
    largeArguments: large.map((entry) => ({ objectId: entry.id, sizeBytes: entry.sizeBytes })),
  });
  const failed = (end: Outcome) => neverMade(core, link, { ...spec([], []), actorName: "" }, end);
  const register = (large: readonly ObjectEntry[], stored: readonly unknown[]) => {
    const inline = controlArguments(stored);
    const bytes = inline.reduce((sum, arg) => sum + (arg.kind === "value" ? arg.bytes.length : 0), 0);
    if (bytes > MAX_INLINE_SUM_BYTES) {
      const message = `the arguments of actor ${cell.name} (${actorId}) have ${bytes} bytes together, ${MAX_INLINE_SUM_BYTES} are allowed: put() them, or pass them in one array`;
      return failed({ kind: "failed", code: "OBJECT_TOO_LARGE", message });
    }
    core.raylet.send(GCS, { type: "registerActor", ...spec(inline, large) });
  };
  const handle = handleFor(core, link, cell.name, state.methods());
  whenSendable(core, link, prepared.args, register, failed);
  // What the constructor's arguments name lives as long as the actor may still be about to read it.
  core.owner.keepFor(link, prepared.nested);
  return handle;
}

/** Without resources of its own an actor needs a CPU to be placed, and none to live. */
function heldBy(options: ActorOptions, demand: Amounts): Amounts {
  if (options.numCpus !== undefined) return demand;
  const held = new Map(demand);
  held.delete("CPU");
  return held.size === 0 ? NOTHING : held;
}

/** Arguments of a constructor travel through the control plane: large ones, and refs, as objects of the store. */
function whenSendable(
  core: CoreProcess,
  link: ActorLink,
  args: readonly unknown[],
  send: (large: readonly ObjectEntry[], args: readonly unknown[]) => void,
  failed: (end: Outcome) => void,
): void {
  const stored = args.map((arg) => {
    if (!(arg instanceof EncodedBytes) || arg.bytes.length <= MAX_LEASE_ARGUMENT_BYTES) return arg;
    const lineage = currentLineage(requireRuntime("an actor"));
    return core.putEncoded(arg, lineage);
  });
  const entries = stored.filter((arg) => arg instanceof ObjectEntry);
  noteArguments(entries, link.name);
  core.owner.keepFor(link, entries);
  let missing = entries.length + 1;
  const ready = () => {
    if (--missing > 0) return;
    // Killed, or dropped without a call, while it waited: there is nobody to make it for.
    if (link.state === "dead" || core.owner.actors.find(link.actorId) !== link) return;
    const upstream = upstreamFailure(entries);
    if (upstream !== undefined) return failed(upstream);
    send(
      entries.filter((entry) => entry.state !== "inline"),
      stored,
    );
  };
  for (const entry of entries) {
    core.owner.references.whenReadyForTask(entry, ready);
  }
  ready();
}

/** Calls from here end as tasks with that argument would; who else has a handle hears of it from the GCS. */
function neverMade(core: CoreProcess, link: ActorLink, actor: ActorSpec, end: Outcome): void {
  const { values, owner, raylet, self } = core;
  const tell = () => {
    const error = errorOrWhyNot(() => values.errorOf(end));
    const task = { taskId: actor.actorId, name: actor.name, nodeId: self.nodeId, pid: process.pid, attempt: 0 };
    raylet.send(GCS, { type: "actorFailed", actor, failure: values.encodeActorFailure(error, task) });
    owner.actors.neverLives(link, end);
  };
  const classes = end.kind === "threw" ? values.prepare(end.error) : undefined;
  if (classes === undefined) return tell();
  owner.actors.addHandle(link); // the hold on the actor must not be given back before it is taken
  classes.then(tell, tell).finally(() => owner.actors.dropHandle(link));
}

function errorOrWhyNot(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    return error;
  }
}

/** Also fields that hold functions, of the class and of those that it extends. */
function methodsOf(type: ConcreteClass): readonly string[] {
  const names = new Set<string>();
  for (let at: unknown = type; typeof at === "function"; at = Object.getPrototypeOf(at)) {
    for (const name of functionFieldsOf(at)) names.add(name);
  }
  for (let at: object | null = type.prototype; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof property.value === "function" && name !== "constructor") names.add(name);
    }
  }
  return [...names].filter((name) => !NEVER_METHODS.has(name));
}

export function classStateOf(value: object): ClassState | undefined {
  return Object.hasOwn(value, CLASS_STATE) ? (Reflect.get(value, CLASS_STATE) as ClassState) : undefined;
}
