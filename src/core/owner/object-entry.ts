/**
 * What a process knows of one object that it holds a ref to. Values are opaque: the machine sees sizes and places.
 *
 *     pending ──▶ inline (the value is in this process) ──▶ stored (sealed in a node's store)
 *        └──────────────────────────────────────────────▶ stored, or failed
 */
import { type ContextId, type NodeId, type ObjectId, objectIdOf, taskIdOf } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";
import type { Task } from "./task.js";

export type EntryState = "pending" | "inline" | "stored" | "failed";

/** An encoded value as the shell keeps it, or the error a task threw. The machine never looks inside. */
export type Opaque = unknown;

export interface Waiter {
  /** `value` is there when the object came from the store; otherwise it is the entry's own. */
  entryReady(entry: ObjectEntry, value: Opaque): void;
  /** Only existence matters, not the bytes. */
  readonly onlyExistence: boolean;
}

export class ObjectEntry {
  state: EntryState = "pending";
  value: Opaque = undefined;
  /** The value is an error that a task threw. */
  isError = false;
  /** Why there is no value: set by the system. */
  failure: Failure | undefined = undefined;
  /** A large inline value is on its way to the store; tasks that take it wait until it is there. */
  large = false;
  nodeId: NodeId | undefined = undefined;
  sizeBytes = 0;
  /** Live ref objects of the user. */
  localRefs = 0;
  /** Pending tasks and values under way that need the object. */
  pins = 0;
  /** Our hold in the object table; "wanted" while it is being asked for. */
  hold: "none" | "held" = "none";
  storing = false;
  pulling = false;
  task: Task | undefined;
  /**
   * The user's ref object, held while the value is pending. A finalizer on every ref would cost more than the rest of a
   * small task (1.4 µs against 1 µs). A small result needs none: its value goes with its ref object. So the ref is held
   * until the value is known, and is given a finalizer only if the value lives elsewhere.
   */
  handle: object | undefined = undefined;
  tracked = false;
  waiters: Waiter[] | undefined = undefined;
  /** Told once the object can be sent as an argument: tasks of this process wait for that. */
  dependents: (() => void)[] | undefined = undefined;
  readonly owned: boolean;
  readonly #context: ContextId;
  readonly #counter: number;
  readonly #index: number;
  #id: ObjectId | undefined;

  constructor(
    context: ContextId,
    counter: number,
    index: number,
    task: Task | undefined,
    id: ObjectId | undefined = undefined,
  ) {
    this.#context = context;
    this.#counter = counter;
    this.#index = index;
    this.#id = id;
    this.task = task;
    this.owned = id === undefined;
  }

  /** Made when somebody asks: most objects never leave their owner, and nobody needs their name. */
  get id(): ObjectId {
    this.#id ??= objectIdOf(taskIdOf(this.#context, this.#counter), this.#index);
    return this.#id;
  }

  /** Whether a task that takes it can be sent. Another owner's object is sent by name: the raylet waits for it. */
  get isReadyForTask(): boolean {
    if (!this.owned) return true;
    return this.state === "inline" ? !this.large : this.state !== "pending";
  }
}
