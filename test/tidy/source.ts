/** A parsed source file, flattened for rules that look at one node at a time. */
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { parseSync } from "oxc-parser";

/** A node of the syntax tree. Rules know the shapes they look for; the rest of the tree is none of their business. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** A node with its place: the node it hangs on, and under which name. */
export interface Place {
  readonly node: SyntaxNode;
  readonly parent: Place | undefined;
  readonly key: string;
}

export interface Source {
  /** Path below the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly places: readonly Place[];
  readonly comments: readonly { readonly value: string; readonly start: number }[];
}

export interface Import {
  readonly specifier: string;
  readonly start: number;
}

export function parseSource(path: string, text: string): Source {
  const { program, comments, errors } = parseSync(path, text, { preserveParens: false, sourceType: "module" });
  const [error] = errors;
  if (error !== undefined) throw new SyntaxError(`${path}: ${error.message}`);
  const places: Place[] = [];
  flatten(program as unknown as SyntaxNode, undefined, "", places);
  return { path, text, places, comments };
}

/** Every TypeScript source below the folders, in the order of their paths. */
export function readSources(root: string, folders: readonly string[]): Source[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => `${folder}/${path}`),
    )
    .map((path) => path.split(sep).join("/"))
    .filter((path) => path.endsWith(".ts"))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), "utf8")));
}

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

export function childNode(node: SyntaxNode, key: string): SyntaxNode | undefined {
  const value = node[key];
  return isNode(value) ? value : undefined;
}

export function childText(node: SyntaxNode | undefined, key: string): string | undefined {
  const value = node?.[key];
  return typeof value === "string" ? value : undefined;
}

/** Modules that a file names: imports of values and of types, re-exports, `import()` of a literal. */
export function importsOf(source: Source): Import[] {
  const imports: Import[] = [];
  for (const { node } of source.places) {
    if (!/^(Import|Export(All|Named))Declaration$|^(Import|TSImport)(Expression|Type)$/.test(node.type)) continue;
    const specifier = childText(childNode(node, "source") ?? childNode(node, "argument"), "value");
    if (specifier !== undefined) imports.push({ specifier, start: node.start });
  }
  return imports;
}

/** The file a relative import names, or undefined for a package or a `node:` module. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return new URL(specifier, `file:///${from}`).pathname.slice(1).replace(/\.js$/, ".ts");
}

function flatten(node: SyntaxNode, parent: Place | undefined, key: string, places: Place[]): void {
  const place = { node, parent, key };
  places.push(place);
  for (const [name, value] of Object.entries(node)) {
    if (isNode(value)) flatten(value, place, name, places);
    else if (Array.isArray(value)) for (const item of value) if (isNode(item)) flatten(item, place, name, places);
  }
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string";
}
