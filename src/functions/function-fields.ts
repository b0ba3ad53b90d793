/**
 * Fields that hold functions: `name = () => …` in a class. To whoever uses an instance they are methods; but no prototype
 * has them, and the instance is elsewhere. So they are read from the class's text, whatever a compiler made of it.
 */
import { type AnyNode, type Class, isClassNode, isFunctionNode, parseFunction } from "./syntax.js";

type Member = Class["body"]["body"][number];
type Key = Exclude<Member, { type: "StaticBlock" }>["key"];

const MAY_HOLD_FUNCTIONS = /=>|\bfunction\b/;

/** Names of public fields of a class's instances that plainly hold functions. Without those of the class that it extends. */
export function functionFieldsOf(type: CallableFunction | NewableFunction): readonly string[] {
  const text = Function.prototype.toString.call(type);
  if (!MAY_HOLD_FUNCTIONS.test(text)) return []; // the parser takes some 10 ms to load
  const node = parseFunction(text)?.node;
  if (node === undefined || !isClassNode(node)) return [];
  return node.body.body.flatMap((member) => [...namesIn(member)]);
}

function* namesIn(member: Member): Generator<string> {
  if (member.type === "PropertyDefinition" && !member.static && isFunction(member.value)) {
    const name = nameOf(member.key, member.computed);
    if (name !== undefined) yield name;
  }
  if (member.type !== "MethodDefinition" || member.kind !== "constructor") return;
  for (const statement of member.value.body.body) {
    const name = statement.type === "ExpressionStatement" ? fieldSetBy(statement.expression) : undefined;
    if (name !== undefined) yield name;
  }
}

/**
 * Of lowered fields: `this.name = () => …`, `Object.defineProperty(this, "name", { value: () => … })`, and helpers that
 * are called like that, with the function itself.
 */
function fieldSetBy(expression: AnyNode): string | undefined {
  if (expression.type === "AssignmentExpression") {
    const { left, right } = expression;
    const isField = left.type === "MemberExpression" && left.object.type === "ThisExpression" && isFunction(right);
    return isField ? nameOf(left.property, left.computed) : undefined;
  }
  if (expression.type !== "CallExpression") return undefined;
  const [target, key, value] = expression.arguments;
  if (target?.type !== "ThisExpression" || key === undefined || value === undefined) return undefined;
  return isFunction(value) || isDescriptorOfFunction(value) ? nameOf(key, true) : undefined;
}

function isDescriptorOfFunction(node: AnyNode): boolean {
  if (node.type !== "ObjectExpression") return false;
  return node.properties.some(
    (each) => each.type === "Property" && nameOf(each.key, each.computed) === "value" && isFunction(each.value),
  );
}

function isFunction(node: AnyNode | null | undefined): boolean {
  return node !== null && node !== undefined && isFunctionNode(node);
}

function nameOf(key: Key | AnyNode, computed: boolean): string | undefined {
  if (key.type === "Identifier") return computed ? undefined : key.name;
  return key.type === "Literal" && typeof key.value === "string" ? key.value : undefined;
}
