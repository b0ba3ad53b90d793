/** What one process knows of the objects that it made or holds, for `mobula memory`. */
import { MAX_MEMORY_HOLDERS, MAX_MEMORY_ROWS, MAX_MEMORY_SITES } from "../../base/limits.js";
import type { Origin, Site } from "../owner/origin.js";
import type { Owner } from "../owner/owner.js";
import { type Held, ObjectEntry } from "../owner/records.js";
import type { Place } from "../store/entry.js";
import { Largest } from "./largest.js";
import type { CallSite, ProcessReport, ProcessRow, SiteTotal } from "./reports.js";

export type WhoReports = Pick<ProcessReport, "processId" | "nodeId" | "pid" | "role" | "actor">;

/** `placeOf`: the line as its author wrote it, by the source map of the file. Asked once for each line. */
export function processReport(
  who: WhoReports,
  owner: Owner,
  locals: Iterable<readonly [ObjectEntry, Place]>,
  placeOf: (site: Site) => Omit<CallSite, "call">,
): ProcessReport {
  const sites = new SiteTotals(placeOf);
  const takers = new Takers(owner);
  const largest = new Largest<ProcessRow & { readonly origin: Origin | undefined }>(MAX_MEMORY_ROWS);
  for (const entry of owner.references.entries.values()) {
    if (entry.hold === "none" && !entry.storing) continue; // filed for an answer that is to come
    if (entry.owned) sites.add(entry);
    if (largest.takes(entry)) largest.add({ ...rowOf(entry, takers), origin: entry.origin });
  }
  const local = { count: 0, bytes: 0 };
  for (const [entry, place] of locals) {
    if (entry.storing) continue; // it has been seen above
    local.count++;
    local.bytes += entry.sizeBytes;
    sites.add(entry);
    const inFallback = place === "disk";
    if (largest.takes(entry)) largest.add({ ...rowOf(entry, takers), inFallback, origin: entry.origin });
  }
  const { list, indexOf } = sites.finish();
  return {
    kind: "process",
    ...who,
    local,
    sites: list,
    rows: largest
      .result()
      .map(({ origin, ...row }) => ({ ...row, site: indexOf(origin), approximate: origin?.exact === false })),
    left: [...owner.origins.all()].map(([id, origin]) => [id, indexOf(origin)]),
  };
}

function rowOf(entry: ObjectEntry, takers: Takers): ProcessRow {
  const { id, sizeBytes, owned, storing, state, localRefs, pins } = entry;
  const here = owned && (state === "inline" || (state === "local" && storing));
  return {
    id,
    sizeBytes,
    owned,
    storing,
    local: state === "local" && !storing,
    inFallback: false,
    here,
    refs: localRefs,
    pins,
    ...takers.of(entry),
    site: -1,
    approximate: false,
  };
}

/** What keeps objects besides refs: arguments of unfinished tasks, and of constructors. */
class Takers {
  readonly #tasks = new Map<ObjectEntry, string[]>();
  readonly #actors = new Map<ObjectEntry, string[]>();

  constructor(owner: Owner) {
    for (const { template, dependencies, nested } of owner.tasksWithRefs) {
      for (const held of [...dependencies, ...nested]) note(this.#tasks, held, template.name);
    }
    for (const { name, kept } of owner.actors.links()) for (const held of kept) note(this.#actors, held, name);
  }

  of(entry: ObjectEntry): Pick<ProcessRow, "tasks" | "actors"> {
    return { tasks: this.#tasks.get(entry) ?? [], actors: this.#actors.get(entry) ?? [] };
  }
}

function note(table: Map<ObjectEntry, string[]>, held: Held, name: string): void {
  if (!(held instanceof ObjectEntry)) return;
  const names = table.get(held) ?? [];
  table.set(held, names);
  if (names.length < MAX_MEMORY_HOLDERS && !names.includes(name)) names.push(name);
}

/** Totals by call and line. Origins of one line share a `Site` or not: the line counts. */
class SiteTotals {
  readonly #placeOf: (site: Site) => Omit<CallSite, "call">;
  readonly #places = new Map<Site, string>();
  readonly #totals = new Map<string, { -readonly [K in keyof SiteTotal]: SiteTotal[K] }>();

  constructor(placeOf: (site: Site) => Omit<CallSite, "call">) {
    this.#placeOf = placeOf;
  }

  add({ origin, sizeBytes }: ObjectEntry): void {
    if (origin === undefined) return;
    const total = this.#totalOf(origin);
    total.count++;
    total.bytes += sizeBytes;
    if (!origin.exact) total.approximate = true;
  }

  /** The lines with most bytes; -1 is the place of all others. */
  finish(): { readonly list: readonly SiteTotal[]; readonly indexOf: (origin: Origin | undefined) => number } {
    const list = [...this.#totals.values()].sort((a, b) => b.bytes - a.bytes || b.count - a.count);
    list.length = Math.min(list.length, MAX_MEMORY_SITES);
    const places = new Map(list.map((site, index) => [site, index]));
    const indexOf = (origin: Origin | undefined) => {
      if (origin === undefined) return -1;
      const known = this.#totalOf(origin);
      const place = places.get(known);
      if (place !== undefined || list.length >= MAX_MEMORY_SITES) return place ?? -1;
      places.set(known, list.length); // nothing that was made there is owned any more, only held elsewhere
      return list.push(known) - 1;
    };
    return { list, indexOf };
  }

  #totalOf({ call, site }: Origin): { -readonly [K in keyof SiteTotal]: SiteTotal[K] } {
    const placed = this.#places.get(site);
    const known = placed === undefined ? undefined : this.#totals.get(`${call} ${placed}`);
    if (known !== undefined) return known;
    const place = this.#placeOf(site);
    const key = `${place.file}:${place.line}:${place.column}`;
    this.#places.set(site, key);
    const total = this.#totals.get(`${call} ${key}`) ?? { call, ...place, count: 0, bytes: 0, approximate: false };
    this.#totals.set(`${call} ${key}`, total);
    return total;
  }
}
