/**
 * The golden journey: the lecture's program on two virtual nodes, and what every process recorded of it.
 *
 * The driver is attached to N1, the head. `a` lies in N1's store, the larger `b` in N2's, where the task that made it was
 * pinned. So `add(a, b)` goes to N2, and its large result comes back to N1. What is a race in life is fixed: the body of
 * `add` waits until `subscribeObject` of its result has been recorded, and each node has a second CPU, because the lease
 * on which `b` was made may not have come back yet when `add` is placed.
 */
import type { FunctionId, ObjectId, TaskId } from "../src/base/ids.js";
import type { JourneyRecord } from "../src/core/journey.js";
import type { TranscriptSubjects } from "../src/core/transcript.js";
import { Checkers } from "./checkers/checkers.js";
import { Cluster, nodeIdOf } from "./cluster.js";
import { ClusterHandle, type ClusterRef } from "./cluster-api.js";
import { PERFECT } from "./network.js";
import {
  type Api,
  type Code,
  get,
  PLAIN_ACTOR,
  PLAIN_CALL,
  type Ref,
  type Script,
  sleep,
  type Value,
} from "./program.js";
import { World } from "./world.js";

const KIB = 1024;
const STORE_BYTES = 16 * 1024 * KIB;
const LIMIT_MS = 60_000;
const MAKE_B = "b0" as FunctionId;
const ADD = "add0" as FunctionId;
const COUNTER = "c0" as FunctionId;

export interface GoldenJourney {
  readonly records: readonly JourneyRecord[];
  readonly subjects: TranscriptSubjects;
  readonly nodes: ReadonlyMap<string, string>;
  /** What `get(c)` and the call gave. */
  readonly tokens: readonly string[];
}

export function goldenJourney(seed: number, verbose?: (line: string) => void): GoldenJourney {
  const world = new World(seed, verbose);
  const tokens: string[] = [];
  const ids = { taskId: "" as TaskId, objectId: "" as ObjectId, actorId: "", callId: "" };
  const subscribed = () =>
    cluster.journeys().some(({ step, subject }) => step === "subscribeObject" && subject === ids.objectId);
  const codes = new Map<FunctionId, Code>([
    [MAKE_B, { kind: "task", name: "makeB", run: makeB }],
    [ADD, { kind: "task", name: "add", run: (_api, args) => addWhen(subscribed, args) }],
    [COUNTER, { kind: "actor", name: "Counter", create: () => counter() }],
  ]);
  const node = { resources: { CPU: 2 }, storeBytes: STORE_BYTES, recallable: true };
  const cluster = new Cluster({ world, rates: PERFECT, nodes: [node, node], codes, watch: new Checkers() });
  world.run(() => cluster.nodes[0]?.gcs?.nodeCount === 2, LIMIT_MS);

  const onN2 = { kind: "node", nodeId: nodeIdOf(2), soft: false } as const;
  function* program(api: Api): Script<void> {
    const a = api.put({ token: "a", sizeBytes: 200 * KIB, names: [] });
    const [b] = api.call(MAKE_B, [], { ...PLAIN_CALL, strategy: onN2 }) as [Ref];
    const [c] = api.call(ADD, [a, b], PLAIN_CALL) as [Ref];
    ids.objectId = (c as ClusterRef).entry.id;
    ids.taskId = (c as ClusterRef).entry.task?.id ?? ids.taskId;
    tokens.push(...(yield* get(c)).map(({ token }) => token));
    const handle = api.createActor(COUNTER, [], { ...PLAIN_ACTOR, strategy: onN2 });
    if (handle instanceof ClusterHandle) ids.actorId = handle.link.actorId;
    const call = api.callActor(handle, "increment", []);
    ids.callId = (call as ClusterRef).entry.task?.id ?? "";
    tokens.push(...(yield* get(call)).map(({ token }) => token));
  }
  const driver = cluster.addDriver(1, program);
  if (!world.run(() => driver.finished, LIMIT_MS)) throw new Error("the golden program did not end");
  if (driver.failure !== undefined) throw driver.failure;
  const nodes = new Map([1, 2].map((number) => [nodeIdOf(number) as string, `N${number}`]));
  return { records: cluster.journeys(), subjects: { functionId: ADD, ...ids }, nodes, tokens };
}

// biome-ignore lint/correctness/useYield: it is user code, which may wait or not
function* makeB(): Script<readonly { token: string; sizeBytes: number; names: readonly [] }[]> {
  return [{ token: "b", sizeBytes: 400 * KIB, names: [] }];
}

function* addWhen(
  subscribed: () => boolean,
  args: readonly Value[],
): Script<readonly { token: string; sizeBytes: number; names: readonly [] }[]> {
  while (!subscribed()) yield* sleep(1);
  return [{ token: args.map(({ token }) => token).join("+"), sizeBytes: 600 * KIB, names: [] }];
}

function counter() {
  let count = 0;
  return {
    // biome-ignore lint/correctness/useYield: it is user code, which may wait or not
    *call(): Script<readonly { token: string; sizeBytes: number; names: readonly [] }[]> {
      count++;
      return [{ token: `${count}`, sizeBytes: 8, names: [] }];
    },
  };
}
