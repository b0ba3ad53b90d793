/** The room in the object store, as the GCS reports it. */
import { availableResources } from "mobula";

/** Mapped arrays go with garbage collection, which an idle process has within this time. */
const PATIENCE_MS = 120_000;

export async function availableBytes(): Promise<number> {
  return (await availableResources())["objectStoreMemory"] ?? 0;
}

export async function waitUntilFree(wantedBytes: number): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while ((await availableBytes()) < wantedBytes) {
    if (performance.now() > endMs) throw new Error(`the store did not become free: ${await availableBytes()} bytes`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
