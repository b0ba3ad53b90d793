/**
 * Capturing a class: the text without its static state, the captured parent in place of the heritage, the static
 * state as it is now, and every member that is no longer what the text makes (decorators replace methods).
 */

import type { MethodPart } from "./class-parts.js";
import { applyEdits, type Edit, named, rewrites } from "./fragments.js";
import type { CapturedClass, Graph } from "./graph.js";
import { type Path, propertyStep, step } from "./obstacles.js";
import type { PayloadNode, Ref, Shape } from "./payload.js";
import { RUNTIME } from "./scopes.js";
import type { Script } from "./scripts.js";
import { addProperty, type MutableShape } from "./shape.js";
import type { Subject } from "./subject.js";
import { checkSurroundings } from "./surroundings.js";
import { captureVariables } from "./variables.js";

type Key = string | symbol;

export function captureClass(graph: Graph, subject: Subject): PayloadNode {
  const { task, fn, facts } = subject;
  checkSurroundings(graph, subject);
  const members = new MemberTable(graph, subject);
  const parent = parentOf(graph, subject);
  const variables = captureVariables(graph, subject);
  const statics = [...facts.statics].filter(([name]) => members.staticPrivates.includes(name));
  const pieces = named(
    fn.name,
    applyEdits(
      subject,
      classEdits(
        subject,
        members,
        statics.map(([name]) => name),
      ),
    ),
  );
  graph.fragments.push({ node: task.id, variables, strict: true, pieces });
  const shape = members.shapeOf(fn, true, task.path);
  const prototype = fn.prototype as object;
  if (members.isChanged(prototype)) graph.ref(prototype, step(task.path, ".prototype"));
  return {
    k: "class",
    name: fn.name,
    ...(parent === undefined ? {} : { parent }),
    ...(statics.length === 0
      ? {}
      : { statics: statics.map(([name, value]) => graph.ref(value, step(task.path, `.#${name}`))) }),
    ...shape,
  };
}

/** The class or function that the text extends, as it is now. */
function parentOf(graph: Graph, { task, fn, analysis }: Subject): Ref | undefined {
  const parts = analysis.class;
  if (parts?.heritage === undefined || parts.extendsNull) return undefined;
  return graph.ref(Object.getPrototypeOf(fn), step(task.path, "its parent class"));
}

function classEdits(subject: Subject, members: MemberTable, statics: readonly string[]): readonly Edit[] {
  const { analysis, task } = subject;
  const parts = analysis.class;
  if (parts === undefined) return [];
  const edits = rewrites(subject).filter(
    (edit) => !parts.cuts.some((cut) => cut.start <= edit.start && edit.end <= cut.end),
  );
  if (parts.heritage !== undefined && !parts.extendsNull)
    edits.push({ ...parts.heritage, text: `${RUNTIME}.p(${task.id})` });
  for (const cut of parts.cuts) edits.push({ ...cut, text: "" });
  for (const { initializer } of parts.staticPrivates) if (initializer) edits.push({ ...initializer, text: "" });
  edits.push(...members.keyEdits());
  if (statics.length > 0) {
    const cases = statics.map((name, index) => `case ${index}:this.#${name}=v;break;`).join("");
    const text = `static{${RUNTIME}.s(${task.id},(k,v)=>{switch(k){${cases}}});}`;
    edits.push({ start: parts.bodyStart, end: parts.bodyStart, text });
  }
  return edits;
}

/** The members that the class's text makes, and the properties that the class and its prototype have now. */
class MemberTable implements CapturedClass {
  readonly staticPrivates: readonly string[];
  readonly #graph: Graph;
  readonly #subject: Subject;
  readonly #methods: readonly MethodPart[];
  /** Keys of members with computed keys, found by their text. */
  readonly #computed = new Map<MethodPart, Key>();

  constructor(graph: Graph, subject: Subject) {
    this.#graph = graph;
    this.#subject = subject;
    this.#methods = subject.analysis.class?.methods ?? [];
    this.staticPrivates = subject.analysis.class?.staticPrivates.map(({ name }) => name) ?? [];
    for (const method of this.#methods) {
      if (method.key === undefined) this.#findComputed(method);
    }
    graph.classes.set(subject.fn, this);
    this.#registerMembers();
  }

  /** Own properties of the class (or of its prototype) that evaluating the text does not give. */
  shapeOf(owner: object, isStatic: boolean, path: Path): Shape {
    const shape: MutableShape = {};
    const graph = this.#graph;
    const proto = Object.getPrototypeOf(owner) as object | null;
    if (proto !== this.#defaultProto(isStatic)) shape.proto = graph.ref(proto, step(path, "its prototype"));
    for (const key of Reflect.ownKeys(owner)) {
      const descriptor = Object.getOwnPropertyDescriptor(owner, key);
      if (descriptor === undefined || this.#isMade(key, descriptor, isStatic)) continue;
      addProperty(graph, shape, key, descriptor, propertyStep(path, key));
    }
    const gone = this.#keysMade(isStatic).filter((key) => !Object.hasOwn(owner, key));
    if (gone.length > 0) shape.gone = gone.map((key) => graph.ref(key, path));
    if (!Object.isExtensible(owner)) shape.level = Object.isFrozen(owner) ? 3 : Object.isSealed(owner) ? 2 : 1;
    return shape;
  }

  /** Does a prototype differ from what the text makes? */
  isChanged(prototype: object): boolean {
    if (Object.getPrototypeOf(prototype) !== this.#defaultProto(false)) return true;
    if (!Object.isExtensible(prototype)) return true;
    const differs = Reflect.ownKeys(prototype).some((key) => {
      const descriptor = Object.getOwnPropertyDescriptor(prototype, key);
      return descriptor !== undefined && !this.#isMade(key, descriptor, false);
    });
    return differs || this.#keysMade(false).some((key) => !Object.hasOwn(prototype, key));
  }

  /** Computed keys are replaced by what they were: computing them again may not give the same. */
  keyEdits(): readonly Edit[] {
    const edits: Edit[] = [];
    const { text } = this.#subject;
    for (const [method, key] of this.#computed) {
      const ref = this.#graph.ref(key, this.#subject.task.path);
      const start = text.indexOf("[", method.start);
      const value = typeof key === "string" ? JSON.stringify(key) : `${RUNTIME}.v(${JSON.stringify(ref)})`;
      edits.push({ start, end: method.keyEnd, text: `[${value}]` });
    }
    return edits;
  }

  /** The member at a place of a script: what a decorator replaced is still the class's own. */
  memberAt(script: Script, offset: number): PayloadNode | undefined {
    const { script: own, offset: start, task } = this.#subject;
    if (own !== script || start === undefined) return undefined;
    const method = this.#methods.find((each) => start + each.start === offset);
    const key = method && this.#keyOf(method);
    return method !== undefined && key !== undefined ? this.#memberNode(method, key, task.path) : undefined;
  }

  #memberNode(method: MethodPart, key: Key, path: Path): PayloadNode {
    const { task } = this.#subject;
    const shared = method.static ? { static: true as const } : {};
    return { k: "member", of: task.id, ...shared, key: this.#graph.ref(key, path), part: method.part };
  }

  #defaultProto(isStatic: boolean): object | null {
    const parts = this.#subject.analysis.class;
    if (parts?.heritage === undefined) return isStatic ? Function.prototype : Object.prototype;
    if (parts.extendsNull) return isStatic ? Function.prototype : null;
    const parent = Object.getPrototypeOf(this.#subject.fn) as CallableFunction;
    return isStatic ? parent : (parent.prototype as object);
  }

  /** Evaluating the text gives this property as it is. */
  #isMade(key: Key, descriptor: PropertyDescriptor, isStatic: boolean): boolean {
    if (key === "constructor" && !isStatic) return descriptor.value === this.#subject.fn;
    if (isStatic && key === "prototype") return true;
    if (isStatic && (key === "length" || key === "name") && !descriptor.writable && "value" in descriptor) return true;
    if (descriptor.enumerable || !descriptor.configurable) return false;
    if ("value" in descriptor)
      return descriptor.writable === true && this.#makes(key, "value", isStatic, descriptor.value);
    return this.#makes(key, "get", isStatic, descriptor.get) && this.#makes(key, "set", isStatic, descriptor.set);
  }

  #makes(key: Key, part: MethodPart["part"], isStatic: boolean, value: unknown): boolean {
    const method = this.#methods.findLast(
      (each) => each.part === part && each.static === isStatic && this.#keyOf(each) === key,
    );
    if (method === undefined || value === undefined) return method === undefined && value === undefined;
    return typeof value === "function" && Function.prototype.toString.call(value) === this.#textOf(method);
  }

  #keysMade(isStatic: boolean): readonly Key[] {
    const keys = new Set<Key>();
    for (const method of this.#methods) {
      const key = this.#keyOf(method);
      if (method.static === isStatic && key !== undefined) keys.add(key);
    }
    return [...keys];
  }

  #keyOf(method: MethodPart): Key | undefined {
    return method.key ?? this.#computed.get(method);
  }

  #textOf(method: MethodPart): string {
    return this.#subject.text.slice(method.start, method.end);
  }

  #findComputed(method: MethodPart): void {
    const { fn } = this.#subject;
    const owner = method.static ? fn : (fn.prototype as object);
    const text = this.#textOf(method);
    for (const key of Reflect.ownKeys(owner)) {
      const value: unknown = Object.getOwnPropertyDescriptor(owner, key)?.[method.part];
      if (typeof value === "function" && Function.prototype.toString.call(value) === text)
        this.#computed.set(method, key);
    }
  }

  /** A member that is captured on its own account is the class's own, so that `super` and `#x` work in it. */
  #registerMembers(): void {
    const { fn, task } = this.#subject;
    for (const method of this.#methods) {
      const key = this.#keyOf(method);
      if (key === undefined) continue;
      const owner = method.static ? fn : (fn.prototype as object);
      const value: unknown = Object.getOwnPropertyDescriptor(owner, key)?.[method.part];
      if (typeof value !== "function" || Function.prototype.toString.call(value) !== this.#textOf(method)) continue;
      this.#graph.members.set(value, this.#memberNode(method, key, task.path));
    }
  }
}
