/**
 * The reports of the GCS, the nodes and the processes as one picture: each object with who holds it and which line made
 * it, and totals in which leaks stand out.
 */
import { type NodeId, OBJECT_ID_DIGITS, type ObjectId, type ProcessId, TASK_ID_DIGITS } from "../../base/ids.js";
import type {
  CallSite,
  MemoryReport,
  NodeReport,
  ObjectState,
  ProcessReport,
  ProcessRow,
  SiteTotal,
  TableReport,
  TableRow,
  Total,
} from "./reports.js";

export interface ProcessName {
  readonly processId: ProcessId;
  readonly nodeId: string;
  /** "process": it did not answer, so this is all that is known. */
  readonly role: "driver" | "worker" | "process";
  /** 0 when it is not known. */
  readonly pid: number;
  readonly actor: string;
}

export type Holder =
  | ({
      readonly by: "process";
      readonly refs: number;
      readonly pins: number;
      readonly tasks: readonly string[];
      readonly actors: readonly string[];
    } & ProcessName)
  /** The object contains the ref. */
  | { readonly by: "object"; readonly objectId: ObjectId }
  /** The task may have to run again with it. */
  | { readonly by: "task"; readonly taskId: string };

export interface Copy {
  readonly nodeId: NodeId;
  /** fallback: in the node's file on disk that its store fell back to; owner: in the memory of its owner, a process of that node. */
  readonly place: "memory" | "fallback" | "spilled" | "owner";
}

export interface ObjectMemory {
  readonly objectId: ObjectId;
  readonly sizeBytes: number;
  readonly state: ObjectState;
  readonly copies: readonly Copy[];
  readonly site: (CallSite & { readonly approximate: boolean }) | undefined;
  readonly owner: ProcessName | undefined;
  readonly holders: readonly Holder[];
  /** All of them, also those that are not named. */
  readonly holderCount: number;
  readonly why: string;
}

export type StoreTotals = Pick<NodeReport, "usedBytes" | "fallbackBytes" | "spilledBytes">;

export interface Memory {
  readonly total: Total;
  /** What the objects of all nodes take. An object that was read back from disk is in memory and spilled. */
  readonly stores: StoreTotals;
  readonly nodes: readonly Omit<NodeReport, "kind" | "spilled" | "fallback">[];
  readonly sites: readonly SiteTotal[];
  /** Objects whose line nobody knows. */
  readonly unknownSites: Total;
  readonly holders: readonly (Total & ProcessName)[];
  /** The largest. */
  readonly objects: readonly ObjectMemory[];
  /** Holders that did not answer. */
  readonly silent: readonly ProcessName[];
}

export function memoryOf(reports: readonly MemoryReport[]): Memory {
  const table = reports.find((report) => report.kind === "table") ?? EMPTY;
  const nodes = reports.filter((report) => report.kind === "node");
  const words = new Words(
    table,
    nodes,
    reports.filter((report) => report.kind === "process"),
  );
  const known = new Set(table.rows.map(({ id }) => id));
  const objects = [...table.rows.map((row) => words.object(row)), ...words.unlisted(known)];
  const sites = words.sites(table);
  const holders = words.holders(table);
  const total = words.locals().reduce(plus, table.total);
  return {
    total,
    stores: nodes.reduce<StoreTotals>(plusStores, { usedBytes: 0, fallbackBytes: 0, spilledBytes: 0 }),
    nodes: nodes.map(({ kind: _, spilled: __, fallback: ___, ...node }) => node),
    sites,
    unknownSites: without(total, sites),
    holders,
    objects,
    silent: holders.filter(({ role }) => role === "process").map(({ count: _, bytes: __, ...name }) => name),
  };
}

function plus(left: Total, right: Total): Total {
  return { count: left.count + right.count, bytes: left.bytes + right.bytes };
}

function plusStores(left: StoreTotals, right: StoreTotals): StoreTotals {
  return {
    usedBytes: left.usedBytes + right.usedBytes,
    fallbackBytes: left.fallbackBytes + right.fallbackBytes,
    spilledBytes: left.spilledBytes + right.spilledBytes,
  };
}

const EMPTY: TableReport = { kind: "table", total: { count: 0, bytes: 0 }, rows: [], holders: [] };

/** Reports come one after the other while objects come and go, so their totals may differ by a few. */
function without(total: Total, parts: readonly Total[]): Total {
  const count = parts.reduce((left, part) => left - part.count, total.count);
  const bytes = parts.reduce((left, part) => left - part.bytes, total.bytes);
  return { count: Math.max(0, count), bytes: count > 0 ? Math.max(0, bytes) : 0 };
}

interface Word {
  readonly process: ProcessReport;
  readonly row: ProcessRow;
}

/** What processes and nodes say of objects, by object. */
class Words {
  readonly #names = new Map<string, ProcessName>();
  readonly #words = new Map<ObjectId, Word[]>();
  readonly #left = new Map<ObjectId, SiteTotal>();
  readonly #spilled = new Map<NodeId, ReadonlySet<ObjectId>>();
  readonly #fallback = new Map<NodeId, ReadonlySet<ObjectId>>();
  readonly #nodeOf: ReadonlyMap<string, string>;
  readonly #processes: readonly ProcessReport[];

  constructor(table: TableReport, nodes: readonly NodeReport[], processes: readonly ProcessReport[]) {
    this.#processes = processes;
    this.#nodeOf = new Map(table.holders.map(({ processId, nodeId }) => [processId, nodeId]));
    for (const { nodeId, spilled, fallback } of nodes) {
      this.#spilled.set(nodeId, new Set(spilled));
      this.#fallback.set(nodeId, new Set(fallback));
    }
    for (const process of processes) {
      const { processId, nodeId, role, pid, actor } = process;
      this.#names.set(processId, { processId, nodeId, role, pid, actor });
      for (const row of process.rows) this.#words.set(row.id, [...(this.#words.get(row.id) ?? []), { process, row }]);
      for (const [id, place] of process.left) {
        const site = process.sites[place];
        if (site !== undefined) this.#left.set(id, site);
      }
    }
  }

  nameOf(processId: ProcessId, nodeId: string): ProcessName {
    return this.#names.get(processId) ?? { processId, nodeId, role: "process", pid: 0, actor: "" };
  }

  object(row: TableRow): ObjectMemory {
    const words = this.#words.get(row.id) ?? [];
    const owner = words.find((word) => word.row.owned);
    const { id, sizeBytes, state, why, holderCount } = row;
    return {
      objectId: id,
      sizeBytes,
      state,
      copies: this.#copiesOf(row, owner),
      site: this.#siteOf(id, owner),
      owner: owner === undefined ? undefined : this.nameOf(owner.process.processId, ""),
      holders: row.holders.map((holder) => this.#holderOf(holder, words)),
      holderCount,
      why,
    };
  }

  /** What processes have in the stores that nobody else knows of. */
  locals(): readonly Total[] {
    return this.#processes.map(({ local }) => local);
  }

  holders(table: TableReport): readonly (Total & ProcessName)[] {
    const totals = new Map<ProcessId, Total & ProcessName>();
    for (const { processId, nodeId, count, bytes } of table.holders) {
      totals.set(processId, { ...this.nameOf(processId, nodeId), count, bytes });
    }
    for (const { processId, nodeId, local } of this.#processes) {
      if (local.count === 0) continue;
      const known = totals.get(processId) ?? { ...this.nameOf(processId, nodeId), count: 0, bytes: 0 };
      totals.set(processId, { ...known, ...plus(known, local) });
    }
    return [...totals.values()];
  }

  /** On their way into a store, or there and known to their owner alone: the object table has not heard of them. */
  unlisted(known: ReadonlySet<ObjectId>): ObjectMemory[] {
    const all = [...this.#words.entries()].filter(([id]) => !known.has(id));
    return all.flatMap(([id, words]) => {
      const owner = words.find(({ row }) => row.owned && (row.storing || row.local));
      if (owner === undefined) return [];
      const { process, row } = owner;
      const nodes = row.local ? [process.nodeId] : [];
      const state = row.local ? "sealed" : "being made";
      const { sizeBytes } = row;
      return [this.object({ id, sizeBytes, nodes, holders: [process.processId], holderCount: 1, why: "", state })];
    });
  }

  /** What owners still own, and what they have let go and others hold. */
  sites(table: TableReport): SiteTotal[] {
    const totals = new Map<string, SiteTotal>();
    const add = (site: SiteTotal, { count, bytes }: Total) => {
      const key = `${site.call} ${site.file}:${site.line}`;
      const known = totals.get(key);
      const approximate = site.approximate || known?.approximate === true;
      const sum = { count: (known?.count ?? 0) + count, bytes: (known?.bytes ?? 0) + bytes };
      totals.set(key, { ...(known ?? site), approximate, ...sum });
    };
    for (const { sites } of this.#processes) for (const site of sites) if (site.count > 0) add(site, site);
    for (const { id, sizeBytes } of table.rows) {
      const site = this.#left.get(id);
      if (site !== undefined && !this.#isOwned(id)) add(site, { count: 1, bytes: sizeBytes });
    }
    return [...totals.values()];
  }

  #isOwned(id: ObjectId): boolean {
    return this.#words.get(id)?.some(({ row }) => row.owned) ?? false;
  }

  #siteOf(id: ObjectId, owner: Word | undefined): ObjectMemory["site"] {
    const site = owner === undefined ? this.#left.get(id) : owner.process.sites[owner.row.site];
    if (site === undefined) return undefined;
    const { call, file, line, column } = site;
    const approximate = owner === undefined ? site.approximate : owner.row.approximate;
    return { call, file, line, column, approximate };
  }

  #copiesOf({ id, nodes }: TableRow, owner: Word | undefined): Copy[] {
    const copies: Copy[] = nodes.map((nodeId) => {
      if (this.#spilled.get(nodeId)?.has(id) === true) return { nodeId, place: "spilled" };
      const inFallback = this.#fallback.get(nodeId)?.has(id) === true || owner?.row.inFallback === true;
      return { nodeId, place: inFallback ? "fallback" : "memory" };
    });
    if (owner?.row.here === true) copies.push({ nodeId: owner.process.nodeId, place: "owner" });
    return copies;
  }

  #holderOf(holder: string, words: readonly Word[]): Holder {
    if (holder.length === OBJECT_ID_DIGITS) return { by: "object", objectId: holder as ObjectId };
    if (holder.length === TASK_ID_DIGITS) return { by: "task", taskId: holder };
    const row = words.find(({ process }) => process.processId === holder)?.row;
    const { refs = 0, pins = 0, tasks = [], actors = [] } = row ?? {};
    const name = this.nameOf(holder as ProcessId, this.#nodeOf.get(holder) ?? "");
    return { by: "process", ...name, refs, pins, tasks, actors };
  }
}
