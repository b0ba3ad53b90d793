/**
 * From a finished graph to the header of a payload: emitted code, numbered blocks, what belongs to which class, and
 * the order in which values are made that need code to run.
 */
import { classRecords } from "./class-records.js";
import { emit } from "./emit.js";
import type { Graph } from "./graph.js";
import { CircularStage, reachedFrom, stagesOf, type Use, type Wiring } from "./order.js";
import type { PayloadHeader, PayloadNode, Stage } from "./payload.js";
import { programRecord } from "./program.js";
import { RUNTIME, type Scope } from "./scopes.js";

export interface Assembled {
  readonly header: Omit<PayloadHeader, "segments">;
  readonly segments: Uint8Array[];
}

export function assemble(graph: Graph, root: number, name: string): Assembled {
  let scopes = graph.scopes.needed();
  let wiring = wiringOf(graph, scopes);
  if (graph.replayed.size > 0) {
    prune(graph, root, wiring, scopes);
    scopes = graph.scopes.needed();
    wiring = wiringOf(graph, scopes);
  }
  const { code, map } = emit(graph.fragments, scopes);
  const segments = [...graph.segments];
  const mapSegment = map === undefined ? undefined : segments.push(Buffer.from(map, "utf8")) - 1;
  const classes = classRecords(graph, wiring);
  const stages = stagesIn(graph, wiring);
  const header: Omit<PayloadHeader, "segments"> = {
    v: 1,
    name,
    kind: wiring.nodes[root]?.k === "class" ? "class" : "function",
    code,
    root,
    nodes: wiring.nodes,
    ...(wiring.scopes.length > 0 ? { scopes: wiring.scopes } : {}),
    ...(classes.length > 0 ? { classes } : {}),
    ...(stages.length > 0 ? { stages } : {}),
    ...(mapSegment === undefined ? {} : { map: mapSegment }),
    ...(importsProject(wiring, code) ? { program: programRecord(graph.byReference) } : {}),
  };
  return { header, segments };
}

/** Does the function make its process import modules of the project, or may it? */
function importsProject({ nodes }: Wiring, code: string): boolean {
  if (code.includes(`${RUNTIME}.imp(`)) return true;
  return nodes.some((node) => node?.k === "require" || (node?.k === "mod" && node.project === true));
}

export function wiringOf(graph: Graph, scopes: readonly Scope[]): Wiring {
  return { nodes: placedNodes(graph), scopes: scopes.map((scope) => scope.record()), uses: usesOf(graph) };
}

/** Every node; those made by code with the number of the block that they stand in. */
function placedNodes(graph: Graph): readonly (PayloadNode | null)[] {
  const nodes = graph.nodes.map((node) => node ?? null);
  for (const { node: id, variables } of graph.fragments) {
    const node = nodes[id];
    const scope = variables.scope?.id;
    if (scope === undefined || !node) continue;
    if (node.k === "fn" || node.k === "class" || node.k === "replay") nodes[id] = { ...node, scope };
  }
  return nodes;
}

/** The variables that each function, class or initializer uses, by numbers. */
function usesOf(graph: Graph): ReadonlyMap<number, readonly Use[]> {
  return new Map(
    graph.fragments.map(({ node, variables }) => [
      node,
      variables.uses.map(([scope, name]): Use => [scope.id ?? 0, [...scope.used.keys()].indexOf(name)]),
    ]),
  );
}

/** Drop what was captured on the way to an object that is now made by its initializer. */
function prune(graph: Graph, root: number, wiring: Wiring, scopes: readonly Scope[]): void {
  const reached = reachedFrom(root, wiring);
  const kept = new Set([root, ...reached.nodes]);
  graph.nodes.forEach((_, id) => {
    if (!kept.has(id)) graph.nodes[id] = undefined;
  });
  const fragments = graph.fragments.filter(({ node }) => kept.has(node));
  graph.fragments.splice(0, graph.fragments.length, ...fragments);
  scopes.forEach((scope, id) => {
    [...scope.used.keys()].forEach((name, index) => {
      if (!reached.variables.has(`${id},${index}`)) scope.used.delete(name);
    });
  });
}

function stagesIn(graph: Graph, wiring: Wiring): readonly Stage[] {
  try {
    return stagesOf(wiring);
  } catch (error) {
    if (!(error instanceof CircularStage)) throw error;
    const path = graph.pathOf(error.node);
    graph.refuse(
      path,
      "is needed to make itself again",
      "let its reviver or initializer not use the object that it makes",
    );
  }
}
