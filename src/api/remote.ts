/** `remote`: functions and classes become remote functions and actor classes. */
import { InvalidOptionError } from "../errors.js";
import { makeActorClass } from "./actor-classes.js";
import { functionStateOf, isClass, makeRemoteFunction, refuseNonFunction } from "./remote-function.js";
import type {
  ActorClass,
  ActorOptions,
  AnyFunction,
  ConcreteClass,
  PublicClass,
  RemoteFunction,
  TaskOptions,
} from "./types.js";

/**
 * Make a remote function or an actor class. Captures nothing yet: that happens at the first `.remote()`.
 *
 * @throws InvalidOptionError for anything but a function or class of the user's, or for bad options.
 */
export function remote<C extends ConcreteClass>(type: C): ActorClass<PublicClass<C>>;
export function remote<C extends ConcreteClass>(options: ActorOptions, type: C): ActorClass<PublicClass<C>>;
export function remote<F extends AnyFunction>(fn: F): RemoteFunction<F>;
export function remote<F extends AnyFunction, N extends number = 1>(
  options: TaskOptions & { readonly numReturns?: N },
  fn: F,
): RemoteFunction<F, N>;
export function remote(first: unknown, second?: unknown): unknown {
  const target = second === undefined ? first : second;
  const options = second === undefined ? {} : first;
  if (typeof target !== "function") refuseNonFunction(target);
  if (functionStateOf(target) !== undefined)
    throw new InvalidOptionError("remote() was given a remote function: use it as it is");
  if (isClass(target)) return makeActorClass(target as unknown as ConcreteClass, options as ActorOptions);
  return makeRemoteFunction(target as unknown as AnyFunction, options as TaskOptions);
}
