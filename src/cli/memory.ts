/** `mobula memory`: every object of a cluster, who holds it, and which line of code made it. */
import { relative, sep } from "node:path";
import { type ArrangedMemory, type Arrangement, arrange, type Group } from "../core/memory/arrange.js";
import type { SiteTotal, Total } from "../core/memory/reports.js";
import { type Copy, type Holder, memoryOf, type ObjectMemory, type ProcessName } from "../core/memory/summary.js";
import { type NodeView, nameOf, nodesOf } from "./cluster-view.js";
import { withCluster } from "./connect.js";
import { bytes, print, printJson, table } from "./text.js";

/** Lines of each list, unless more are asked for. */
const DEFAULT_LINES = 20;

export interface MemoryOptions {
  readonly address?: string;
  readonly json?: boolean;
  readonly sort: Arrangement["sort"];
  readonly groupBy: Arrangement["groupBy"];
  readonly limit?: number;
}

export async function memory(options: MemoryOptions): Promise<void> {
  const { nodes, reports } = await withCluster(options.address, async (tool) => {
    const [found, answers] = await Promise.all([nodesOf(tool), tool.memory()]);
    return { nodes: found, reports: answers };
  });
  const limit = options.limit ?? (options.json === true ? Number.POSITIVE_INFINITY : DEFAULT_LINES);
  const arranged = arrange(memoryOf(reports), { sort: options.sort, groupBy: options.groupBy, limit });
  if (options.json === true) printJson(arranged);
  else print(inWords(arranged, nodes, options.groupBy, process.cwd()));
}

/** Nodes are N1, N2, … as in `mobula trace`; paths below `directory` are shown from there. */
export function inWords(
  arranged: ArrangedMemory,
  nodes: readonly NodeView[],
  groupBy: Arrangement["groupBy"],
  directory: string,
): string {
  const speech = new Speech(nodes, directory);
  const { total, stores, silent } = arranged;
  const parts = [
    speech.legend(),
    speech.nodes(arranged),
    `${objectsInWords(total)} in the object table; on all nodes ${storesInWords(stores)}`,
    speech.sites(arranged),
    speech.holders(arranged),
    ...arranged.groups.map((group) => speech.group(group, groupBy)),
    moreObjects(arranged.leftOut.objects),
    silent.length === 0
      ? ""
      : `did not answer, busy or ended: ${silent.map((name) => speech.process(name)).join(", ")}`,
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

class Speech {
  readonly #names: ReadonlyMap<string, string>;
  readonly #nodes: readonly NodeView[];
  readonly #directory: string;

  constructor(nodes: readonly NodeView[], directory: string) {
    this.#nodes = nodes;
    this.#names = new Map(nodes.map(({ nodeId }, index) => [nodeId, nameOf(index)]));
    this.#directory = directory;
  }

  legend(): string {
    const lines = this.#nodes.map(({ nodeId, address, isHead }) => {
      return `${this.#node(nodeId)} = node ${nodeId} at ${address}${isHead ? ", the head" : ""}`;
    });
    return lines.join("\n");
  }

  nodes({ nodes }: ArrangedMemory): string {
    const rows = nodes.map((node) => [
      this.#node(node.nodeId),
      `${node.objects + node.fallbackObjects}`,
      bytes(node.usedBytes),
      bytes(node.capacityBytes),
      bytes(node.fallbackBytes),
      bytes(node.spilledBytes),
    ]);
    return table(["node", " objects", " memory", " capacity", " fallback file", " spilled"], rows);
  }

  sites({ sites, unknownSites, leftOut }: ArrangedMemory): string {
    const rows = sites.map((site) => [`${site.count}`, bytes(site.bytes), this.site(site)]);
    if (unknownSites.count > 0) rows.push([`${unknownSites.count}`, bytes(unknownSites.bytes), UNKNOWN_SITE]);
    return section("line of code", rows, leftOut.sites);
  }

  holders({ holders, leftOut }: ArrangedMemory): string {
    const rows = holders.map((holder) => [`${holder.count}`, bytes(holder.bytes), this.process(holder)]);
    return section("held by", rows, leftOut.holders);
  }

  group({ name, count, bytes: size, objects }: Group, by: Arrangement["groupBy"]): string {
    const rows = objects.map((object) => this.#object(object, by));
    const head = ["object", " size", "state", "where", ...(by === "site" ? [] : ["line of code"]), "held by"];
    if (by === "none") return table(head, rows);
    const [first] = objects;
    const approximate = objects.some((object) => object.site?.approximate === true);
    const site = first?.site === undefined ? UNKNOWN_SITE : this.site({ ...first.site, approximate });
    const title = by === "site" ? site : name === "" ? "on no node" : `on ${this.#node(name)}`;
    return `${title}: ${objectsInWords({ count, bytes: size })}\n${table(head, rows)}`;
  }

  site({ call, file, line, column, approximate }: Omit<SiteTotal, "count" | "bytes">): string {
    const path = relative(this.#directory, file);
    const isBelow = file.startsWith("/") && path !== "" && !path.startsWith(`..${sep}`);
    return `${call} ${approximate ? "near " : ""}${isBelow ? path : file}:${line}:${column}`;
  }

  process({ role, pid, processId, nodeId, actor }: ProcessName): string {
    const who = role === "process" ? `process ${processId}` : `${role} ${pid}`;
    return `${who}${nodeId === "" ? "" : ` on ${this.#node(nodeId)}`}${actor === "" ? "" : `, actor ${actor}`}`;
  }

  #object(object: ObjectMemory, by: Arrangement["groupBy"]): string[] {
    const { objectId, sizeBytes, state, why, copies, site, holders, holderCount } = object;
    const more = holderCount - holders.length;
    const held = [...holders.map((holder) => this.#holder(holder)), ...(more > 0 ? [`${more} more`] : [])];
    const line = site === undefined ? UNKNOWN_SITE : this.site(site);
    return [
      objectId,
      state === "being made" && sizeBytes === 0 ? "" : bytes(sizeBytes),
      state,
      copies.map((copy) => this.#copy(copy)).join(", ") || "–",
      ...(by === "site" ? [] : [line]),
      `${held.join("; ")}${why === "" ? "" : ` (${why})`}`,
    ];
  }

  #copy({ nodeId, place }: Copy): string {
    const node = this.#node(nodeId);
    if (place === "owner") return `its owner's memory on ${node}`;
    if (place === "fallback") return `${node}, fallback file`;
    return place === "spilled" ? `${node}, spilled` : node;
  }

  #holder(holder: Holder): string {
    if (holder.by === "object") return `contained in ${holder.objectId}`;
    if (holder.by === "task") return `task ${holder.taskId}, which may run again`;
    const { refs, pins, tasks, actors } = holder;
    const uses = [
      ...(refs > 0 ? [`${refs} ${refs === 1 ? "ref" : "refs"}`] : []),
      ...tasks.map((task) => `argument of ${task}`),
      ...actors.map((actor) => `constructor argument of ${actor}`),
      ...(refs + tasks.length + actors.length === 0 && pins > 0 ? ["kept for a value under way or a function"] : []),
    ];
    return `${this.process(holder)}${uses.length === 0 ? "" : `: ${uses.join(", ")}`}`;
  }

  #node(nodeId: string): string {
    return this.#names.get(nodeId) ?? nodeId;
  }
}

const UNKNOWN_SITE = "unknown line (MOBULA_CALL_SITES=1 shows more)";

function section(what: string, rows: readonly (readonly string[])[], leftOut: number): string {
  if (rows.length === 0) return "";
  const more = leftOut > 0 ? `\n… and ${leftOut} more; --limit shows them` : "";
  return `${table([" objects", " bytes", what], rows)}${more}`;
}

function objectsInWords({ count, bytes: size }: Total): string {
  return `${count} ${count === 1 ? "object" : "objects"}, ${bytes(size)}`;
}

function storesInWords({ usedBytes, fallbackBytes, spilledBytes }: ArrangedMemory["stores"]): string {
  return `${bytes(usedBytes)} of memory, ${bytes(fallbackBytes)} in fallback files, ${bytes(spilledBytes)} spilled`;
}

function moreObjects(left: Total): string {
  return left.count === 0 ? "" : `… and ${objectsInWords(left)} more; --limit shows more, the largest first`;
}
