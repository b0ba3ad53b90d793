/** Actor classes and the handles of living actors. */
import { inspect } from "node:util";
import { type ActorId, GCS, taskIdOf } from "../base/ids.js";
import { DEFAULT_ACTOR_CONCURRENCY, MAX_INLINE_SUM_BYTES, MAX_LEASE_ARGUMENT_BYTES } from "../base/limits.js";
import type { ActorLink, Outcome, TaskTemplate } from "../core/owner/records.js";
import { ObjectEntry, upstreamFailure } from "../core/owner/records.js";
import { type Amounts, NOTHING } from "../core/resources.js";
import { ActorNotFoundError, InvalidOptionError, ReferenceReleasedError } from "../errors.js";
import { functionFieldsOf } from "../functions/index.js";
import { callOrigins, noteArguments } from "../process/call-sites.js";
import type { CoreProcess } from "../process/core-process.js";
import { EncodedBytes } from "../process/encoded-bytes.js";
import { controlArguments } from "../process/lease-request.js";
import type { ActorSpec } from "../protocol/messages.js";
import { checkOptions, checkText, demandOf, show, strategyOf } from "./options.js";
import { cellWith, type FunctionCell, newCell, refsOf, refuseMore, registered } from "./remote-function.js";
import { currentLineage, type Runtime, requireCluster, requireRuntime, runtimeOrNothing } from "./runtime.js";
import type {
  ActorClass,
  ActorHandle,
  ActorOptions,
  AnyFunction,
  ConcreteClass,
  GetActorOptions,
  InstanceOf,
  KillOptions,
  MethodOptions,
} from "./types.js";

const CLASS_STATE = Symbol.for("mobula.actorClass");
const HANDLE_STATE = Symbol.for("mobula.actorHandle");

export interface ClassState {
  readonly cell: FunctionCell;
  readonly options: ActorOptions;
  /** Names of public methods; undefined where the class itself is not here. Asked when an actor is made: reading takes time. */
  readonly methods: () => readonly string[] | undefined;
}

export interface HandleState {
  readonly link: ActorLink;
  readonly className: string;
  readonly methods: readonly string[] | undefined;
  readonly tracker: HandleTracker;
}

interface HandleTracker {
  readonly link: ActorLink;
  readonly core: CoreProcess;
  released: boolean;
}

const finalizer = new FinalizationRegistry<HandleTracker>(releaseHandle);

// ── Classes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── Handles ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A promise chain or JSON.stringify must not take a handle for one of theirs. */
const NEVER_METHODS = new Set(["then", "toJSON", "constructor"]);

function handleFor(
  core: CoreProcess,
  link: ActorLink,
  className: string,
  methods: readonly string[] | undefined,
): object {
  core.owner.actors.addHandle(link);
  const tracker: HandleTracker = { link, core, released: false };
  const state: HandleState = { link, className, methods, tracker };
  const cache = new Map<string, object>();
  const inWords = () => `ActorHandle(${className} ${link.actorId})`;
  // `console.log` looks at a proxy's target.
  const target: object = { [inspect.custom]: inWords };
  const handle: object = new Proxy(target, {
    get: (_target, key) => {
      if (key === HANDLE_STATE) return state;
      if (key === Symbol.dispose) return () => releaseHandle(tracker);
      if (key === Symbol.toPrimitive) return inWords;
      if (key === "toString" && methods?.includes(key) !== true) return inWords;
      if (typeof key !== "string" || NEVER_METHODS.has(key)) return undefined;
      if (methods !== undefined && !methods.includes(key)) return undefined;
      const known = cache.get(key);
      if (known !== undefined) return known;
      // The method keeps its handle: `const m = handle.method` is a use of the actor.
      const method = methodOf(handle, state, key, {});
      cache.set(key, method);
      return method;
    },
    has: (_target, key) => typeof key === "string" && (methods?.includes(key) ?? false),
    ownKeys: () => [],
    set: () => false,
  });
  finalizer.register(handle, tracker);
  return handle;
}

function releaseHandle(tracker: HandleTracker): void {
  if (tracker.released) return;
  tracker.released = true;
  if (runtimeOrNothing()?.core === tracker.core) tracker.core.owner.actors.dropHandle(tracker.link);
}

export function handleStateOf(value: unknown): HandleState | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  return Reflect.get(value, HANDLE_STATE) as HandleState | undefined;
}

/** The actor behind a handle. @throws ReferenceReleasedError when the handle was disposed of, or is of an earlier connection. */
export function linkOf({ link, className, tracker }: HandleState, { core }: Runtime): ActorLink {
  if (tracker.released) {
    throw new ReferenceReleasedError(
      `this handle of actor ${className} (${link.actorId}) was released (using or dispose): keep the handle as long as you call the actor`,
    );
  }
  if (tracker.core !== core) {
    throw new ReferenceReleasedError(
      `actor ${className} (${link.actorId}) is of an earlier connection, and went with it at shutdown(): make it again in this one`,
    );
  }
  return link;
}

export function classStateOf(value: object): ClassState | undefined {
  return Object.hasOwn(value, CLASS_STATE) ? (Reflect.get(value, CLASS_STATE) as ClassState) : undefined;
}

/** `handle` is kept by the method on purpose, though nothing reads it. */
function methodOf(handle: object, state: HandleState, name: string, options: MethodOptions): object {
  let template: TaskTemplate | undefined;
  const method = () => {
    throw new InvalidOptionError(`${name} is a method of an actor: call .${name}.remote(...)`);
  };
  return Object.defineProperties(method, {
    name: { value: name },
    handle: { value: handle },
    remote: {
      value: (...args: unknown[]) => {
        const runtime = requireCluster(`${state.className}.${name}.remote()`);
        const link = linkOf(state, runtime);
        if (!runtime.core.owner.hasRoom) refuseMore(`${state.className}.${name}`);
        template ??= methodTemplate(state, name, options);
        return refsOf(runtime.core.submit(template, currentLineage(runtime), args, link).returns);
      },
      enumerable: true,
    },
    options: {
      value: (more: MethodOptions) => {
        checkOptions("method", more);
        return methodOf(handle, state, name, { ...options, ...more });
      },
      enumerable: true,
    },
  });
}

function methodTemplate(state: HandleState, name: string, options: MethodOptions): TaskTemplate {
  const label = options.name ?? `${state.className}.${name}`;
  checkText("the name of the call, its class and method,", label);
  return {
    functionId: state.link.actorId,
    name: label,
    method: name,
    numReturns: options.numReturns ?? 1,
    maxRetries: 0,
    timeoutMs: options.timeoutMs ?? 0,
    demand: NOTHING,
    strategy: { kind: "default" },
    schedulingKey: state.link.actorId,
    origins: callOrigins(label),
  };
}

// ── Finding and ending ──────────────────────────────────────────────────────────────────────────────────────────────

/** The actor with this name. Rejects with ActorNotFoundError when there is none. */
export async function getActor<C>(
  name: string,
  options?: GetActorOptions,
): Promise<
  C extends ConcreteClass
    ? ActorHandle<InstanceType<C>>
    : C extends ActorClass<infer K>
      ? ActorHandle<InstanceOf<K>>
      : never
> {
  const runtime = requireRuntime("getActor()");
  checkOptions("getActor", options);
  const namespace = options?.namespace ?? runtime.core.namespace;
  if (typeof name !== "string" || name === "")
    throw new InvalidOptionError(`getActor() takes a name, got ${show(name)}`);
  checkText("the actor's name", name);
  const found = await runtime.findActor(name, namespace);
  if (found === undefined) {
    throw new ActorNotFoundError(
      `no actor has the name ${name} in namespace ${namespace}: it was never made, or has died`,
    );
  }
  return borrowedHandle(runtime, found.actorId as ActorId, found.className, undefined) as never;
}

/** A handle that came from elsewhere: the actor is held in this process's name. */
export function borrowedHandle(
  runtime: Runtime,
  actorId: ActorId,
  className: string,
  methods: readonly string[] | undefined,
): object {
  const { owner } = runtime.core;
  if (owner.actors.find(actorId) === undefined) owner.references.holds.take(actorId);
  return handleFor(runtime.core, owner.actors.link(actorId, className, false), className, methods);
}

/** End an actor now. Its pending calls fail with ActorDiedError. */
export async function kill(handle: object, options?: KillOptions): Promise<void> {
  const runtime = requireCluster("kill()");
  checkOptions("kill", options);
  const state = handleStateOf(handle);
  if (state === undefined) throw new InvalidOptionError(`kill() takes an actor handle, got ${show(handle)}`);
  const { actorId, name } = linkOf(state, runtime);
  runtime.core.raylet.send(GCS, { type: "killActor", actorId });
  runtime.core.raylet.flush(); // now: this process may be about to keep its thread busy
  const reason = { code: "ACTOR_DIED", message: `actor ${name} (${actorId}) was killed with kill()` };
  runtime.core.owner.actors.actorState(actorId, "dead", undefined, undefined, reason);
}
