/** Private members of classes, by their text: what an instance has that nobody but its class can copy. */
import { isClassNode, parseFunction } from "./syntax.js";

const known = new WeakMap<object, string | undefined>();

/** The first private field, method or accessor of a class's instances, inherited ones included: `#coins`. */
export function privateMemberOf(type: object): string | undefined {
  for (let at: object | null = type; typeof at === "function"; at = Object.getPrototypeOf(at) as object | null) {
    const member = ownPrivateMember(at);
    if (member !== undefined) return member;
  }
  return undefined;
}

function ownPrivateMember(type: object): string | undefined {
  if (known.has(type)) return known.get(type);
  const text = Function.prototype.toString.call(type);
  const member = /^class\b/.test(text) && text.includes("#") ? findPrivate(text) : undefined;
  known.set(type, member);
  return member;
}

function findPrivate(text: string): string | undefined {
  const node = parseFunction(text)?.node;
  if (node === undefined || !isClassNode(node)) return undefined;
  for (const element of node.body.body) {
    if (element.type === "StaticBlock" || element.static) continue;
    if (element.key.type === "PrivateIdentifier") return `#${element.key.name}`;
  }
  return undefined;
}
