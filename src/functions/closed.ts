/**
 * The cheap way: functions and classes that capture nothing. Neither the parser (20 ms to load) nor the debugger
 * (30 ms to enable) is needed to show that, and most first calls of short programs are of this kind.
 *
 * Level one, by the text alone: arithmetic on the function's own parameters. Nothing in it can throw an error whose
 * stack would matter. Level two, with the names in the scopes: no word of the text is a variable around it. Both look
 * at words, not at syntax, and so err on the safe side: a word in a string counts as a use.
 */
import { named } from "./fragments.js";
import type { Graph, Piece, Task } from "./graph.js";
import { type FunctionFacts, inspectFunction, type Location } from "./inspect.js";
import { LineIndex } from "./lines.js";
import type { PayloadNode } from "./payload.js";
import { ownPrototype } from "./prototypes.js";
import { findScriptFile, type Place } from "./script-files.js";

/** The node of a function that captures nothing; undefined if that could not be shown. Fresh graphs only. */
export function captureClosed(graph: Graph, { id, value }: Task): PayloadNode | undefined {
  const fn = value as CallableFunction;
  const text = Function.prototype.toString.call(fn);
  const isClass = /^class\b/.test(text);
  if (!isClass && !FUNCTION_HEAD.test(text)) return undefined;
  if (!isUntouched(fn, isClass ? text : undefined)) return undefined;
  const pieces = isArithmetic(text) ? [text] : closedByScopes(fn, text);
  if (pieces === undefined) return undefined;
  graph.fragments.push({
    node: id,
    variables: { scope: undefined, uses: [], assigned: [] },
    strict: true,
    pieces: named(fn.name, pieces),
  });
  return isClass ? { k: "class", name: fn.name } : { k: "fn", name: fn.name, strict: true };
}

/** What is certainly no method: methods look like calls, and an `async(…)` with odd parameters may be one. */
const FUNCTION_HEAD = /^(?:\(|[\w$]+\s*=>|async\s+[\w$]+\s*=>|async\s*\([\w$,\s]*\)\s*=>|(?:async\s+)?function\b)/;

const WORDS = /(?<![\p{ID_Continue}$#])[\p{ID_Start}$_][\p{ID_Continue}$]*/gu;

/** Words that are not the name of a member: `b` in `a + b` and in `...b`, not in `a.b`. */
function* wordsOf(text: string): Generator<string> {
  for (const match of text.matchAll(WORDS)) {
    const before = text.slice(Math.max(0, match.index - 3), match.index);
    if (!before.endsWith(".") || before === "...") yield match[0];
  }
}

// ── Level one ───────────────────────────────────────────────────────────────────────────────────────────────────────

const HARMLESS: ReadonlySet<string> = new Set(
  (
    "async await break case const continue default do else false for function if let null of return switch true typeof " +
    "undefined var void while"
  ).split(" "),
);

/** Parameters without defaults, and no member access, call, string, comment or template in the body. */
function isArithmetic(text: string): boolean {
  const head = /^(?:async\s*)?(?:function\b\s*([\w$]*)\s*)?(?:\(([\w$,\s]*)\)|([\w$]+))\s*(?:=>)?/.exec(text);
  if (head === null) return false;
  const [matched, , list, single] = head;
  const body = text.slice(matched.length);
  if (/[.[\]'"`/#\\@]|[\w$)]\s*\(|\b0\d/.test(body.replace(/\b(?:if|while|for|switch|return)\s*\(/g, " ")))
    return false;
  const bound = new Set((list ?? single ?? "").split(",").map((name) => name.trim()));
  const opening = /^\s*\{([^{}]*)/.exec(body)?.[1] ?? "";
  for (const [, name = ""] of opening.matchAll(/(?:^|;)\s*(?:let|const|var)\s+([\w$]+)/g)) bound.add(name);
  for (const word of wordsOf(body)) if (!HARMLESS.has(word) && !bound.has(word)) return false;
  return true;
}

// ── Level two ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Words whose meaning only the parser can tell. */
const AMBIGUOUS = /\b(?:super|arguments|import|eval|static|extends|target|require|with)\b|\\u/;

/** The text with its place in the user's file, if none of the variables around it occurs in it. */
function closedByScopes(fn: CallableFunction, text: string): readonly Piece[] | undefined {
  const naming = KEEPS_NAME.exec(text);
  const [head, tail] = naming === null ? ["", 0] : [naming[1] ?? "", naming[0].length];
  const code = head + text.slice(tail);
  // Outside of its own class text, `this` in an arrow and `#x` belong to code around the function.
  const foreign = text.startsWith("class") ? undefined : text.includes("=>") ? /\bthis\b|#/ : /#/;
  if (AMBIGUOUS.test(code) || foreign?.test(code)) return undefined;
  const facts = inspectFunction(fn);
  if (!isModuleCode(facts) || usesScopes(code, facts)) return undefined;
  const place = placeOf(facts.location, text);
  const file = place && findScriptFile(place, text);
  if (file === undefined || place === undefined) return undefined;
  const { positions } = file;
  const at = new LineIndex(text).lineAndColumn(tail);
  const rest = { line: place.line + at.line, column: at.line === 0 ? place.column + at.column : at.column };
  const quote = { text: text.slice(tail), ...rest, positions };
  return head === "" ? [quote] : [{ text: head, ...place, positions }, quote];
}

/** What tsx and esbuild write into classes to keep their names, which emitted classes have anyway. */
const KEEPS_NAME = /^(class(?:\s+[\w$]+)?\s*\{\s*)static\s*\{\s*__name\(this,\s*"[^"\\]*"\);?\s*\}/;

/** Module code is strict. */
function isModuleCode({ scopes }: FunctionFacts): boolean {
  return scopes.at(-1)?.description === "Module";
}

function usesScopes(text: string, { scopes }: FunctionFacts): boolean {
  const own = /^class\s+([\w$]+)/.exec(text)?.[1];
  for (const word of wordsOf(text)) {
    if (word !== own && scopes.some(({ object }) => Object.hasOwn(object, word))) return true;
  }
  return false;
}

/** Where a text begins: V8 tells where the parameter list is, of a class its constructor. */
export function placeOf(location: Location | undefined, text: string): Place | undefined {
  if (location === undefined) return undefined;
  const { line, column } = location;
  const isClass = text.startsWith("class");
  if (!isClass && !/^(?:async\s*)?function\b/.test(text)) return { line, column };
  const inside = isClass ? text.search(/\bconstructor\s*\(/) : text.indexOf("(");
  if (inside === -1) return { line, column };
  const before = text.slice(0, isClass ? text.indexOf("(", inside) : inside);
  const lines = before.split("\n");
  // Behind a line break the column says nothing about where the text began.
  return lines.length === 1 ? { line, column: column - before.length } : undefined;
}

/** No properties but those that evaluating the text gives. */
function isUntouched(fn: CallableFunction, classText: string | undefined): boolean {
  if (!Object.isExtensible(fn) || !kinds.includes(Object.getPrototypeOf(fn) as object)) return false;
  const prototype = ownPrototype(fn);
  const expected = prototype === undefined ? ["length", "name"] : ["length", "name", "prototype"];
  const keys = Reflect.ownKeys(fn).filter((key) => key !== "arguments" && key !== "caller");
  if (keys.length !== expected.length || !keys.every((key) => expected.includes(String(key)))) return false;
  return prototype === undefined || isUntouchedPrototype(prototype, classText ?? "");
}

const kinds: readonly object[] = [Function.prototype, Object.getPrototypeOf(async () => undefined) as object];

/** Every member is a method that stands in the class's text as it is. */
function isUntouchedPrototype(prototype: object, classText: string): boolean {
  if (Object.getPrototypeOf(prototype) !== Object.prototype || !Object.isExtensible(prototype)) return false;
  return Reflect.ownKeys(prototype).every((key) => {
    const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(prototype, key) ?? {};
    if (key === "constructor") return enumerable === false;
    if (typeof key !== "string" || typeof value !== "function" || enumerable || !writable || !configurable)
      return false;
    const method = Function.prototype.toString.call(value);
    return /^(?:async\s+)?\*?\s*[\w$]+\s*\(/.test(method) && value.name === key && classText.includes(method);
  });
}
