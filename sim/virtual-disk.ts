/** The disk of a virtual node: spill files, slow, and in some seeds unwilling. */
import { assert } from "../src/base/assert.js";
import type { ObjectId } from "../src/base/ids.js";
import type { Prng } from "../src/base/prng.js";
import type { DiskPort } from "../src/core/raylet/node-store.js";
import type { Raylet } from "../src/core/raylet/raylet.js";
import type { SpillFileId, SpillPart } from "../src/core/store/spilling.js";
import type { Failure } from "../src/protocol/messages.js";
import type { SimValue } from "./values.js";
import type { VirtualStore } from "./virtual-store.js";
import { between, prngFor } from "./world.js";

export interface DiskSurroundings {
  /** Enter the node's machines after this time. */
  after(delayMs: number, action: () => void): void;
  raylet(): Raylet;
}

const NO_SPACE: Failure = { code: "OUT_OF_DISK", message: "the virtual disk is full" };

export class VirtualDisk implements DiskPort {
  readonly #prng: Prng;
  readonly #store: VirtualStore;
  readonly #around: DiskSurroundings;
  readonly #files = new Map<SpillFileId, Map<ObjectId, SimValue>>();
  readonly #bytesPerMs: number;
  readonly #failureRate: number;
  /** Objects that were written, for those who want to know whether anything was. */
  spilled = 0;

  constructor(seed: number, name: string, store: VirtualStore, around: DiskSurroundings) {
    this.#prng = prngFor(seed, `disk of ${name}`);
    this.#store = store;
    this.#around = around;
    this.#bytesPerMs = between(this.#prng, 10, 1_000) * 1_000;
    this.#failureRate = this.#prng.chance(0.3) ? between(this.#prng, 1, 500) / 1_000 : 0;
  }

  get files(): readonly SpillFileId[] {
    return [...this.#files.keys()];
  }

  reserveSpace(): boolean {
    return true;
  }

  /** The bytes leave memory while the write goes on: a block that is given away meanwhile shows. */
  writeSpill(id: SpillFileId, parts: readonly SpillPart[]): void {
    assert(!this.#files.has(id), "a spill file is written once");
    const file = new Map<ObjectId, SimValue>();
    this.#files.set(id, file);
    const bytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    this.#after(bytes, () => {
      if (this.#prng.chance(this.#failureRate)) return this.#around.raylet().spilled(id, NO_SPACE);
      for (const { objectId, offset } of parts) file.set(objectId, this.#store.read(offset, objectId));
      this.spilled += parts.length;
      this.#around.raylet().spilled(id, undefined);
    });
  }

  restoreSpill(objectId: ObjectId, id: SpillFileId, offset: number, sizeBytes: number): void {
    this.#after(sizeBytes, () => {
      this.#store.write(offset, objectId, this.read(id, objectId));
      this.#around.raylet().restored(objectId, undefined);
    });
  }

  /** A file that was deleted under its reader is caught here: invariant I-05. */
  read(id: SpillFileId, objectId: ObjectId): SimValue {
    const value = this.#files.get(id)?.get(objectId);
    assert(value !== undefined, `spill file ${id} has object ${objectId}`);
    return value;
  }

  deleteSpill(id: SpillFileId): void {
    assert(this.#files.delete(id), "a spill file is deleted once");
  }

  emptyFallback(): void {}

  wakeUpAfter(delayMs: number): void {
    this.#around.after(delayMs, () => this.#around.raylet().storage.wakeUp());
  }

  #after(bytes: number, action: () => void): void {
    this.#around.after(between(this.#prng, 1, 50) / 10 + bytes / this.#bytesPerMs, action);
  }
}
