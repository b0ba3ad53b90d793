/** Ports of machines whose test never fills a store. */
import type { DiskPort } from "../../src/core/raylet/node-store.js";

/** A store that is never full asks nothing of the disk. */
export const NO_DISK: DiskPort = {
  reserveSpace: () => true,
  writeSpill: () => unasked("writeSpill"),
  restoreSpill: () => unasked("restoreSpill"),
  deleteSpill: () => unasked("deleteSpill"),
  emptyFallback: () => unasked("emptyFallback"),
  wakeUpAfter: () => unasked("wakeUpAfter"),
};

function unasked(what: string): never {
  throw new Error(`the machine asked for ${what}, which this test does not expect`);
}
