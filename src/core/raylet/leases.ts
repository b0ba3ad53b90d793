/** What the local scheduler keeps of a lease before and after it is granted. */
import type { ObjectId, ProcessRef } from "../../base/ids.js";
import type { LeaseRequest } from "../../protocol/messages.js";
import type { Amounts } from "../resources.js";

export interface Queued {
  readonly request: LeaseRequest;
  readonly missing: Set<ObjectId>;
  /** The global scheduler chose this node: it believes the request here until it is given back. */
  readonly placed: boolean;
}

export interface Granted {
  readonly request: LeaseRequest;
  readonly worker: ProcessRef;
  /** What it holds of the node now. */
  held: Amounts;
  blocked: boolean;
  /** A task of it has waited in `get`: it runs, or has run. */
  hasBegun: boolean;
  /** Its worker is being killed: nothing of it is free before that. */
  doomed: boolean;
}
