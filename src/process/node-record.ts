/** How drivers of this user find the raylets of a cluster on their host: a small file in each node's session. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Session, sessionBase } from "../io/session.js";

export interface NodeRecord {
  readonly nodeId: string;
  readonly clusterId: string;
  readonly clusterAddress: string;
  readonly isHead: boolean;
  readonly rayletPath: string;
  readonly arenaPath: string;
  readonly arenaBytes: number;
}

const FILE = "node.json";

export function writeNodeRecord(session: Session, record: NodeRecord): void {
  const path = join(session.directory, FILE);
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Raylets on this host that belong to a cluster, the head's first. Their processes may be dead. */
export function nodeRecords(clusterId: string, base = sessionBase()): NodeRecord[] {
  const records: NodeRecord[] = [];
  for (const name of safely(() => readdirSync(base)) ?? []) {
    const text = safely(() => readFileSync(join(base, name, FILE), "utf8"));
    const record = text === undefined ? undefined : safely(() => JSON.parse(text) as NodeRecord);
    if (record?.clusterId === clusterId) records.push(record);
  }
  return records.sort((a, b) => Number(b.isHead) - Number(a.isHead));
}

function safely<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined; // it went while we looked
  }
}
