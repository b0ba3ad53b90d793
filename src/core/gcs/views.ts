/** What the GCS shows of its tables to those who ask. */
import type { NodeInfo } from "../../protocol/messages.js";
import { type Amounts, recordOf } from "../resources.js";

/** The nodes as `nodes()` and `mobula status` show them. */
export function nodesView(
  nodes: readonly { readonly info: NodeInfo; readonly available: Amounts }[],
): readonly unknown[] {
  return nodes.map(({ info, available }) => ({
    nodeId: info.nodeId,
    address: `${info.host}:${info.port}`,
    alive: true,
    isHead: info.isHead,
    resources: recordOf(info.total),
    available: recordOf(available),
    labels: Object.fromEntries(info.labels),
  }));
}
