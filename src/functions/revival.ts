/**
 * One payload coming to life.
 *
 * Empty objects first, so that cycles close; then variables, properties and contents; extensibility last. Code runs
 * only to make functions and classes, and for the stages that `order.ts` put in order.
 */

import { knownClass, registerClass } from "./class-registry.js";
import { dynamicImport, importMeta, requireAt } from "./imports.js";
import { intrinsicAt, wellKnownSymbol } from "./intrinsics.js";
import { type EvaluatedCode, rememberMaker, rememberOrigin, rememberReference } from "./origins.js";
import type { BufferContent, External, Payload, PayloadNode, Ref, ScopeRecord, Shape, Stage } from "./payload.js";
import { closeShape, emptyObject, fillContents, fillShape } from "./revived-objects.js";

type Setter = (index: number, value: unknown) => void;

/** What emitted code calls; see emit.ts. */
interface Runtime {
  /** A block's variables can be set. */
  b(scope: number, set: Setter): void;
  /** How to make a function, class or replayed value. */
  f(node: number, make: () => unknown): void;
  /** The parent of a class. */
  p(node: number): unknown;
  /** A class's static private fields can be set. */
  s(node: number, set: Setter): void;
  /** The only member of an object literal. */
  m(holder: object): unknown;
  v(ref: Ref): unknown;
  meta(url: string): object;
  imp(url: string, spec: unknown): Promise<unknown>;
}

/** What was brought here before anything is made. */
export interface Surroundings {
  /** Values of modules, by node. */
  readonly imported: ReadonlyMap<number, unknown>;
  readonly fetched: ReadonlyMap<External, Uint8Array>;
  revive(external: External): unknown;
}

export class Revival {
  readonly #payload: Payload;
  readonly #hash: string;
  readonly #nodes: readonly (PayloadNode | null)[];
  readonly #scopes: readonly ScopeRecord[];
  readonly #surroundings: Surroundings;
  readonly #values: unknown[];
  readonly #made: boolean[];
  readonly #filled: boolean[];
  readonly #makers = new Map<number, () => unknown>();
  readonly #blocks = new Map<number, Setter>();
  readonly #statics = new Map<number, Setter>();
  readonly #adopted = new Set<number>();
  readonly #tokens: readonly object[];
  readonly #variablesSet: readonly Set<number>[];
  readonly #stages: Map<number, Stage>;
  #code: EvaluatedCode = { url: "", text: "", mapUrl: "" };
  readonly #resolve = (ref: Ref): unknown => this.#value(ref);
  readonly #bytesOf = (content: BufferContent): Uint8Array =>
    ("object" in content ? this.#surroundings.fetched.get(content.object) : this.#payload.segments[content.segment]) ??
    new Uint8Array();

  constructor(payload: Payload, hash: string, surroundings: Surroundings) {
    this.#payload = payload;
    this.#hash = hash;
    this.#nodes = payload.header.nodes;
    this.#scopes = payload.header.scopes ?? [];
    this.#surroundings = surroundings;
    this.#values = new Array<unknown>(this.#nodes.length);
    this.#made = new Array<boolean>(this.#nodes.length).fill(false);
    this.#filled = new Array<boolean>(this.#nodes.length).fill(false);
    this.#stages = new Map((payload.header.stages ?? []).map((stage) => [stage.run, stage]));
    this.#tokens = this.#scopes.map(() => ({}));
    this.#variablesSet = this.#scopes.map(() => new Set());
  }

  run(): unknown {
    this.#adoptClasses();
    this.#evaluate();
    this.#setEarlyVariables();
    this.#nodes.forEach((node, id) => {
      if (node !== null && !isStaged(node)) this.#make(id);
    });
    for (const id of [...this.#stages.keys()]) this.#make(id);
    this.#scopes.forEach((scope, id) => {
      for (let index = 0; index < scope.values.length; index++) this.#setVariable(id, index);
    });
    for (let id = 0; id < this.#nodes.length; id++) this.#fill(id);
    for (let id = 0; id < this.#nodes.length; id++) this.#close(id);
    this.#registerClasses();
    return this.#values[this.#payload.header.root];
  }

  /** Classes that this process knows already stay the classes that they are, with everything that they reach. */
  #adoptClasses(): void {
    for (const { node, key, digest, closure } of this.#payload.header.classes ?? []) {
      const known = knownClass(key);
      if (known === undefined) continue;
      this.#adopt(node, known.type);
      if (known.digest === digest) this.#adoptClosure(closure, known.values);
      this.#nodes.forEach((each, id) => {
        if (each?.k === "proto" && each.of === node) this.#adopt(id, known.type.prototype);
      });
    }
  }

  /** Nodes that only the payload has, such as parts of buffers, are made again. */
  #adoptClosure(closure: readonly number[], values: readonly unknown[]): void {
    closure.forEach((id, index) => {
      if (values[index] !== undefined) this.#adopt(id, values[index]);
    });
  }

  #adopt(id: number, value: unknown): void {
    if (this.#made[id]) return;
    this.#values[id] = value;
    this.#made[id] = true;
    this.#filled[id] = true;
    this.#adopted.add(id);
  }

  #registerClasses(): void {
    for (const { node, key, digest, closure } of this.#payload.header.classes ?? []) {
      if (this.#adopted.has(node)) continue;
      registerClass(this.#values[node] as CallableFunction, {
        key,
        digest,
        values: closure.map((id) => this.#values[id]),
      });
    }
  }

  // ── Code ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  #evaluate(): void {
    const { code, name, map } = this.#payload.header;
    const mapBytes = map === undefined ? undefined : this.#payload.segments[map];
    const url = `mobula:${encodeURIComponent(name)}/${this.#hash}`;
    let mapUrl = "";
    if (mapBytes !== undefined) {
      enableSourceMaps();
      mapUrl = `data:application/json;base64,${Buffer.from(mapBytes).toString("base64")}`;
    }
    this.#code = { url, text: code, mapUrl };
    const text = `${code}\n//# sourceURL=${url}${mapUrl === "" ? "" : `\n//# sourceMappingURL=${mapUrl}`}`;
    // An indirect eval: Node reads the source map of evaluated code, and of no other code that has no file.
    const enter = evaluate(text) as (runtime: Runtime) => void;
    enter(this.#runtime());
  }

  #runtime(): Runtime {
    return {
      b: (scope, set) => this.#blocks.set(scope, set),
      f: (node, make) => this.#makers.set(node, make),
      p: (node) => this.#parentOf(node),
      s: (node, set) => this.#statics.set(node, set),
      m: onlyMember,
      v: (ref) => this.#value(ref),
      meta: importMeta,
      imp: (url, spec) => dynamicImport(url, spec, this.#payload.header.program),
    };
  }

  #parentOf(node: number): unknown {
    const found = this.#nodes[node];
    return found?.k === "class" && found.parent !== undefined ? this.#value(found.parent) : undefined;
  }

  /** Primitives and values by name are there before classes are evaluated: computed keys need them. */
  #setEarlyVariables(): void {
    this.#scopes.forEach((scope, id) => {
      scope.values.forEach((ref, index) => {
        const node = Array.isArray(ref) && typeof ref[0] === "number" ? this.#nodes[ref[0]] : undefined;
        if (!node || isEarly(node)) this.#setVariable(id, index);
      });
    });
  }

  /** Once: code that runs while the rest is still being made may change the variable. */
  #setVariable(scope: number, index: number): void {
    const ref = this.#scopes[scope]?.values[index];
    const set = this.#variablesSet[scope];
    if (ref === undefined || set === undefined || set.has(index)) return;
    set.add(index);
    this.#blocks.get(scope)?.(index, this.#value(ref));
  }

  // ── Identities ────────────────────────────────────────────────────────────────────────────────────────────────────

  #value(ref: Ref): unknown {
    if (!Array.isArray(ref)) return ref;
    const [tag, text] = ref as readonly [number | string, string?];
    if (typeof tag === "number") return this.#make(tag);
    if (tag === "u") return undefined;
    return tag === "b" ? BigInt(text ?? "") : Number(text);
  }

  #make(id: number): unknown {
    if (this.#made[id]) return this.#values[id];
    const node = this.#nodes[id];
    const stage = this.#stages.get(id);
    if (stage !== undefined) this.#prepare(stage);
    if (!node) throw new Error(`node ${id} is not in the payload`);
    const value = this.#create(id, node);
    this.#values[id] = value;
    this.#made[id] = true;
    return value;
  }

  /** Complete what the code of a stage may look at. */
  #prepare({ run, nodes, variables }: Stage): void {
    this.#stages.delete(run);
    for (const id of nodes) {
      this.#make(id);
      this.#fill(id);
    }
    for (const [scope, index] of variables) this.#setVariable(scope, index);
  }

  #create(id: number, node: PayloadNode): unknown {
    switch (node.k) {
      case "mod":
        return this.#remember(this.#surroundings.imported.get(id), node);
      case "require":
        return this.#remember(requireAt(node.url), node);
      case "intrinsic":
        return intrinsicAt(node.path);
      case "ext":
        return this.#surroundings.revive({ kind: node.kind, data: node.data });
      case "sym":
        return Symbol(node.description);
      case "symfor":
        return Symbol.for(node.name);
      case "wellknown":
        return wellKnownSymbol(node.name);
      case "fn":
      case "class":
        return this.#function(id, node);
      case "replay":
        return this.#replay(id);
      case "bound":
        return Function.prototype.bind.call(
          this.#value(node.target) as CallableFunction,
          this.#value(node.self),
          ...node.args.map((arg) => this.#value(arg)),
        );
      case "member":
        return this.#member(node);
      case "proto":
        return Reflect.get(this.#make(node.of) as object, "prototype");
      case "custom":
        return Reflect.apply(
          this.#value(node.reviver) as CallableFunction,
          undefined,
          node.args.map((arg) => this.#value(arg)),
        );
      case "made":
        return Reflect.construct(
          intrinsicAt(node.type) as FunctionConstructor,
          node.args.map((arg) => this.#complete(arg)),
        );
      default:
        return emptyObject(node, this.#bytesOf, this.#resolve);
    }
  }

  #remember(value: unknown, node: PayloadNode): unknown {
    if ((typeof value === "object" && value !== null) || typeof value === "function") rememberReference(value, node);
    return value;
  }

  #remake(id: number): unknown {
    const make = this.#makers.get(id);
    if (make === undefined) throw new Error(`the payload has no code for node ${id}`);
    return make();
  }

  #replay(id: number): unknown {
    const value = this.#remake(id);
    const make = this.#makers.get(id);
    if (make !== undefined && ((typeof value === "object" && value !== null) || typeof value === "function")) {
      rememberMaker(value, make);
      rememberOrigin(make, { scopes: this.#tokensOf(id), strict: true, code: this.#code });
    }
    return value;
  }

  #function(id: number, node: Extract<PayloadNode, { k: "fn" | "class" }>): unknown {
    const fn = this.#remake(id) as CallableFunction;
    if (node.name !== undefined && fn.name !== node.name && isPlainName(fn)) {
      Object.defineProperty(fn, "name", { value: node.name, configurable: true });
    }
    const strict = node.k === "class" || node.strict === true;
    rememberOrigin(fn, { scopes: this.#tokensOf(id), strict, code: this.#code });
    return fn;
  }

  /** What stands for each block around a node's code, innermost first. */
  #tokensOf(id: number): readonly object[] {
    const node = this.#nodes[id];
    const tokens: object[] = [];
    let at = node && "scope" in node ? node.scope : undefined;
    for (; at !== undefined; at = this.#scopes[at]?.parent) tokens.push(this.#tokens[at] ?? {});
    return tokens;
  }

  #member(node: Extract<PayloadNode, { k: "member" }>): unknown {
    const owner = this.#make(node.of) as CallableFunction;
    const holder = node.static ? owner : (owner.prototype as object);
    return Object.getOwnPropertyDescriptor(holder, this.#value(node.key) as string)?.[node.part];
  }

  /** An argument of a constructor has to be whole. */
  #complete(ref: Ref): unknown {
    const value = this.#value(ref);
    if (Array.isArray(ref) && typeof ref[0] === "number") this.#fill(ref[0]);
    return value;
  }

  // ── Contents ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #fill(id: number): void {
    if (this.#filled[id] || !this.#made[id]) return;
    this.#filled[id] = true;
    const node = this.#nodes[id];
    const value = this.#values[id];
    if (!node || !hasShape(node)) return;
    if (node.k === "class") this.#setStatics(id, node.statics ?? []);
    fillContents(node, value, this.#resolve);
    fillShape(node, value as object, this.#resolve);
  }

  #setStatics(id: number, statics: readonly Ref[]): void {
    const set = this.#statics.get(id);
    statics.forEach((ref, index) => {
      set?.(index, this.#value(ref));
    });
  }

  #close(id: number): void {
    const node = this.#nodes[id];
    if (node && hasShape(node) && !this.#adopted.has(id)) closeShape(node, this.#values[id] as object);
  }
}

let sourceMapsEnabled = false;

/** Stack traces of this process point to the user's files from now on. */
function enableSourceMaps(): void {
  if (sourceMapsEnabled) return;
  process.setSourceMapsEnabled(true);
  sourceMapsEnabled = true;
}

// biome-ignore lint/security/noGlobalEval: this is what revival is
const evaluate = globalThis.eval;

function onlyMember(holder: object): unknown {
  const [key] = Reflect.ownKeys(holder);
  const descriptor = key === undefined ? undefined : Object.getOwnPropertyDescriptor(holder, key);
  return descriptor?.value ?? descriptor?.get ?? descriptor?.set;
}

function isPlainName(fn: CallableFunction): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(fn, "name");
  return descriptor === undefined || typeof descriptor.value === "string";
}

function isStaged(node: PayloadNode): boolean {
  return node.k === "custom" || node.k === "replay";
}

/** Made without any code of the payload. */
function isEarly(node: PayloadNode): boolean {
  return ["mod", "require", "intrinsic", "ext", "sym", "symfor", "wellknown"].includes(node.k);
}

function hasShape(node: PayloadNode): node is Extract<PayloadNode, Shape> {
  return !isEarly(node) && node.k !== "member" && !isStaged(node);
}
