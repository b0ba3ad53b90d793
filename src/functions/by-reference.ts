/**
 * Modules of the project that travel by reference, because their state must exist once in each process: a pool of
 * connections, a cache. What such a module exports is named, and the worker imports its own; what it keeps to itself
 * cannot travel.
 *
 * Exports of CommonJS modules are found by identity in Node's cache. ES modules have no list that could be asked:
 * their exports are found by the import declarations of the code that uses them (script-facts.ts), and functions by
 * the module in which they stand.
 */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { bindingNames } from "./declarations.js";
import type { Graph, Task } from "./graph.js";
import type { FunctionFacts } from "./inspect.js";
import { addExports, type Index } from "./packages.js";
import type { ModuleNode, PayloadNode } from "./payload.js";
import { canonicalUrl } from "./program.js";
import { textOffset } from "./script-facts.js";
import type { Script } from "./scripts.js";
import type { AnyNode } from "./syntax.js";

const require = createRequire(import.meta.url);

/** Something that a loaded CommonJS module among them exports. */
export function loadedExport(graph: Graph, value: object): ModuleNode | undefined {
  for (const url of graph.byReference) {
    const found = indexOf(graph, url)?.get(value);
    if (found !== undefined) return found;
  }
  return undefined;
}

function indexOf(graph: Graph, url: string): Index | undefined {
  const known = graph.loadedModules.get(url);
  if (known !== undefined) return known;
  const exports: unknown = require.cache[fileURLToPath(url)]?.exports;
  if ((typeof exports !== "object" && typeof exports !== "function") || exports === null) return undefined;
  const index: Index = new Map();
  addExports(index, exports, { k: "mod", spec: url, project: true, cjs: true, path: [] });
  graph.loadedModules.set(url, index);
  return index;
}

/** A function that stands in one of the modules: its export; refused if it is none. */
export function exportByReference(
  graph: Graph,
  { value, path }: Task,
  script: Script,
  facts: FunctionFacts,
  text: string,
): PayloadNode | undefined {
  if (graph.byReference.size === 0) return undefined;
  const url = canonicalUrl(script.url);
  if (!graph.byReference.has(url)) return undefined;
  const name = exportedName(value, script, facts, text);
  if (name !== undefined) return { k: "mod", spec: url, project: true, path: [name] };
  return graph.refuse(
    path,
    `is private to the module ${url}, which travels by reference`,
    "export it from the module, or make it inside the task from what the module exports",
  );
}

function exportedName(value: object, script: Script, facts: FunctionFacts, text: string): string | undefined {
  const module = facts.scopes.find(({ description }) => description === "Module")?.object;
  const start = facts.location && textOffset(script, facts.location, text);
  for (const node of script.program?.body ?? []) {
    if (node.type === "ExportDefaultDeclaration" && node.declaration.start === start) return "default";
    for (const [exported, local] of exportsOf(node)) {
      if (module !== undefined && holds(module, local, value)) return exported;
    }
  }
  return undefined;
}

function holds(scope: object, name: string, value: object): boolean {
  try {
    return Reflect.get(scope, name) === value;
  } catch {
    return false; // not initialised yet
  }
}

/** Exported names of a statement, with the local names behind them. */
function exportsOf(node: AnyNode): readonly (readonly [exported: string, local: string])[] {
  if (node.type === "ExportDefaultDeclaration") {
    const { declaration } = node;
    if (declaration.type === "Identifier") return [["default", declaration.name]];
    const named = declaration.type === "FunctionDeclaration" || declaration.type === "ClassDeclaration";
    return named && declaration.id ? [["default", declaration.id.name]] : [];
  }
  if (node.type !== "ExportNamedDeclaration" || node.source) return [];
  const { declaration } = node;
  if (declaration) return [...declaredNames(declaration)].map((name) => [name, name]);
  return node.specifiers.map(({ exported, local }) => [nameOf(exported), nameOf(local)]);
}

function declaredNames(declaration: AnyNode): ReadonlySet<string> {
  const names = new Set<string>();
  if (declaration.type === "VariableDeclaration") {
    for (const { id } of declaration.declarations) bindingNames(id, names);
  } else if (
    (declaration.type === "FunctionDeclaration" || declaration.type === "ClassDeclaration") &&
    declaration.id
  ) {
    names.add(declaration.id.name);
  }
  return names;
}

function nameOf(node: AnyNode): string {
  if (node.type === "Identifier") return node.name;
  return node.type === "Literal" ? String(node.value) : "";
}
