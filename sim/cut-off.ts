/**
 * Seeds in which an actor keeps its thread while the connections to it are lost: its callers take the calls that were under
 * way for lost, and the actor runs them all the same, long after. What comes of such a call depends on time, so these steps
 * draw from a sequence of their own, and let their values go.
 */
import type { FunctionId } from "../src/base/ids.js";
import { ACTOR_REASON_WAIT_MS } from "../src/base/limits.js";
import type { Prng } from "../src/base/prng.js";
import type { ActorLink } from "../src/core/owner/records.js";
import type { Cluster } from "./cluster.js";
import { type Api, get, type Made, PLAIN_ACTOR, type Ref, type Script, sleep } from "./program.js";
import { SimError } from "./values.js";
import { between } from "./world.js";

/** The method of an actor that makes something large, after a while. */
export const HAUL = "haul";
const HAULED_BYTES = 200_000;
const HAUL_MS = 15;
/** Callers wait for an actor's reason before they give their calls up. */
const CUT_OFF_MS = 3 * ACTOR_REASON_WAIT_MS;
const LOOKS = 2_000;

export function* hauled(order: string): Script<readonly Made[]> {
  yield* sleep(HAUL_MS);
  return [{ token: `${HAUL} ${order}`, sizeBytes: HAULED_BYTES, names: [] }];
}

/** Calls that may be cut off, and one that waits until the actor reads again. */
export function* haul(api: Api, prng: Prng, actorClass: FunctionId): Script<void> {
  const actor = api.createActor(actorClass, [plain("crew")], PLAIN_ACTOR);
  yield* getAndDrop(api, api.callActor(actor, "add", [plain("here")]));
  const refs = Array.from({ length: between(prng, 1, 4) }, (_, i) => api.callActor(actor, HAUL, [plain(`${i}`)]));
  for (const ref of refs) yield* getAndDrop(api, ref);
  yield* getAndDrop(api, api.callActor(actor, "add", [plain("there")]));
  api.drop(actor);
}

function* getAndDrop(api: Api, ref: Ref): Script<void> {
  try {
    yield* get(ref);
  } catch (error) {
    if (!(error instanceof SimError) || error.code !== "ACTOR_UNAVAILABLE") throw error;
  }
  api.drop(ref);
}

/** Wait for such calls, keep their actor busy, and cut it off. */
export function cutOff(cluster: Cluster, prng: Prng, looks = LOOKS): void {
  const { world } = cluster;
  const called = processes(cluster).flatMap(({ owner }) => [...owner.actors.links()].filter(hauls))[0];
  const actor = cluster.workers.find(({ alive, ref }) => alive && ref.processId === called?.worker?.processId);
  if (actor === undefined) {
    if (looks > 0) world.after(1, () => cutOff(cluster, prng, looks - 1));
    return;
  }
  const durationMs = between(prng, 1_000, CUT_OFF_MS);
  world.note("fault", "cut off", () => `${actor.name} for ${durationMs} ms`);
  actor.enter(() => actor.compute(durationMs));
  world.after(between(prng, 5, 40), () => {
    for (const { links } of processes(cluster)) links.cut(actor.ref.processId);
  });
}

function processes(cluster: Cluster) {
  return [...cluster.drivers, ...cluster.workers].filter(({ alive }) => alive);
}

function hauls({ inFlight }: ActorLink): boolean {
  return inFlight.values().some(({ template }) => template.method === HAUL);
}

function plain(token: string): Made {
  return { token, sizeBytes: 30, names: [] };
}
