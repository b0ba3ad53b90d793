/** The nodes that died or left lately: `nodes()` goes on listing them, so that a program can see what it has lost. */
import type { NodeId } from "../../base/ids.js";
import { MAX_DEAD_NODES } from "../../base/limits.js";
import type { NodeInfo } from "../../protocol/messages.js";

export class DeadNodes {
  readonly #nodes = new Map<NodeId, NodeInfo>();
  readonly #limit: number;

  constructor(limit = MAX_DEAD_NODES) {
    this.#limit = limit;
  }

  /** Beyond the limit the one that died first is forgotten. */
  add(info: NodeInfo): void {
    this.#nodes.set(info.nodeId, info);
    if (this.#nodes.size <= this.#limit) return;
    const first = this.#nodes.keys().next();
    if (!first.done) this.#nodes.delete(first.value);
  }

  /** It was only silent, and is back. */
  forget(nodeId: NodeId): void {
    this.#nodes.delete(nodeId);
  }

  /** Who died first comes first. */
  all(): readonly NodeInfo[] {
    return [...this.#nodes.values()];
  }
}
