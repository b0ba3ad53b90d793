/** One object in the index of a node's store. */
import type { ObjectId, ProcessId } from "../../base/ids.js";
import { FALLBACK_OFFSET } from "../../base/limits.js";

export interface Block {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** In the arena, or in the file on disk that stands in when the arena cannot be emptied. */
export type Place = "memory" | "disk";

/** What the block is to the object: the copy that must not go, one that is also on disk, or one of another node's. */
export type Copy = "primary" | "spilled" | "replica";

export interface Entry extends Block {
  readonly object: ObjectId;
  sealed: boolean;
  copy: Copy;
  readonly writer: ProcessId;
  /** How often each process reads it now. */
  readonly readers: Map<ProcessId, number>;
}

export function placeOf(block: Block): Place {
  return block.offset < FALLBACK_OFFSET ? "memory" : "disk";
}
