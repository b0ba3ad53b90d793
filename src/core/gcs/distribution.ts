/**
 * The distribution of one object: which copies each node that pulls it now is sent to.
 *
 * A copy serves a few pullers at a time. Whoever comes when all copies are busy is sent to a node that is pulling itself
 * and hands on what it has got, so that a broadcast grows as a tree, in which every node sends a little.
 *
 * Decides: where a node pulls from. Does not know: how much has arrived anywhere. A puller never waits for itself: it is
 * not sent to a node that pulls from it, however many lie between.
 */
import { assert } from "../../base/assert.js";
import type { NodeId } from "../../base/ids.js";
import { MAX_PULL_SOURCES, MAX_PULLERS_PER_COPY } from "../../base/limits.js";

/** Where to pull an object from. */
export interface Sources {
  /** The best first. */
  readonly locations: readonly NodeId[];
  /** So many of the first may be used at the same time; the others are there in reserve. */
  readonly width: number;
}

export class Distribution {
  /** Whom each puller was sent to, in the order in which they came. */
  readonly #pulls = new Map<NodeId, readonly NodeId[]>();

  /** A node begins to pull, or begins anew, and then not from where it failed. `copies` are the complete ones. */
  assign(puller: NodeId, copies: ReadonlySet<NodeId>, failedAt?: NodeId): Sources {
    this.#pulls.delete(puller);
    const whole = [...copies].filter((node) => node !== puller).sort((a, b) => this.#load(a) - this.#load(b));
    const chosen = this.#choose(puller, whole, failedAt);
    this.#pulls.set(puller, chosen);
    return { locations: [...chosen, ...whole.filter((node) => !chosen.includes(node))], width: chosen.length };
  }

  /** It has the object now, or wants it no more, or died. */
  ended(puller: NodeId): void {
    this.#pulls.delete(puller);
  }

  get isIdle(): boolean {
    return this.#pulls.size === 0;
  }

  check(): void {
    for (const puller of this.#pulls.keys()) {
      for (const source of this.#pulls.get(puller) ?? []) {
        assert(!this.#pullsFrom(source, puller), "no node waits for bytes that come from itself");
      }
    }
  }

  #choose(puller: NodeId, whole: readonly NodeId[], failedAt: NodeId | undefined): readonly NodeId[] {
    const isFree = (node: NodeId) => this.#load(node) < MAX_PULLERS_PER_COPY;
    const free = whole.filter(isFree);
    if (free.length > 0) return free.slice(0, MAX_PULL_SOURCES);
    for (const other of this.#pulls.keys()) {
      if (other === failedAt) continue;
      if (isFree(other) && !whole.includes(other) && !this.#pullsFrom(other, puller)) return [other];
    }
    return whole.slice(0, 1);
  }

  /** Whether what `node` pulls comes from `from`, by whatever way. */
  #pullsFrom(node: NodeId, from: NodeId): boolean {
    const seen = new Set<NodeId>();
    const next = [node];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      if (at === from) return true;
      if (seen.has(at)) continue;
      seen.add(at);
      next.push(...(this.#pulls.get(at) ?? []));
    }
    return false;
  }

  #load(node: NodeId): number {
    let load = 0;
    for (const sources of this.#pulls.values()) if (sources.includes(node)) load++;
    return load;
  }
}
