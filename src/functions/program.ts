/**
 * What a worker has to know of the program behind a function, where the function makes it import the program's own
 * modules: which module is the program itself and must never run again, and what loads its files (tsx, say).
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { realpathSync } from "node:fs";
import * as nodeModule from "node:module";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SerializationError } from "../errors.js";
import type { Loader, ProgramRecord } from "./payload.js";

/** What this process was told by the functions that it revived; empty in a driver. */
const entered: { entry: string | undefined; readonly modules: Set<string>; readonly loaders: Map<string, Loader> } = {
  entry: undefined,
  modules: new Set(),
  loaders: new Map(),
};

/** A file's URL as modules have it: without query, of the real path. */
export function canonicalUrl(urlOrPath: string): string {
  const [plain = ""] = urlOrPath.startsWith("/") ? [pathToFileURL(urlOrPath).href] : urlOrPath.split(/[?#]/);
  if (!plain.startsWith("file:")) return plain;
  try {
    return pathToFileURL(realpathSync(fileURLToPath(plain))).href;
  } catch {
    return plain; // there is no such file here
  }
}

/** The module that Node was started with; of a worker: the one of the program whose functions it runs. */
export function entryModule(): string | undefined {
  if (entered.entry !== undefined) return entered.entry;
  const [, script] = process.argv;
  if (script === undefined) return undefined;
  try {
    return canonicalUrl(createRequire(join(process.cwd(), "mobula.cjs")).resolve(script));
  } catch {
    return canonicalUrl(script);
  }
}

/** The record for a payload. */
export function programRecord(byReference: ReadonlySet<string>): ProgramRecord {
  const entry = entryModule();
  const loaders = [...entered.loaders.values()];
  return {
    ...(entry === undefined ? {} : { entry }),
    loaders: loaders.length > 0 ? loaders : ownLoaders(),
    byReference: [...byReference].sort(),
  };
}

/** Modules that travel by reference, as the functions told that this process revived. */
export function enteredModules(): ReadonlySet<string> {
  return entered.modules;
}

/** `--import` and `--require` of this process. */
function ownLoaders(): readonly Loader[] {
  const found: Loader[] = [];
  const words = [...(process.env["NODE_OPTIONS"]?.split(/\s+/) ?? []), ...process.execArgv];
  words.forEach((word, index) => {
    const [option, given] = word.split(/=(.*)/s);
    const spec = given ?? words[index + 1];
    if (spec === undefined) return;
    const from = pathToFileURL(`${process.cwd()}/`).href;
    if (option === "--import") found.push({ spec, from });
    else if (option === "--require" || option === "-r") found.push({ spec, from, cjs: true });
  });
  return found;
}

// ── On the worker ───────────────────────────────────────────────────────────────────────────────────────────────────

/** From here on the program's entry cannot be imported by accident. */
export function guardEntry({ entry, byReference }: ProgramRecord): void {
  for (const url of byReference) entered.modules.add(url);
  if (entry === undefined || entry === entered.entry || entry === entryModule()) return;
  entered.entry = entry;
  const registerHooks: unknown = Reflect.get(nodeModule, "registerHooks");
  if (typeof registerHooks === "function") {
    Reflect.apply(registerHooks, nodeModule, [{ resolve: refuseEntry }]);
    return;
  }
  // Node 20: hooks live in a thread of their own, and do not see require().
  const source = `let entry; export const initialize = (data) => { entry = data };
    export async function resolve(spec, context, next) {
      const resolved = await next(spec, context);
      if (resolved.url.split(/[?#]/)[0] === entry) throw new Error(${JSON.stringify(refusalOf(entry))});
      return resolved;
    }`;
  nodeModule.register(`data:text/javascript,${encodeURIComponent(source)}`, { data: entry });
  poison(fileURLToPath(entry));
}

type Resolved = { readonly url: string };

function refuseEntry(spec: string, context: object, next: (spec: string, context: object) => Resolved): Resolved {
  const resolved = next(spec, context);
  const { entry } = entered;
  if (entry !== undefined && resolved.url.split(/[?#]/)[0] === entry) throw entryRefusal(entry);
  return resolved;
}

/** For `require()`, which takes what it finds in its cache. */
function poison(file: string): void {
  const { cache } = createRequire(import.meta.url);
  const module = { id: file, filename: file, loaded: true, children: [], paths: [] };
  cache[file] = Object.defineProperty(module, "exports", {
    get: () => {
      throw entryRefusal(pathToFileURL(file).href);
    },
  }) as unknown as NodeJS.Module;
}

const ENTRY_HINT = "move what tasks need into a module of its own";

function refusalOf(entry: string): string {
  return `the program's entry module ${entry} is not imported on a worker: it would run the program again (hint: ${ENTRY_HINT})`;
}

function entryRefusal(entry: string): SerializationError {
  return new SerializationError(refusalOf(entry), { hint: ENTRY_HINT });
}

/** The same error, from a thread that could only send its message. */
export function asRefusal(error: unknown): unknown {
  const { entry } = entered;
  const isOurs = entry !== undefined && error instanceof Error && error.message.includes(refusalOf(entry));
  return isOurs && !(error instanceof SerializationError) ? entryRefusal(entry) : error;
}

/** Loaders that this process has not run yet. */
export function newLoaders({ loaders }: ProgramRecord): readonly Loader[] {
  const fresh = loaders.filter(({ spec }) => !entered.loaders.has(spec));
  for (const loader of fresh) entered.loaders.set(loader.spec, loader);
  return fresh;
}

const importing = new AsyncLocalStorage<string>();

/** Run an import of a module of the program for a task. */
export function whileImporting<T>(url: string, body: () => Promise<T>): Promise<T> {
  return importing.run(url, body);
}

/** The module that is being imported for a task, if the running code is its top level. */
export function importedModule(): string | undefined {
  return importing.getStore();
}
