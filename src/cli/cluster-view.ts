/** A cluster as a tool sees it. */
import type { ClusterTool } from "../process/cluster-tool.js";

/** One element of the answer to the query "nodes": what API.md calls a node's state. */
export interface NodeView {
  readonly nodeId: string;
  readonly address: string;
  readonly alive: boolean;
  readonly isHead: boolean;
  readonly resources: Readonly<Record<string, number>>;
  readonly available: Readonly<Record<string, number>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** Those that live, the head first: it is N1, as in the lecture; the others follow in the order in which they joined. */
export async function nodesOf(tool: ClusterTool): Promise<NodeView[]> {
  const nodes = JSON.parse(await tool.query("nodes", "")) as NodeView[];
  return nodes.filter(({ alive }) => alive).sort((a, b) => Number(b.isHead) - Number(a.isHead));
}

export function nameOf(index: number): string {
  return `N${index + 1}`;
}
