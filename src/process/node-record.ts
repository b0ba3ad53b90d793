/** How drivers of this user find the raylets of a cluster on their host: a small file in each node's session. */
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { liveSessions, type Session, sessionBase } from "../io/session.js";

export interface NodeRecord {
  readonly nodeId: string;
  readonly pid: number;
  readonly clusterId: string;
  readonly clusterAddress: string;
  readonly isHead: boolean;
  readonly rayletPath: string;
  readonly arenaPath: string;
  readonly fallbackPath: string;
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
    const record = recordAt(join(base, name));
    if (record?.clusterId === clusterId) records.push(record);
  }
  return records.sort((a, b) => Number(b.isHead) - Number(a.isHead));
}

/** Every node of this user on this host whose process lives, with its session. */
export function liveNodes(base = sessionBase()): { readonly record: NodeRecord; readonly session: Session }[] {
  return liveSessions(base).flatMap((session) => {
    const record = recordAt(session.directory);
    return record === undefined ? [] : [{ record, session }];
  });
}

function recordAt(directory: string): NodeRecord | undefined {
  const text = safely(() => readFileSync(join(directory, FILE), "utf8"));
  return text === undefined ? undefined : safely(() => JSON.parse(text) as NodeRecord);
}

function safely<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined; // it went while we looked
  }
}
