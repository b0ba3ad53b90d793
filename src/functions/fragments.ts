/**
 * The text of a function as it is emitted: verbatim but for what cannot mean the same on another machine.
 */
import type { Fragment, Piece, Variables } from "./graph.js";
import { RUNTIME } from "./scopes.js";
import type { Subject } from "./subject.js";

/** A change to a text: replace from start to end. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function functionFragment(subject: Subject, variables: Variables, strict: boolean): Fragment {
  const { analysis, fn, task } = subject;
  const edits = rewrites(subject);
  if (analysis.methodKey !== undefined) {
    if (analysis.methodKey.computed) edits.push({ ...analysis.methodKey, text: '["method"]' });
    return { node: task.id, variables, strict, pieces: [`${RUNTIME}.m({`, ...applyEdits(subject, edits), "})"] };
  }
  const self = analysis.selfName;
  if (self !== undefined && variables.uses.some(([, name]) => name === self.name)) edits.push({ ...self, text: "" });
  return { node: task.id, variables, strict, pieces: named(fn.name, applyEdits(subject, edits)) };
}

/** An expression that gives an anonymous function or class its name. */
export function named(name: string, pieces: readonly Piece[]): readonly Piece[] {
  if (name === "") return ["(", ...pieces, ")"];
  const text = JSON.stringify(name);
  return [`({${name === "__proto__" ? `[${text}]` : text}:`, ...pieces, `})[${text}]`];
}

/** `import.meta` and `import()` keep meaning the file that the function came from. */
export function rewrites({ analysis, script }: Subject): Edit[] {
  const url = JSON.stringify(script?.url ?? "");
  return analysis.rewrites.map(({ start, end, kind }) => ({
    start,
    end,
    text: kind === "meta" ? `${RUNTIME}.meta(${url})` : `${RUNTIME}.imp(${url},`,
  }));
}

export function applyEdits({ text, script, offset }: Subject, edits: readonly Edit[]): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  const keep = (until: number): void => {
    if (until <= at) return;
    const kept = text.slice(at, until);
    if (script === undefined || offset === undefined) pieces.push(kept);
    else pieces.push({ text: kept, positions: script, ...script.lines.lineAndColumn(offset + at) });
  };
  for (const edit of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    keep(edit.start);
    if (edit.text !== "") pieces.push(edit.text);
    at = edit.end;
  }
  keep(text.length);
  return pieces;
}
