import type { ContextId } from "../base/ids.js";

/** In which task code runs: children take their ids from here. */
export interface Lineage {
  readonly contextId: ContextId;
  readonly depth: number;
  counter: number;
}
