/** The handles of living actors: their methods, finding actors by name, ending them. */
import { inspect } from "node:util";
import { type ActorId, GCS } from "../base/ids.js";
import type { ActorLink, TaskTemplate } from "../core/owner/records.js";
import { NOTHING } from "../core/resources.js";
import { ActorNotFoundError, InvalidOptionError, ReferenceReleasedError } from "../errors.js";
import { callOrigins } from "../process/call-sites.js";
import type { CoreProcess } from "../process/core-process.js";
import { checkOptions, checkText, show } from "./options.js";
import { refsOf, refuseMore } from "./remote-function.js";
import { currentLineage, type Runtime, requireCluster, requireRuntime, runtimeOrNothing } from "./runtime.js";
import type {
  ActorClass,
  ActorHandle,
  ConcreteClass,
  GetActorOptions,
  InstanceOf,
  KillOptions,
  MethodOptions,
} from "./types.js";

const HANDLE_STATE = Symbol.for("mobula.actorHandle");

/** A promise chain or JSON.stringify must not take a handle for one of theirs. */
export const NEVER_METHODS = new Set(["then", "toJSON", "constructor"]);

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

export function handleFor(
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
