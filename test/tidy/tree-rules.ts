/** Rules of the tree as a whole: who imports whom, and whether the documents' links into it hold. */
import type { Finding } from "./rules.js";
import { childNode, childText, importsOf, lineOf, resolveImport, type Source } from "./source.js";

/**
 * Folders of `src`, lowest first. A file imports only from its own folder and from those before it; a test beside the
 * source also from what tests share.
 */
export const LAYERS: readonly string[] = [
  "errors",
  "base",
  "protocol",
  "core",
  "functions",
  "io",
  "process",
  "api",
  "testing",
  "bench",
  "http",
  "cli",
];

/** `src/core/gcs/gcs.ts` is of layer `core`, `src/errors.ts` of layer `errors`. */
export function layerOf(path: string): number {
  const name = /^src\/([\w-]+)(?:\/|(?:\.test)?\.ts$)/.exec(path)?.[1];
  return LAYERS.indexOf(name ?? "");
}

export function checkLayers(sources: readonly Source[]): Finding[] {
  return sources
    .filter(({ path }) => path.startsWith("src/"))
    .flatMap((source) => {
      const own = layerOf(source.path);
      if (own < 0) return [finding(source, "layers", 0, "the folder is not in the list of layers")];
      return importsOf(source).flatMap(({ specifier, start }) => {
        const target = resolveImport(source.path, specifier);
        if (target === undefined || (layerOf(target) >= 0 && layerOf(target) <= own)) return [];
        if (source.path.endsWith(".test.ts") && target.startsWith("test/support/")) return [];
        return [finding(source, "layers", start, `imports ${target}, which is above it`)];
      });
    });
}

/** A cycle can not be read in any order. Imports of types count: they are read too. */
export function checkCycles(sources: readonly Source[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const findings: Finding[] = [];

  const visit = (source: Source, trail: readonly string[]) => {
    const start = trail.indexOf(source.path);
    if (start >= 0) {
      findings.push(finding(source, "cycles", 0, [...trail.slice(start), source.path].join(" → ")));
      return;
    }
    if (done.has(source.path)) return;
    for (const { specifier } of importsOf(source)) {
      const target = byPath.get(resolveImport(source.path, specifier) ?? "");
      if (target !== undefined) visit(target, [...trail, source.path]);
    }
    done.add(source.path);
  };
  for (const source of sources) visit(source, []);
  return findings;
}

/**
 * A document that leads through the code by `file#symbol` leads nowhere once the symbol is renamed.
 * `file` is a path below the repository; `symbol` a function, class, method, type or constant, or `Class.method`.
 */
export function checkLinks(document: string, text: string, sources: readonly Source[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const findings: Finding[] = [];
  for (const match of text.matchAll(/([\w@./-]+\.ts)#([\w$.]+)/g)) {
    const [link, file = "", symbol = ""] = match;
    const source = byPath.get(file.replace(/^(\.{1,2}\/)+/, ""));
    const declared = source && declaredNames(source);
    if (symbol.split(".").every((name) => name === "" || declared?.has(name))) continue;
    const message = source === undefined ? `${link}: no such file` : `${link}: no such symbol in the file`;
    findings.push({ rule: "links", file: document, symbol: link, line: lineOf(text, match.index), message });
  }
  return findings;
}

const NAMED_BY_ID =
  /^(FunctionDeclaration|TSDeclareFunction|ClassDeclaration|VariableDeclarator|TS(Interface|TypeAlias)Declaration)$/;
const NAMED_BY_KEY = /^(MethodDefinition|PropertyDefinition|Property|TSAbstractMethodDefinition|TS\w+Signature)$/;

function declaredNames(source: Source): Set<string> {
  const names = new Set<string>();
  for (const { node } of source.places) {
    const key = NAMED_BY_ID.test(node.type) ? "id" : NAMED_BY_KEY.test(node.type) ? "key" : undefined;
    const name = key && childText(childNode(node, key), "name");
    if (name !== undefined) names.add(name);
  }
  return names;
}

function finding(source: Source, rule: string, offset: number, message: string): Finding {
  return { rule, file: source.path, symbol: "", line: lineOf(source.text, offset), message };
}
