/**
 * What `mobula memory` is told: the GCS's object table, each node's store, and what each process knows of the objects
 * that it made or holds. Every report is bounded: the largest objects in full, all others in totals.
 */
import type { NodeId, ObjectId, ProcessId } from "../../base/ids.js";

export interface Total {
  readonly count: number;
  readonly bytes: number;
}

/** sealed: there is a copy; being made: its task has not answered; lost: there was or will be no value. */
export type ObjectState = "sealed" | "being made" | "lost";

/** One object of the object table. */
export interface TableRow {
  readonly id: ObjectId;
  readonly state: ObjectState;
  readonly sizeBytes: number;
  readonly nodes: readonly NodeId[];
  /** Processes, objects that contain it, tasks that may run again with it: the first `MAX_MEMORY_HOLDERS`. */
  readonly holders: readonly string[];
  readonly holderCount: number;
  /** Why it is lost; empty otherwise. */
  readonly why: string;
}

export interface TableReport {
  readonly kind: "table";
  readonly total: Total;
  /** The largest. */
  readonly rows: readonly TableRow[];
  /** What each process holds, largest first. */
  readonly holders: readonly (Total & { readonly processId: ProcessId; readonly nodeId: string })[];
}

export interface NodeReport {
  readonly kind: "node";
  readonly nodeId: NodeId;
  readonly capacityBytes: number;
  /** Of the store's memory, with what writers hold. */
  readonly usedBytes: number;
  /** Of the fallback file on disk. */
  readonly fallbackBytes: number;
  readonly spilledBytes: number;
  /** Sealed objects in memory. */
  readonly objects: number;
  readonly fallbackObjects: number;
  readonly spilledObjects: number;
  /** Those that are on disk alone, as many as one report names. */
  readonly spilled: readonly ObjectId[];
  /** Those that lie in the fallback file, as many as one report names. */
  readonly fallback: readonly ObjectId[];
}

/** A line of user code, as its author knows it. */
export interface CallSite {
  readonly call: string;
  /** A path, or a URL where there is no file. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What a process has made on one line and still owns. */
export interface SiteTotal extends CallSite, Total {
  /** For some objects the line is a guess: another call of the same remote function. */
  readonly approximate: boolean;
}

/** One object that a process owns or holds. */
export interface ProcessRow {
  readonly id: ObjectId;
  readonly sizeBytes: number;
  readonly owned: boolean;
  /** On its way into the store. */
  readonly storing: boolean;
  /** It lies in the node's store, and nobody but this process knows. */
  readonly local: boolean;
  /** And there it lies in the fallback file. */
  readonly inFallback: boolean;
  /** Its value lies in this process's memory. */
  readonly here: boolean;
  /** Ref objects of user code. */
  readonly refs: number;
  /** Everything else that needs it here: tasks, actors, values under way. */
  readonly pins: number;
  /** Tasks and calls that take it, and have not answered: the first `MAX_MEMORY_HOLDERS`. */
  readonly tasks: readonly string[];
  /** Actors whose constructor took it. */
  readonly actors: readonly string[];
  /** Its place in `sites`; -1 when its line is not known. */
  readonly site: number;
  /** The line is a guess: another call of the same remote function. */
  readonly approximate: boolean;
}

export interface ProcessReport {
  readonly kind: "process";
  readonly processId: ProcessId;
  readonly nodeId: NodeId;
  readonly pid: number;
  readonly role: "driver" | "worker";
  /** The actor that the worker is; empty if it is none. */
  readonly actor: string;
  /** Objects in the node's store that nobody else knows. */
  readonly local: Total;
  readonly sites: readonly SiteTotal[];
  /** The largest. */
  readonly rows: readonly ProcessRow[];
  /** Objects that it made and has let go, with their place in `sites`. */
  readonly left: readonly (readonly [ObjectId, number])[];
}

export type MemoryReport = TableReport | NodeReport | ProcessReport;
