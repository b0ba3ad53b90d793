/**
 * The variables that a function uses, and what they hold.
 */
import { types } from "node:util";
import type { Graph, Variables } from "./graph.js";
import { isBuiltinGlobal } from "./intrinsics.js";
import { type Path, propertyStep, variableStep } from "./obstacles.js";
import { referenceOf } from "./origins.js";
import type { PayloadNode, Ref } from "./payload.js";
import { exportedObject } from "./references.js";
import type { FreeName } from "./scope-analysis.js";
import { RUNTIME, type Scope } from "./scopes.js";
import { importedFrom, isDeclaration } from "./script-facts.js";
import type { Subject } from "./subject.js";

/** A variable on the path to a value. */
export interface VariableOrigin {
  readonly subject: Subject;
  readonly scope: Scope;
  readonly name: string;
}

/** Capture what the free names of a function stand for. */
export function captureVariables(graph: Graph, subject: Subject): Variables {
  const { analysis, facts, fn } = subject;
  const uses = [...analysis.free.values()].filter(({ name }) => name !== RUNTIME);
  const self = analysis.selfName?.name;
  const chain = uses.length > 0 || self !== undefined ? graph.scopes.chainOf(fn, facts) : [];
  if (self !== undefined && isRenamed(subject, chain, self))
    uses.push({ name: self, bare: true, assigned: false, members: new Set() });
  return captureUses(graph, subject, chain, uses);
}

/** The same for code with these blocks around it. */
export function captureUses(
  graph: Graph,
  subject: Subject,
  chain: readonly Scope[],
  uses: readonly FreeName[],
): Variables {
  const found: [Scope, string][] = [];
  for (const use of uses) {
    const scope = captureVariable(graph, subject, chain, use);
    if (scope !== undefined) found.push([scope, use.name]);
  }
  const assigned = uses.flatMap(({ name, assigned }) => (assigned ? [name] : []));
  return { scope: chain.find((scope) => found.some(([owner]) => owner === scope)), uses: found, assigned };
}

/** A declaration whose variable holds something else by now (`f = wrap(f)`): it calls that, not itself. */
function isRenamed({ fn, script, offset, analysis }: Subject, chain: readonly Scope[], name: string): boolean {
  if (analysis.kind !== "function" || script === undefined || offset === undefined) return false;
  const owner = chain.find((scope) => scope.has(name));
  return owner !== undefined && owner.read(name) !== fn && isDeclaration(script, offset);
}

function captureVariable(graph: Graph, subject: Subject, chain: readonly Scope[], use: FreeName): Scope | undefined {
  const { name } = use;
  const scope = chain.find((each) => each.has(name));
  if (scope === undefined) {
    if (Object.hasOwn(globalThis, name) && !isBuiltinGlobal(name)) {
      graph.hooks.warn(
        `${subject.fn.name || "a function"} uses the global "${name}", which was added at run time and is not shipped`,
      );
    }
    return undefined;
  }
  const variable: VariableOrigin = { subject, scope, name };
  const path = variableStep(subject.task.path, name, variable);
  if (scope.used.has(name) && !scope.partial.has(name)) return scope;
  const value = readVariable(graph, scope, name, path);
  const imported = importOf(graph, subject, scope, name, value);
  if (imported !== undefined) scope.used.set(name, graph.refAs(value, imported, path));
  else if (!use.bare && isModuleLike(value)) captureMembers(graph, scope, use, value, path);
  else captureWhole(graph, scope, name, value, path);
  return scope;
}

function captureWhole(graph: Graph, scope: Scope, name: string, value: unknown, path: Path): void {
  scope.partial.delete(name);
  scope.used.set(name, graph.ref(value, path));
}

function readVariable(graph: Graph, scope: Scope, name: string, path: Path): unknown {
  try {
    return scope.read(name);
  } catch {
    graph.obstruct(path, "is not initialised yet", "call .remote() after the variable's declaration has run");
    return undefined;
  }
}

/** Bindings imported from packages travel by name, and a module's `require` is made again. Primitives go by value. */
function importOf(
  graph: Graph,
  { script }: Subject,
  scope: Scope,
  name: string,
  value: unknown,
): PayloadNode | undefined {
  if ((typeof value !== "object" && typeof value !== "function") || value === null || script === undefined)
    return undefined;
  const known = referenceOf(value);
  if (known !== undefined) return known;
  if (isRequire(value)) return { k: "require", url: script.url };
  return scope.isModule ? importedFrom(script, name, graph.byReference) : undefined;
}

function isRequire(value: object): boolean {
  return (
    typeof value === "function" &&
    value.name === "require" &&
    Object.hasOwn(value, "resolve") &&
    Object.hasOwn(value, "cache")
  );
}

// ── Modules used member by member ───────────────────────────────────────────────────────────────────────────────────

/** A namespace, or an `exports` object of a module of the project that a compiler wrote. */
function isModuleLike(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const module = types.isModuleNamespaceObject(value) || Object.hasOwn(value, "__esModule");
  return module && exportedObject(value) === undefined;
}

/** Ship only the members that are used. Their getters only forward to the module's variables. */
function captureMembers(graph: Graph, scope: Scope, use: FreeName, module: object, path: Path): void {
  const members = scope.partial.get(use.name) ?? new Map<string, Ref>();
  for (const member of use.members) {
    if (members.has(member) || !(member in module)) continue;
    const at = propertyStep(path, member);
    members.set(member, graph.ref(readMember(graph, module, member, at), at));
  }
  if (scope.partial.has(use.name)) return;
  scope.partial.set(use.name, members);
  scope.used.set(use.name, [graph.addPartial(members)]);
}

function readMember(graph: Graph, module: object, member: string, path: Path): unknown {
  try {
    return Reflect.get(module, member);
  } catch {
    graph.obstruct(path, "is not initialised yet", "call .remote() after the module has been evaluated");
    return undefined;
  }
}
