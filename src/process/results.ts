/**
 * What becomes of a task's results in its worker: large ones go to the node's store, small ones travel with the answer
 * and are kept a while, in case that somebody asks for them whose way would lead over a busy owner.
 *
 * Lecture: step `storeResult`.
 */
import {
  indexOfObject,
  type ObjectId,
  objectIdOf,
  type ProcessRef,
  runOfCopy,
  taskIdOf,
  taskOfObject,
} from "../base/ids.js";
import { MAX_INLINE_SUM_BYTES } from "../base/limits.js";
import { KeptAnswers } from "../core/executor/kept-answers.js";
import type { Outcome, Result } from "../core/owner/records.js";
import type { Failure } from "../protocol/messages.js";
import type { CoreProcess } from "./core-process.js";
import type { IncomingTemplate } from "./direct-frames.js";
import { EncodedBytes } from "./encoded-bytes.js";
import { LocalValue, noRoom } from "./local-store.js";
import type { StoredValue } from "./stored-value.js";

/** A task, as far as its results are concerned. */
interface Source {
  readonly template: IncomingTemplate;
  readonly counter: number;
  readonly attempt: number;
}

export class Results {
  readonly #core: CoreProcess;
  readonly #kept = new KeptAnswers();

  constructor(core: CoreProcess) {
    this.#core = core;
  }

  /** Hot path: an answer leaves. */
  keep({ template, counter, attempt }: Source, outcome: Outcome): void {
    this.#kept.keep(template.context, counter, attempt, outcome, sizeOf(outcome));
  }

  /** Hot path: whether somebody who cannot wait for the owner has asked for what this task is about to return. */
  isPromised({ template, counter }: Source): boolean {
    return this.#kept.takePromise(template.context, counter);
  }

  /** The object table asks: now if the result is here, else when it will be. */
  promoteResult(objectId: ObjectId): void {
    const taskId = taskOfObject(objectId);
    const answer = this.#kept.find(taskId);
    if (answer === undefined) return this.#kept.promise(taskId);
    const { outcome, attempt } = answer;
    // Without a holder: should the owner have let go meanwhile, the object table frees this copy at once.
    const asked = inlineOf(outcome, indexOfObject(objectId) + 1).find(({ index }) => index === indexOfObject(objectId));
    if (asked === undefined) return;
    this.#core.sealValue(objectId, asked.value, asked.isError, runOfCopy(attempt), undefined, () => {});
  }

  /**
   * Copies of what a task returns: large ones, and all of them with `all`, in the store. `store` follows.
   *
   * @throws SerializationError, ObjectStoreFullError: then nothing has been placed.
   */
  place(values: readonly unknown[], all: boolean): readonly (StoredValue | LocalValue)[] {
    let inlineBytes = 0;
    return this.#placeAll(values, (value) => {
      const encoded = this.#core.values.encode(value, "result");
      if (encoded instanceof LocalValue) return encoded;
      inlineBytes += bytesOf(encoded);
      return all || inlineBytes > MAX_INLINE_SUM_BYTES ? this.#core.placeValue(encoded, false) : encoded;
    });
  }

  /** What lies in the store is sealed in the holder's name; then the task has ended. */
  store(
    task: Source,
    values: readonly (StoredValue | LocalValue)[],
    holder: ProcessRef | undefined,
    done: (outcome: Outcome) => void,
  ): Outcome | undefined {
    const placed = values.flatMap((value, index) => (value instanceof LocalValue ? [{ index, value }] : []));
    const results = values.map((value): Result => ({ kind: "inline", value }));
    if (placed.length === 0) return { kind: "returned", results };
    this.#seal(task, placed, holder, (failure) => done(failure ?? { kind: "returned", results }), results);
    return undefined;
  }

  /**
   * Seal what an outcome has inline, in the holder's name. `done` gets the outcome as it is to be answered then: an error
   * is answered as it is, too. So its copy is for others, whose holds keep it; its owner would not know that it has one.
   */
  promote(task: Source, outcome: Outcome, holder: ProcessRef | undefined, done: (outcome: Outcome) => void): void {
    const inline = inlineOf(outcome, task.template.numReturns);
    if (inline.length === 0) return done(outcome);
    let placed: readonly PlacedValue[];
    try {
      const values = this.#placeAll(inline, ({ value, isError }) => this.#core.placeValue(value, isError));
      placed = values.map((value, at) => ({ index: inline[at]?.index ?? at, value }));
    } catch (error) {
      return done({ kind: "failed", ...noRoom(error) });
    }
    const results: Result[] = outcome.kind === "returned" ? [...outcome.results] : [];
    const ended: Outcome = outcome.kind === "threw" ? outcome : { kind: "returned", results };
    const inNameOf = outcome.kind === "threw" ? undefined : holder;
    this.#seal(task, placed, inNameOf, (failure) => done(failure ?? ended), results);
  }

  /** When one of them cannot be placed, those before it are nobody's. */
  #placeAll<From, To>(values: readonly From[], place: (value: From) => To): readonly To[] {
    const placed: To[] = [];
    try {
      for (const value of values) placed.push(place(value));
      return placed;
    } catch (error) {
      for (const each of placed) if (each instanceof LocalValue) this.#core.store.free(each);
      throw error;
    }
  }

  #seal(
    { template, counter, attempt }: Source,
    values: readonly PlacedValue[],
    holder: ProcessRef | undefined,
    done: (failure: Outcome | undefined) => void,
    results: Result[],
  ): void {
    const taskId = taskIdOf(template.context, counter);
    const run = runOfCopy(attempt);
    let left = values.length;
    let failure: Failure | undefined;
    for (const { index, value } of values) {
      results[index] = { kind: "stored", nodeId: this.#core.self.nodeId, sizeBytes: value.sizeBytes };
      this.#core.store.handOver(value, objectIdOf(taskId, index), run, holder, (error) => {
        failure ??= error;
        if (--left === 0) done(failure === undefined ? undefined : { kind: "failed", ...failure });
      });
    }
  }
}

interface PlacedValue {
  readonly index: number;
  readonly value: LocalValue;
}

interface InlineValue {
  readonly index: number;
  readonly value: StoredValue;
  readonly isError: boolean;
}

/** The values that an outcome carries itself. An error is the value of every result. */
function inlineOf(outcome: Outcome, numReturns: number): readonly InlineValue[] {
  switch (outcome.kind) {
    case "value":
      return [{ index: 0, value: outcome.value as StoredValue, isError: false }];
    case "returned":
      return outcome.results.flatMap((result, index) =>
        result.kind === "inline" ? [{ index, value: result.value as StoredValue, isError: false }] : [],
      );
    case "threw":
      return Array.from({ length: numReturns }, (_, index) => ({
        index,
        value: outcome.error as StoredValue,
        isError: true,
      }));
    case "failed":
      return [];
  }
}

function sizeOf(outcome: Outcome): number {
  if (outcome.kind === "value") return bytesOf(outcome.value);
  if (outcome.kind === "threw") return bytesOf(outcome.error);
  if (outcome.kind === "failed") return 0;
  return outcome.results.reduce((sum, result) => sum + (result.kind === "inline" ? bytesOf(result.value) : 0), 0);
}

function bytesOf(value: unknown): number {
  return value instanceof EncodedBytes ? value.bytes.length : 0;
}
