/**
 * Tasks that make tasks: a tree, each node of which is a task that waits for its two children.
 *
 * The cluster has one CPU. A task that awaits `get` gives it back, so the tree may be deeper than there are CPUs.
 */
import * as ray from "mobula";

const DEPTH = 4;

async function countLeaves(depth: number): Promise<number> {
  if (depth === 0) return 1;
  const [left, right] = await ray.get([leaves.remote(depth - 1), leaves.remote(depth - 1)]);
  return left + right;
}

const leaves = ray.remote(countLeaves);

await using _cluster = await ray.init({ numCpus: 1 });
console.log(`a tree of depth ${DEPTH} has ${await ray.get(leaves.remote(DEPTH))} leaves`);
