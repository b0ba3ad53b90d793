/**
 * Capturing a function by value: its text, the variables it uses, and its own properties.
 */
import { exportByReference } from "./by-reference.js";
import { captureClass } from "./capture-class.js";
import { placeOf } from "./closed.js";
import { applyEdits, functionFragment, rewrites } from "./fragments.js";
import type { Graph, Piece, Task, Variables } from "./graph.js";
import { type FunctionFacts, inspectFunction } from "./inspect.js";
import { step } from "./obstacles.js";
import { originOf } from "./origins.js";
import type { PayloadNode } from "./payload.js";
import { ownPrototype } from "./prototypes.js";
import { captureNative, exportedFunction, isNative } from "./references.js";
import { analyse } from "./scope-analysis.js";
import { isStrictAt, textOffset } from "./script-facts.js";
import { type Script, scriptOf, scriptOfCode, scriptOfText } from "./scripts.js";
import { isOwnOfFunctions, shapeOf } from "./shape.js";
import type { Subject } from "./subject.js";
import { checkSurroundings } from "./surroundings.js";
import { captureVariables } from "./variables.js";

export function captureFunction(graph: Graph, task: Task): PayloadNode {
  const text = Function.prototype.toString.call(task.value);
  if (isNative(text)) return captureNative(graph, task);
  const facts = inspectFunction(task.value);
  const script = scriptOfFunction(task.value, facts, text);
  const exported =
    script && (exportedFunction(graph, task, script) ?? exportByReference(graph, task, script, facts, text));
  if (exported !== undefined) return exported;
  const subject = lookAt(graph, task, text, facts, script);
  const { analysis, offset } = subject;
  const member =
    script && offset !== undefined && analysis.kind === "method" ? graph.memberAt(script, offset) : undefined;
  if (member !== undefined) return member;
  return analysis.kind === "class" ? captureClass(graph, subject) : capturePlain(graph, subject);
}

/** The code and variables of a function that is not a value of its own in the graph. */
export function captureFragmentOf(graph: Graph, task: Task): { variables: Variables; pieces: readonly Piece[] } {
  const text = Function.prototype.toString.call(task.value);
  const facts = inspectFunction(task.value);
  const subject = lookAt(graph, task, text, facts, scriptOfFunction(task.value, facts, text));
  return { variables: captureVariables(graph, subject), pieces: applyEdits(subject, rewrites(subject)) };
}

function scriptOfFunction(fn: object, { location }: FunctionFacts, text: string): Script | undefined {
  if (location === undefined) return undefined;
  const origin = originOf(fn);
  if (origin !== undefined) return scriptOfCode(location.scriptId, origin.code);
  const place = placeOf(location, text);
  return place === undefined ? scriptOf(location.scriptId) : scriptOfText(location, place, text);
}

function lookAt(graph: Graph, task: Task, text: string, facts: FunctionFacts, script: Script | undefined): Subject {
  const analysis = analyse(text);
  if (analysis === undefined)
    graph.refuse(task.path, "has source text that cannot be parsed", "define it with ordinary syntax");
  const offset = script && facts.location && textOffset(script, facts.location, text);
  return { task, fn: task.value as CallableFunction, text, analysis, facts, script, offset };
}

function capturePlain(graph: Graph, subject: Subject): PayloadNode {
  const { task, fn } = subject;
  checkSurroundings(graph, subject);
  const variables = captureVariables(graph, subject);
  const strict = isStrict(subject);
  graph.fragments.push(functionFragment(subject, variables, strict));
  const prototype = ownPrototype(fn);
  if (prototype !== undefined && isTouched(prototype)) graph.ref(prototype, step(task.path, ".prototype"));
  const skip = (key: string | symbol, descriptor: PropertyDescriptor): boolean =>
    isOwnOfFunctions(key, descriptor) || (key === "prototype" && descriptor.value === prototype);
  const shape = shapeOf(graph, fn, task.path, { defaultProto: defaultPrototype(fn), skip });
  return { k: "fn", name: fn.name, ...(strict ? { strict } : {}), ...shape };
}

function isStrict({ fn, analysis, script, offset }: Subject): boolean {
  const origin = originOf(fn);
  if (origin !== undefined) return origin.strict;
  if (analysis.strict) return true;
  return script !== undefined && (script.isModule || (offset !== undefined && isStrictAt(script, offset)));
}

/** Members were added to a `prototype`, or it inherits from another. */
function isTouched(prototype: object): boolean {
  if (Reflect.ownKeys(prototype).some((key) => key !== "constructor")) return true;
  return Object.hasOwn(prototype, "constructor") && Object.getPrototypeOf(prototype) !== Object.prototype;
}

function defaultPrototype(fn: CallableFunction): object {
  const proto = Object.getPrototypeOf(fn) as object;
  return kindPrototypes.includes(proto) ? proto : Function.prototype;
}

/** What async functions and generators inherit from. */
const kindPrototypes: readonly object[] = [async () => undefined, function* () {}, async function* () {}].map(
  (fn) => Object.getPrototypeOf(fn) as object,
);
