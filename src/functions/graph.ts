/**
 * The graph that one capture builds: nodes by identity, and a list of what still has to be looked at.
 *
 * Nothing recurses along the captured data, so its depth does not matter; the list is worked off first in, first out,
 * so the path that an error names is a shortest one.
 */
import { MobulaError, SerializationError } from "../errors.js";
import { CapturedSizes, NODE_BYTES } from "./captured-sizes.js";
import { wellKnownName } from "./intrinsics.js";
import { obstacle, PackageInternal, type Path, pathText, type Subject, step } from "./obstacles.js";
import type { Index } from "./packages.js";
import type { External, PayloadNode, Ref, Shape } from "./payload.js";
import { enteredModules } from "./program.js";
import { type Scope, ScopeTable } from "./scopes.js";
import type { Script } from "./scripts.js";
import type { Position } from "./user-positions.js";

export interface CaptureHooks {
  /** Called for every object and function met while capturing, before anything else is tried. */
  describe(value: object): External | undefined;
  /** Large captured binary data is handed over as an object of its own; without this, it is part of the payload. */
  externalize?(bytes: Uint8Array): External;
  warn(message: string): void;
  /** URLs of modules of the project whose exports travel by name. */
  readonly byReference?: Iterable<string>;
}

/** A function, class or initializer whose text goes into the emitted code. */
export interface Fragment {
  readonly node: number;
  readonly variables: Variables;
  readonly strict: boolean;
  /** The expression, in pieces: text of a script with its place there, or text of our own. */
  readonly pieces: readonly Piece[];
}

/** The variables that code uses. */
export interface Variables {
  /** The innermost block that has one of them. */
  readonly scope: Scope | undefined;
  readonly uses: readonly (readonly [scope: Scope, name: string])[];
  /** Names of those that the code assigns to. */
  readonly assigned: readonly string[];
}

export type Piece = string | Quote;

/** Text of the program, and where it begins in its script. */
export interface Quote {
  readonly text: string;
  readonly line: number;
  readonly column: number;
  readonly positions: Positions;
}

/** From positions in a script to the user's file. */
export interface Positions {
  original(line: number, column: number): Position | undefined;
}

export interface Task {
  readonly id: number;
  readonly value: object;
  readonly path: Path;
}

/** What a class's text makes, to tell it from what the program did to the class. */
export interface CapturedClass {
  /** Own properties of the class, or of its prototype, that evaluating the text does not give. */
  shapeOf(owner: object, isStatic: boolean, path: Path): Shape;
  /** The member whose text begins at an offset of a script. */
  memberAt(script: Script, offset: number): PayloadNode | undefined;
}

/** What the graph asks of the capture. */
export interface Work {
  /** Make the node of an object or function. */
  node(graph: Graph, task: Task): PayloadNode;
  /** Get what is internal to a package in another way; false if there is none. */
  rescue(graph: Graph, path: Path): boolean;
}

/** Something that stands in the way of a capture, in a list of all. */
export interface Found {
  readonly path: string;
  readonly error: MobulaError;
}

export class Graph {
  readonly hooks: CaptureHooks;
  readonly subject: Subject;
  readonly nodes: (PayloadNode | undefined)[] = [];
  readonly fragments: Fragment[] = [];
  readonly segments: Uint8Array[] = [];
  readonly externals: External[] = [];
  readonly sizes: CapturedSizes;
  readonly byReference: ReadonlySet<string>;
  /** Their exports, as far as they are CommonJS. */
  readonly loadedModules = new Map<string, Index>();
  readonly scopes = new ScopeTable();
  /** Captured classes, and their members that are found again by evaluating them. */
  readonly classes = new Map<object, CapturedClass>();
  readonly members = new Map<object, PayloadNode>();
  /** Values of variables that are made again by their initializers. What only they reach does not travel. */
  readonly replayed = new Set<number>();
  /** Weak collections are filled last, with those of their keys that were captured anyway. */
  readonly weak: Task[] = [];
  readonly #values: unknown[] = [];
  readonly #ids = new Map<unknown, number>();
  readonly #tasks: Task[] = [];
  readonly #partials: (() => void)[] = [];
  #next = 0;
  readonly #work: Work;
  readonly #collected: Found[] | undefined;

  /** With `collected`, obstacles are listed there instead of ending the capture. */
  constructor(hooks: CaptureHooks, subject: Subject, work: Work, collected?: Found[]) {
    this.hooks = hooks;
    this.subject = subject;
    this.sizes = new CapturedSizes(subject.name);
    this.byReference = new Set([...enteredModules(), ...(hooks.byReference ?? [])]);
    this.#work = work;
    this.#collected = collected;
  }

  /** How a node names a value. An object or symbol met for the first time is put on the list. */
  ref(value: unknown, path: Path): Ref {
    switch (typeof value) {
      case "string":
        this.sizes.addString(path, value);
        return value;
      case "boolean":
        return value;
      case "number":
        return Number.isFinite(value) && !Object.is(value, -0)
          ? value
          : ["n", Object.is(value, -0) ? "-0" : String(value)];
      case "bigint":
        return ["b", String(value)];
      case "undefined":
        return ["u"];
      case "symbol":
        return [this.#symbol(value)];
      default:
        return value === null ? null : [this.idOf(value as object, path)];
    }
  }

  idOf(value: object, path: Path): number {
    const known = this.#ids.get(value);
    if (known !== undefined) return known;
    const id = this.#newId(value);
    this.#tasks.push({ id, value, path });
    return id;
  }

  /** A value whose node is known from where it was found. */
  refAs(value: unknown, node: PayloadNode, path: Path): Ref {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) return this.ref(value, path);
    const known = this.#ids.get(value);
    if (known !== undefined) return [known];
    const id = this.#newId(value);
    this.nodes[id] = node;
    return [id];
  }

  /** A node of its own, without identity. */
  add(node: PayloadNode): number {
    return this.nodes.push(node) - 1;
  }

  /** An object of which only these members travel; more may be added until the capture ends. */
  addPartial(members: ReadonlyMap<string, Ref>): number {
    const id = this.nodes.push(undefined) - 1;
    this.#partials.push(() => {
      this.nodes[id] = { k: "obj", proto: null, props: [...members].flat() };
    });
    return id;
  }

  /** The method that stands at a place of a script, if its class has been captured. */
  memberAt(script: Script, offset: number): PayloadNode | undefined {
    for (const table of this.classes.values()) {
      const found = table.memberAt(script, offset);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  finishPartials(): void {
    for (const finish of this.#partials) finish();
  }

  knownId(value: object): number | undefined {
    return this.#ids.get(value);
  }

  /** The object, function or symbol of a node. */
  valueOf(id: number): unknown {
    return this.#values[id];
  }

  captured(): IterableIterator<[unknown, number]> {
    return this.#ids.entries();
  }

  /** Work the list off. */
  drain(): void {
    for (let next = this.#tasks[this.#next]; next !== undefined; next = this.#tasks[this.#next]) {
      this.#next++;
      this.#process(next);
    }
  }

  /** Look at one object of the list before its turn. */
  finishNode(id: number): void {
    const task = this.#tasks.find((each) => each.id === id);
    if (task !== undefined) this.#process(task);
  }

  #process(task: Task): void {
    if (this.nodes[task.id] !== undefined) return;
    this.sizes.add(task.path, NODE_BYTES);
    try {
      this.nodes[task.id] = this.#work.node(this, task);
    } catch (error) {
      this.#recover(error, task.path);
      this.nodes[task.id] ??= { k: "obj" };
    }
  }

  #recover(error: unknown, path: Path): void {
    if (error instanceof PackageInternal && this.#work.rescue(this, error.path)) return;
    const refusal = error instanceof PackageInternal ? error.refusal : error;
    if (this.#collected === undefined || !(refusal instanceof MobulaError)) throw refusal;
    const where = refusal instanceof SerializationError ? refusal.path : undefined;
    this.#collected.push({ path: where ?? pathText(path), error: refusal });
  }

  /** Refuse what only a package can make, unless there is another way to get it. */
  refuseInternal(path: Path, what: string, hint: string): never {
    throw new PackageInternal(path, obstacle(this.subject, path, what, hint));
  }

  pathOf(id: number): Path {
    return this.#tasks.find((task) => task.id === id)?.path ?? step(undefined, this.subject.name);
  }

  refuse(path: Path, what: string, hint: string): never {
    throw obstacle(this.subject, path, what, hint);
  }

  /** The same where the capture can go on without it: when obstacles are listed, the others come too. */
  obstruct(path: Path, what: string, hint: string): void {
    const error = obstacle(this.subject, path, what, hint);
    if (this.#collected === undefined) throw error;
    this.#collected.push({ path: pathText(path), error });
  }

  #newId(value: unknown): number {
    const id = this.nodes.push(undefined) - 1;
    this.#ids.set(value, id);
    this.#values[id] = value;
    return id;
  }

  #symbol(symbol: symbol): number {
    const known = this.#ids.get(symbol);
    if (known !== undefined) return known;
    const id = this.#newId(symbol);
    this.nodes[id] = symbolNode(symbol);
    return id;
  }
}

function symbolNode(symbol: symbol): PayloadNode {
  const key = Symbol.keyFor(symbol);
  if (key !== undefined) return { k: "symfor", name: key };
  const known = wellKnownName(symbol);
  if (known !== undefined) return { k: "wellknown", name: known };
  return symbol.description === undefined ? { k: "sym" } : { k: "sym", description: symbol.description };
}
