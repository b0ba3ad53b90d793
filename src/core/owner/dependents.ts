/** Tasks of this process that wait until an object can be sent as their argument. */
import { appended, type ObjectEntry } from "./records.js";

/** Call `action` once the object can be sent as an argument: at once if it can be now. */
export function whenReadyForTask(entry: ObjectEntry, action: () => void): void {
  if (entry.isReadyForTask) return action();
  entry.dependents = appended(entry.dependents, action);
}

/** The object's state has changed. */
export function tellDependents(entry: ObjectEntry): void {
  if (entry.dependents === undefined || !entry.isReadyForTask) return;
  const dependents = entry.dependents;
  entry.dependents = undefined;
  for (const action of dependents) action();
}
