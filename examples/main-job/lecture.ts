/**
 * The lecture's program: `c = add(a, b)` with a in the store of N1 and b, which is larger, in the store of N2; `get(c)`;
 * and an actor that counts.
 */
import * as ray from "mobula";
import type { TestCluster } from "mobula/testing";
import { TASK_ID_DIGITS } from "../../src/base/ids.js";
import { nodesOf } from "../../src/cli/cluster-view.js";
import { inWords, recordsIn } from "../../src/cli/trace.js";
import { type Ladder, laddersOf } from "../../src/core/ladder.js";

/** Numbers in a and b: far above the size up to which a value stays with its owner. */
const A_LENGTH = 200_000;
const B_LENGTH = 400_000;

const makeVector = ray.remote(function makeVector(length: number): Float64Array {
  return Float64Array.from({ length }, (_, i) => i);
});

/** a is repeated until it is as long as b. */
const add = ray.remote(function add(a: Float64Array, b: Float64Array): Float64Array {
  return b.map((x, i) => x + (a[i % a.length] ?? 0));
});

class CounterActor {
  #count = 0;

  increment(): number {
    this.#count++;
    return this.#count;
  }
}

const Counter = ray.remote(CounterActor);

/** Run it, and return its ladders as `mobula trace` prints them. */
export async function runLecture(cluster: TestCluster): Promise<string> {
  const n2 = cluster.nodes[1];
  if (n2 === undefined) throw new Error("the lecture needs two nodes");

  const a = ray.put(new Float64Array(A_LENGTH).fill(1));
  const b = makeVector.options({ schedulingStrategy: { nodeId: n2.nodeId } }).remote(B_LENGTH);
  const c = add.remote(a, b);
  const sum = await ray.get(c);
  if (sum.length !== B_LENGTH || sum[B_LENGTH - 1] !== B_LENGTH) throw new Error("add(a, b) is wrong");

  using counter = Counter.remote();
  const one = counter.increment.remote();
  if ((await ray.get(one)) !== 1) throw new Error("the counter does not count from 1");

  return await laddersInWords(cluster, [taskOf(c), taskOf(one)]);
}

async function laddersInWords(cluster: TestCluster, tasks: readonly string[]): Promise<string> {
  const tool = await cluster.tool();
  const [nodes, answer] = await Promise.all([nodesOf(tool), tool.query("trace", "")]);
  const records = recordsIn(JSON.parse(answer));
  const [sum = [], call = []] = tasks.map((task) => laddersOf(records, task));
  const ladders: Ladder[] = [...sum, ...call.filter(({ ladder }) => ladder === "actor")];
  return inWords(ladders, nodes);
}

/** The id of an object begins with that of the task that makes it. */
function taskOf(ref: ray.ObjectRef<unknown>): string {
  return ref.id.slice(0, TASK_ID_DIGITS);
}
