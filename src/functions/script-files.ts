/**
 * Finding the file of a script without the debugger. Candidates are the files on the stack (who calls `.remote()` has
 * usually written the function) and the entry of the program. A candidate counts only if the function's text stands
 * in it at the very place that V8 names, or its source map leads from there to the same words.
 */
import { readFileSync } from "node:fs";
import { findSourceMap, type SourceMap } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { LineIndex } from "./lines.js";
import { resolveUrl, UserPositions } from "./user-positions.js";

export interface Place {
  /** From zero. */
  readonly line: number;
  readonly column: number;
}

/** A file that was found to be the one from which V8 read a function. */
export interface ScriptFile {
  readonly url: string;
  /** The text as V8 has it; undefined if a loader changed it. */
  readonly source: string | undefined;
  readonly mapUrl: string;
  readonly positions: UserPositions;
}

/** The file in which a text begins at a place. */
export function findScriptFile(place: Place, text: string): ScriptFile | undefined {
  for (const url of candidates()) {
    const file = readLines(url);
    if (file !== undefined && standsAt(file, place, text)) {
      const mapUrl = /\n\/\/# sourceMappingURL=(\S+)\s*$/.exec(file.text)?.[1] ?? "";
      return {
        url,
        source: isSame(file, place, text) ? file.text : undefined,
        mapUrl,
        positions: new UserPositions(url, mapUrl),
      };
    }
    const map = findSourceMap(url);
    if (map !== undefined && leadsToSameWords(map, url, place, text)) {
      return { url, source: undefined, mapUrl: "", positions: new UserPositions(url, map) };
    }
  }
  return undefined;
}

function isSame(file: LineIndex, { line, column }: Place, text: string): boolean {
  return file.text.startsWith(text, file.offsetAt(line, column));
}

/** The same text, or the same with blanks where Node's type stripping removed something. */
function standsAt(file: LineIndex, { line, column }: Place, text: string): boolean {
  const offset = file.offsetAt(line, column);
  if (offset + text.length > file.text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== file.text[offset + i] && text[i] !== " ") return false;
  }
  return true;
}

const WORDS = /[\p{ID_Start}$_][\p{ID_Continue}$]*/gu;

/** Every word that the map places exactly is the same word in the user's file. */
function leadsToSameWords(map: SourceMap, url: string, place: Place, text: string): boolean {
  const lines = new LineIndex(text);
  let agreed = 0;
  for (const { index, 0: word } of text.matchAll(WORDS)) {
    const at = lines.lineAndColumn(index);
    const [line, column] = [place.line + at.line, at.line === 0 ? place.column + at.column : at.column];
    const entry = map.findEntry(line, column);
    if (!("originalSource" in entry) || entry.generatedLine !== line || entry.generatedColumn !== column) continue;
    const original = readLines(resolveUrl(entry.originalSource, url));
    if (original === undefined) return false;
    if (!original.text.startsWith(word, original.offsetAt(entry.originalLine, entry.originalColumn))) continue;
    agreed++;
  }
  return agreed >= 2;
}

// ── Files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const files = new Map<string, LineIndex | undefined>();
const MAX_FILES = 32;

function readLines(url: string): LineIndex | undefined {
  if (files.has(url)) return files.get(url);
  if (files.size >= MAX_FILES) files.clear();
  let found: LineIndex | undefined;
  try {
    found = new LineIndex(readFileSync(fileURLToPath(url), "utf8"));
  } catch {
    found = undefined; // not a file: evaluated code
  }
  files.set(url, found);
  return found;
}

const OWN_FOLDER = new URL(".", import.meta.url).href;
const MAX_FRAMES = 30;

/** Files of the program on the stack, innermost first, and the program's entry. */
function candidates(): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of stackFiles()) {
    const url = name.startsWith("/") ? pathToFileURL(name).href : name;
    if (url.startsWith("file:") && !url.startsWith(OWN_FOLDER)) found.add(url);
  }
  const [, entry] = process.argv;
  if (entry !== undefined) found.add(pathToFileURL(entry).href);
  return found;
}

function stackFiles(): readonly string[] {
  const { prepareStackTrace, stackTraceLimit } = Error;
  const holder: { stack?: readonly NodeJS.CallSite[] } = {};
  try {
    Error.stackTraceLimit = MAX_FRAMES;
    Error.prepareStackTrace = (_, sites) => sites;
    Error.captureStackTrace(holder);
    return (holder.stack ?? []).map((site) => site.getFileName() ?? "");
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}
