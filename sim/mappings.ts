/** Values that user code has got as mappings of the store: the block stays in use until the last of them is garbage. */
import type { ObjectId } from "../src/base/ids.js";
import type { Prng } from "../src/base/prng.js";
import type { VirtualProcess } from "./virtual-process.js";
import type { VirtualStore } from "./virtual-store.js";
import { between, prngFor } from "./world.js";

const MAX_KEPT_MS = 200;

export class Mappings {
  readonly #process: VirtualProcess;
  readonly #store: VirtualStore;
  readonly #prng: Prng;

  constructor(process: VirtualProcess, store: VirtualStore) {
    this.#process = process;
    this.#store = store;
    this.#prng = prngFor(process.world.seed, `mappings of ${process.name}`);
  }

  /** User code may hold on to what lies there. `release` is called once, now or later. */
  keep(offset: number, objectId: ObjectId, release: () => void): void {
    if (this.#prng.chance(0.5)) return release();
    this.#process.after(between(this.#prng, 1, MAX_KEPT_MS), () => {
      this.#store.read(offset, objectId); // still there, whatever became of the object: invariant I-06
      release();
    });
  }
}
