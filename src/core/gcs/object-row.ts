/** What the object table knows of one object. */
import type { NodeId, ObjectId, ProcessId, ProcessRef } from "../../base/ids.js";
import type { Failure } from "../../protocol/messages.js";
import type { Distribution } from "./distribution.js";
import type { HolderId } from "./object-port.js";

export interface Row {
  sizeBytes: number;
  attempt: number;
  readonly locations: Set<NodeId>;
  /** The copy that is never evicted: one of the locations, as long as there is any. */
  primary: NodeId | undefined;
  readonly holders: Set<HolderId>;
  contains: readonly ObjectId[];
  /** Who pulls it now, if it is large. */
  distribution: Distribution | undefined;
  /** The process that will make the value, while there is none. */
  maker: ProcessId | undefined;
  /** The worker that the maker had pushed the task to before the ref left. */
  runner: ProcessRef | undefined;
  /** Where its last copy was; "freed" for an object that was let go and is needed again. There is none now. */
  lostFrom: NodeId | "freed" | undefined;
  /** Why there will be no value any more: nobody can make it again, or its maker died. */
  gone: Failure | undefined;
}

/** An object that nobody holds or has made yet. */
export function newRow(): Row {
  return {
    sizeBytes: 0,
    attempt: 0,
    locations: new Set(),
    primary: undefined,
    holders: new Set(),
    contains: [],
    distribution: undefined,
    maker: undefined,
    runner: undefined,
    lostFrom: undefined,
    gone: undefined,
  };
}
