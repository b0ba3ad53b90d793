/** What the GCS and a raylet know of objects, for `mobula memory`. */
import { type NodeId, OBJECT_ID_DIGITS, type ObjectId, type ProcessId, TASK_ID_DIGITS } from "../../base/ids.js";
import { MAX_MEMORY_HOLDERS, MAX_MEMORY_ROWS } from "../../base/limits.js";
import type { TableEntry } from "../gcs/object-port.js";
import type { ObjectTable } from "../gcs/object-table.js";
import { type Block, placeOf } from "../store/entry.js";
import { Largest } from "./largest.js";
import type { NodeReport, ObjectState, TableReport, TableRow } from "./reports.js";

/** Reads the whole object table once: about 0.4 µs for each object. */
export function tableReport(objects: ObjectTable, nodeOf: (process: ProcessId) => NodeId | undefined): TableReport {
  const largest = new Largest<TableRow>(MAX_MEMORY_ROWS);
  const held = new Map<ProcessId, { count: number; bytes: number }>();
  let count = 0;
  let bytes = 0;
  for (const [id, entry] of objects.objects()) {
    if (id.length === TASK_ID_DIGITS) continue; // an actor: held like an object, without bytes
    count++;
    bytes += entry.sizeBytes;
    for (const holder of entry.holders) if (isProcess(holder)) addTo(held, holder as ProcessId, entry.sizeBytes);
    if (largest.takes({ id, sizeBytes: entry.sizeBytes })) largest.add(rowOf(id, entry));
  }
  const holders = [...held].map(([processId, total]) => ({ processId, nodeId: nodeOf(processId) ?? "", ...total }));
  holders.sort((a, b) => b.bytes - a.bytes || b.count - a.count);
  return { kind: "table", total: { count, bytes }, rows: largest.result(), holders };
}

/** Neither an object that contains it nor a task. */
function isProcess(holder: string): boolean {
  return holder.length !== OBJECT_ID_DIGITS && holder.length !== TASK_ID_DIGITS;
}

function rowOf(id: ObjectId, entry: TableEntry): TableRow {
  const holders = [...entry.holders];
  return {
    id,
    state: stateOf(entry),
    sizeBytes: entry.sizeBytes,
    nodes: [...entry.locations].slice(0, MAX_MEMORY_HOLDERS),
    holders: holders.slice(0, MAX_MEMORY_HOLDERS),
    holderCount: holders.length,
    why: whyLost(entry),
  };
}

function stateOf({ locations, gone, lostFrom }: TableEntry): ObjectState {
  if (locations.size > 0) return "sealed";
  return gone === undefined && lostFrom === undefined ? "being made" : "lost";
}

/** A lost result is made again when somebody waits for it; until then, or without its task, this is all there is. */
function whyLost({ locations, gone, lostFrom }: TableEntry): string {
  if (gone !== undefined) return gone.message;
  if (lostFrom === undefined || locations.size > 0) return "";
  return lostFrom === "freed" ? "it was freed, and is needed again" : `its last copy, on node ${lostFrom}, is gone`;
}

function addTo<K>(totals: Map<K, { count: number; bytes: number }>, key: K, bytes: number): void {
  const total = totals.get(key);
  if (total === undefined) totals.set(key, { count: 1, bytes });
  else {
    total.count++;
    total.bytes += bytes;
  }
}

/** What a report needs of a node's store. */
export interface StoreFacts {
  readonly index: {
    readonly capacityBytes: number;
    readonly usedBytes: number;
    readonly fallbackBytes: number;
    sealed(): Iterable<readonly [ObjectId, Block]>;
    has(object: ObjectId): boolean;
  };
  readonly spilling?: { readonly spilledBytes: number; objects(): Iterable<ObjectId> };
}

export function nodeReport(nodeId: NodeId, { index, spilling }: StoreFacts): NodeReport {
  let objects = 0;
  let fallbackObjects = 0;
  const fallback: ObjectId[] = [];
  for (const [id, block] of index.sealed()) {
    if (placeOf(block) === "memory") objects++;
    else if (++fallbackObjects <= MAX_MEMORY_ROWS) fallback.push(id);
  }
  const spilled: ObjectId[] = [];
  let spilledObjects = 0;
  for (const id of spilling?.objects() ?? []) {
    if (index.has(id)) continue; // read back: it lies in memory too
    spilledObjects++;
    if (spilled.length < MAX_MEMORY_ROWS) spilled.push(id);
  }
  const { capacityBytes, usedBytes, fallbackBytes } = index;
  const bytes = { capacityBytes, usedBytes, fallbackBytes, spilledBytes: spilling?.spilledBytes ?? 0 };
  return { kind: "node", nodeId, ...bytes, objects, fallbackObjects, spilledObjects, spilled, fallback };
}
