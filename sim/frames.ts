/** What travels on the links of the virtual cluster. Control messages are bytes; the data plane is kept as it is. */
import type { FunctionId, LeaseId, ObjectId, ProcessRef } from "../src/base/ids.js";
import type { Outcome } from "../src/core/owner/records.js";
import type { TaskSpec } from "../src/protocol/messages.js";
import type { SimValue } from "./values.js";

/** An envelope, encoded by the real codec. */
export type ControlFrame = Uint8Array;

/** A task as its worker gets it, by way of the raylet or from its owner. */
export interface IncomingTask {
  readonly spec: TaskSpec;
  /** For calls of an actor. */
  readonly method: string;
  readonly caller: ProcessRef;
}

export type OwnerFrame =
  | { readonly kind: "attach"; readonly leaseId: LeaseId }
  | { readonly kind: "push"; readonly leaseId: LeaseId; readonly sequence: number; readonly task: IncomingTask }
  | { readonly kind: "call"; readonly sequence: number; readonly task: IncomingTask }
  | { readonly kind: "abort"; readonly leaseId: LeaseId | undefined; readonly sequence: number };

export type WorkerFrame =
  | {
      readonly kind: "answer";
      /** Undefined for a call of an actor. */
      readonly leaseId: LeaseId | undefined;
      readonly sequence: number;
      readonly outcome: Outcome;
      readonly runTimeMs: number;
    }
  | {
      readonly kind: "handBack";
      readonly leaseId: LeaseId;
      readonly sequences: readonly number[];
      readonly blocked: boolean;
    };

export type DirectFrame = OwnerFrame | WorkerFrame;

/** Bulk transfer between stores. */
export type TransferFrame =
  | { readonly kind: "pull"; readonly objectId: ObjectId }
  | { readonly kind: "bytes"; readonly value: SimValue | undefined };

/** What the function table keeps of a virtual function: its name. */
export function payloadOf(functionId: FunctionId): Uint8Array {
  return new TextEncoder().encode(functionId);
}
