/** How virtual owners hand specs over; the counterpart of `src/process/lineage-writer.ts`. */
import { GCS, type ObjectId, type ProcessRef, promotedIdOf } from "../src/base/ids.js";
import { MAX_LINEAGE_ARGUMENT_BYTES } from "../src/base/limits.js";
import { ObjectEntry, type Task } from "../src/core/owner/records.js";
import type { Argument, Message } from "../src/protocol/messages.js";
import { inlineSize, type OwnedArgument, wireArgument } from "./arguments.js";
import type { DirectLinks } from "./direct-links.js";
import { SimError, type SimValue } from "./values.js";

/** What it takes of its process. */
export interface LineageOwner {
  readonly ref: ProcessRef;
  readonly links: Pick<DirectLinks, "specOf">;
  send(to: ProcessRef, message: Message): void;
}

interface Promoted {
  readonly objectId: ObjectId;
  readonly value: SimValue;
}

export function updateLineage(process: LineageOwner, task: Task): void {
  const { id: taskId, attempt: lostAttempts, run, lineage } = task;
  if (lineage === "untold") return;
  process.send(GCS, { type: "updateLineage", taskId, lostAttempts, run, state: lineage });
}

/** To the node's store, held in the name of the process. @throws SimError when there is no room. */
type Seal = (objectId: ObjectId, value: SimValue) => void;

export function registerLineage(process: LineageOwner, task: Task, seal: Seal): void {
  const nested: ObjectId[] = [];
  const large: Promoted[] = [];
  const args = (task.args as readonly OwnedArgument[]).map((arg, index): Argument => {
    if (arg instanceof ObjectEntry && arg.state !== "inline") return wireArgument(arg);
    const value = arg instanceof ObjectEntry ? (arg.value as SimValue) : arg;
    if (inlineSize(arg) > MAX_LINEAGE_ARGUMENT_BYTES) {
      const objectId = promotedIdOf(task.id, index);
      large.push({ objectId, value });
      return { kind: "object", objectId };
    }
    for (const named of value.names) if (named.kind === "object") nested.push(named.id);
    return wireArgument(arg);
  });
  const { template } = task;
  const promoted = large.map(({ objectId }) => objectId);
  if (sealAll(large, seal))
    process.send(GCS, {
      type: "registerLineage",
      task: { ...process.links.specOf(task), arguments: args, storeResult: true },
      demand: template.demand,
      strategy: template.strategy,
      maxRetries: template.maxRetries < 0 ? undefined : template.maxRetries,
      lostAttempts: task.attempt,
      nested,
      promoted,
      running: task.lineage === "running",
    });
  if (large.length > 0) process.send(GCS, { type: "releaseHolds", objects: promoted });
}

/** False when there is no room for one. */
function sealAll(large: readonly Promoted[], seal: Seal): boolean {
  try {
    for (const { objectId, value } of large) seal(objectId, value);
    return true;
  } catch (error) {
    if (!(error instanceof SimError)) throw error;
    return false;
  }
}
