/** What a piece of syntax declares, and for which scope. */
import { type AnyNode, children, type FunctionNode } from "./syntax.js";

/** The names that a pattern binds. */
export function bindingNames(pattern: AnyNode, into: Set<string>): void {
  switch (pattern.type) {
    case "Identifier":
      into.add(pattern.name);
      return;
    case "ObjectPattern":
      for (const property of pattern.properties) {
        bindingNames(property.type === "RestElement" ? property.argument : property.value, into);
      }
      return;
    case "ArrayPattern":
      for (const element of pattern.elements) if (element) bindingNames(element, into);
      return;
    case "RestElement":
      return bindingNames(pattern.argument, into);
    case "AssignmentPattern":
      return bindingNames(pattern.left, into);
    default:
  }
}

/** `var` and, in sloppy code, functions in blocks belong to the whole function. */
export function hoistVariables(statements: readonly AnyNode[], into: Set<string>): void {
  for (const node of statements) {
    if (node.type === "VariableDeclaration") {
      if (node.kind === "var") for (const declarator of node.declarations) bindingNames(declarator.id, into);
    } else if (node.type === "FunctionDeclaration") {
      if (node.id) into.add(node.id.name);
    } else if (/Statement|SwitchCase|CatchClause/.test(node.type)) {
      hoistVariables([...children(node)], into);
    }
  }
}

/** What a block declares for itself: let, const, using, classes and functions. */
export function declareBlock(statements: readonly AnyNode[], into: Set<string>): void {
  for (const node of statements) {
    if (node.type === "VariableDeclaration") {
      if (node.kind !== "var") for (const declarator of node.declarations) bindingNames(declarator.id, into);
    } else if (node.type === "FunctionDeclaration" || node.type === "ClassDeclaration") {
      if (node.id) into.add(node.id.name);
    } else if (node.type === "SwitchCase") {
      declareBlock(node.consequent, into);
    } else if (node.type === "LabeledStatement") {
      declareBlock([node.body], into);
    }
  }
}

export function hasStrictDirective(node: FunctionNode): boolean {
  if (node.body.type !== "BlockStatement") return false;
  for (const statement of node.body.body) {
    if (statement.type !== "ExpressionStatement" || statement.directive === undefined) return false;
    if (statement.directive === "use strict") return true;
  }
  return false;
}
