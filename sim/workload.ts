/** The functions and classes of random programs, and the programs themselves. */
import type { FunctionId } from "../src/base/ids.js";
import {
  Body,
  FAIL,
  GATE,
  GATED,
  LATCH,
  MIX,
  NOBODY,
  OPENER,
  SERIAL,
  SERIAL_NAME,
  SHIELD,
  STUCK,
  TALLY,
  type Terrain,
  TINY,
} from "./body.js";
import { HAUL, haul, hauled } from "./cut-off.js";
import {
  type ActorInstance,
  type Api,
  type Code,
  type CodeTable,
  compute,
  get,
  type Handle,
  type Made,
  makeFile,
  type Observer,
  type Ref,
  type Script,
  sleep,
  spin,
  UserError,
  until,
  type Value,
} from "./program.js";
import { SimError, USER_ERROR } from "./values.js";
import { between, prngFor } from "./world.js";

/** How deep tasks of a program nest. */
const DEPTH = 2;
/** Code that looks for a file gives up after this time. It must never need to, where a CPU is free for whoever makes it. */
const SPIN_LIMIT_MS = 400;

/** One driver's program. */
export function* program(api: Api, terrain: Terrain, seed: number, observer: Observer): Script<void> {
  const body = new Body(api, terrain, seed, DEPTH, observer);
  const holds = prngFor(seed, "holds");
  if (holds.chance(0.4)) yield* body.holds(between(holds, 1, 3), holds);
  if (terrain.isCutOff) yield* haul(api, prngFor(seed, "cut off"), TALLY);
  yield* body.steps(between(prngFor(seed, "length"), 4, 24));
  yield* body.finish();
}

/** A program of nothing but tasks that keep their thread, quick ones around them, and those that release them. */
export function* holdingProgram(api: Api, terrain: Terrain, seed: number): Script<void> {
  const body = new Body(api, terrain, seed, DEPTH, NOBODY);
  const prng = prngFor(seed, "holds");
  yield* body.holds(between(prng, 3, 8), prng);
}

export function codesOf(terrain: Terrain, spinLimitMs = SPIN_LIMIT_MS): CodeTable {
  const task = (name: string, run: (api: Api, args: readonly Value[]) => Script<readonly Made[]>): Code => ({
    kind: "task",
    name,
    run,
  });
  return new Map<FunctionId, Code>([
    [MIX, task("mix", (api, args) => mix(api, terrain, args))],
    [FAIL, task("fail", (api, args) => fail(api, terrain, args))],
    [TINY, task("tiny", (_api, [arg]) => tiny(arg as Value))],
    [GATED, task("gated", (api, [arg]) => callGate(api, arg as Value, "wait"))],
    [OPENER, task("opener", (api, [arg]) => callGate(api, arg as Value, "open"))],
    [STUCK, task("stuck", (_api, [arg]) => stuck(arg as Value, spinLimitMs))],
    [SHIELD, task("shield", (_api, [arg]) => shield(arg as Value))],
    [LATCH, task("latch", (_api, [arg]) => latch(arg as Value))],
    [TALLY, { kind: "actor", name: "Tally", create: () => new Tally(terrain) }],
    [SERIAL, { kind: "actor", name: SERIAL_NAME, create: () => new Tally(terrain) }],
    [GATE, { kind: "actor", name: "Gate", create: () => new Gate() }],
  ]);
}

/** Does what its first argument orders, with what the others bring. */
function* mix(api: Api, terrain: Terrain, args: readonly Value[]): Script<readonly Made[]> {
  const [seed = 0, depth = 0, numReturns = 1] = (args[0]?.token ?? "").split(" ").map(Number);
  const chance = prngFor(seed, "mix");
  const body = new Body(api, terrain, seed, depth, NOBODY);
  for (const arg of args) body.take(arg);
  if (chance.chance(0.3)) yield* compute(chance.below(6));
  if (chance.chance(0.2)) yield* sleep(chance.below(60));
  if (depth >= 0) yield* body.steps(chance.below(4));
  return body.results(numReturns);
}

function* fail(api: Api, terrain: Terrain, args: readonly Value[]): Script<readonly Made[]> {
  yield* mix(api, terrain, args);
  throw new UserError(`failed as ordered: ${args[0]?.token}`);
}

// biome-ignore lint/correctness/useYield: it is user code, which may wait or not
function* tiny({ token }: Value): Script<readonly Made[]> {
  return [{ token: `tiny ${token}`, sizeBytes: 20, names: [] }];
}

/** Keeps its thread until a file is there. */
function* stuck({ token }: Value, limitMs: number): Script<readonly Made[]> {
  yield* spin(token, limitMs);
  return [{ token: `stuck ${token}`, sizeBytes: 20, names: [] }];
}

/** Makes that file. */
function* latch({ token }: Value): Script<readonly Made[]> {
  yield* makeFile(token);
  return [{ token: `latch ${token}`, sizeBytes: 20, names: [] }];
}

/** Whatever comes of the ref it has, it says the same. */
function* shield({ token, refs: [ref] }: Value): Script<readonly Made[]> {
  try {
    yield* get(ref as Ref);
  } catch (error) {
    const isOrdered = error instanceof SimError && ["TASK_TIMEOUT", USER_ERROR].includes(error.code);
    if (!isOrdered) throw error;
  }
  return [{ token: `shield ${token}`, sizeBytes: 20, names: [] }];
}

/** A call that a lost connection took along may not have run: without the one that opens, the others would wait for ever. */
function* callGate(api: Api, arg: Value, method: string): Script<readonly Made[]> {
  for (;;) {
    try {
      const [value] = yield* get(api.callActor(arg.handles[0] as Handle, method, []) as Ref);
      return [{ token: `${arg.token} ${value?.token}`, sizeBytes: 20, names: [] }];
    } catch (error) {
      if (!(error instanceof SimError) || error.code !== "ACTOR_UNAVAILABLE") throw error;
    }
  }
}

/** Its results do not depend on its state: callers share it, and their order among each other is nobody's promise. */
class Tally implements ActorInstance {
  readonly #terrain: Terrain;

  constructor(terrain: Terrain) {
    this.#terrain = terrain;
  }

  *call(api: Api, method: string, args: readonly Value[]): Script<readonly Made[]> {
    const order = args[0]?.token ?? "";
    if (method === "slow") yield* sleep(order.length);
    if (method === "fail") throw new UserError(`failed as ordered: ${order}`);
    if (method === HAUL) return yield* hauled(order);
    if (method === "work") return yield* mix(api, this.#terrain, args);
    return [{ token: `${method} ${order}`, sizeBytes: 30, names: [] }];
  }
}

class Gate implements ActorInstance {
  #isOpen = false;
  #waiting: (() => void)[] = [];

  *call(_api: Api, method: string): Script<readonly Made[]> {
    if (method === "open") {
      this.#isOpen = true;
      for (const go of this.#waiting.splice(0)) go();
    } else if (!this.#isOpen) {
      yield* until((go) => this.#waiting.push(go));
    }
    return [{ token: method, sizeBytes: 10, names: [] }];
  }
}
