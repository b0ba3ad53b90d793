/** How a process notices the end of a user's ref object. */
import type { ObjectEntry } from "../core/owner/records.js";

/** One ref object whose end is watched. Registered without a token: a late finalization finds it released. */
export interface Tracker {
  readonly entry: ObjectEntry;
  released: boolean;
}

export const TRACK = Symbol("mobula.track");

export interface TrackedHandle {
  [TRACK](tracker: Tracker): void;
}
