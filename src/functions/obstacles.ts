/**
 * Saying where in the captured graph something is that cannot be shipped, and what to do about it.
 */
import { SerializationError } from "../errors.js";

/** One step from the function to a value inside what it captured. */
export interface Path {
  readonly parent: Path | undefined;
  readonly label: string;
  /** The step is into a variable: whatever the capture knows about it. */
  readonly variable?: unknown;
  /** The first variable on the way. */
  readonly through: Path | undefined;
}

export function step(parent: Path | undefined, label: string): Path {
  return { parent, label, through: parent?.through };
}

export function variableStep(parent: Path, name: string, variable: unknown): Path {
  const into = { parent, label: `variable "${name}"`, variable, through: parent.through };
  if (into.through === undefined) into.through = into;
  return into;
}

export function propertyStep(parent: Path, key: string | symbol): Path {
  if (typeof key === "symbol") return step(parent, `[${String(key)}]`);
  return step(parent, /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`);
}

export function pathText(path: Path): string {
  const labels: string[] = [];
  for (let at: Path | undefined = path; at !== undefined; at = at.parent) labels.unshift(at.label);
  return labels.join(" → ");
}

/** What the message calls the thing being shipped. */
export interface Subject {
  readonly name: string;
  /** `file:///…/x.ts:12:3`, if known. */
  location(): string | undefined;
}

export function obstacle(subject: Subject, path: Path, what: string, hint: string): SerializationError {
  const where = pathText(path);
  const location = subject.location();
  const place = location === undefined ? "" : `\n    ${subject.name} is defined at ${location}`;
  return new SerializationError(`cannot ship ${subject.name} to a worker: ${where} ${what} (hint: ${hint})${place}`, {
    path: where,
    reason: what,
    hint,
  });
}

/** Something that only the package it belongs to can make. The capture may know another way to get it; see replay.ts. */
export class PackageInternal extends Error {
  readonly path: Path;
  readonly refusal: SerializationError;

  constructor(path: Path, refusal: SerializationError) {
    super(refusal.message);
    this.path = path;
    this.refusal = refusal;
  }
}

/** "a Socket", "an Agent". */
export function withArticle(name: string): string {
  return `${/^[AEIOU]/i.test(name) ? "an" : "a"} ${name}`;
}
