/**
 * The order in which a payload comes to life again.
 *
 * Most nodes are made empty and filled afterwards, in any order. Nodes that are made by running code (a class's own
 * reviver, a replayed initializer) come after everything that they can reach is complete.
 */
import type { PayloadNode, Ref, ScopeRecord, Shape, Stage } from "./payload.js";

/** The nodes that a node names. */
function* edgesOf(node: PayloadNode): Generator<number> {
  for (const ref of refsOf(node)) if (Array.isArray(ref) && typeof ref[0] === "number") yield ref[0];
  if (node.k === "member" || node.k === "proto") yield node.of;
}

export function* refsOf(node: PayloadNode): Generator<Ref> {
  if ("props" in node || "slots" in node || "proto" in node || "gone" in node) yield* shapeRefs(node);
  switch (node.k) {
    case "class":
      if (node.parent !== undefined) yield node.parent;
      yield* node.statics ?? [];
      return;
    case "bound":
      yield node.target;
      yield node.self;
      yield* node.args;
      return;
    case "member":
      yield node.key;
      return;
    case "arr":
    case "set":
    case "wset":
      yield* node.items ?? [];
      return;
    case "map":
    case "wmap":
      yield* node.entries;
      return;
    case "view":
      yield node.buffer;
      return;
    case "date":
      yield node.time;
      return;
    case "boxed":
      yield node.value;
      return;
    case "made":
      yield* node.args;
      return;
    case "custom":
      yield node.reviver;
      yield* node.args;
      return;
    default:
  }
}

function* shapeRefs(shape: Shape): Generator<Ref> {
  if (shape.proto !== undefined) yield shape.proto;
  yield* shape.props ?? [];
  yield* shape.gone ?? [];
  for (const [key, , value, setter] of shape.slots ?? []) {
    yield key;
    yield value;
    if (setter !== undefined) yield setter;
  }
}

/** Thrown when a node made by code needs itself; the capture turns it into an error with a path. */
export class CircularStage extends Error {
  readonly node: number;

  constructor(node: number) {
    super("a value is needed to make itself");
    this.node = node;
  }
}

/** A variable: its block and its place in it. */
export type Use = readonly [scope: number, index: number];

/** The nodes of a payload, and the variables that the code of each uses. */
export interface Wiring {
  readonly nodes: readonly (PayloadNode | null)[];
  readonly scopes: readonly ScopeRecord[];
  readonly uses: ReadonlyMap<number, readonly Use[]>;
}

export function stagesOf(wiring: Wiring): readonly Stage[] {
  const made = wiring.nodes.flatMap((node, id) => (isMade(node) ? [id] : []));
  const staging = new Staging(wiring);
  for (const id of made) staging.run(id);
  return staging.stages;
}

class Staging {
  readonly stages: Stage[] = [];
  readonly #wiring: Wiring;
  readonly #done = new Set<number>();
  readonly #variablesDone = new Set<string>();
  readonly #active = new Set<number>();

  constructor(wiring: Wiring) {
    this.#wiring = wiring;
  }

  run(id: number): void {
    if (this.#active.has(id)) throw new CircularStage(id);
    if (this.#done.has(id)) return;
    this.#active.add(id);
    const reached = reachedFrom(id, this.#wiring);
    if (reached.nodes.has(id)) throw new CircularStage(id);
    for (const inner of reached.nodes) if (isMade(this.#wiring.nodes[inner])) this.run(inner);
    this.#active.delete(id);
    this.stages.push({
      run: id,
      nodes: [...reached.nodes].filter((node) => !this.#done.has(node)),
      variables: [...reached.variables.values()].filter((use) => !this.#variablesDone.has(use.join())),
    });
    for (const node of reached.nodes) this.#done.add(node);
    for (const key of reached.variables.keys()) this.#variablesDone.add(key);
    this.#done.add(id);
  }
}

function isMade(node: PayloadNode | null | undefined): boolean {
  return node?.k === "custom" || node?.k === "replay";
}

export interface Reached {
  /** In the order in which they were met. */
  readonly nodes: ReadonlySet<number>;
  readonly variables: ReadonlyMap<string, Use>;
}

/** Everything below a node; the node itself only if a way leads back to it. */
export function reachedFrom(start: number, { nodes, scopes, uses }: Wiring): Reached {
  const found = new Set<number>();
  const variables = new Map<string, Use>();
  const open = [start];
  for (let at = 0; at < open.length; at++) {
    const id = open[at] ?? start;
    const node = nodes[id];
    const next = !node ? [] : [...edgesOf(node)];
    for (const use of uses.get(id) ?? []) {
      variables.set(use.join(), use);
      const ref = scopes[use[0]]?.values[use[1]];
      if (Array.isArray(ref) && typeof ref[0] === "number") next.push(ref[0]);
    }
    for (const target of next) {
      if (found.has(target)) continue;
      found.add(target);
      if (target !== start) open.push(target);
    }
  }
  return { nodes: found, variables };
}
