/**
 * Capture: from a function in this process to bytes that any process can revive it from.
 *
 * The graph of everything that the function reaches is walked breadth first; functions and classes among it become
 * fragments of code, everything else data. Nothing of the program runs meanwhile, except `Symbol.for("mobula.serialize")`.
 */
import { createHash } from "node:crypto";
import { types } from "node:util";
import { IMPLICIT_OBJECT_BYTES } from "../base/limits.js";
import { assemble } from "./assemble.js";
import { captureFunction } from "./capture-function.js";
import { captureObject, SERIALIZE } from "./capture-object.js";
import { captureClosed } from "./closed.js";
import { type CaptureHooks, type Found, Graph, type Task } from "./graph.js";
import { inspectFunction, releaseInspected } from "./inspect.js";
import { step } from "./obstacles.js";
import { makerOf, originOf } from "./origins.js";
import { expectNewPackages } from "./packages.js";
import { type External, encodePayload, type PayloadHeader, type PayloadNode } from "./payload.js";
import { constructorOf } from "./prototypes.js";
import { exportedObject, referenceTo } from "./references.js";
import { captureReplayed, rescue } from "./replay.js";
import { textOffset } from "./script-facts.js";
import { scriptOf, scriptOfCode } from "./scripts.js";
import { shapeOf } from "./shape.js";
import type { Position } from "./user-positions.js";

export interface CapturedFunction {
  /** Self-contained bytes: equal functions with equal captured values give equal bytes. */
  readonly payload: Uint8Array;
  /** sha-256 of the payload, its first 32 hex digits. */
  readonly hash: string;
  /** The function's name, "anonymous" if it has none. */
  readonly name: string;
  /** Where the user wrote it: `file:///…/x.ts:12:3`. */
  readonly location: string | undefined;
  readonly externals: readonly External[];
  readonly kind: "function" | "class";
}

export function capture(fn: CallableFunction, hooks: CaptureHooks): CapturedFunction {
  return captureGraph(fn, hooks).captured;
}

export interface CapturedGraph {
  readonly graph: Graph;
  readonly root: number;
  readonly captured: CapturedFunction;
}

/** With `collected`, obstacles are listed there and the capture goes on without what they block. */
export function captureGraph(fn: CallableFunction, hooks: CaptureHooks, collected?: Found[]): CapturedGraph {
  expectNewPackages();
  const name = fn.name === "" ? "anonymous" : fn.name;
  const graph = new Graph(hooks, { name, location: () => locationOf(fn) }, { node: captureValue, rescue }, collected);
  try {
    const root = walk(graph, fn, name);
    const { warning } = graph.sizes;
    if (warning !== undefined) hooks.warn(warning);
    return { graph, root, captured: finish(graph, root, name) };
  } finally {
    releaseInspected();
  }
}

/** Look at everything that the function reaches. */
function walk(graph: Graph, fn: CallableFunction, name: string): number {
  const path = step(undefined, name);
  const root = graph.idOf(fn, path);
  const mayBeClosed = graph.byReference.size === 0 && graph.hooks.describe(fn) === undefined;
  if (mayBeClosed) graph.nodes[root] = captureClosed(graph, { id: root, value: fn, path });
  graph.drain();
  fillWeak(graph);
  graph.finishPartials();
  return root;
}

function finish(graph: Graph, root: number, name: string): CapturedFunction {
  const { header, segments } = assemble(graph, root, name);
  const nodes = withObjects(graph, header.nodes, segments);
  const payload = encodePayload({ ...header, nodes }, segments);
  const { kind } = header;
  const location = placeInFile(graph, root);
  return { payload, hash: hashOfPayload(payload), name, location, externals: graph.externals, kind };
}

/** Large binary data becomes objects of its own: it is sent where it is needed, once for each node of the cluster. */
function withObjects(graph: Graph, nodes: PayloadHeader["nodes"], segments: Uint8Array[]): PayloadHeader["nodes"] {
  const { hooks, externals } = graph;
  if (hooks.externalize === undefined || !segments.some(isLarge)) return nodes;
  return nodes.map((node) => {
    if (node?.k !== "buffer" || !("segment" in node)) return node;
    const { segment, ...rest } = node;
    const bytes = segments[segment];
    const object = bytes && isLarge(bytes) ? hooks.externalize?.(bytes) : undefined;
    if (object === undefined) return node;
    externals.push(object);
    segments[segment] = new Uint8Array();
    return { ...rest, object };
  });
}

function isLarge(bytes: Uint8Array): boolean {
  return bytes.byteLength >= IMPLICIT_OBJECT_BYTES;
}

function hashOfPayload(payload: Uint8Array): string {
  return createHash("sha256").update(payload).digest("hex").slice(0, 32);
}

/** Look at one object or function of the graph. */
function captureValue(graph: Graph, task: Task): PayloadNode {
  const { value } = task;
  const reference = referenceTo(graph, task) ?? graph.members.get(value);
  if (reference !== undefined) return reference;
  const make = makerOf(value);
  if (make !== undefined) return captureReplayed(graph, task, make);
  if (types.isProxy(value)) return exportedObject(value) ?? captureObject(graph, task); // looking closer would run its traps
  if (typeof value === "function") return captureFunction(graph, task);
  const owner = constructorOf(value);
  if (owner !== undefined) return capturePrototype(graph, task, owner);
  return captureCustom(graph, task) ?? exportedObject(value) ?? captureObject(graph, task);
}

/** The `prototype` of a captured function or class. */
function capturePrototype(graph: Graph, { value, path }: Task, owner: CallableFunction): PayloadNode {
  const of = graph.idOf(owner, step(path, ".constructor"));
  graph.finishNode(of);
  const table = graph.classes.get(owner);
  if (table !== undefined) return { k: "proto", of, ...table.shapeOf(value, false, path) };
  if (graph.nodes[of]?.k !== "fn") return exportedPrototype(of, value);
  const skip = (key: string | symbol, descriptor: PropertyDescriptor): boolean =>
    key === "constructor" && descriptor.value === owner;
  return { k: "proto", of, ...shapeOf(graph, value, path, { defaultProto: Object.prototype, skip }) };
}

/** The prototype of a class that travels by name. */
function exportedPrototype(of: number, value: object): PayloadNode {
  return exportedObject(value) ?? { k: "proto", of };
}

/** A class's own way to travel: `[Symbol.for("mobula.serialize")]()` gives a reviver and its arguments. */
function captureCustom(graph: Graph, { value, path }: Task): PayloadNode | undefined {
  const method: unknown = methodOf(value);
  if (typeof method !== "function") return undefined;
  const result: unknown = Reflect.apply(method, value, []);
  if (!Array.isArray(result) || typeof result[0] !== "function") {
    graph.refuse(
      path,
      'has a [Symbol.for("mobula.serialize")]() that does not return [reviver, ...args]',
      "return an array whose first element is a function",
    );
  }
  const [reviver, ...args] = result as [unknown, ...unknown[]];
  return {
    k: "custom",
    reviver: graph.ref(reviver, step(path, "its reviver")),
    args: args.map((arg, index) => graph.ref(arg, step(path, `reviver argument ${index}`))),
  };
}

/** Without calling getters, and not on Proxies. */
function methodOf(value: object): unknown {
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at) as object | null) {
    if (types.isProxy(at)) return undefined;
    const descriptor = Object.getOwnPropertyDescriptor(at, SERIALIZE);
    if (descriptor !== undefined) return descriptor.value;
  }
  return undefined;
}

/** Entries of weak collections whose keys were captured; adding one may bring in further keys. */
function fillWeak(graph: Graph): void {
  const done = new Set<string>();
  for (let grown = true; grown; ) {
    grown = false;
    for (const task of graph.weak) {
      const { id, value } = task;
      for (const [key, keyId] of [...graph.captured()]) {
        if (typeof key !== "object" && typeof key !== "function") continue;
        const mark = `${id} ${keyId}`;
        // What its class makes anew, it also enters anew in the class's weak collections.
        if (
          done.has(mark) ||
          key === null ||
          graph.nodes[keyId]?.k === "custom" ||
          !Reflect.apply(hasOf(value), value, [key])
        )
          continue;
        done.add(mark);
        grown = true;
        addWeakEntry(graph, task, key, keyId);
      }
    }
    graph.drain();
  }
}

function hasOf(value: object): (key: object) => boolean {
  return types.isWeakMap(value) ? WeakMap.prototype.has : WeakSet.prototype.has;
}

function addWeakEntry(graph: Graph, { id, value, path }: Task, key: object, keyId: number): void {
  const node = graph.nodes[id];
  if (node?.k === "wset") graph.nodes[id] = { ...node, items: [...node.items, [keyId]] };
  if (node?.k !== "wmap") return;
  const held: unknown = Reflect.apply(WeakMap.prototype.get, value, [key]);
  graph.nodes[id] = { ...node, entries: [...node.entries, [keyId], graph.ref(held, step(path, ".get(…)"))] };
}

/** Where the user wrote the function; a bound function: what it binds. Arithmetic alone is not looked up. */
function placeInFile(graph: Graph, id: number): string | undefined {
  const node = graph.nodes[id];
  if (node?.k === "bound" && Array.isArray(node.target) && typeof node.target[0] === "number")
    return placeInFile(graph, node.target[0]);
  const pieces = graph.fragments.find((fragment) => fragment.node === id)?.pieces ?? [];
  for (const piece of pieces) {
    if (typeof piece === "string") continue;
    const original = piece.positions.original(piece.line, piece.column);
    return original && showPosition(original);
  }
  return undefined;
}

function showPosition({ source, line, column }: Position): string {
  return `${source}:${line + 1}:${column + 1}`;
}

/** The same for an error's message, whatever it costs. */
function locationOf(fn: CallableFunction): string | undefined {
  const { location } = inspectFunction(fn);
  if (location === undefined) return undefined;
  const origin = originOf(fn);
  const script = origin === undefined ? scriptOf(location.scriptId) : scriptOfCode(location.scriptId, origin.code);
  const offset = textOffset(script, location, Function.prototype.toString.call(fn));
  const at = offset === undefined ? location : script.lines.lineAndColumn(offset);
  return showPosition(script.original(at.line, at.column) ?? { source: script.url, ...at });
}
