/** How virtual owners hand specs over; the counterpart of `src/process/lineage-writer.ts`. */
import { GCS, type ObjectId, type ProcessRef, promotedIdOf, SEALED_BY_OWNER } from "../src/base/ids.js";
import { MAX_LINEAGE_ARGUMENT_BYTES } from "../src/base/limits.js";
import { ObjectEntry, type Task } from "../src/core/owner/records.js";
import type { Argument, Failure, Message } from "../src/protocol/messages.js";
import { inlineSize, type OwnedArgument, wireArgument } from "./arguments.js";
import type { DirectLinks } from "./direct-links.js";
import type { SimValue } from "./values.js";

/** What it takes of its process. */
export interface LineageOwner {
  readonly ref: ProcessRef;
  readonly links: Pick<DirectLinks, "specOf">;
  send(to: ProcessRef, message: Message): void;
  sealValue(
    objectId: ObjectId,
    value: SimValue,
    attempt: number,
    holder: ProcessRef | undefined,
    done: (failure: Failure | undefined) => void,
  ): boolean;
}

export function updateLineage(process: LineageOwner, task: Task): void {
  const { id: taskId, attempt: lostAttempts, run, lineage } = task;
  if (lineage === "untold") return;
  process.send(GCS, { type: "updateLineage", taskId, lostAttempts, run, state: lineage });
}

export function registerLineage(process: LineageOwner, task: Task): void {
  const nested: ObjectId[] = [];
  const large: { readonly objectId: ObjectId; readonly value: SimValue }[] = [];
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
  const isSealed = large.every(({ objectId, value }) =>
    process.sealValue(objectId, value, SEALED_BY_OWNER, process.ref, () => {}),
  );
  if (isSealed)
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
