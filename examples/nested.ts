/**
 * Tasks that make tasks: a sum over a tree, each node of which is a task that waits for its children.
 *
 * The cluster has one CPU. A task that awaits `get` gives it back, so the tree may be deeper than there are CPUs.
 */
import * as ray from "mobula";

const DEPTH = 4;

const sumOfTree = ray.remote(async function sumOfTree(depth: number): Promise<number> {
  if (depth === 0) return 1;
  const children = [sumOfTree.remote(depth - 1), sumOfTree.remote(depth - 1)] as ray.ObjectRef<number>[];
  const [left = 0, right = 0] = await ray.get(children);
  return left + right;
});

await using _cluster = await ray.init({ numCpus: 1 });
console.log(`a tree of depth ${DEPTH} has ${await ray.get(sumOfTree.remote(DEPTH))} leaves`);
