/**
 * Hands specs of tasks to the GCS, which makes lost results again from them: arguments as messages carry them, without
 * object bytes. What is too large becomes an object, sealed by us and kept by the GCS as long as the spec.
 */
import { GCS, type JobId, OBJECT_ID_DIGITS, type ObjectId, type ProcessRef, promotedIdOf } from "../base/ids.js";
import { MAX_LINEAGE_ARGUMENT_BYTES, MAX_LINEAGE_INLINE_BYTES, MAX_PROMOTED_ARGUMENTS } from "../base/limits.js";
import type { Owner } from "../core/owner/owner.js";
import { type Held, ObjectEntry, type Task } from "../core/owner/records.js";
import type { Argument, Failure, Message } from "../protocol/messages.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { encodedValue } from "./encoded-value.js";
import type { StoredValue } from "./stored-value.js";

export interface LineageHost {
  readonly self: ProcessRef;
  readonly jobId: JobId;
  readonly owner: Owner;
  send(to: ProcessRef, message: Message): void;
  sealArgument(objectId: ObjectId, value: StoredValue, done: (error: Failure | undefined) => void): void;
}

type Spec = Message & { readonly type: "registerLineage" };

interface Inline {
  readonly index: number;
  readonly value: StoredValue;
  readonly bytes: Uint8Array;
}

export class LineageWriter {
  readonly #host: LineageHost;
  /** Their specs follow when arguments of theirs have been sealed, with what is true then. */
  readonly #sealing = new Set<Task>();

  constructor(host: LineageHost) {
    this.#host = host;
  }

  /** At once, or after its large inline arguments have been sealed: what it names is kept until then. */
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
    if (large.size === 0) return this.#host.send(GCS, spec);
    this.#sealThenSend(task, [...large], spec);
  }

  update(task: Task): void {
    const { id: taskId, attempt: lostAttempts, run, lineage } = task;
    if (lineage === "untold" || this.#sealing.has(task)) return;
    this.#host.send(GCS, { type: "updateLineage", taskId, lostAttempts, run, state: lineage });
  }

  #sealThenSend(task: Task, large: readonly Inline[], spec: Spec): void {
    this.#sealing.add(task);
    const { owner } = this.#host;
    const kept: readonly Held[] = [...task.dependencies, ...task.nested];
    for (const held of kept) owner.keep(held);
    const { holds } = owner.references;
    const expected = holds.expect();
    let missing = large.length;
    let failed = false;
    const sealed = (error: Failure | undefined) => {
      failed ||= error !== undefined;
      if (--missing > 0) return;
      this.#sealing.delete(task);
      if (!failed && task.lineage !== "void") this.#host.send(GCS, { ...spec, ...progressOf(task, spec) });
      // After the spec, on the same way: from here on the spec's record holds them.
      this.#host.send(GCS, { type: "releaseHolds", objects: spec.promoted });
      for (const held of kept) owner.letGo(held);
      holds.added(expected);
    };
    for (const { index, value } of large) this.#host.sealArgument(promotedIdOf(task.id, index), value, sealed);
  }

  #specOf(task: Task, inline: readonly Inline[], large: ReadonlySet<Inline>): Spec {
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

/** It may have been tried again, or be done, since its spec was written. */
function progressOf(task: Task, spec: Spec): Pick<Spec, "task" | "lostAttempts" | "running"> {
  const running = task.lineage === "running";
  return { task: { ...spec.task, attempt: task.run }, lostAttempts: task.attempt, running };
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
