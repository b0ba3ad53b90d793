/** What the GCS shows of its tables to those who ask. */
import type { NodeInfo } from "../../protocol/messages.js";
import { type Amounts, recordOf } from "../resources.js";

const NOTHING: Amounts = new Map();

/** The nodes as `nodes()` and `mobula status` show them. A dead one has nothing, so that sums over all are right. */
export function nodesView(
  living: readonly { readonly info: NodeInfo; readonly available: Amounts }[],
  dead: readonly NodeInfo[],
): readonly unknown[] {
  return [
    ...living.map(({ info, available }) => nodeView(info, true, info.total, available)),
    ...dead.map((info) => nodeView(info, false, NOTHING, NOTHING)),
  ];
}

function nodeView(info: NodeInfo, alive: boolean, total: Amounts, available: Amounts): unknown {
  return {
    nodeId: info.nodeId,
    address: `${info.host}:${info.port}`,
    alive,
    isHead: info.isHead,
    resources: recordOf(total),
    available: recordOf(available),
    labels: Object.fromEntries(info.labels),
  };
}
