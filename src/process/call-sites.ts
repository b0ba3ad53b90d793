/**
 * Lines of user code: taken from the stack when an object is made, turned into what the author wrote when somebody asks
 * (`mobula memory`).
 */
import { readFileSync } from "node:fs";
import { findSourceMap } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { MAX_SITES } from "../base/limits.js";
import { CallOrigins, type Origin, type Site } from "../core/owner/origin.js";
import type { ObjectEntry } from "../core/owner/records.js";
import { UserPositions } from "../functions/index.js";

/** With `MOBULA_CALL_SITES=1` the line of every call and of every `put` is looked at, small ones too. */
export const EVERY_SITE = process.env["MOBULA_CALL_SITES"] === "1";

/** `dist/src/` or `dist/bundle/`: frames of mobula itself. */
const OWN_URL = new URL("..", import.meta.url).href;
const OWN_PATH = fileURLToPath(OWN_URL);
/** As many as there are of mobula's own above the user's, and one; each costs. If the user's is not among them, more. */
const FEW_FRAMES = 6;
const MANY_FRAMES = 24;

const sites = new Map<string, Site>();

/** The innermost line of user code on the stack: about 10 µs. The same line is the same object. */
function siteNow(): Site | undefined {
  const few = stack(FEW_FRAMES);
  const frame = few.find(isUsers) ?? (few.length < FEW_FRAMES ? undefined : stack(MANY_FRAMES).find(isUsers));
  const file = frame === undefined ? undefined : fileOf(frame);
  if (frame === undefined || file === undefined) return undefined;
  const line = frame.getLineNumber() ?? 0;
  const column = frame.getColumnNumber() ?? 0;
  const key = `${file}:${line}:${column}`;
  const known = sites.get(key);
  if (known !== undefined || sites.size >= MAX_SITES) return known;
  const site = { file, line, column };
  sites.set(key, site);
  return site;
}

function stack(limit: number): readonly NodeJS.CallSite[] {
  const { prepareStackTrace, stackTraceLimit } = Error;
  const holder: { stack?: readonly NodeJS.CallSite[] } = {};
  try {
    Error.stackTraceLimit = limit;
    Error.prepareStackTrace = (_, frames) => frames;
    Error.captureStackTrace(holder, siteNow);
    return holder.stack ?? [];
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Functions that came from another process were evaluated: they have the name that their source gives itself. */
function fileOf(frame: NodeJS.CallSite): string | undefined {
  return frame.getFileName() ?? frame.getScriptNameOrSourceURL() ?? undefined;
}

function isUsers(frame: NodeJS.CallSite): boolean {
  const file = fileOf(frame);
  if (file === undefined || file.startsWith("node:")) return false;
  return !file.startsWith(OWN_URL) && !file.startsWith(OWN_PATH);
}

/** The origins of one remote function's, or one method's, results. */
export function callOrigins(name: string): CallOrigins {
  return new CallOrigins(`${name}.remote()`, siteNow, EVERY_SITE);
}

export function originNow(call: string): Origin | undefined {
  const site = siteNow();
  return site === undefined ? undefined : { call, site, exact: true };
}

/** Arguments that became objects of their own, because they are large: no ref of the user's names them. */
export function noteArguments(entries: readonly ObjectEntry[], name: string): void {
  for (const entry of entries) {
    if (!entry.owned || entry.localRefs > 0 || entry.origin !== undefined) continue;
    entry.origin = originNow(`argument of ${name}.remote()`);
  }
}

// ── What the author wrote ───────────────────────────────────────────────────────────────────────────────────────────

/** Reads source maps: each file's once for each call of `placing()`. */
export function placing(): (site: Site) => Site {
  const files = new Map<string, UserPositions>();
  return ({ file, line, column }) => {
    const positions = files.get(file) ?? positionsIn(file);
    files.set(file, positions);
    const original = positions.original(line - 1, column - 1);
    if (original === undefined) return { file: pathOf(file), line, column };
    return { file: pathOf(original.source), line: original.line + 1, column: original.column + 1 };
  };
}

function positionsIn(file: string): UserPositions {
  const url = file.startsWith("/") ? pathToFileURL(file).href : file;
  // The maps that Node knows come first: those of loaders, and of functions that came from another process.
  return new UserPositions(url, findSourceMap(file) ?? findSourceMap(url) ?? mapUrlIn(url));
}

function mapUrlIn(url: string): string {
  try {
    const text = readFileSync(fileURLToPath(url), "utf8");
    return /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(text)?.[1] ?? "";
  } catch {
    return ""; // not a file: evaluated code
  }
}

function pathOf(file: string): string {
  return file.startsWith("file:") ? fileURLToPath(file) : file;
}
