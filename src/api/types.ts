/** The types that users meet: refs, remote functions, actor handles, options. */

/** Node's own classes have no common call signature; this is the widest that still infers parameters. */
export type AnyFunction = (...args: never[]) => unknown;
export type ConcreteClass = new (...args: never[]) => object;

declare const valueType: unique symbol;

/** A future: names an immutable value that exists or will exist somewhere in the cluster. Not thenable, on purpose. */
export interface ObjectRef<out T> extends Disposable {
  readonly id: string;
  toString(): string;
  /** Only for the compiler: keeps refs of different values apart. */
  readonly [valueType]?: T;
}

/** An argument of type T, or a ref to one: resolved to its value before the task starts. */
export type Arg<T> = [T] extends [ObjectRef<unknown>] ? T : T | ObjectRef<T>;
export type Args<A extends readonly unknown[]> = { [K in keyof A]: Arg<A[K]> };

/** One ref for each element of a returned tuple. */
export type Refs<R, N extends number> = N extends 0
  ? undefined
  : N extends 1
    ? ObjectRef<Awaited<R>>
    : Awaited<R> extends infer T extends readonly [unknown, ...unknown[]]
      ? { -readonly [K in keyof T]: ObjectRef<T[K]> }
      : Awaited<R> extends readonly (infer E)[]
        ? TupleOf<ObjectRef<E>, N>
        : never;

/**
 * What a call gives when the compiler cannot know `numReturns`: nothing for 0, one ref for 1, else a list, of a function
 * that returns one.
 */
type RefsOfUnknownCount<R> =
  | undefined
  | ObjectRef<Awaited<R>>
  | (unknown extends Awaited<R>
      ? ObjectRef<unknown>[]
      : Awaited<R> extends readonly (infer E)[]
        ? ObjectRef<E>[]
        : never);
type TupleOf<T, N extends number, Acc extends readonly T[] = []> = number extends N
  ? T[]
  : Acc["length"] extends N
    ? Acc
    : TupleOf<T, N, [...Acc, T]>;

export type SchedulingStrategy = "default" | "spread" | { readonly nodeId: string; readonly soft?: boolean };

export interface RuntimeEnv {
  /**
   * Modules of the project whose state must exist once in each process (pools, caches): what they export travels by
   * name, and each worker imports its own. Paths from the current directory or the entry module's, or file URLs.
   */
  readonly byReference?: readonly string[];
}

export interface TaskOptions {
  /** Shown in errors, traces and output. Default: the function's name. */
  readonly name?: string;
  /** Default 1. */
  readonly numCpus?: number;
  readonly numGpus?: number;
  /** Bytes. */
  readonly memory?: number;
  /** Custom resources by name. */
  readonly resources?: Readonly<Record<string, number>>;
  /** Default 1. */
  readonly numReturns?: number;
  /** Attempts after a system failure; -1 without end. Default 3. */
  readonly maxRetries?: number;
  /**
   * Milliseconds from submission to result, over all attempts. Then `get` throws TaskTimeoutError, `context().signal` is
   * aborted, and a task that has not ended 100 ms later loses its worker. Default, as 0: no limit.
   */
  readonly timeoutMs?: number;
  readonly schedulingStrategy?: SchedulingStrategy;
  readonly runtimeEnv?: RuntimeEnv;
}

export interface ActorOptions extends Omit<TaskOptions, "numReturns" | "maxRetries" | "timeoutMs"> {
  /** A named actor can be found with `getActor`. */
  readonly name?: string;
  readonly namespace?: string;
  /** Asynchronous calls under way at once. Default 1,000; 1 makes an actor serial across `await`. */
  readonly maxConcurrency?: number;
}

export interface MethodOptions {
  readonly name?: string;
  readonly numReturns?: number;
  /**
   * Milliseconds from submission to result. Then `get` throws TaskTimeoutError, whatever becomes of the call: one that has
   * not started never will, of one that runs `context().signal` is aborted. The actor is never ended for it: a call that
   * does not heed its signal goes on, and calls that wait for its end wait. Default, as 0: no limit.
   */
  readonly timeoutMs?: number;
}

/** Up to four overloads of a function, as an intersection of call signatures. */
type Remote<F, N extends number> = F extends {
  (...args: infer A1): infer R1;
  (...args: infer A2): infer R2;
  (...args: infer A3): infer R3;
  (...args: infer A4): infer R4;
}
  ? Call<A1, R1, N> & Call<A2, R2, N> & Call<A3, R3, N> & Call<A4, R4, N>
  : never;
type Call<A extends readonly unknown[], R, N extends number> = (
  ...args: Args<A>
) => number extends N ? RefsOfUnknownCount<R> : Refs<R, N>;

export interface RemoteFunction<F, N extends number = 1> {
  /** Submit a task. Synchronous; returns its ref (or refs) at once. */
  readonly remote: Remote<F, N>;
  /** A new handle with these options; this one is unchanged. */
  options<M extends number = N>(options: TaskOptions & { readonly numReturns?: M }): RemoteFunction<F, M>;
  /** Run in this process, without a cluster. */
  readonly local: F;
}

/** A method of an actor, as its handle shows it. */
export interface ActorMethod<F, N extends number = 1> {
  readonly remote: Remote<F, N>;
  options<M extends number = N>(options: MethodOptions & { readonly numReturns?: M }): ActorMethod<F, M>;
}

/** A handle to a living actor: its public methods, each with `.remote`. */
export type ActorHandle<T> = {
  readonly [K in keyof T as K extends string
    ? T[K] extends AnyFunction
      ? K extends "then" | "toJSON"
        ? never
        : K
      : never
    : never]: ActorMethod<T[K]>;
} & Disposable;

/**
 * A class as others see it: its constructor and its public members. Spelled out by the compiler, so that the declaration
 * of an exported actor class need not name the class itself, whose private members may not stand in a declaration.
 */
export type PublicClass<C> = C extends new (
  ...args: infer A
) => infer T
  ? new (
      ...args: A
    ) => { [K in keyof T]: T[K] }
  : never;
type ParametersOf<C> = C extends new (...args: infer A) => unknown ? A : never;
export type InstanceOf<C> = C extends new (...args: never[]) => infer T ? { [K in keyof T]: T[K] } : never;

export interface ActorClass<C> {
  /** Create an actor. Synchronous; returns its handle at once. */
  remote(...args: Args<ParametersOf<C>>): ActorHandle<InstanceOf<C>>;
  options(options: ActorOptions): ActorClass<C>;
  /** An ordinary instance in this process, without a cluster; its type shows the public members. */
  local(...args: ParametersOf<C>): InstanceOf<C>;
}

export interface InitOptions {
  /** `host:port` of a head, or `auto` for the running local cluster. Default: `MOBULA_ADDRESS`, else a cluster of its own. */
  readonly address?: string;
  /** Default: the CPUs this process may use, whole ones: a container's quota is rounded down, to at least 1. */
  readonly numCpus?: number;
  readonly numGpus?: number;
  /** Bytes that tasks may ask for. Default: 70 % of memory, a container's limit heeded. */
  readonly memory?: number;
  readonly resources?: Readonly<Record<string, number>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Bytes. Default: 30 % of memory, a container's limit heeded, at most 80 % of the shared-memory file system. */
  readonly objectStoreMemory?: number;
  /**
   * Where objects go that the store has no room for. Each node makes a directory of its own there, which ends with it.
   * Default: the node's session directory.
   */
  readonly spillDirectory?: string;
  readonly namespace?: string;
  /** Show workers' output here. Default true. */
  readonly logToDriver?: boolean;
  readonly ignoreReinitError?: boolean;
  /** For all functions and classes of this driver. */
  readonly runtimeEnv?: RuntimeEnv;
  /** The cluster's secret. Default: see docs/SECURITY.md. */
  readonly authToken?: string;
}

export interface Cluster extends AsyncDisposable {
  readonly address: string;
  readonly nodeId: string;
}

export interface GetActorOptions {
  /** The driver's own, if absent. */
  readonly namespace?: string;
}

export interface KillOptions {
  /** Actors do not restart yet: it makes no difference. */
  readonly noRestart?: boolean;
}

export interface GetOptions {
  /** Reject with `GetTimeoutError` after this time; 0 polls. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface WaitOptions extends GetOptions {
  /** Default 1. */
  readonly numReturns?: number;
  /** Bring ready objects to this node. Default true. */
  readonly fetchLocal?: boolean;
}

export interface Context {
  readonly jobId: string;
  readonly nodeId: string;
  readonly workerId: string;
  readonly taskId?: string;
  readonly taskName?: string;
  readonly actorId?: string;
  readonly attempt: number;
  readonly namespace: string;
  /** What the task or actor holds, named as in `clusterResources()`. Nothing on a driver. */
  readonly resources: Readonly<Record<string, number>>;
  /** Aborted when the task is to stop. */
  readonly signal: AbortSignal;
}

/** Something that cannot be shipped. */
export interface SerializabilityObstacle {
  /** Where it is: `add → variable "db" → .socket`, or `value.db.socket`. */
  readonly path: string;
  /** What is wrong with it, to follow the path. */
  readonly reason: string;
  /** What to do instead; empty where nothing is known. */
  readonly hint: string;
}

/** What a function captures (its variables), or a value contains. */
export interface CapturedPart {
  /** The variable's name; of a value, `value.key`. */
  readonly path: string;
  /** `number`, `Map`, `Uint8Array`, `function` … */
  readonly kind: string;
  /** About what it adds; what two parts share counts for both. */
  readonly sizeBytes: number;
}

export interface SerializabilityReport {
  /** There are no obstacles. */
  readonly ok: boolean;
  /** The function's name, or `value`. */
  readonly name: string;
  /** Of everything that would travel, as far as it can. */
  readonly sizeBytes: number;
  readonly obstacles: readonly SerializabilityObstacle[];
  readonly captured: readonly CapturedPart[];
  /** All of it, to be read. */
  toString(): string;
}

export interface NodeState {
  readonly nodeId: string;
  readonly address: string;
  /** False once the node has died or left: whatever ran and lay there is gone. */
  readonly alive: boolean;
  readonly isHead: boolean;
  /** What it offers, by name; nothing when it is dead. */
  readonly resources: Readonly<Record<string, number>>;
  /** What of it is free. */
  readonly available: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
}
