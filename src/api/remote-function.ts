/** Remote functions: handles to functions, with their options. */
import type { FunctionId } from "../base/ids.js";
import { DEFAULT_MAX_RETRIES, MAX_PENDING_CALLS } from "../base/limits.js";
import type { TaskTemplate } from "../core/owner/records.js";
import { InvalidOptionError, PendingCallsLimitError } from "../errors.js";
import { callOrigins } from "../process/call-sites.js";
import { ObjectRefImpl } from "./object-ref.js";
import { checkOptions, checkText, demandOf, show, strategyOf } from "./options.js";
import { referenceModules } from "./reference-modules.js";
import { currentLineage, type Runtime, requireCluster } from "./runtime.js";
import type { AnyFunction, RuntimeEnv, TaskOptions } from "./types.js";

/** Marks the function objects that are remote functions; the state is behind it. */
const FUNCTION_STATE = Symbol.for("mobula.remoteFunction");

/** One function, shared by all handles to it: captured once. */
export interface FunctionCell {
  readonly name: string;
  /** Absent in a process that knows the function by its id alone. */
  readonly fn: AnyFunction | undefined;
  functionId: FunctionId | undefined;
  /** Modules that travel by reference with this function, besides those of `init`. */
  readonly byReference: readonly string[];
  /** The runtime in whose function table it is: after shutdown and init it is registered again. */
  registeredIn: Runtime | undefined;
}

export interface FunctionState {
  readonly cell: FunctionCell;
  readonly options: TaskOptions;
  template: TaskTemplate | undefined;
  templateOf: Runtime | undefined;
}

export function makeRemoteFunction(fn: AnyFunction, options: TaskOptions): unknown {
  checkOptions("task", options);
  if (/\{\s*\[native code\]\s*\}\s*$/.test(Function.prototype.toString.call(fn)) && !fn.name.startsWith("bound ")) {
    throw new InvalidOptionError(
      `remote() takes a function of yours; ${fn.name || "this one"} is native code: wrap it, remote((x) => ${fn.name || "f"}(x))`,
    );
  }
  const name = fn.name === "" ? "anonymous" : fn.name;
  checkText("the function's name", name);
  return handleOf({ cell: newCell(name, fn, options.runtimeEnv), options });
}

export function newCell(name: string, fn: AnyFunction | undefined, runtimeEnv: RuntimeEnv | undefined): FunctionCell {
  return { name, fn, functionId: undefined, byReference: referenceModules(runtimeEnv), registeredIn: undefined };
}

/** Further options of a handle share its capture, unless they change what is captured. */
export function cellWith(cell: FunctionCell, runtimeEnv: RuntimeEnv | undefined): FunctionCell {
  if (runtimeEnv === undefined || cell.fn === undefined) return cell;
  return newCell(cell.name, cell.fn, runtimeEnv);
}

export function handleOf(of: Pick<FunctionState, "cell" | "options">): object {
  const state: FunctionState = { ...of, template: undefined, templateOf: undefined };
  const handle = () => {
    throw new InvalidOptionError(
      `${state.cell.name} is a remote function: call ${state.cell.name}.remote(...) to run it in the cluster, or ${state.cell.name}.local(...) to run it here`,
    );
  };
  return Object.defineProperties(handle, {
    [FUNCTION_STATE]: { value: state },
    name: { value: state.cell.name },
    remote: { value: (...args: unknown[]) => submitTask(state, args), enumerable: true },
    options: {
      value: (options: TaskOptions) => {
        checkOptions("task", options);
        return handleOf({ cell: cellWith(state.cell, options.runtimeEnv), options: { ...state.options, ...options } });
      },
      enumerable: true,
    },
    local: { value: state.cell.fn ?? (() => notHere(state.cell)), enumerable: true },
  });
}

export function functionStateOf(value: object): FunctionState | undefined {
  return Object.hasOwn(value, FUNCTION_STATE) ? (Reflect.get(value, FUNCTION_STATE) as FunctionState) : undefined;
}

/** Lecture, `submitTask`: the hot path of the API. */
function submitTask(state: FunctionState, args: readonly unknown[]): unknown {
  const runtime = requireCluster(`${state.cell.name}.remote()`);
  const { core } = runtime;
  if (!core.owner.hasRoom) refuseMore(state.cell.name);
  const template =
    state.templateOf === runtime && state.template !== undefined ? state.template : templateFor(state, runtime);
  const { returns } = core.submit(template, currentLineage(runtime), args, undefined);
  if (returns.length === 1) return new ObjectRefImpl(returns[0] as (typeof returns)[0]);
  return refsOf(returns);
}

export function refsOf(returns: readonly ConstructorParameters<typeof ObjectRefImpl>[0][]): unknown {
  if (returns.length === 0) return undefined;
  const refs = returns.map((entry) => new ObjectRefImpl(entry));
  return refs.length === 1 ? refs[0] : refs;
}

export function refuseMore(name: string): never {
  throw new PendingCallsLimitError(
    `${name}: this process has ${MAX_PENDING_CALLS} unfinished tasks and calls, which is the limit: get() some results first`,
  );
}

/** Capture and register the function at its first use. */
export function registered(cell: FunctionCell, runtime: Runtime): FunctionId {
  if (cell.functionId !== undefined && (cell.fn === undefined || cell.registeredIn === runtime)) return cell.functionId;
  if (cell.fn === undefined) notHere(cell);
  cell.functionId = runtime.core.functions.registerFunction(cell.fn, cell.byReference);
  cell.registeredIn = runtime;
  return cell.functionId;
}

function templateFor(state: FunctionState, runtime: Runtime): TaskTemplate {
  const { options, cell } = state;
  const demand = demandOf(options, 1);
  const strategy = strategyOf(options.schedulingStrategy);
  const maxRetries = options.maxRetries ?? DEFAULT_MAX_RETRIES;
  const timeoutMs = options.timeoutMs ?? 0;
  // Leases of one key run each other's tasks: those that have a worker to themselves are apart.
  const kind = `${maxRetries === 0 ? "once" : ""} ${timeoutMs > 0 ? "limited" : ""}`;
  const amounts = [...demand].map((amount) => JSON.stringify(amount)).sort();
  state.template = {
    functionId: registered(cell, runtime),
    name: options.name ?? cell.name,
    method: "",
    numReturns: options.numReturns ?? 1,
    maxRetries,
    timeoutMs,
    demand,
    strategy,
    schedulingKey: `${amounts.join()} ${JSON.stringify(strategy)} ${kind}`,
    origins: callOrigins(options.name ?? cell.name),
  };
  state.templateOf = runtime;
  return state.template;
}

function notHere(cell: FunctionCell): never {
  throw new InvalidOptionError(
    `${cell.name} came from another process: its code is not in this one. Call ${cell.name}.remote()`,
  );
}

export function isClass(value: unknown): boolean {
  return typeof value === "function" && /^class[\s{]/.test(Function.prototype.toString.call(value));
}

export function refuseNonFunction(value: unknown): never {
  throw new InvalidOptionError(`remote() takes a function or a class, got ${show(value)}`);
}
