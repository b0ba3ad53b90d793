/**
 * Which variables of its surroundings a function uses, and how.
 *
 * One walk over the function's own syntax tree. Declarations of a scope are collected when the walk enters it, so an
 * identifier is resolved the moment it is met. What resolves nowhere inside the function is free.
 */
import { type ClassParts, classParts } from "./class-parts.js";
import { bindingNames, declareBlock, hasStrictDirective, hoistVariables } from "./declarations.js";
import {
  type AnyNode,
  type Class,
  children,
  type FunctionKind,
  type FunctionNode,
  isClassNode,
  isFunctionNode,
  type ParsedFunction,
  parseFunction,
} from "./syntax.js";

/** How a free variable is used. */
export interface FreeName {
  readonly name: string;
  /** Used other than as `name.member`. */
  bare: boolean;
  /** The function changes what the variable holds. */
  assigned: boolean;
  readonly members: Set<string>;
}

/** What an arrow function takes from the function around it, and an inspector cannot show. */
export type Lexical = "this" | "super" | "arguments" | "new.target";

/** A piece of the text that cannot run as it stands on another machine. */
export interface Rewrite {
  readonly start: number;
  readonly end: number;
  readonly kind: "meta" | "import";
}

export interface Analysis {
  readonly kind: FunctionKind;
  /** In order of first use. */
  readonly free: ReadonlyMap<string, FreeName>;
  readonly lexical: ReadonlySet<Lexical>;
  /** Private names of a class around the function. */
  readonly privateNames: ReadonlySet<string>;
  readonly usesSuper: boolean;
  /** The function calls itself by the name in its own text. */
  readonly selfName: { readonly name: string; readonly start: number; readonly end: number } | undefined;
  readonly rewrites: readonly Rewrite[];
  /** Where the key of a method is in the text. */
  readonly methodKey: { readonly start: number; readonly end: number; readonly computed: boolean } | undefined;
  readonly class: ClassParts | undefined;
  /** The function's text is strict by itself: a class, or a "use strict" directive. */
  readonly strict: boolean;
}

interface Names {
  readonly names: Set<string>;
  readonly outer: Names | undefined;
}

/** What the walk knows about the place where it is. */
interface Place {
  readonly scope: Names;
  /** `this` means the `this` of the code around the analysed function. */
  readonly outerThis: boolean;
  /** Private names declared by the classes around, inside the analysed text. */
  readonly privates: ReadonlySet<string>;
}

const NO_PRIVATES: ReadonlySet<string> = new Set();

/** Analyse the text of a function or class; undefined when it is not JavaScript source. */
export function analyse(text: string): Analysis | undefined {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const parsed = parseFunction(text);
  if (parsed === undefined) return undefined;
  const result = new Walk(text, parsed).result();
  if (cache.size >= CACHE_ENTRIES) cache.clear();
  cache.set(text, result);
  return result;
}

const CACHE_ENTRIES = 2_000;
const cache = new Map<string, Analysis>();

/** The free variables of a stretch of code that is not a function: an initializer. */
export function analyseExpression(text: string, node: AnyNode, offset: number): Analysis {
  return new Walk(text, { kind: "arrow", node: asArrow(node), method: undefined, offset }).result();
}

function asArrow(body: AnyNode): FunctionNode {
  const arrow = { type: "ArrowFunctionExpression", start: body.start, end: body.end, params: [], body };
  return { ...arrow, id: null, generator: false, expression: true, async: false } as unknown as FunctionNode;
}

class Walk {
  readonly #text: string;
  readonly #parsed: ParsedFunction;
  readonly #free = new Map<string, FreeName>();
  readonly #lexical = new Set<Lexical>();
  readonly #privateNames = new Set<string>();
  readonly #rewrites: Rewrite[] = [];
  readonly #top: Names = { names: new Set(), outer: undefined };
  #selfScope: Names | undefined;
  #selfUsed = false;
  #usesSuper = false;

  constructor(text: string, parsed: ParsedFunction) {
    this.#text = text;
    this.#parsed = parsed;
  }

  result(): Analysis {
    const { kind, node, method, offset } = this.#parsed;
    const parts = isClassNode(node) ? classParts(node, offset, this.#text) : undefined;
    if (!isClassNode(node)) this.#function(node, this.#outside(), kind === "function");
    else this.#class(node, this.#outside(), parts);
    const id = node.id;
    const selfName =
      this.#selfUsed && id ? { name: id.name, start: id.start - offset, end: id.end - offset } : undefined;
    const key = method?.key;
    return {
      kind,
      free: this.#free,
      lexical: this.#lexical,
      privateNames: this.#privateNames,
      usesSuper: this.#usesSuper,
      selfName,
      rewrites: this.#rewrites.sort((a, b) => a.start - b.start),
      methodKey: key && { ...this.#keyRange(key, method.computed, offset), computed: method.computed },
      class: parts,
      strict: parts !== undefined || (isFunctionNode(node) && hasStrictDirective(node)),
    };
  }

  #outside(): Place {
    return { scope: this.#top, outerThis: true, privates: NO_PRIVATES };
  }

  /** The key with the brackets of a computed one. */
  #keyRange(key: AnyNode, computed: boolean, offset: number): { start: number; end: number } {
    const range = { start: key.start - offset, end: key.end - offset };
    if (!computed) return range;
    return { start: this.#text.lastIndexOf("[", range.start), end: this.#text.indexOf("]", range.end) + 1 };
  }

  // ── Scopes ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #function(node: FunctionNode, at: Place, isRoot = false): void {
    let scope = at.scope;
    if (node.type === "FunctionExpression" && node.id) {
      scope = nested(scope, [node.id.name]);
      if (isRoot) this.#selfScope = scope;
    }
    const arrow = node.type === "ArrowFunctionExpression";
    scope = nested(scope, arrow ? [] : ["arguments"]);
    const inside: Place = { scope, outerThis: arrow && at.outerThis, privates: at.privates };
    for (const parameter of node.params) bindingNames(parameter, scope.names);
    if (node.body.type === "BlockStatement") {
      hoistVariables(node.body.body, scope.names);
      declareBlock(node.body.body, scope.names);
    }
    for (const parameter of node.params) this.#pattern(parameter, inside);
    if (node.body.type === "BlockStatement") for (const statement of node.body.body) this.#visit(statement, inside);
    else this.#visit(node.body, inside);
  }

  /** A class: static state of the root is left out, it travels as values. */
  #class(node: Class, at: Place, root?: ClassParts): void {
    const scope = node.id ? nested(at.scope, [node.id.name]) : at.scope;
    const privates = new Set(at.privates);
    for (const member of node.body.body) {
      if (member.type !== "StaticBlock" && member.key.type === "PrivateIdentifier") privates.add(member.key.name);
    }
    const around: Place = { scope, outerThis: at.outerThis, privates };
    const inside: Place = { scope, outerThis: false, privates };
    if (node.superClass && root === undefined) this.#visit(node.superClass, around);
    for (const member of node.body.body) {
      if (root?.dropped.has(member)) continue;
      if (member.type === "StaticBlock") {
        const block = nested(scope, []);
        hoistVariables(member.body, block.names);
        declareBlock(member.body, block.names);
        for (const statement of member.body) this.#visit(statement, { ...inside, scope: block });
        continue;
      }
      if (member.computed) this.#visit(member.key, around);
      const carried = root !== undefined && member.static && member.type === "PropertyDefinition";
      if (member.value && !carried) this.#visit(member.value, inside);
    }
  }

  #block(statements: readonly AnyNode[], at: Place): void {
    const scope = nested(at.scope, []);
    declareBlock(statements, scope.names);
    for (const statement of statements) this.#visit(statement, { ...at, scope });
  }

  // ── Nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #visit(node: AnyNode, at: Place): void {
    if (isFunctionNode(node)) return this.#function(node, at);
    if (isClassNode(node)) return this.#class(node, at);
    switch (node.type) {
      case "Identifier":
        return this.#use(node.name, at);
      case "ThisExpression":
        if (at.outerThis) this.#lexical.add("this");
        return;
      case "Super":
        if (at.outerThis) this.#lexical.add("super");
        else this.#usesSuper = true;
        return;
      case "MetaProperty":
        return this.#metaProperty(node, at);
      case "ImportExpression":
        this.#rewriteImport(node);
        return this.#children(node, at);
      case "MemberExpression":
        return this.#member(node, at);
      case "PrivateIdentifier":
        if (!at.privates.has(node.name)) this.#privateNames.add(node.name);
        return;
      case "Property":
        if (node.computed) this.#visit(node.key, at);
        return this.#visit(node.value, at);
      case "LabeledStatement":
        return this.#visit(node.body, at);
      case "BreakStatement":
      case "ContinueStatement":
        return;
      case "VariableDeclarator":
        this.#pattern(node.id, at);
        if (node.init) this.#visit(node.init, at);
        return;
      case "AssignmentExpression":
        this.#pattern(node.left, at);
        return this.#visit(node.right, at);
      case "UpdateExpression":
        return this.#pattern(node.argument, at);
      case "BlockStatement":
        return this.#block(node.body, at);
      case "SwitchStatement":
        this.#visit(node.discriminant, at);
        return this.#block(node.cases, at);
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        return this.#loop(node, at);
      case "CatchClause": {
        const scope = nested(at.scope, []);
        if (node.param) {
          bindingNames(node.param, scope.names);
          this.#pattern(node.param, { ...at, scope });
        }
        return this.#visit(node.body, { ...at, scope });
      }
      default:
        return this.#children(node, at);
    }
  }

  #children(node: AnyNode, at: Place): void {
    for (const child of children(node)) this.#visit(child, at);
  }

  #loop(node: Extract<AnyNode, { type: "ForStatement" | "ForInStatement" | "ForOfStatement" }>, at: Place): void {
    const scope = nested(at.scope, []);
    const head = node.type === "ForStatement" ? node.init : node.left;
    if (head?.type === "VariableDeclaration") declareBlock([head], scope.names);
    else if (head && node.type !== "ForStatement") this.#pattern(head, at);
    this.#children(node, { ...at, scope });
  }

  /** A binding or assignment target: names in it are bound or assigned, defaults and computed keys are expressions. */
  #pattern(node: AnyNode, at: Place): void {
    switch (node.type) {
      case "Identifier":
        return this.#use(node.name, at, undefined, true);
      case "MemberExpression":
        // Writing a member of a namespace-like object needs the object itself.
        if (node.object.type === "Identifier") this.#use(node.object.name, at);
        else this.#visit(node.object, at);
        if (node.computed || node.property.type === "PrivateIdentifier") this.#visit(node.property, at);
        return;
      case "ObjectPattern":
        for (const property of node.properties) {
          if (property.type === "RestElement") {
            this.#pattern(property.argument, at);
            continue;
          }
          if (property.computed) this.#visit(property.key, at);
          this.#pattern(property.value, at);
        }
        return;
      case "ArrayPattern":
        for (const element of node.elements) if (element) this.#pattern(element, at);
        return;
      case "RestElement":
        return this.#pattern(node.argument, at);
      case "AssignmentPattern":
        this.#pattern(node.left, at);
        return this.#visit(node.right, at);
      default:
        return this.#visit(node, at);
    }
  }

  #member(node: Extract<AnyNode, { type: "MemberExpression" }>, at: Place): void {
    if (node.object.type === "Identifier" && !node.computed && node.property.type === "Identifier") {
      return this.#use(node.object.name, at, node.property.name);
    }
    this.#visit(node.object, at);
    if (node.computed || node.property.type === "PrivateIdentifier") this.#visit(node.property, at);
  }

  #metaProperty(node: Extract<AnyNode, { type: "MetaProperty" }>, at: Place): void {
    if (node.meta.name === "new") {
      if (at.outerThis) this.#lexical.add("new.target");
      return;
    }
    const { offset } = this.#parsed;
    this.#rewrites.push({ start: node.start - offset, end: node.end - offset, kind: "meta" });
  }

  #rewriteImport(node: AnyNode): void {
    const start = node.start - this.#parsed.offset;
    this.#rewrites.push({ start, end: this.#text.indexOf("(", start) + 1, kind: "import" });
  }

  #use(name: string, at: Place, member?: string, assigned = false): void {
    for (let scope: Names | undefined = at.scope; scope !== undefined; scope = scope.outer) {
      if (!scope.names.has(name)) continue;
      if (scope === this.#selfScope) this.#selfUsed = true;
      return;
    }
    if (name === "arguments") {
      this.#lexical.add("arguments");
      return;
    }
    let use = this.#free.get(name);
    if (use === undefined) {
      use = { name, bare: false, assigned, members: new Set() };
      this.#free.set(name, use);
    }
    use.assigned ||= assigned;
    if (member === undefined) use.bare = true;
    else use.members.add(member);
  }
}

function nested(outer: Names, names: readonly string[]): Names {
  return { names: new Set(names), outer };
}
