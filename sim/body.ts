/**
 * Random user code. What it does next is drawn from a seed and from what it has at hand, never from time, so that the
 * model and the cluster run the same steps and must come to the same values.
 */

import { hash96 } from "../src/base/hash.js";
import type { FunctionId, NodeId } from "../src/base/ids.js";
import type { Prng } from "../src/base/prng.js";
import { LimitedSteps } from "./limited.js";
import {
  type Api,
  type Argument,
  type CallOptions,
  compute,
  findActor,
  get,
  type Handle,
  type Made,
  type Observer,
  PLAIN_ACTOR,
  PLAIN_CALL,
  type Ref,
  type Script,
  sleep,
  type Value,
  wait,
} from "./program.js";
import { SimError, USER_ERROR } from "./values.js";
import { between, prngFor } from "./world.js";

export const MIX = "f1" as FunctionId;
export const FAIL = "f2" as FunctionId;
export const TINY = "f3" as FunctionId;
export const GATED = "f4" as FunctionId;
export const OPENER = "f5" as FunctionId;
export const STUCK = "f6" as FunctionId;
export const LATCH = "f7" as FunctionId;
export const SHIELD = "f8" as FunctionId;
export const TALLY = "c1" as FunctionId;
export const GATE = "c2" as FunctionId;
/** One call at a time: it must not wait for itself, so its calls get no refs or handles. */
export const SERIAL = "c3" as FunctionId;
export const SERIAL_NAME = "Serial";

const LIMITED = { mix: MIX, tiny: TINY, gated: GATED, gate: GATE, shield: SHIELD };

/** What the program may ask of its cluster. */
export interface Terrain {
  readonly nodes: readonly NodeId[];
  readonly headCpus: number;
  readonly gpus: number;
  /** Most values are too large to stay with their owner. */
  readonly isHeavy: boolean;
  /** Some tasks and calls have time limits. */
  readonly hasLimits: boolean;
  /** Some calls are cut off from their actor: see `cut-off.ts`. */
  readonly isCutOff: boolean;
}

export const NOBODY: Observer = { added: () => {}, got: () => {}, limited: () => {}, timedOut: () => {} };

interface Slot {
  readonly index: number;
  readonly ref: Ref;
}

/** The words in which a task is told what to do: its own seed, how deep it may nest, what it returns. */
function orders(seed: number, depth: number, numReturns: number): string {
  return `${seed} ${depth} ${numReturns}`;
}

export class Body {
  readonly #api: Api;
  readonly #terrain: Terrain;
  readonly #prng: Prng;
  readonly #observer: Observer;
  readonly #depth: number;
  readonly #name: string;
  readonly #slots: Slot[] = [];
  readonly #handles: Handle[] = [];
  readonly #limits: Prng | undefined;
  readonly #limited: LimitedSteps | undefined;
  #nextIndex = 0;
  #digest: string;

  constructor(api: Api, terrain: Terrain, seed: number, depth: number, observer: Observer) {
    this.#api = api;
    this.#terrain = terrain;
    this.#prng = prngFor(seed, "body");
    this.#observer = observer;
    this.#depth = depth;
    this.#name = `${seed}`;
    this.#digest = `${seed}`;
    if (!terrain.hasLimits) return;
    this.#limits = prngFor(seed, "limits");
    this.#limited = new LimitedSteps(api, this.#limits, depth, LIMITED, observer, () => this.#nextIndex++);
  }

  take(value: Value): void {
    this.#mix(value.token);
    for (const ref of value.refs) this.#add(ref);
    this.#handles.push(...value.handles);
  }

  *steps(count: number): Script<void> {
    for (let i = 0; i < count; i++) yield* this.#step(i);
  }

  /** Small tasks, one of which keeps its thread until a file is there that another one makes. */
  *holds(count: number, prng: Prng): Script<void> {
    for (let i = 0; i < count; i++) {
      yield* this.#getSlots(this.#callAll(Array.from({ length: 6 }, () => TINY)));
      const kinds = Array.from({ length: between(prng, 0, 12) }, () => TINY);
      for (const kind of [STUCK, LATCH]) kinds.splice(prng.below(kinds.length + 1), 0, kind);
      yield* this.#getSlots(this.#callAll(kinds, `${this.#name} file ${i}`));
    }
  }

  #callAll(kinds: readonly FunctionId[], file = ""): Slot[] {
    return kinds.flatMap((kind, i) => {
      const arg = { token: kind === TINY ? `${i}` : file, sizeBytes: 20, names: [] };
      return this.#api.call(kind, [arg], PLAIN_CALL).map((ref) => this.#add(ref));
    });
  }

  /** Get everything that is still at hand, one by one. */
  *finish(): Script<void> {
    while (this.#slots.length > 0 && this.#nextIndex < 300) {
      if (this.#prng.chance(0.2)) this.#dropOne();
      else yield* this.#getOne();
    }
  }

  results(numReturns: number): readonly Made[] {
    return Array.from({ length: numReturns }, (_, index) => {
      const token = hash96(`${this.#digest} ${index}`);
      return { token, sizeBytes: this.#size(), names: this.#names(0.25) };
    });
  }

  // ── Steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  *#step(number: number): Script<void> {
    if (this.#limited !== undefined && this.#limits?.chance(0.2)) yield* this.#limited.step(this.#handles);
    if (this.#terrain.isHeavy && this.#depth > 0 && this.#prng.chance(0.3)) return yield* this.#chain();
    const choice = this.#prng.below(100);
    if (choice < 16) this.#add(this.#api.put(this.#made(`put ${number}`)));
    else if (choice < 42) this.#call();
    else if (choice < 46) yield* this.#burst();
    else if (choice < 58) yield* this.#getOne();
    else if (choice < 64) yield* this.#getSeveral();
    else if (choice < 68) yield* this.#wait();
    else if (choice < 76) this.#dropOne();
    else if (choice < 80) yield* this.#createActor(number);
    else if (choice < 90) this.#callActor(number);
    else if (choice < 92) yield* this.#gate();
    else if (choice < 96) yield* sleep(this.#prng.below(40));
    else yield* compute(this.#prng.below(8));
  }

  #call(): void {
    const numReturns = this.#prng.chance(0.8) ? 1 : this.#prng.below(4);
    const depth = this.#depth - 1;
    const options = this.#options(numReturns);
    const isLeaf = depth < 0 || "GPU" in options.resources;
    const functionId = this.#prng.chance(0.1) ? FAIL : MIX;
    const seed = this.#prng.below(1 << 30);
    const names = isLeaf ? [] : this.#names(0.5);
    const first: Made = { token: orders(seed, isLeaf ? -1 : depth, numReturns), sizeBytes: 50, names };
    const args: Argument[] = [first];
    while (args.length < 4 && this.#prng.chance(0.35)) args.push(this.#pick() ?? this.#made("argument"));
    for (const ref of this.#api.call(functionId, args, options)) this.#add(ref);
  }

  /** Large results from large results, most of them let go, and time for them to be lost. */
  *#chain(): Script<void> {
    const made: Ref[] = [];
    for (let i = between(this.#prng, 2, 5); i > 0; i--) {
      const seed = this.#prng.below(1 << 30);
      const named = this.#prng.chance(0.3) ? this.#prng.pick(made) : undefined;
      const first: Made = { token: orders(seed, -1, 1), sizeBytes: 50, names: named === undefined ? [] : [named] };
      const args: Argument[] = [first, ...made.filter(() => this.#prng.chance(0.6))];
      const [ref] = this.#api.call(MIX, args, PLAIN_CALL);
      if (ref !== undefined) made.push(ref);
    }
    const last = made.pop();
    yield* wait(made, made.length);
    for (const ref of made) {
      if (this.#prng.chance(0.3)) this.#add(ref);
      else this.#api.drop(ref);
    }
    yield* sleep(between(this.#prng, 20, 300));
    if (last !== undefined) yield* this.#getSlots([this.#add(last)]);
  }

  /** Many small tasks of one kind: what pipelining is for. */
  *#burst(): Script<void> {
    const count = between(this.#prng, 5, this.#depth > 0 ? 30 : 8);
    const slots: Slot[] = [];
    const options = { ...PLAIN_CALL, maxRetries: this.#prng.pick([3, 3, 3, 1, 0]) ?? 3 };
    for (let i = 0; i < count; i++) {
      const arg = { token: `${i}`, sizeBytes: 20, names: [] };
      for (const ref of this.#api.call(TINY, [arg], options)) slots.push(this.#add(ref));
    }
    if (this.#prng.chance(0.7)) yield* this.#getSlots(slots);
  }

  *#getOne(): Script<void> {
    const slot = this.#prng.pick(this.#slots);
    if (slot !== undefined) yield* this.#getSlots([slot]);
  }

  *#getSeveral(): Script<void> {
    const slots = this.#slots.filter(() => this.#prng.chance(0.4));
    if (slots.length > 0) yield* this.#getSlots(slots);
  }

  /** An error of user code is a value like others. What the system could not do ends this code. */
  *#getSlots(slots: readonly Slot[]): Script<void> {
    for (const slot of slots) this.#slots.splice(this.#slots.indexOf(slot), 1);
    try {
      const values = yield* get(...slots.map(({ ref }) => ref));
      values.forEach((value, i) => {
        this.#observer.got(slots[i]?.index ?? 0, value);
        this.take(value);
      });
    } catch (error) {
      if (!(error instanceof SimError) || error.code !== USER_ERROR) throw error;
      this.#mix("error");
    }
    for (const { ref } of slots) this.#api.drop(ref);
  }

  *#wait(): Script<void> {
    const refs = this.#slots.filter(() => this.#prng.chance(0.5)).map(({ ref }) => ref);
    if (refs.length > 0) yield* wait(refs, between(this.#prng, 1, refs.length));
  }

  #dropOne(): void {
    if (this.#slots.length === 0) return;
    const [slot] = this.#slots.splice(this.#prng.below(this.#slots.length), 1);
    if (slot !== undefined) this.#api.drop(slot.ref);
  }

  // ── Actors ────────────────────────────────────────────────────────────────────────────────────────────────────────

  *#createActor(number: number): Script<void> {
    const isNamed = this.#depth > 1 && this.#prng.chance(0.4);
    const actorName = isNamed ? `${this.#name} ${number}` : "";
    const isSerial = this.#prng.chance(0.3);
    const maxConcurrency = isSerial ? 1 : 1_000;
    const handle = this.#api.createActor(isSerial ? SERIAL : TALLY, [this.#made("constructor", false)], {
      ...PLAIN_ACTOR,
      actorName,
      maxConcurrency,
    });
    this.#handles.push(handle);
    if (!isNamed) return;
    const found = yield* findActor(actorName);
    if (found === undefined) throw new SimError({ code: "ACTOR_NOT_FOUND", message: actorName });
    this.#handles.push(found);
  }

  #callActor(number: number): void {
    const handle = this.#prng.pick(this.#handles);
    if (handle === undefined) return;
    if (this.#prng.chance(0.15)) {
      this.#handles.splice(this.#handles.indexOf(handle), 1);
      this.#api.drop(handle);
      return;
    }
    for (let i = between(this.#prng, 1, 5); i > 0; i--) {
      const seed = this.#prng.below(1 << 30);
      const depth = handle.name !== SERIAL_NAME && this.#prng.chance(0.3) ? this.#depth - 1 : -1;
      const names = depth < 0 ? [] : this.#names(0.3);
      const args: Argument[] = [{ token: orders(seed, depth, 1), sizeBytes: 50, names }];
      if (this.#prng.chance(0.3)) args.push(this.#pick() ?? this.#made(`call ${number}`));
      const method = this.#prng.pick(["add", "add", "slow", "fail", "work"]) ?? "add";
      this.#add(this.#api.callActor(handle, method, args));
    }
  }

  /** Gated tasks and their opener, in any order: none may keep the opener waiting. */
  *#gate(): Script<void> {
    const gate = this.#api.createActor(GATE, [], PLAIN_ACTOR);
    const count = between(this.#prng, 1, 3);
    const opener = this.#prng.below(count + 1);
    const slots: Slot[] = [];
    for (let i = 0; i <= count; i++) {
      const arg = { token: `${i}`, sizeBytes: 20, names: [gate] };
      for (const ref of this.#api.call(i === opener ? OPENER : GATED, [arg], PLAIN_CALL)) slots.push(this.#add(ref));
    }
    this.#api.drop(gate);
    yield* this.#getSlots(slots);
  }

  // ── Draws ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #options(numReturns: number): CallOptions {
    const { nodes, headCpus, gpus } = this.#terrain;
    const cpus = this.#prng.pick(headCpus > 1 ? [1, 1, 1, 1, 1, 1, 1, 0, 2] : [1, 1, 1, 1, 1, 1, 1, 0]) ?? 1;
    const maxRetries = this.#prng.pick([3, 3, 3, 1, 0]) ?? 3;
    const node = this.#prng.pick(nodes) ?? "";
    const soft = this.#prng.chance(0.5);
    const kind = this.#prng.below(10);
    const resources = gpus > 0 && this.#depth > 1 && this.#prng.chance(0.1) ? { GPU: 1 } : {};
    const canPin = kind === 0 && cpus < 2 && !("GPU" in resources);
    const strategy = canPin
      ? ({ kind: "node", nodeId: node, soft } as const)
      : ({ kind: kind === 1 ? "spread" : "default" } as const);
    return { numReturns, maxRetries, cpus, resources, strategy, timeoutMs: 0 };
  }

  #made(label: string, mayName = true): Made {
    const token = hash96(`${this.#digest} ${label} ${this.#prng.next()}`);
    return { token, sizeBytes: this.#size(), names: mayName ? this.#names(0.2) : [] };
  }

  /** Small, too large for a lease request, or too large to stay with its owner. */
  #size(): number {
    const kind = this.#prng.below(10);
    if (kind < (this.#terrain.isHeavy ? 2 : 6)) return between(this.#prng, 10, 1_000);
    return kind < (this.#terrain.isHeavy ? 4 : 8)
      ? between(this.#prng, 1_100, 100_000)
      : between(this.#prng, 110_000, 400_000);
  }

  #names(probability: number): (Ref | Handle)[] {
    const names: (Ref | Handle)[] = [];
    while (names.length < 3 && this.#prng.chance(probability)) {
      const thing = this.#prng.chance(0.3) ? this.#prng.pick(this.#handles) : this.#pick();
      if (thing === undefined) break;
      names.push(thing);
    }
    return names;
  }

  #pick(): Ref | undefined {
    return this.#prng.pick(this.#slots)?.ref;
  }

  #add(ref: Ref): Slot {
    const slot = { index: this.#nextIndex++, ref };
    this.#slots.push(slot);
    this.#observer.added(slot.index, ref);
    return slot;
  }

  #mix(token: string): void {
    this.#digest = hash96(`${this.#digest} ${token}`);
  }
}
