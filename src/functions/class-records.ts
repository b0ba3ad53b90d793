/**
 * What a payload says about its classes, so that they keep their identity on workers; see class-registry.ts.
 */
import { createHash } from "node:crypto";
import { freeKey, identityOf, registerClass } from "./class-registry.js";
import type { Fragment, Graph } from "./graph.js";
import { type Reached, reachedFrom, refsOf, type Wiring } from "./order.js";
import type { ClassRecord, Ref } from "./payload.js";
import { RUNTIME } from "./scopes.js";

/** Beyond this a class's closure is most of the program: hashing it for each class would cost more than it gives. */
const MAX_CLOSURE = 5_000;

export function classRecords(graph: Graph, wiring: Wiring): readonly ClassRecord[] {
  const records: ClassRecord[] = [];
  const fragments = new Map(graph.fragments.map((fragment) => [fragment.node, fragment]));
  wiring.nodes.forEach((node, id) => {
    if (node?.k !== "class") return;
    const reached = reachedFrom(id, wiring);
    const closure = [id, ...[...reached.nodes].filter((each) => each !== id)];
    if (closure.length > MAX_CLOSURE || sharesVariables(closure, reached, wiring, fragments)) return;
    records.push(recordOf(graph, id, closure, digestOf(graph, closure, wiring, fragments)));
  });
  return records;
}

function recordOf(graph: Graph, id: number, closure: readonly number[], digest: string): ClassRecord {
  const type = graph.valueOf(id) as CallableFunction;
  let key = identityOf(type)?.key;
  if (key === undefined) {
    key = freeKey(digest);
    registerClass(type, { key, digest, values: closure.map((each) => graph.valueOf(each)) });
  }
  return { node: id, key, digest, closure };
}

/** Code inside and outside of the closure shares a variable that changes: the class must come new with that code. */
function sharesVariables(
  closure: readonly number[],
  reached: Reached,
  wiring: Wiring,
  fragments: ReadonlyMap<number, Fragment>,
): boolean {
  const inside = new Set(closure);
  for (const [id, uses] of wiring.uses) {
    if (inside.has(id)) continue;
    for (const [scope, index] of uses) {
      if (!reached.variables.has(`${scope},${index}`)) continue;
      const name = wiring.scopes[scope]?.names[index] ?? "";
      for (const [, { variables }] of fragments) if (variables.assigned.includes(name)) return true;
    }
  }
  return false;
}

/** A hash of the closure in which nodes are named by their place in it. */
function digestOf(
  graph: Graph,
  closure: readonly number[],
  wiring: Wiring,
  fragments: ReadonlyMap<number, Fragment>,
): string {
  const hash = createHash("sha256");
  const places = new Map(closure.map((id, place) => [id, place]));
  const local = (ref: Ref): Ref =>
    Array.isArray(ref) && typeof ref[0] === "number" ? [places.get(ref[0]) ?? -1] : ref;
  for (const id of closure) {
    const node = wiring.nodes[id];
    if (!node) continue;
    hash.update(JSON.stringify(node, scalars(graph)));
    hash.update(JSON.stringify([...refsOf(node)].map(local)));
    if (node.k === "member" || node.k === "proto") hash.update(`${places.get(node.of)}`);
    const fragment = fragments.get(id);
    if (fragment !== undefined) hash.update(codeOf(fragment));
    for (const [scope, index] of wiring.uses.get(id) ?? []) {
      const record = wiring.scopes[scope];
      hash.update(JSON.stringify([record?.names[index], local(record?.values[index] ?? null)]));
    }
  }
  return hash.digest("hex").slice(0, 32);
}

const REFS: ReadonlySet<string> = new Set([
  "proto",
  "props",
  "gone",
  "items",
  "entries",
  "parent",
  "statics",
  "target",
  "self",
  "args",
  "key",
  "time",
  "value",
  "buffer",
  "reviver",
]);

/** What a node holds besides its refs, whose number and place still count. */
function scalars(graph: Graph): (this: unknown, key: string, value: unknown) => unknown {
  return (key, value) => {
    if (key === "slots") return (value as readonly (readonly unknown[])[]).map((slot) => slot[1]);
    if (key === "scope" || key === "of") return undefined;
    if (key === "segment")
      return createHash("sha256")
        .update(graph.segments[Number(value)] ?? "")
        .digest("hex");
    return REFS.has(key) ? (Array.isArray(value) ? value.length : 1) : value;
  };
}

/** The text without node numbers, and where the user wrote it: equal classes in two places are two classes. */
function codeOf({ pieces }: Fragment): string {
  let code = "";
  for (const piece of pieces) {
    if (typeof piece === "string") {
      code += piece.startsWith(RUNTIME) || piece.startsWith("static{") ? piece.replaceAll(/\d+/g, "") : piece;
      continue;
    }
    const original = piece.positions.original(piece.line, piece.column);
    code += `${piece.text}${original ? `${original.source}:${original.line}:${original.column}` : ""}`;
  }
  return code;
}
