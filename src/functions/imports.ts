/**
 * Modules on the worker: importing what a payload names, as the module that the function came from would have.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { compileFunction, constants } from "node:vm";
import { SerializationError } from "../errors.js";
import type { ModuleNode, PayloadHeader, ProgramRecord } from "./payload.js";
import { asRefusal, guardEntry, newLoaders, whileImporting } from "./program.js";

/** Import everything that a payload names; the values by node. */
export async function importNodes(
  header: PayloadHeader,
  directories: readonly string[],
): Promise<ReadonlyMap<number, unknown>> {
  const values = new Map<number, unknown>();
  const waiting: Promise<void>[] = [];
  const { program } = header;
  if (program !== undefined && header.nodes.some((node) => node?.k === "require")) guardEntry(program);
  header.nodes.forEach((node, id) => {
    if (node?.k !== "mod") return;
    if (node.project === true) {
      waiting.push(importOfProject(node, header).then((module) => void values.set(id, memberAt(module, node))));
      return;
    }
    const builtin = isBuiltin(node) ? builtinModule(node.spec) : undefined;
    if (builtin !== undefined) values.set(id, memberAt(builtin, node));
    else
      waiting.push(
        importModule(node, header.name, directories).then((module) => void values.set(id, memberAt(module, node))),
      );
  });
  if (waiting.length > 0) await Promise.all(waiting);
  return values;
}

/** Synchronous: most payloads name builtin modules only. */
function builtinModule(spec: string): unknown {
  const module: unknown = process.getBuiltinModule(spec);
  if (module === undefined) throw new SerializationError(`this version of Node has no module ${spec}`);
  return module;
}

function isBuiltin({ from, project }: ModuleNode): boolean {
  return from === undefined && project !== true;
}

function memberAt(module: unknown, node: ModuleNode): unknown {
  let value = module;
  for (const name of node.path) {
    if (name === "default" && isBuiltin(node) && value === module) continue; // a builtin is its own default
    value = (value as Record<string, unknown> | null | undefined)?.[name];
  }
  return value;
}

async function importModule(node: ModuleNode, name: string, directories: readonly string[]): Promise<unknown> {
  const tried: string[] = [];
  for (const directory of candidates(node.from ?? "", directories)) {
    if (!existsSync(directory)) {
      tried.push(`${directory} (does not exist)`);
      continue;
    }
    try {
      return node.cjs ? requireFrom(directory, node.spec) : await importFrom(directory, node.spec);
    } catch (cause) {
      if (!isMissing(cause, node.spec)) throw cause;
      tried.push(directory);
    }
  }
  const hint = "install the package where the worker runs";
  throw new SerializationError(
    `function ${name} needs the package ${packageName(node.spec)}, which was not found from ${tried.join(", ")} (hint: ${hint})`,
    { hint },
  );
}

/** A module that travels by reference: this process has its own. */
async function importOfProject({ spec, cjs }: ModuleNode, header: PayloadHeader): Promise<unknown> {
  if (header.program !== undefined) await enterProgram(header.program);
  try {
    const file = fileURLToPath(spec);
    return await whileImporting(spec, async () =>
      cjs ? createRequire(spec)(file) : ((await import(spec)) as unknown),
    );
  } catch (error) {
    const cause = asRefusal(error);
    if (existsSync(fileURLToPath(spec))) throw cause;
    const hint = "put the program's files here under the same path, or let the module travel by value";
    throw new SerializationError(
      `function ${header.name} needs the module ${spec}, which travels by reference and is not on this machine (hint: ${hint})`,
      { cause, hint },
    );
  }
}

/** Make this process able to import the program's modules, its entry excepted. */
async function enterProgram(program: ProgramRecord): Promise<void> {
  guardEntry(program);
  for (const { spec, from, cjs } of newLoaders(program)) {
    const directory = fileURLToPath(from);
    if (cjs) createRequire(from)(spec);
    else await importerAt(directory)(spec);
  }
}

/** Where the function came from, then the directories given, then the current one. */
function candidates(from: string, directories: readonly string[]): readonly string[] {
  const origin = from.startsWith("file:")
    ? [from.endsWith("/") ? fileURLToPath(from) : dirname(fileURLToPath(from))]
    : [];
  return [...new Set([...origin, ...directories, process.cwd()])];
}

function packageName(spec: string): string {
  return /^(?:@[^/]+\/)?[^/]+/.exec(spec)?.[0] ?? spec;
}

function isMissing(error: unknown, spec: string): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  const missing = error.code === "ERR_MODULE_NOT_FOUND" || error.code === "MODULE_NOT_FOUND";
  return missing && error.message.includes(packageName(spec));
}

// ── Importing from a directory ──────────────────────────────────────────────────────────────────────────────────────

type Importer = (spec: unknown) => Promise<unknown>;

const importers = new Map<string, Importer>();

/** A file of a package by its path below node_modules (a package's own exports do not matter), or a specifier. */
function importFrom(directory: string, spec: string): Promise<unknown> {
  const file = join(directory, "node_modules", spec);
  if (/\.[cm]?js$/.test(spec) && existsSync(file)) return import(pathToFileURL(file).href);
  return importerAt(directory)(spec);
}

function requireFrom(directory: string, spec: string): unknown {
  const require = createRequire(join(directory, "mobula.cjs"));
  const file = join(directory, "node_modules", spec);
  return require(existsSync(file) ? file : spec);
}

/** Node's own `import()` with a directory of our choice as the place of the importing module. */
function importerAt(directory: string): Importer {
  let importer = importers.get(directory);
  if (importer === undefined) {
    const filename = join(directory, "mobula.mjs");
    const importModuleDynamically = constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
    importer = quietly(
      compileFunction("return import(spec)", ["spec"], { filename, importModuleDynamically }) as Importer,
    );
    importers.set(directory, importer);
  }
  return importer;
}

/** Node prints once that the option used above is experimental. That is our choice, not the user's. */
function quietly(importer: Importer): Importer {
  return (spec) => {
    const { emitWarning } = process;
    process.emitWarning = () => undefined;
    try {
      return importer(spec);
    } finally {
      process.emitWarning = emitWarning;
    }
  };
}

// ── What emitted code calls ─────────────────────────────────────────────────────────────────────────────────────────

/** `import.meta` of the module that a function came from. */
export function importMeta(url: string): object {
  const file = url.startsWith("file:") ? fileURLToPath(url) : undefined;
  const resolve = (spec: string): string => resolveFrom(url, spec);
  return file === undefined ? { url, resolve } : { url, filename: file, dirname: dirname(file), resolve };
}

function resolveFrom(url: string, spec: string): string {
  if (/^\.{0,2}\//.test(spec)) return new URL(spec, url).href;
  const found = requireAt(url).resolve(spec);
  return found.startsWith("/") ? pathToFileURL(found).href : found;
}

/** `import()` as the module that a function came from would run it. */
export async function dynamicImport(url: string, spec: unknown, program: ProgramRecord | undefined): Promise<unknown> {
  const isOfProject = /^(?:\.|\/|file:|#)/.test(String(spec));
  if (isOfProject && program !== undefined) await enterProgram(program);
  try {
    return await importerAt(url.startsWith("file:") ? dirname(fileURLToPath(url)) : process.cwd())(spec);
  } catch (error) {
    throw asRefusal(error);
  }
}

export function requireAt(url: string): NodeJS.Require {
  return createRequire(url.startsWith("file:") ? url : join(process.cwd(), "mobula.cjs"));
}
