/**
 * Parsing the source text of functions and scripts. The sources are JavaScript by then: `toString()` and the
 * inspector see what a loader made of TypeScript. acorn is loaded at the first parse: many programs never need it.
 */
import { createRequire } from "node:module";
import type { AnyNode, Options, Program } from "acorn";

export type { AnyNode, Program };
export type FunctionNode = Extract<
  AnyNode,
  { type: "FunctionDeclaration" | "FunctionExpression" | "ArrowFunctionExpression" }
>;
export type Class = Extract<AnyNode, { type: "ClassDeclaration" | "ClassExpression" }>;

let acorn: typeof import("acorn") | undefined;

const OPTIONS: Options = {
  ecmaVersion: "latest",
  sourceType: "script",
  allowImportExportEverywhere: true,
  allowAwaitOutsideFunction: false,
  allowReturnOutsideFunction: true,
  allowSuperOutsideMethod: true,
  allowHashBang: true,
  checkPrivateFields: false,
};

function parse(text: string, options: Options = OPTIONS): Program {
  acorn ??= createRequire(import.meta.url)("acorn") as typeof import("acorn");
  return acorn.parse(text, options);
}

export type FunctionKind = "arrow" | "function" | "method" | "class";

export interface ParsedFunction {
  readonly kind: FunctionKind;
  readonly node: FunctionNode | Class;
  /** The object-literal property around a method, which holds its key. */
  readonly method: Extract<AnyNode, { type: "Property" }> | undefined;
  /** What was put before the text to make it parse: subtract it from the positions in `node`. */
  readonly offset: number;
}

/** Parse the text of a function or class. Undefined when it is not JavaScript that stands alone, such as native code. */
export function parseFunction(text: string): ParsedFunction | undefined {
  return parseExpression(text) ?? parseMethod(text);
}

function parseExpression(text: string): ParsedFunction | undefined {
  const statement = tryParse(`(${text}\n)`)?.body[0];
  if (statement?.type !== "ExpressionStatement") return undefined;
  const node = statement.expression;
  switch (node.type) {
    case "ArrowFunctionExpression":
      return { kind: "arrow", node, method: undefined, offset: 1 };
    case "FunctionExpression":
      return { kind: "function", node, method: undefined, offset: 1 };
    case "ClassExpression":
      return { kind: "class", node, method: undefined, offset: 1 };
    default:
      return undefined;
  }
}

function parseMethod(text: string): ParsedFunction | undefined {
  const statement = tryParse(`({${text}\n})`)?.body[0];
  if (statement?.type !== "ExpressionStatement" || statement.expression.type !== "ObjectExpression") return undefined;
  const property = statement.expression.properties[0];
  if (property?.type !== "Property" || property.value.type !== "FunctionExpression") return undefined;
  return { kind: "method", node: property.value, method: property, offset: 2 };
}

/** Parse an expression, for initializers. */
export function parseInitializer(text: string): AnyNode | undefined {
  const statement = tryParse(`(${text}\n)`)?.body[0];
  return statement?.type === "ExpressionStatement" ? statement.expression : undefined;
}

/** Parse a whole script; first as what it says it is, then as the other. */
export function parseScript(source: string, isModule: boolean): Program | undefined {
  const asModule: Options = { ...OPTIONS, sourceType: "module", allowAwaitOutsideFunction: true };
  return isModule ? (tryParse(source, asModule) ?? tryParse(source)) : (tryParse(source) ?? tryParse(source, asModule));
}

function tryParse(text: string, options?: Options): Program | undefined {
  try {
    return parse(text, options);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The nodes directly below a node, in source order. */
export function* children(node: AnyNode): Generator<AnyNode> {
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) yield item;
    } else if (isNode(value)) {
      yield value;
    }
  }
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

export function isFunctionNode(node: AnyNode): node is FunctionNode {
  return (
    node.type === "FunctionDeclaration" || node.type === "FunctionExpression" || node.type === "ArrowFunctionExpression"
  );
}

export function isClassNode(node: AnyNode): node is Class {
  return node.type === "ClassDeclaration" || node.type === "ClassExpression";
}
