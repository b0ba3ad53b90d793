/**
 * Making a library's object again by running its initializer.
 *
 * `const schema = z.object({ … })` holds closures that are private to the package: they cannot be copied, and on the
 * worker the package makes its own. So the initializer travels instead, with everything that it uses.
 */

import { createRequire } from "node:module";
import { debuglog } from "node:util";
import { captureFragmentOf } from "./capture-function.js";
import { declareBlock, hoistVariables } from "./declarations.js";
import { applyEdits, rewrites } from "./fragments.js";
import type { Fragment, Graph, Task } from "./graph.js";
import { type Path, variableStep } from "./obstacles.js";
import type { PayloadNode, Ref } from "./payload.js";
import { analyseExpression } from "./scope-analysis.js";
import type { Scope } from "./scopes.js";
import type { Script } from "./scripts.js";
import type { Subject } from "./subject.js";
import type { AnyNode } from "./syntax.js";
import { children, isFunctionNode, parseInitializer } from "./syntax.js";
import { captureUses, type VariableOrigin } from "./variables.js";

const log = debuglog("mobula");

/** Replay the innermost variable on a path whose initializer is known. */
export function rescue(graph: Graph, path: Path): boolean {
  for (let at: Path | undefined = path; at !== undefined; at = at.parent) {
    if (at.variable !== undefined && replayVariable(graph, at.variable as VariableOrigin, at)) return true;
  }
  return false;
}

function replayVariable(graph: Graph, { subject, scope, name }: VariableOrigin, path: Path): boolean {
  const value = scope.read(name);
  const id = typeof value === "object" || typeof value === "function" ? graph.knownId(value as object) : undefined;
  if (id === undefined || id === 0) return false;
  if (graph.replayed.has(id)) return true;
  const { script } = subject;
  if (script === undefined || !isTopLevel(script, scope)) return false;
  const made = initializerOf(script, name);
  if (made === undefined || made.property !== undefined) return false;
  const replay: Replay = { graph, subject, script, scope, missing: new Map() };
  const pieces = piecesOf(replay, made.init, path);
  if (pieces === undefined) return false;
  log("%s is made again on the worker by its initializer", name);
  graph.replayed.add(id);
  graph.nodes[id] = { k: "replay" };
  graph.fragments.push({ node: id, strict: true, ...pieces });
  return true;
}

/** One variable on its way to be made again, and what its initializer needs besides. */
interface Replay {
  readonly graph: Graph;
  readonly subject: Subject;
  readonly script: Script;
  readonly scope: Scope;
  /** Variables that no function captures, and which the inspector therefore does not show: only modules list all. */
  readonly missing: Map<string, Ref | undefined>;
}

/** The code of an initializer with its variables; undefined if one of them cannot be had. */
function piecesOf(replay: Replay, node: AnyNode, path: Path): Omit<Fragment, "node" | "strict"> | undefined {
  const { graph, subject, script, scope } = replay;
  const text = script.source.slice(node.start, node.end);
  const parsed = parseInitializer(text);
  if (parsed === undefined) return undefined;
  const analysis = analyseExpression(text, parsed, 1);
  const own = { ...subject, task: { id: 0, value: scope, path }, text, analysis, offset: node.start };
  const uses = [...analysis.free.values()];
  const hidden = uses.filter(({ name }) => !scope.has(name) && !Object.hasOwn(globalThis, name));
  for (const { name } of hidden) {
    const ref = hiddenVariable(replay, name, variableStep(path, name, undefined));
    if (ref === undefined) return undefined;
    scope.used.set(name, ref);
  }
  const shown = captureUses(graph, own, [scope], uses);
  const found = [...shown.uses, ...hidden.map(({ name }) => [scope, name] as const)];
  const variables = { ...shown, scope: found.length > 0 ? scope : undefined, uses: found };
  return { variables, pieces: ["(", ...applyEdits(own, rewrites(own)), ")"] };
}

/** The value of a variable that the inspector does not show: a loaded module's export, or made by its initializer. */
function hiddenVariable(replay: Replay, name: string, path: Path): Ref | undefined {
  const { graph, script, missing } = replay;
  if (missing.has(name)) return missing.get(name);
  missing.set(name, undefined); // one that needs itself cannot be had
  const made = initializerOf(script, name);
  const module = made && requiredModule(script, made.init);
  let ref: Ref | undefined;
  if (made !== undefined && module !== undefined) {
    ref = graph.ref(made.property === undefined ? module : Reflect.get(module, made.property), path);
  } else if (made !== undefined && made.property === undefined) {
    const fragment = piecesOf(replay, made.init, path);
    if (fragment === undefined) return undefined;
    const node = graph.add({ k: "replay" });
    graph.fragments.push({ node, strict: true, ...fragment });
    ref = [node];
  }
  missing.set(name, ref);
  return ref;
}

/** `require("…")` of a module that is loaded, as it is or as compilers wrap it for a default import. */
function requiredModule(script: Script, init: AnyNode): object | undefined {
  if (init.type !== "CallExpression" || init.callee.type !== "Identifier") return undefined;
  const [argument] = init.arguments;
  if (argument === undefined) return undefined;
  if (init.callee.name === "__toESM") {
    const module = requiredModule(script, argument);
    return module === undefined || "__esModule" in module ? module : { ...module, default: module };
  }
  if (init.callee.name !== "require" || argument.type !== "Literal" || !script.url.startsWith("file:"))
    return undefined;
  const require = createRequire(script.url);
  const spec = String(argument.value);
  const exports: unknown = spec.startsWith("node:")
    ? process.getBuiltinModule(spec)
    : require.cache[require.resolve(spec)]?.exports;
  return (typeof exports === "object" && exports !== null) || typeof exports === "function" ? exports : undefined;
}

/** A value that was made here by its initializer is made there by it. */
export function captureReplayed(graph: Graph, task: Task, make: () => unknown): PayloadNode {
  const { variables, pieces } = captureFragmentOf(graph, { ...task, value: make });
  graph.fragments.push({ node: task.id, variables, strict: true, pieces: ["(", ...pieces, ")()"] });
  return { k: "replay" };
}

interface Initializer {
  readonly init: AnyNode;
  /** The variable holds this property of what `init` gives: `const { property } = init`. */
  readonly property?: string;
}

/** What makes a top-level constant, if running it again elsewhere can make sense. */
function initializerOf(script: Script, name: string): Initializer | undefined {
  for (const statement of topLevel(script.program?.body ?? [])) {
    const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declaration?.type === "FunctionDeclaration" || declaration?.type === "ClassDeclaration") {
      if (declaration.id?.name === name) return { init: declaration };
    }
    if (declaration?.type !== "VariableDeclaration") continue;
    for (const { id, init } of declaration.declarations) {
      const binding = init ? bindingOf(id, init, name) : undefined;
      if (binding === undefined) continue;
      return isConstant(declaration.kind, script, name) && !awaits(binding.init) ? binding : undefined;
    }
  }
  return undefined;
}

function bindingOf(id: AnyNode, init: AnyNode, name: string): Initializer | undefined {
  if (id.type === "Identifier") return id.name === name ? { init } : undefined;
  if (id.type !== "ObjectPattern") return undefined;
  for (const property of id.properties) {
    if (property.type !== "Property" || property.value.type !== "Identifier" || property.value.name !== name) continue;
    if (property.key.type === "Identifier" && !property.computed) return { init, property: property.key.name };
  }
  return undefined;
}

/** The variables of the file itself: of a module, of a CommonJS file, or of the one function that a loader wraps it in. */
function isTopLevel(script: Script, scope: Scope): boolean {
  if (scope.parent === undefined) return true;
  const body = script.program?.body ?? [];
  const statements = [...topLevel(body)];
  if (statements.length === body.length) return false; // not wrapped: the top level has nothing around it
  const declared = new Set<string>();
  hoistVariables(statements, declared);
  declareBlock(statements, declared);
  return scope.parent.parent === undefined && scope.names().every((name) => declared.has(name));
}

/** The statements of a script; if a bundler wrapped it in one function, those inside. */
function* topLevel(statements: readonly AnyNode[]): Generator<AnyNode> {
  for (const statement of statements) {
    yield statement;
    const call = statement.type === "ExpressionStatement" ? statement.expression : undefined;
    if (call?.type !== "CallExpression" || !isFunctionNode(call.callee)) continue;
    if (call.callee.body.type === "BlockStatement") yield* call.callee.body.body;
  }
}

/** Bundlers write `var` for `const`: then there must be no other assignment. */
function isConstant(kind: string, script: Script, name: string): boolean {
  if (kind === "const") return true;
  const assignments = script.source.match(new RegExp(`(?<![\\w$.])${name.replaceAll("$", "\\$")}\\s*=[^=]`, "g"));
  return assignments?.length === 1;
}

function awaits(node: AnyNode): boolean {
  if (node.type === "AwaitExpression") return true;
  if (isFunctionNode(node)) return false;
  for (const child of children(node)) if (awaits(child)) return true;
  return false;
}
