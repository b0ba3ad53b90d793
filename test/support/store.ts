/** What the object stores of the cluster hold, as a user sees it. */
import * as ray from "../../src/api/index.js";

export async function usedBytes(): Promise<number> {
  const [all, free] = [await ray.clusterResources(), await ray.availableResources()];
  return (all["objectStoreMemory"] ?? 0) - (free["objectStoreMemory"] ?? 0);
}
