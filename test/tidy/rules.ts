/** Rules of one file: what neither the compiler nor the linter can say about it. */
import { childNode, childText, importsOf, lineOf, type Place, type Source } from "./source.js";

export interface Finding {
  readonly rule: string;
  readonly file: string;
  /** The function or name that offends, for exemptions that mean one place of a file. */
  readonly symbol: string;
  readonly line: number;
  readonly message: string;
}

export interface Rule {
  readonly name: string;
  /** Which files the rule is for, by path below the repository. */
  appliesTo(path: string): boolean;
  check(source: Source): Finding[];
}

export const MAX_FILE_LINES = 400;
export const MAX_FUNCTION_LINES = 80;

const isTest = (path: string) => path.endsWith(".test.ts");
const isProduct = (path: string) => path.startsWith("src/") && !isTest(path);
const isPure = (path: string) => isProduct(path) && /^src\/(base\/|protocol\/|core\/|errors\.ts$)/.test(path);

/**
 * A machine is a function of the calls it gets: it replays from a log and runs in virtual time. Whatever would let
 * the clock, chance, the collector, the locale or the order of promise jobs in is a name on this list. (What a pure
 * folder's compiler does not declare at all, such as `process`, need not be on it.)
 */
const IMPURE_NAMES = new Set(
  `Promise PromiseLike Awaited Date performance Temporal WeakRef FinalizationRegistry Intl globalThis console
   setTimeout setInterval setImmediate queueMicrotask`.split(/\s+/),
);
const IMPURE_MEMBER = /^(toLocale\w*|localeCompare)$/;

const pure: Rule = {
  name: "pure",
  appliesTo: isPure,
  check: (source) =>
    source.places.flatMap((place) => {
      const what = impurity(place);
      return what === undefined ? [] : [finding(source, "pure", place.node.start, what, `${what} in a pure folder`)];
    }),
};

function impurity({ node, parent, key }: Place): string | undefined {
  if (node["async"] === true) return "async";
  if (node.type === "AwaitExpression" || (node.type === "ForOfStatement" && node["await"] === true)) return "await";
  if (node.type !== "Identifier") return undefined;
  const name = childText(node, "name") ?? "";
  if (isMemberName(parent, key)) {
    if (name === "random" && childText(parent && childNode(parent.node, "object"), "name") === "Math")
      return "Math.random";
    return IMPURE_MEMBER.test(name) ? name : undefined;
  }
  // `Math` other than as `Math.name` could hide its `random`: destructured, passed on, or read by a computed name.
  if (name === "Math" && !isStaticMember(parent)) return "Math as a value";
  return IMPURE_NAMES.has(name) ? name : undefined;
}

/** The name behind a dot, or of a member in a class, object or type: not a reference to a global. */
function isMemberName(parent: Place | undefined, key: string): boolean {
  return (key === "property" || key === "key") && parent?.node["computed"] !== true;
}

function isStaticMember(parent: Place | undefined): boolean {
  return parent?.node.type === "MemberExpression" && parent.node["computed"] !== true;
}

const pureImports: Rule = {
  name: "pure-imports",
  appliesTo: isPure,
  check: (source) =>
    importsOf(source)
      .filter(({ specifier }) => !specifier.startsWith("."))
      .map(({ specifier, start }) =>
        finding(source, "pure-imports", start, specifier, `a pure folder imports ${specifier}`),
      ),
};

const noAny = nodeRule("no-any", isProduct, ({ node }) => (node.type === "TSAnyKeyword" ? "any" : undefined));

const noDefaultExport = nodeRule("no-default-export", isProduct, ({ node }) =>
  node.type === "ExportDefaultDeclaration" ||
  (node.type === "ExportSpecifier" && childText(childNode(node, "exported"), "name") === "default")
    ? "default export"
    : undefined,
);

/** A module with one can not be loaded with `require()`. */
const noTopLevelAwait = nodeRule("no-top-level-await", isProduct, (place) => {
  if (place.node.type !== "AwaitExpression" && place.node["await"] !== true) return undefined;
  for (let at = place.parent; at !== undefined; at = at.parent) if (isFunction(at)) return undefined;
  return "top-level await";
});

const noMarkers: Rule = {
  name: "no-markers",
  appliesTo: (path) => !path.startsWith("test/tidy"), // the rule and its tests name the markers
  check: (source) =>
    source.comments.flatMap(({ value, start }) => {
      const marker = /\b(TODO|FIXME|XXX|HACK)\b/.exec(value)?.[1];
      return marker === undefined ? [] : [finding(source, "no-markers", start, marker, `a comment says ${marker}`)];
    }),
};

const TEST_FUNCTIONS = new Set(["test", "it", "describe", "suite"]);
const SKIPPING = new Set(["skip", "only", "todo"]);

const noSkippedTests = nodeRule("no-skipped-tests", isTest, ({ node, parent }) => {
  if (node.type === "MemberExpression") {
    const name = childText(childNode(node, "property"), "name") ?? "";
    const object = childText(childNode(node, "object"), "name") ?? "";
    return SKIPPING.has(name) && (TEST_FUNCTIONS.has(object) || object === "t") ? `${object}.${name}` : undefined;
  }
  if (node.type !== "Property") return undefined;
  const name = childText(childNode(node, "key"), "name") ?? "";
  const callee = parent?.parent && childText(childNode(parent.parent.node, "callee"), "name");
  return SKIPPING.has(name) && TEST_FUNCTIONS.has(callee ?? "") ? `{ ${name} }` : undefined;
});

const fileLength: Rule = {
  name: "file-length",
  appliesTo: isProduct,
  check: (source) => {
    const lines = source.text.trimEnd().split("\n").length;
    if (lines <= MAX_FILE_LINES) return [];
    return [finding(source, "file-length", 0, "", `${lines} lines, at most ${MAX_FILE_LINES}`)];
  },
};

const functionLength: Rule = {
  name: "function-length",
  appliesTo: isProduct,
  check: (source) =>
    source.places.filter(isFunction).flatMap((place) => {
      const lines = source.text.slice(place.node.start, place.node.end).split("\n").length;
      if (lines <= MAX_FUNCTION_LINES) return [];
      const name = functionName(place);
      const message = `${name} has ${lines} lines, at most ${MAX_FUNCTION_LINES}`;
      return [finding(source, "function-length", place.node.start, name, message)];
    }),
};

export const FILE_RULES: readonly Rule[] = [
  pure,
  pureImports,
  noAny,
  noDefaultExport,
  noTopLevelAwait,
  noMarkers,
  noSkippedTests,
  fileLength,
  functionLength,
];

export function checkFiles(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) =>
    FILE_RULES.filter((rule) => rule.appliesTo(source.path)).flatMap((rule) => rule.check(source)),
  );
}

/** A rule that looks at one node at a time; `offence` names what it found. */
function nodeRule(
  name: string,
  appliesTo: (path: string) => boolean,
  offence: (place: Place) => string | undefined,
): Rule {
  const check = (source: Source) =>
    source.places.flatMap((place) => {
      const what = offence(place);
      return what === undefined ? [] : [finding(source, name, place.node.start, what, what)];
    });
  return { name, appliesTo, check };
}

function isFunction({ node }: Place): boolean {
  return /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type);
}

function functionName({ node, parent }: Place): string {
  const named = childNode(node, "id") ?? (parent && (childNode(parent.node, "key") ?? childNode(parent.node, "id")));
  return childText(named, "name") ?? "a function without name";
}

function finding(source: Source, rule: string, offset: number, symbol: string, message: string): Finding {
  return { rule, file: source.path, symbol, line: lineOf(source.text, offset), message };
}
