/**
 * Hands specs of tasks to the GCS, which makes lost results again from them: arguments as messages carry them, without
 * object bytes. What is too large becomes an object, sealed by us and kept by the GCS as long as the spec.
 */
import { GCS, type JobId, OBJECT_ID_DIGITS, type ObjectId, type ProcessRef, promotedIdOf } from "../base/ids.js";
import { MAX_LINEAGE_ARGUMENT_BYTES, MAX_LINEAGE_INLINE_BYTES, MAX_PROMOTED_ARGUMENTS } from "../base/limits.js";
import { ObjectEntry, type Task } from "../core/owner/records.js";
import type { Argument, Message, MessageBody } from "../protocol/messages.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { encodedValue } from "./encoded-value.js";
import { noRoom } from "./local-store.js";
import type { StoredValue } from "./stored-value.js";

export interface LineageHost {
  readonly self: ProcessRef;
  readonly jobId: JobId;
  send(to: ProcessRef, message: Message): void;
  /** Send it to the node's store, held in our name. @throws ObjectStoreFullError, OutOfDiskError */
  sealArgument(objectId: ObjectId, value: StoredValue): void;
}

interface Inline {
  readonly index: number;
  readonly value: StoredValue;
  readonly bytes: Uint8Array;
}

export class LineageWriter {
  readonly #host: LineageHost;

  constructor(host: LineageHost) {
    this.#host = host;
  }

  /**
   * What it promotes, the spec, and the end of our own holds leave here in this order, and by one way. So nothing waits for
   * an answer: whoever learns of the task's result, by whatever way, learns it after the GCS has the spec, even if this
   * process keeps its thread busy, or is killed, right after. The GCS takes no spec whose objects it had to refuse.
   */
  register(task: Task): void {
    const args = task.args as readonly unknown[];
    const inline = args.flatMap((arg, index): readonly Inline[] => {
      if (arg instanceof ObjectEntry && arg.state !== "inline") return [];
      const value = (arg instanceof ObjectEntry ? arg.value : arg) as StoredValue;
      return [{ index, value, bytes: encodedValue(value) }];
    });
    const large = tooLarge(inline);
    if (large.size > MAX_PROMOTED_ARGUMENTS) return; // it cannot be made again: docs/ARCHITECTURE.md
    const spec = this.#specOf(task, inline, large);
    if (this.#sealAll(task, large)) this.#host.send(GCS, spec);
    if (large.size > 0) this.#host.send(GCS, { type: "releaseHolds", objects: spec.promoted });
  }

  update({ id: taskId, attempt: lostAttempts, run, lineage }: Task): void {
    if (lineage === "untold") return;
    this.#host.send(GCS, { type: "updateLineage", taskId, lostAttempts, run, state: lineage });
  }

  /** False when there is no room for one: the task cannot be made again. */
  #sealAll({ id }: Task, large: Iterable<Inline>): boolean {
    try {
      for (const { index, value } of large) this.#host.sealArgument(promotedIdOf(id, index), value);
      return true;
    } catch (error) {
      noRoom(error);
      return false;
    }
  }

  #specOf(task: Task, inline: readonly Inline[], large: ReadonlySet<Inline>): Message & MessageBody<"registerLineage"> {
    const { template, depth } = task;
    const byIndex = new Map(inline.map((each) => [each.index, each]));
    const nested: ObjectId[] = [];
    const promoted: ObjectId[] = [];
    const args = (task.args as readonly unknown[]).map((arg, index): Argument => {
      const each = byIndex.get(index);
      if (each === undefined) return { kind: "object", objectId: (arg as ObjectEntry).id };
      if (large.has(each)) {
        const objectId = promotedIdOf(task.id, index);
        promoted.push(objectId);
        return { kind: "object", objectId };
      }
      if (each.value instanceof EncodedBytes) nested.push(...each.value.contains.filter(isObject));
      return { kind: "value", bytes: each.bytes };
    });
    return {
      type: "registerLineage",
      task: {
        taskId: task.id,
        jobId: this.#host.jobId,
        name: template.name,
        functionId: template.functionId as never,
        owner: this.#host.self,
        attempt: task.run,
        depth,
        numReturns: template.numReturns,
        storeResult: true,
        arguments: args,
      },
      demand: template.demand,
      strategy: template.strategy,
      maxRetries: template.maxRetries < 0 ? undefined : template.maxRetries,
      lostAttempts: task.attempt,
      nested,
      promoted,
      running: task.lineage === "running",
    };
  }
}

/** Those that must become objects: each that is large by itself, and the largest until the rest fit. */
function tooLarge(inline: readonly Inline[]): ReadonlySet<Inline> {
  let restBytes = inline.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const large = new Set<Inline>();
  if (restBytes <= MAX_LINEAGE_ARGUMENT_BYTES) return large;
  for (const each of [...inline].sort((a, b) => b.bytes.length - a.bytes.length)) {
    if (each.bytes.length <= MAX_LINEAGE_ARGUMENT_BYTES && restBytes <= MAX_LINEAGE_INLINE_BYTES) break;
    large.add(each);
    restBytes -= each.bytes.length;
  }
  return large;
}

/** Actors are named by their handles; they are not made again. */
function isObject(id: ObjectId): boolean {
  return id.length === OBJECT_ID_DIGITS;
}
