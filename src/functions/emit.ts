/**
 * The code that the worker evaluates: real nested blocks, one per block of variables that the program had.
 *
 *     (function (__mobula$) {
 *       { let offset, helper;
 *         __mobula$.b(0, (k, v) => { switch (k) { case 0: offset = v; break; case 1: helper = v; } });
 *         __mobula$.f(12, () => ({"add": (a, b) => a + b + offset})["add"]);
 *         { … a block inside … }
 *       } })
 *
 * So the functions are ordinary closures again: full speed, shared variables shared, strictness kept.
 */
import type { Fragment, Quote } from "./graph.js";
import { neededParent, RUNTIME, type Scope } from "./scopes.js";
import { MapBuilder } from "./source-maps.js";

export interface Emitted {
  readonly code: string;
  readonly map: string | undefined;
}

export function emit(fragments: readonly Fragment[], scopes: readonly Scope[]): Emitted {
  const writer = new Writer();
  const inner = new Map<Scope | undefined, Scope[]>();
  const inside = new Map<Scope | undefined, Fragment[]>();
  for (const scope of scopes) append(inner, neededParent(scope), scope);
  for (const fragment of fragments) append(inside, fragment.variables.scope, fragment);

  const block = (scope: Scope | undefined): void => {
    if (scope !== undefined) openBlock(writer, scope);
    for (const fragment of inside.get(scope) ?? []) writeFragment(writer, fragment, fragment.strict && !allStrict);
    for (const child of inner.get(scope) ?? []) block(child);
    if (scope !== undefined) writer.own("}\n");
  };
  const allStrict = fragments.every((fragment) => fragment.strict);
  writer.own(`(function(${RUNTIME}){${allStrict ? '"use strict";' : ""}\n`);
  block(undefined);
  writer.own("})");
  return writer.finish();
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function openBlock(writer: Writer, scope: Scope): void {
  const names = [...scope.used.keys()];
  // The setter's own parameters must not be names of the program: minified programs use all the short ones.
  const cases = names.map((name, index) => `case ${index}:${name}=${RUNTIME}v;break;`).join("");
  writer.own(
    `{let ${names.join(",")};${RUNTIME}.b(${scope.id},(${RUNTIME}k,${RUNTIME}v)=>{switch(${RUNTIME}k){${cases}}});\n`,
  );
}

function writeFragment(writer: Writer, { node, pieces }: Fragment, directive: boolean): void {
  writer.own(`${RUNTIME}.f(${node},()=>${directive ? '{"use strict";return ' : ""}`);
  for (const piece of pieces) {
    if (typeof piece === "string") writer.own(piece);
    else writer.quoted(piece);
  }
  writer.own(`${directive ? "}" : ""});\n`);
}

class Writer {
  readonly #map = new MapBuilder();
  #line = 0;
  #column = 0;
  #text = "";

  own(text: string): void {
    this.#text += text;
    const last = text.lastIndexOf("\n");
    if (last === -1) {
      this.#column += text.length;
      return;
    }
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#line++;
    this.#column = text.length - last - 1;
  }

  /** Text of the program, which the source map leads back to its place. */
  quoted(quote: Quote): void {
    this.#map.addText(quote, this.#line, this.#column);
    this.own(quote.text);
  }

  finish(): Emitted {
    return { code: this.#text, map: this.#map.finish() };
  }
}
