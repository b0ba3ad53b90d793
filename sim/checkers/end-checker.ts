/** I-05 and I-08: when nobody can reach anything any more, nothing is left; when a job has ended, nothing of it is. */
import type { Cluster } from "../cluster.js";
import { demand } from "./violation.js";

/** Programs have ended and dropped what they had. Their drivers still live. */
export function checkEmpty(cluster: Cluster): void {
  const gcs = cluster.nodes[0]?.gcs;
  const rows = [...(gcs?.objects.objects() ?? [])].map(
    ([id, row]) => `${id} on [${[...row.locations]}] held by [${[...row.holders]}]`,
  );
  demand(rows.length === 0, `the object table is empty once every ref is dropped: ${rows.slice(0, 5).join("; ")}`);
  for (const node of cluster.nodes) {
    if (!node.alive) continue;
    const sealed = [...node.raylet.store.sealed()].map(([id]) => id);
    demand(sealed.length === 0, `the store of ${node.name} is empty once every ref is dropped: ${sealed.slice(0, 5)}`);
    const spilled = [...node.raylet.storage.spilling.objects()];
    demand(
      spilled.length === 0,
      `nothing of ${node.name} is on disk once every ref is dropped: ${spilled.slice(0, 5)}`,
    );
    const { files } = node.disk;
    demand(files.length === 0, `every spill file of ${node.name} is deleted, but ${files.slice(0, 5)}`);
    const used = node.raylet.store.usedBytes + node.raylet.store.fallbackBytes;
    demand(used === 0, `the store of ${node.name} has all its memory back, but ${used} bytes`);
  }
}

/** Every driver has left. */
export function checkJobsEnded(cluster: Cluster): void {
  const view = cluster.nodes[0]?.gcs?.scheduler.nodes() ?? [];
  for (const node of cluster.nodes) {
    if (!node.alive) continue;
    const mine = view.find(({ info }) => info.nodeId === node.nodeId);
    demand(mine !== undefined, `${node.name} lives, and the GCS knows it`);
    for (const [name, total] of mine.info.total) {
      demand(
        mine.available.get(name) === total,
        `all ${name} of ${node.name} is back: ${mine.available.get(name)} of ${total}`,
      );
    }
    const workers = [...node.raylet.pool.all()].filter(({ jobId }) => jobId !== undefined);
    demand(
      workers.length === 0,
      `no worker of ${node.name} outlives its job: ${workers.map(({ ref }) => ref.processId)}`,
    );
  }
}
