/**
 * Values that travel by name: intrinsics, builtin modules, packages, what the layers above carry, and what was itself
 * shipped to this process by name.
 */

import { types } from "node:util";
import { loadedExport } from "./by-reference.js";
import type { Graph, Task } from "./graph.js";
import { inspectFunction } from "./inspect.js";
import { intrinsicPath, lateGlobalPath } from "./intrinsics.js";
import { step } from "./obstacles.js";
import { referenceOf } from "./origins.js";
import { builtinReference, exportOfFile, isPackageFile, packageReference } from "./packages.js";
import type { ModuleNode, PayloadNode } from "./payload.js";
import type { Script } from "./scripts.js";
import { isOwnOfFunctions, shapeOf } from "./shape.js";

/** For any object or function, before it is looked at more closely. */
export function referenceTo(graph: Graph, { value }: Task): PayloadNode | undefined {
  const external = graph.hooks.describe(value);
  if (external !== undefined) {
    graph.externals.push(external);
    return { k: "ext", kind: external.kind, data: external.data };
  }
  const known = referenceOf(value);
  if (known !== undefined) return known;
  const path = intrinsicPath(value);
  return path ? { k: "intrinsic", path } : loadedExport(graph, value);
}

/** Objects that a builtin module or a CommonJS package exports, and namespaces of builtin modules. */
export function exportedObject(value: object): ModuleNode | undefined {
  if (!types.isModuleNamespaceObject(value)) return builtinReference(value) ?? packageReference(value);
  const main: unknown = !types.isProxy(value) && "default" in value ? value.default : undefined;
  const found = typeof main === "object" && main !== null ? builtinReference(main) : undefined;
  return found?.path.length === 0 ? found : undefined;
}

/** A function of Node or of a package, by the script in which it stands. */
export function exportedFunction(graph: Graph, { value, path }: Task, script: Script): PayloadNode | undefined {
  const name = nameOf(value);
  if (script.isNode) {
    const found = builtinReference(value);
    if (found !== undefined) return found;
    const global = lateGlobalPath(value);
    if (global !== undefined) return { k: "intrinsic", path: global };
    graph.refuse(
      path,
      `is ${name || "a function"} of Node's own internals`,
      "call the node: module inside the task instead",
    );
  }
  if (!isPackageFile(script.url)) return undefined;
  const found = packageReference(value) ?? (script.isModule ? exportOfFile(script.url, value) : undefined);
  if (found !== undefined) return found;
  const owner = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(script.url)?.[1] ?? script.url;
  return graph.refuseInternal(
    path,
    `is private to package ${owner}`,
    "call an exported function of the package inside the task instead",
  );
}

function nameOf(value: object): string {
  return "name" in value && typeof value.name === "string" ? value.name : "";
}

export function isNative(text: string): boolean {
  return /\{\s*\[native code\]\s*\}$/.test(text);
}

/** Bound functions are taken apart; other native functions without a name that the worker knows stay here. */
export function captureNative(graph: Graph, { value, path }: Task): PayloadNode {
  const found = builtinReference(value) ?? packageReference(value);
  if (found !== undefined) return found;
  const { bound } = inspectFunction(value);
  if (bound === undefined) {
    const global = lateGlobalPath(value);
    if (global !== undefined) return { k: "intrinsic", path: global };
    graph.refuse(path, "is a native function, which has no source to ship", "look it up inside the task instead");
  }
  const defaultProto = Object.getPrototypeOf(bound.target) as object | null;
  return {
    k: "bound",
    target: graph.ref(bound.target, step(path, "the bound function")),
    self: graph.ref(bound.self, step(path, "the bound this")),
    args: bound.args.map((arg, index) => graph.ref(arg, step(path, `bound argument ${index}`))),
    ...shapeOf(graph, value, path, { defaultProto, skip: isOwnOfFunctions }),
  };
}
