/**
 * Values of builtin modules and packages: they travel by name, and the worker imports its own.
 *
 * Builtin modules and CommonJS packages are found by the identity of what they export; ES modules by the import
 * declarations of the script that uses them, or by the file in which a function stands.
 */
import { existsSync, realpathSync } from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { types } from "node:util";
import type { ModuleNode } from "./payload.js";

export type Index = Map<object, ModuleNode>;

// ── node: ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const builtins: Index = new Map();
let builtinsSeen = 0;

/** A builtin module or something that it exports. Only modules that are loaded already can be met. */
export function builtinReference(value: object): ModuleNode | undefined {
  const loaded = loadedBuiltins();
  if (loaded.length !== builtinsSeen) {
    builtinsSeen = loaded.length;
    for (const name of loaded) indexBuiltin(name);
  }
  return builtins.get(value);
}

function loadedBuiltins(): readonly string[] {
  const { moduleLoadList } = process as unknown as { readonly moduleLoadList: readonly string[] };
  return moduleLoadList;
}

const PUBLIC: ReadonlySet<string> = new Set(builtinModules.filter((name) => !name.startsWith("_") && name !== "sys"));

function indexBuiltin(entry: string): void {
  const name = entry.replace(/^NativeModule /, "");
  if (!PUBLIC.has(name)) return;
  const exports: unknown = process.getBuiltinModule(name);
  if (isObject(exports)) addExports(builtins, exports, { k: "mod", spec: `node:${name}`, path: [] });
}

// ── Packages ────────────────────────────────────────────────────────────────────────────────────────────────────────

const packages: Index = new Map();
const seenFiles = new Set<string>();
const require = createRequire(import.meta.url);

export function isPackageFile(file: string): boolean {
  return /[/\\]node_modules[/\\]/.test(file);
}

/** Packages may have been loaded since the last capture. */
let indexIsFresh = false;

export function expectNewPackages(): void {
  indexIsFresh = false;
}

/** Something that a loaded CommonJS package exports. */
export function packageReference(value: object): ModuleNode | undefined {
  if (!indexIsFresh) indexPackages();
  return packages.get(value);
}

function indexPackages(): void {
  indexIsFresh = true;
  for (const [file, module] of Object.entries(require.cache)) {
    if (seenFiles.has(file) || module?.loaded !== true || !isPackageFile(file)) continue;
    seenFiles.add(file);
    const exports: unknown = module.exports;
    if (isObject(exports)) addExports(packages, exports, { k: "mod", ...byFile(file), cjs: true, path: [] });
  }
}

/** Something that the ES module `url` of a package exports; `undefined` if it keeps it to itself. */
export function exportOfFile(url: string, value: object): ModuleNode | undefined {
  const file = fileURLToPath(url);
  let namespace: unknown;
  try {
    namespace = require(file);
  } catch {
    return undefined; // a module with top-level await
  }
  if (!isObject(namespace)) return undefined;
  const index: Index = new Map();
  addExports(index, namespace, { k: "mod", ...byFile(file), path: [] });
  return index.get(value);
}

/** A file of a package by the package's name, so that the worker finds its own copy: `zod/lib/index.js`. */
function byFile(file: string): { spec: string; from: string } {
  const marker = "/node_modules/";
  const normal = file.replaceAll("\\", "/");
  const at = normal.lastIndexOf(marker);
  return { spec: normal.slice(at + marker.length), from: pathToFileURL(`${normal.slice(0, at)}/`).href };
}

/** An import declaration that names a builtin or an installed package: such bindings travel by name. */
export function isPackageSpecifier(spec: string, importer: string): boolean {
  if (spec.startsWith("node:") || builtinModules.includes(spec)) return true;
  const name = /^(?:@[^/]+\/)?[^./#@][^/]*/.exec(spec)?.[0];
  if (name === undefined || spec.includes(":") || !importer.startsWith("file:")) return false;
  for (let at = dirname(fileURLToPath(importer)); ; at = dirname(at)) {
    const directory = join(at, "node_modules", name);
    if (existsSync(directory)) return isPackageFile(realpathSync(directory)); // else a symlinked workspace package
    if (at === dirname(at)) return false;
  }
}

// ── Index ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export function addExports(index: Index, exports: object, node: ModuleNode): void {
  add(index, exports, node);
  for (const [name, value] of ownValues(exports)) {
    const member = { ...node, path: [...node.path, name] };
    add(index, value, member);
    const prototype: unknown = Object.getOwnPropertyDescriptor(value, "prototype")?.value;
    if (isObject(prototype)) add(index, prototype, { ...member, path: [...member.path, "prototype"] });
  }
  if (typeof exports !== "function") return;
  const prototype: unknown = Object.getOwnPropertyDescriptor(exports, "prototype")?.value;
  if (isObject(prototype)) add(index, prototype, { ...node, path: [...node.path, "prototype"] });
}

/** Exports that are objects. A module namespace's and a package's re-exports are getters, made to be read. */
function* ownValues(exports: object): Generator<[string, object]> {
  const readGetters = types.isModuleNamespaceObject(exports) || "__esModule" in exports;
  for (const name of Object.getOwnPropertyNames(exports)) {
    let value: unknown;
    try {
      const descriptor = Object.getOwnPropertyDescriptor(exports, name);
      value = descriptor?.get !== undefined && readGetters ? Reflect.get(exports, name) : descriptor?.value;
    } catch {
      continue; // not initialised yet
    }
    if (isObject(value)) yield [name, value];
  }
}

function add(index: Index, value: object, node: ModuleNode): void {
  if (!index.has(value)) index.set(value, node);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
