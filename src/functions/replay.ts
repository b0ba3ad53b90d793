/**
 * Making a library's object again by running its initializer.
 *
 * `const schema = z.object({ … })` holds closures that are private to the package: they cannot be copied, and on the
 * worker the package makes its own. So the initializer travels instead, with everything that it uses.
 */
import { debuglog } from "node:util";
import { captureFragmentOf } from "./capture-function.js";
import { applyEdits, rewrites } from "./fragments.js";
import type { Graph, Task } from "./graph.js";
import type { Path } from "./obstacles.js";
import type { PayloadNode } from "./payload.js";
import { analyseExpression } from "./scope-analysis.js";
import type { Script } from "./scripts.js";
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
  const initializer = script && scope.parent === undefined ? initializerOf(script, name) : undefined;
  if (script === undefined || initializer === undefined) return false;
  log("%s is made again on the worker by its initializer", name);
  graph.replayed.add(id);
  graph.nodes[id] = { k: "replay" };
  const text = script.source.slice(initializer.start, initializer.end);
  const parsed = parseInitializer(text);
  if (parsed === undefined) return false;
  const analysis = analyseExpression(text, parsed, 1);
  const own = { ...subject, task: { id, value: value as object, path }, text, analysis, offset: initializer.start };
  const variables = captureUses(graph, own, [scope], [...analysis.free.values()]);
  graph.fragments.push({ node: id, variables, strict: true, pieces: ["(", ...applyEdits(own, rewrites(own)), ")"] });
  return true;
}

/** A value that was made here by its initializer is made there by it. */
export function captureReplayed(graph: Graph, task: Task, make: () => unknown): PayloadNode {
  const { variables, pieces } = captureFragmentOf(graph, { ...task, value: make });
  graph.fragments.push({ node: task.id, variables, strict: true, pieces: ["(", ...pieces, ")()"] });
  return { k: "replay" };
}

/** The initializer of a top-level constant, if running it again elsewhere can make sense. */
function initializerOf(script: Script, name: string): AnyNode | undefined {
  for (const statement of topLevel(script.program?.body ?? [])) {
    const declaration = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement;
    if (declaration?.type !== "VariableDeclaration") continue;
    for (const { id, init } of declaration.declarations) {
      if (id.type !== "Identifier" || id.name !== name || !init) continue;
      return isConstant(declaration.kind, script, name) && !awaits(init) ? init : undefined;
    }
  }
  return undefined;
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
