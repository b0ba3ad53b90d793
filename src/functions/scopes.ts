/**
 * Which of the inspector's scopes are the same variables.
 *
 * The inspector gives copies, so two functions of one block come with two objects. They are taken for one block when
 * parent, kind, names and values agree, and no function from the same place of the source is in it already: that
 * separates two results of one factory, which share code but not variables. A module's top level exists once. For
 * functions that were shipped to this process the answer is exact: revival registered their blocks.
 */
import type { FunctionFacts, Location, RawScope } from "./inspect.js";
import { scopeTokensOf } from "./origins.js";
import type { Ref, ScopeRecord } from "./payload.js";

/** The name under which emitted code knows its runtime. Never captured. */
export const RUNTIME = "__mobula$";

export class Scope {
  readonly parent: Scope | undefined;
  readonly #raw: RawScope;
  readonly #script: string;
  /** Places of the functions made directly in this block. */
  readonly functions = new Set<string>();
  /** The variables that captured code uses, with their values. */
  readonly used = new Map<string, Ref>();
  /** Of these variables only members are used so far; their refs by name. See variables.ts. */
  readonly partial = new Map<string, Map<string, Ref>>();
  id: number | undefined;

  constructor(parent: Scope | undefined, raw: RawScope, script: string) {
    this.parent = parent;
    this.#raw = raw;
    this.#script = script;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#raw.object, name);
  }

  names(): readonly string[] {
    return Object.keys(this.#raw.object);
  }

  /** Throws on Node 22 and later when the variable is not initialised yet. */
  read(name: string): unknown {
    return Reflect.get(this.#raw.object, name);
  }

  get isModule(): boolean {
    return this.#raw.description === "Module";
  }

  /** Exists once: the top level of a module, or the variables that all classic scripts (a REPL's lines) share. */
  get isSingle(): boolean {
    return this.isModule || this.#raw.description === "Script";
  }

  matches(raw: RawScope, script: string): boolean {
    if (raw.description !== this.#raw.description) return false;
    if (raw.description === "Script") return true;
    if (script !== this.#script) return false;
    return this.isModule || sameVariables(this.#raw.object, raw.object);
  }

  /** As it travels; the blocks have their numbers. */
  record(): ScopeRecord {
    const parent = neededParent(this)?.id;
    const names = [...this.used.keys()];
    const values = [...this.used.values()];
    return parent === undefined ? { names, values } : { parent, names, values };
  }
}

function sameVariables(a: object, b: object): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && Object.is(valueIn(a, name), valueIn(b, name)));
}

const UNINITIALISED = Symbol("uninitialised");

function valueIn(scope: object, name: string): unknown {
  try {
    return Reflect.get(scope, name);
  } catch {
    return UNINITIALISED;
  }
}

export class ScopeTable {
  readonly #scopes: Scope[] = [];
  readonly #byToken = new Map<object, Scope>();

  /** The blocks around a function, innermost first. */
  chainOf(fn: object, facts: FunctionFacts): readonly Scope[] {
    const raws = facts.scopes.filter((raw) => !isRuntimeScope(raw)).reverse();
    const script = facts.location?.scriptId ?? "";
    const tokens = scopeTokensOf(fn)?.toReversed() ?? [];
    const chain: Scope[] = [];
    raws.forEach((raw, index) => {
      const parent = chain[0];
      const place = index === raws.length - 1 ? placeOf(facts.location) : undefined;
      const token = tokens[index];
      const scope =
        token === undefined ? this.#find(parent, raw, script, place) : this.#exact(token, parent, raw, script);
      if (place !== undefined) scope.functions.add(place);
      chain.unshift(scope);
    });
    return chain;
  }

  /** The blocks with used variables, numbered, outer blocks first. */
  needed(): readonly Scope[] {
    const needed = this.#scopes.filter((scope) => scope.used.size > 0);
    needed.forEach((scope, index) => {
      scope.id = index;
    });
    return needed;
  }

  #exact(token: object, parent: Scope | undefined, raw: RawScope, script: string): Scope {
    let scope = this.#byToken.get(token);
    if (scope === undefined) {
      scope = this.#add(parent, raw, script);
      this.#byToken.set(token, scope);
    }
    return scope;
  }

  #find(parent: Scope | undefined, raw: RawScope, script: string, place: string | undefined): Scope {
    const found = this.#scopes.find(
      (scope) =>
        scope.parent === parent &&
        scope.matches(raw, script) &&
        (place === undefined || scope.isSingle || !scope.functions.has(place)),
    );
    return found ?? this.#add(parent, raw, script);
  }

  #add(parent: Scope | undefined, raw: RawScope, script: string): Scope {
    const scope = new Scope(parent, raw, script);
    this.#scopes.push(scope);
    return scope;
  }
}

export function neededParent(scope: Scope): Scope | undefined {
  let parent = scope.parent;
  while (parent !== undefined && parent.used.size === 0) parent = parent.parent;
  return parent;
}

function placeOf(location: Location | undefined): string | undefined {
  return location && `${location.scriptId}:${location.line}:${location.column}`;
}

/** The function around emitted code holds nothing but its runtime. */
function isRuntimeScope(raw: RawScope): boolean {
  const names = Object.keys(raw.object);
  return names.length === 1 && names[0] === RUNTIME;
}
