/** A picture of memory in the order and the groups that somebody asked for. */
import type { Total } from "./reports.js";
import type { Memory, ObjectMemory } from "./summary.js";

export interface Arrangement {
  readonly sort: "size" | "count";
  readonly groupBy: "site" | "node" | "none";
  /** Lines of each list, and objects in all groups together. */
  readonly limit: number;
}

export interface Group extends Total {
  /** A line of code or a node's id; empty where neither is known, and for all objects in one group. */
  readonly name: string;
  readonly objects: readonly ObjectMemory[];
}

export interface ArrangedMemory extends Omit<Memory, "objects"> {
  readonly groups: readonly Group[];
  /** What is not listed, because of the limit or because no report names it. */
  readonly leftOut: { readonly sites: number; readonly holders: number; readonly objects: Total };
}

export function arrange(memory: Memory, { sort, groupBy, limit }: Arrangement): ArrangedMemory {
  const { objects, ...rest } = memory;
  const order = sort === "size" ? bySize : byCount;
  const sorted = [...objects].sort(
    sort === "size" ? (a, b) => b.sizeBytes - a.sizeBytes : (a, b) => b.holderCount - a.holderCount,
  );
  const listed = sorted.slice(0, limit);
  return {
    ...rest,
    nodes: [...memory.nodes].sort((a, b) => (sort === "size" ? bytesOf(b) - bytesOf(a) : objectsOf(b) - objectsOf(a))),
    sites: [...memory.sites].sort(order).slice(0, limit),
    holders: [...memory.holders].sort(order).slice(0, limit),
    groups: groupsOf(listed, groupBy).sort(order),
    leftOut: {
      sites: Math.max(0, memory.sites.length - limit),
      holders: Math.max(0, memory.holders.length - limit),
      objects: {
        count: Math.max(0, memory.total.count - listed.length),
        bytes: Math.max(
          0,
          listed.reduce((left, { sizeBytes }) => left - sizeBytes, memory.total.bytes),
        ),
      },
    },
  };
}

type NodeMemory = Memory["nodes"][number];

function bytesOf({ usedBytes, fallbackBytes, spilledBytes }: NodeMemory): number {
  return usedBytes + fallbackBytes + spilledBytes;
}

function objectsOf({ objects, fallbackObjects }: NodeMemory): number {
  return objects + fallbackObjects;
}

function groupsOf(objects: readonly ObjectMemory[], by: Arrangement["groupBy"]): Group[] {
  const groups = new Map<string, ObjectMemory[]>();
  for (const object of objects) {
    for (const name of namesOf(object, by)) groups.set(name, [...(groups.get(name) ?? []), object]);
  }
  return [...groups].map(([name, members]) => ({
    name,
    count: members.length,
    bytes: members.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    objects: members,
  }));
}

/** An object with copies on several nodes is in the group of each. */
function namesOf({ site, copies }: ObjectMemory, by: Arrangement["groupBy"]): readonly string[] {
  if (by === "none") return [""];
  if (by === "site") return [site === undefined ? "" : `${site.call} ${site.file}:${site.line}`];
  const nodes = new Set<string>(copies.map(({ nodeId }) => nodeId));
  return nodes.size === 0 ? [""] : [...nodes];
}

function bySize(a: Total, b: Total): number {
  return b.bytes - a.bytes || b.count - a.count;
}

function byCount(a: Total, b: Total): number {
  return b.count - a.count || b.bytes - a.bytes;
}
