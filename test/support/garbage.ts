/** Making garbage collection happen in a test, instead of hoping for it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { waitForCondition } from "../../src/testing/index.js";

setFlagsFromString("--expose-gc");
const gc: () => void = runInNewContext("gc");

/** Collect everything and let finalizers run, which needs turns of the event loop, until the condition holds. */
export async function collectUntil(condition: () => boolean | Promise<boolean>): Promise<void> {
  await waitForCondition(
    () => {
      gc();
      return condition();
    },
    { timeoutMs: 5_000 },
  );
}

export function collectGarbage(): void {
  gc();
}
