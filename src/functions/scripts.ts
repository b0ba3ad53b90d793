/**
 * The scripts that functions come from: URL, source, syntax tree, and the way back to the file that the user wrote.
 *
 * Only an enabled debugger tells these. While it is enabled every `await` of the program is about eight times slower,
 * and enabling costs tens of milliseconds the first time. So it is enabled when an unknown script is met, everything
 * of the program is read in one go, and it is disabled before the capture returns.
 */
import { call, type Location, openSession } from "./inspect.js";
import { LineIndex } from "./lines.js";
import type { EvaluatedCode } from "./origins.js";
import { findScriptFile, type Place } from "./script-files.js";
import { type AnyNode, children, type Program, parseScript } from "./syntax.js";
import { type Position, UserPositions } from "./user-positions.js";

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
  #lines: LineIndex | undefined;
  #positions: UserPositions | undefined;
  #program: Program | null | undefined;

  constructor(parsed: ScriptParsed, source?: string) {
    this.#source = source;
    this.id = parsed.scriptId;
    this.url = parsed.url;
    this.isModule = parsed.isModule ?? false;
    this.#mapUrl = parsed.sourceMapURL ?? "";
  }

  /** Part of the program itself, not of Node or of a package. */
  get isProject(): boolean {
    return !this.isNode && !this.url.startsWith("mobula:") && !this.url.includes("/node_modules/");
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

  get lines(): LineIndex {
    this.#lines ??= new LineIndex(this.source);
    return this.#lines;
  }

  /** Where the user wrote what stands at a position of the script; undefined where the source map says nothing. */
  original(line: number, column: number): Position | undefined {
    this.#positions ??= new UserPositions(this.url, this.#mapUrl);
    return this.#positions.original(line, column);
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

/** The script of a function whose text begins at a place, without the debugger if its file can be found. */
export function scriptOfText(location: Location, place: Place, text: string): Script {
  const known = scripts.get(location.scriptId);
  if (known !== undefined) return known;
  const file = findScriptFile(place, text);
  if (file?.source === undefined) return scriptOf(location.scriptId);
  const script = new Script({ scriptId: location.scriptId, url: file.url, sourceMapURL: file.mapUrl }, file.source);
  scripts.set(script.id, script);
  return script;
}

/** The script of a function that was shipped to this process: revival has kept its code. */
export function scriptOfCode(scriptId: string, code: EvaluatedCode): Script {
  let script = scripts.get(scriptId);
  if (script === undefined) {
    script = new Script({ scriptId, url: code.url, sourceMapURL: code.mapUrl }, code.text);
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
