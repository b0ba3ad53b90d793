/**
 * What a class's text is made of, as far as shipping it is concerned.
 *
 * A class is evaluated again on the worker, but its static state must not be computed twice: static fields and blocks
 * are cut out of the text and their results travel as values. Static private fields stay declared; an injected static
 * block sets them. The heritage is replaced by the captured parent.
 */
import type { AnyNode, Class } from "./syntax.js";

export type ClassMember = Class["body"]["body"][number];

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A method or accessor that evaluating the class makes. */
export interface MethodPart extends Range {
  /** Undefined for a computed key that is not a literal. */
  readonly key: string | undefined;
  readonly static: boolean;
  readonly part: "value" | "get" | "set";
  /** Behind the key, with the bracket of a computed one. */
  readonly keyEnd: number;
}

export interface ClassParts {
  readonly heritage: Range | undefined;
  /** `extends null`, which is kept. */
  readonly extendsNull: boolean;
  /** Just behind the opening brace of the body. */
  readonly bodyStart: number;
  readonly dropped: ReadonlySet<ClassMember>;
  /** The ranges of `dropped`, in order. */
  readonly cuts: readonly Range[];
  /** Initializers (`= value`) of static private fields, in order. */
  readonly staticPrivates: readonly { readonly name: string; readonly initializer: Range | undefined }[];
  readonly methods: readonly MethodPart[];
  /** Instances get private fields: they cannot be copied. */
  readonly hasPrivates: boolean;
}

export function classParts(node: Class, offset: number, text: string): ClassParts {
  const range = (from: AnyNode): Range => ({ start: from.start - offset, end: from.end - offset });
  const dropped = new Set<ClassMember>();
  const staticPrivates: { name: string; initializer: Range | undefined }[] = [];
  const methods: MethodPart[] = [];
  let hasPrivates = false;
  for (const member of node.body.body) {
    if (member.type === "StaticBlock") {
      dropped.add(member);
    } else if (member.type === "PropertyDefinition") {
      const isPrivate = member.key.type === "PrivateIdentifier";
      if (!member.static) hasPrivates ||= isPrivate;
      else if (member.key.type !== "PrivateIdentifier") dropped.add(member);
      else staticPrivates.push({ name: member.key.name, initializer: initializer(member, offset) });
    } else if (member.key.type === "PrivateIdentifier") {
      hasPrivates ||= !member.static;
    } else if (member.kind !== "constructor") {
      methods.push({
        ...methodRange(member, offset, text),
        key: literalKey(member),
        static: member.static,
        part: member.kind === "method" ? "value" : member.kind,
        keyEnd: member.computed ? text.indexOf("]", member.key.end - offset) + 1 : member.key.end - offset,
      });
    }
  }
  const heritage = node.superClass;
  return {
    heritage: heritage ? range(heritage) : undefined,
    extendsNull: heritage?.type === "Literal" && heritage.value === null,
    bodyStart: node.body.start - offset + 1,
    dropped,
    cuts: [...dropped].map(range),
    staticPrivates,
    methods,
    hasPrivates,
  };
}

function initializer(member: Extract<ClassMember, { type: "PropertyDefinition" }>, offset: number): Range | undefined {
  return member.value ? { start: member.key.end - offset, end: member.value.end - offset } : undefined;
}

/** The text that `toString()` of the method gives: without `static`. */
function methodRange(member: Extract<ClassMember, { type: "MethodDefinition" }>, offset: number, text: string): Range {
  const start = member.start - offset;
  const end = member.end - offset;
  if (!member.static) return { start, end };
  return { start: start + "static".length + leadingSpace(text.slice(start + "static".length, end)), end };
}

/** White space and comments before the first token. */
function leadingSpace(text: string): number {
  return /^(?:\s|\/\*[\s\S]*?\*\/|\/\/[^\n]*)*/.exec(text)?.[0].length ?? 0;
}

function literalKey(member: Extract<ClassMember, { type: "MethodDefinition" }>): string | undefined {
  const { key } = member;
  if (key.type === "Identifier") return member.computed ? undefined : key.name;
  return key.type === "Literal" ? String(key.bigint ?? key.value) : undefined;
}
