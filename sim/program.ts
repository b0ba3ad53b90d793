/**
 * What virtual user code looks like: generators that yield where real code awaits, written against an `Api` that both
 * the cluster and the model implement. The same code runs in both, so the model says what each `get` must give.
 */
import type { FunctionId } from "../src/base/ids.js";
import type { Strategy } from "../src/protocol/messages.js";

/** A future, as user code sees it; what it is belongs to the implementation of the `Api`. */
export interface Ref {
  readonly kind: "ref";
}

export interface Handle {
  readonly kind: "handle";
  readonly name: string;
}

/** A value as user code sees it. */
export interface Value {
  readonly token: string;
  readonly sizeBytes: number;
  /** Live refs and handles that came in the value: whoever got the value must drop them. */
  readonly refs: readonly Ref[];
  readonly handles: readonly Handle[];
}

/** A value as user code makes it: with refs and handles of its own. */
export interface Made {
  readonly token: string;
  readonly sizeBytes: number;
  readonly names: readonly (Ref | Handle)[];
}

export type Argument = Made | Ref;

export interface CallOptions {
  readonly numReturns: number;
  readonly maxRetries: number;
  readonly cpus: number;
  readonly resources: Readonly<Record<string, number>>;
  readonly strategy: Strategy;
  readonly timeoutMs: number;
}

export const PLAIN_CALL: CallOptions = {
  numReturns: 1,
  maxRetries: 3,
  cpus: 1,
  resources: {},
  strategy: { kind: "default" },
  timeoutMs: 0,
};

export interface ActorOptions {
  /** Empty for an anonymous actor. */
  readonly actorName: string;
  /** Held while it lives; it takes one CPU to be placed. */
  readonly heldCpus: number;
  readonly maxConcurrency: number;
  readonly strategy: Strategy;
}

export const PLAIN_ACTOR: ActorOptions = {
  actorName: "",
  heldCpus: 0,
  maxConcurrency: 1_000,
  strategy: { kind: "default" },
};

/** What user code waits for. */
export type Effect =
  | { readonly kind: "get"; readonly refs: readonly Ref[] }
  | { readonly kind: "wait"; readonly refs: readonly Ref[]; readonly count: number }
  /** Asynchronous: others may run meanwhile, but no CPU is given back. */
  | { readonly kind: "sleep"; readonly durationMs: number }
  /** Synchronous: the process takes no event meanwhile. */
  | { readonly kind: "compute"; readonly durationMs: number }
  /** Synchronous: looks for a file again and again, at most for so long. */
  | { readonly kind: "spin"; readonly file: string; readonly limitMs: number }
  | { readonly kind: "make"; readonly file: string }
  /** Until somebody in this process calls what it is given. */
  | { readonly kind: "until"; readonly arm: (go: () => void) => void }
  | { readonly kind: "find"; readonly actorName: string };

/** What an effect gives: values for `get`, a handle for `find`, the number of ready refs for `wait`. */
export type Given = readonly Value[] | Handle | number | undefined;
export type Script<T> = Generator<Effect, T, Given>;

export interface Api {
  put(value: Made): Ref;
  call(functionId: FunctionId, args: readonly Argument[], options: CallOptions): readonly Ref[];
  createActor(classId: FunctionId, args: readonly Argument[], options: ActorOptions): Handle;
  /** `timeoutMs`: 0, the default, is no limit. */
  callActor(handle: Handle, method: string, args: readonly Argument[], timeoutMs?: number): Ref;
  drop(thing: Ref | Handle): void;
}

export interface ActorInstance {
  call(api: Api, method: string, args: readonly Value[]): Script<readonly Made[]>;
}

/** Follows one program: the model notes what each ref comes to, the run compares. */
export interface Observer {
  added(index: number, ref: Ref): void;
  got(index: number, value: Value): void;
  /** The ref's task or call, which has just been submitted, has a time limit. */
  limited(index: number, timeoutMs: number): void;
  /** Its time was over, or that of what it takes. */
  timedOut(index: number): void;
}

/** What a function id stands for. */
export type Code =
  | { readonly kind: "task"; readonly name: string; run(api: Api, args: readonly Value[]): Script<readonly Made[]> }
  | { readonly kind: "actor"; readonly name: string; create(args: readonly Value[]): ActorInstance };

/** All functions of a program. Workers look into it only with what the function table gave them. */
export type CodeTable = ReadonlyMap<FunctionId, Code>;

// ── Words of user code ──────────────────────────────────────────────────────────────────────────────────────────────

export function* get(...refs: readonly Ref[]): Script<readonly Value[]> {
  return (yield { kind: "get", refs }) as readonly Value[];
}

export function* wait(refs: readonly Ref[], count: number): Script<number> {
  return (yield { kind: "wait", refs, count }) as number;
}

export function* sleep(durationMs: number): Script<void> {
  yield { kind: "sleep", durationMs };
}

export function* compute(durationMs: number): Script<void> {
  yield { kind: "compute", durationMs };
}

export function* spin(file: string, limitMs: number): Script<void> {
  yield { kind: "spin", file, limitMs };
}

export function* makeFile(file: string): Script<void> {
  yield { kind: "make", file };
}

export function* until(arm: (go: () => void) => void): Script<void> {
  yield { kind: "until", arm };
}

export function* findActor(actorName: string): Script<Handle | undefined> {
  return (yield { kind: "find", actorName }) as Handle | undefined;
}

/** Thrown by user code. */
export class UserError extends Error {}
