/**
 * Everything that stands in the way of shipping a function, at once, and the size of what would travel with it.
 */
import { MobulaError, SerializationError } from "../errors.js";
import { wiringOf } from "./assemble.js";
import { captureGraph } from "./capture.js";
import type { CaptureHooks, Found, Graph } from "./graph.js";
import { reachedFrom, type Wiring } from "./order.js";

export interface CaptureObstacle {
  readonly path: string;
  readonly error: MobulaError;
}

export interface CaptureReport {
  /** Empty: the function can be shipped. */
  readonly obstacles: readonly CaptureObstacle[];
  /** Size of the payload, as far as it could be made. */
  readonly bytes: number;
  /** About what each variable that the function itself uses adds; what two variables share counts for both. */
  readonly variables: readonly { readonly name: string; readonly bytes: number; readonly value: unknown }[];
}

export function inspectCapture(fn: CallableFunction, hooks: CaptureHooks): CaptureReport {
  const obstacles: Found[] = [];
  try {
    const { graph, root, captured } = captureGraph(fn, hooks, obstacles);
    return { obstacles, bytes: captured.payload.length, variables: variableSizes(graph, root) };
  } catch (error) {
    if (!(error instanceof MobulaError)) throw error;
    const path = (error instanceof SerializationError ? error.path : undefined) ?? fn.name;
    return { obstacles: [...obstacles, { path, error }], bytes: 0, variables: [] };
  }
}

function variableSizes(graph: Graph, root: number): CaptureReport["variables"] {
  const wiring = wiringOf(graph, graph.scopes.needed());
  return (wiring.uses.get(root) ?? []).map(([scope, index]) => {
    const { names = [], values = [] } = wiring.scopes[scope] ?? {};
    const ref = values[index] ?? null;
    const id = Array.isArray(ref) && typeof ref[0] === "number" ? ref[0] : undefined;
    const bytes = id === undefined ? JSON.stringify(ref).length : sizeBelow(graph, id, wiring);
    const value = id === undefined ? plainValue(ref) : graph.valueOf(id);
    return { name: names[index] ?? "", bytes, value };
  });
}

/** A primitive as its ref says it; of those that have a spelling of their own, one of their kind. */
function plainValue(ref: unknown): unknown {
  if (!Array.isArray(ref)) return ref;
  return ref[0] === "n" ? Number.NaN : ref[0] === "b" ? 0n : undefined;
}

/** A node, everything that it reaches, and the text of the functions among it. */
function sizeBelow(graph: Graph, id: number, wiring: Wiring): number {
  const reached = new Set([id, ...reachedFrom(id, wiring).nodes]);
  let bytes = 0;
  for (const each of reached) {
    const node = wiring.nodes[each];
    bytes += JSON.stringify(node ?? null).length;
    if (node?.k === "buffer" && "segment" in node) bytes += graph.segments[node.segment]?.byteLength ?? 0;
  }
  for (const { node, pieces } of graph.fragments) {
    if (reached.has(node))
      for (const piece of pieces) bytes += typeof piece === "string" ? piece.length : piece.text.length;
  }
  return bytes;
}
