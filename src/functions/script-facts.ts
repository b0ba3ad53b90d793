/**
 * What a function's script says about the function: where its text stands, which variables are imports, whether the
 * code is strict, and what is around it.
 */

import { hasStrictDirective } from "./declarations.js";
import type { Location } from "./inspect.js";
import { isPackageSpecifier } from "./packages.js";
import type { ModuleNode } from "./payload.js";
import { canonicalUrl } from "./program.js";
import type { Script } from "./scripts.js";
import { type AnyNode, isClassNode, isFunctionNode } from "./syntax.js";

/** Where the text of a function begins; V8 gives the place of its parameter list (a class: of its constructor). */
export function textOffset(script: Script, location: Location, text: string): number | undefined {
  const inside = script.lines.offsetAt(location.line, location.column);
  const start = script.source.lastIndexOf(text, inside);
  return start === -1 || start + text.length <= inside ? undefined : start;
}

/** If a module-level variable is an import from a package, builtin or module by reference: how the worker imports it. */
export function importedFrom(script: Script, name: string, byReference: ReadonlySet<string>): ModuleNode | undefined {
  let imports = importTables.get(script);
  if (imports === undefined) {
    if (!mayImport(script, name)) return undefined;
    imports = readImports(script);
    importTables.set(script, imports);
  }
  const found = imports.get(name);
  return found?.project === true ? projectModule(found, byReference) : found;
}

/** The module that a relative import means, if it travels by reference. Its extension is the loader's business. */
function projectModule({ spec, path }: ModuleNode, byReference: ReadonlySet<string>): ModuleNode | undefined {
  for (const url of byReference) {
    if (withoutExtension(url) === withoutExtension(spec)) return { k: "mod", spec: url, project: true, path };
  }
  return undefined;
}

function withoutExtension(url: string): string {
  return url.replace(/\.[cm]?[jt]sx?$/, "");
}

/** Parsing a whole script is dear; a name that an import declaration binds stands between `import` and `from`. */
function mayImport({ source }: Script, name: string): boolean {
  for (const [, clause = ""] of source.matchAll(/\bimport\b([\s\S]*?)\bfrom\b/g))
    if (clause.includes(name)) return true;
  return false;
}

const importTables = new WeakMap<Script, ReadonlyMap<string, ModuleNode>>();

function readImports(script: Script): ReadonlyMap<string, ModuleNode> {
  const found = new Map<string, ModuleNode>();
  for (const node of script.program?.body ?? []) {
    if (node.type !== "ImportDeclaration" || typeof node.source.value !== "string") continue;
    const spec = node.source.value;
    const isPackage = isPackageSpecifier(spec, script.url);
    const isRelative = /^(?:\.|\/|file:)/.test(spec) && script.url.startsWith("file:");
    if (!isPackage && !isRelative) continue;
    const builtin = spec.startsWith("node:");
    for (const specifier of node.specifiers) {
      const path = importPath(specifier);
      const node: ModuleNode = isPackage
        ? { k: "mod", spec, ...(builtin ? {} : { from: script.url }), path }
        : { k: "mod", spec: canonicalUrl(new URL(spec, script.url).href), project: true, path };
      found.set(specifier.local.name, node);
    }
  }
  return found;
}

function importPath(specifier: AnyNode): readonly string[] {
  if (specifier.type === "ImportDefaultSpecifier") return ["default"];
  if (specifier.type !== "ImportSpecifier") return [];
  const { imported } = specifier;
  return [imported.type === "Identifier" ? imported.name : String(imported.value)];
}

/** Does strict mode hold for the code around an offset? */
export function isStrictAt(script: Script, offset: number): boolean {
  if (script.isModule) return true;
  if (!script.source.includes("use strict")) return /\bclass\b/.test(script.source) && insideClass(script, offset);
  if (/^(?:#![^\n]*)?(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*)*(["'])use strict\1/.test(script.source)) return true;
  return script
    .nodesAround(offset)
    .some((node) => isClassNode(node) || (isFunctionNode(node) && hasStrictDirective(node)));
}

function insideClass(script: Script, offset: number): boolean {
  return script.nodesAround(offset).some((node) => isClassNode(node) && node.start < offset);
}

/** A function or class body around the code at an offset gives it a `this`; at the top level there is none. */
export function hasOuterThis(script: Script, start: number): boolean {
  return script.nodesAround(start).some((node) => {
    if (node.start >= start) return false;
    if (isFunctionNode(node)) return node.type !== "ArrowFunctionExpression";
    return node.type === "PropertyDefinition" || node.type === "StaticBlock";
  });
}

/** The function is a declaration, whose name is a variable of the scope around it. */
export function isDeclaration(script: Script, start: number): boolean {
  return script.nodesAround(start).some((node) => node.start === start && node.type === "FunctionDeclaration");
}
