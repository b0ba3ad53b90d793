/**
 * The scripts that functions come from: URL, source, syntax tree, and the way back to the file that the user wrote.
 *
 * Only an enabled debugger tells these. While it is enabled every `await` of the program is about eight times slower,
 * and enabling costs tens of milliseconds the first time. So it is enabled when an unknown script is met, everything
 * of the program is read in one go, and it is disabled before the capture returns.
 */
import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { fileURLToPath } from "node:url";
import { call, openSession } from "./inspect.js";
import { type AnyNode, children, type Program, parseScript } from "./syntax.js";

export interface Position {
  /** URL of the file as the user wrote it. */
  readonly source: string;
  /** From zero. */
  readonly line: number;
  readonly column: number;
}

interface ScriptParsed {
  readonly scriptId: string;
  readonly url: string;
  readonly isModule?: boolean;
  readonly sourceMapURL?: string;
  readonly length?: number;
}

export class Script {
  readonly id: string;
  readonly url: string;
  readonly isModule: boolean;
  readonly #mapUrl: string;
  #source: string | undefined;
  #lineStarts: number[] | undefined;
  #map: SourceMap | null | undefined;
  #program: Program | null | undefined;

  constructor(parsed: ScriptParsed) {
    this.id = parsed.scriptId;
    this.url = parsed.url;
    this.isModule = parsed.isModule ?? false;
    this.#mapUrl = parsed.sourceMapURL ?? "";
  }

  /** Part of the program itself, not of Node or of a package. */
  get isProject(): boolean {
    return !this.isNode && !this.url.includes("/node_modules/");
  }

  get isNode(): boolean {
    return this.url.startsWith("node:");
  }

  /** Empty when V8 has thrown the script away. */
  get source(): string {
    if (this.#source === undefined) withDebugger(() => this.readSource());
    return this.#source ?? "";
  }

  /** The debugger is enabled. */
  readSource(): void {
    if (this.#source !== undefined) return;
    try {
      this.#source = call<{ scriptSource: string }>("Debugger.getScriptSource", { scriptId: this.id }).scriptSource;
    } catch {
      this.#source = ""; // collected in the meantime
    }
  }

  get program(): Program | undefined {
    this.#program ??= parseScript(this.source, this.isModule) ?? null;
    return this.#program ?? undefined;
  }

  offsetAt(line: number, column: number): number {
    return (this.#starts()[line] ?? this.source.length) + column;
  }

  lineAndColumn(offset: number): { line: number; column: number } {
    const starts = this.#starts();
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low, column: offset - (starts[low] ?? 0) };
  }

  /** Where the user wrote what stands at a position of the script; undefined where the source map says nothing. */
  original(line: number, column: number): Position | undefined {
    this.#map ??= loadMap(this.#mapUrl, this.url);
    if (this.#map === null) return { source: this.url, line, column };
    const entry = this.#map.findEntry(line, column);
    if (!("originalSource" in entry) || entry.originalSource === undefined) return undefined;
    const base = this.#mapUrl.startsWith("data:") ? this.url : new URL(this.#mapUrl, this.url).href;
    const source = resolveUrl(entry.originalSource, base);
    return { source, line: entry.originalLine, column: entry.originalColumn };
  }

  /** The nodes of the syntax tree around an offset, outermost first. */
  nodesAround(offset: number): readonly AnyNode[] {
    const found: AnyNode[] = [];
    let node: AnyNode | undefined = this.program;
    while (node !== undefined) {
      found.push(node);
      let inner: AnyNode | undefined;
      for (const child of children(node)) if (child.start <= offset && offset < child.end) inner = child;
      node = inner;
    }
    return found;
  }

  #starts(): readonly number[] {
    if (this.#lineStarts !== undefined) return this.#lineStarts;
    const starts = [0];
    for (let at = this.source.indexOf("\n"); at !== -1; at = this.source.indexOf("\n", at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
    return starts;
  }
}

// ── The scripts of this process ─────────────────────────────────────────────────────────────────────────────────────

const scripts = new Map<string, Script>();
/** Sources read ahead, at most this many characters a batch: further ones when they are asked for. */
const PREFETCH_CHARACTERS = 8 * 1024 * 1024;
let depth = 0;

export function scriptOf(scriptId: string): Script {
  let script = scripts.get(scriptId);
  if (script === undefined) {
    withDebugger(() => undefined);
    script = scripts.get(scriptId) ?? new Script({ scriptId, url: "" });
    scripts.set(scriptId, script);
  }
  return script;
}

/** Run with the debugger enabled. On the way every script that appeared since the last time is read. */
function withDebugger(body: () => void): void {
  if (depth > 0) return body();
  depth++;
  const session = openSession();
  const fresh: ScriptParsed[] = [];
  const collect = (message: { params: object }): void => {
    const parsed = message.params as ScriptParsed;
    if (!scripts.has(parsed.scriptId)) fresh.push(parsed);
  };
  session.on("Debugger.scriptParsed", collect);
  try {
    call("Debugger.enable");
    readAhead(fresh);
    body();
  } finally {
    session.off("Debugger.scriptParsed", collect);
    call("Debugger.disable");
    depth--;
  }
}

function readAhead(fresh: readonly ScriptParsed[]): void {
  let budget = PREFETCH_CHARACTERS;
  for (const parsed of fresh) {
    const script = new Script(parsed);
    scripts.set(script.id, script);
    budget -= script.isProject ? (parsed.length ?? 0) : 0;
    if (script.isProject && budget > 0) script.readSource();
  }
}

// ── Source maps of scripts ──────────────────────────────────────────────────────────────────────────────────────────

function loadMap(mapUrl: string, scriptUrl: string): SourceMap | null {
  if (mapUrl === "") return null;
  try {
    return new SourceMap(JSON.parse(readMap(mapUrl, scriptUrl)) as SourceMapPayload);
  } catch {
    return null; // a missing or broken map: positions of the script itself are the best there is
  }
}

function readMap(mapUrl: string, scriptUrl: string): string {
  if (!mapUrl.startsWith("data:")) return readFileSync(fileURLToPath(new URL(mapUrl, scriptUrl)), "utf8");
  const comma = mapUrl.indexOf(",");
  const body = mapUrl.slice(comma + 1);
  return mapUrl.slice(0, comma).endsWith(";base64")
    ? Buffer.from(body, "base64").toString("utf8")
    : decodeURIComponent(body);
}

function resolveUrl(source: string, base: string): string {
  if (source.startsWith("/")) return `file://${source}`;
  try {
    return new URL(source, base).href;
  } catch {
    return source;
  }
}
