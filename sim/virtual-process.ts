/**
 * A process of the virtual cluster: it takes one event after the other, is busy for a while when user code computes,
 * and dies at once.
 */
import type { ProcessRef } from "../src/base/ids.js";
import type { World } from "./world.js";

/** The end of a connection, as far as its process's death is concerned. */
interface Mortal {
  cut(): void;
  vanish(world: World): void;
}

export abstract class VirtualProcess {
  readonly world: World;
  readonly name: string;
  readonly ref: ProcessRef;
  alive = true;
  readonly #links = new Set<Mortal>();
  #inbox: (() => void)[] = [];
  #soon: (() => void)[] = [];
  #inTurn = false;
  #busyUntilMs = 0;

  constructor(world: World, name: string, ref: ProcessRef) {
    this.world = world;
    this.name = name;
    this.ref = ref;
  }

  /** The process's own clock runs ahead while synchronous code computes. */
  get localNowMs(): number {
    return Math.max(this.world.nowMs, this.#busyUntilMs);
  }

  /** Take an event: now, or when the process has time for it. Events keep their order. */
  enter(action: () => void): void {
    if (!this.alive) return;
    if (this.#inTurn || this.#inbox.length > 0 || this.#busyUntilMs > this.world.nowMs) {
      this.#inbox.push(action);
      if (this.#inbox.length === 1 && !this.#inTurn) this.#wakeUp();
      return;
    }
    this.#turn(action);
  }

  /** At the end of this turn: what microtasks are to a real process. */
  soon(action: () => void): void {
    if (this.#inTurn) this.#soon.push(action);
    else this.enter(action);
  }

  after(delayMs: number, action: () => void): void {
    this.world.at(this.localNowMs + delayMs, () => this.enter(action));
  }

  /** Synchronous code computes: no event is taken meanwhile. */
  compute(durationMs: number): void {
    this.#busyUntilMs = this.localNowMs + durationMs;
  }

  /** Synchronous code waits for what others do: no event is taken meanwhile, and time passes for all others. */
  holdThread(isOver: () => boolean, limitMs: number): void {
    const untilMs = this.localNowMs + limitMs;
    const isDone = () => !this.alive || (this.world.nowMs >= this.#busyUntilMs && isOver());
    this.world.run(isDone, untilMs - this.world.nowMs);
  }

  /** SIGKILL: not a line of code runs any more, and the peers learn of it by their connections. */
  kill(why: string, silently = false): void {
    if (!this.alive) return;
    this.alive = false;
    this.world.note(this.name, "dies", () => why);
    for (const link of [...this.#links]) {
      if (silently) link.vanish(this.world);
      else link.cut();
    }
    this.#inbox = [];
    this.#soon = [];
    this.died(why, silently);
  }

  addLink(link: Mortal): void {
    this.#links.add(link);
  }

  removeLink(link: Mortal): void {
    this.#links.delete(link);
  }

  /** Every invariant of the machines in this process. */
  abstract check(): void;

  protected died(_why: string, _silently: boolean): void {}

  #turn(action: () => void): void {
    this.#inTurn = true;
    action();
    for (let i = 0; i < this.#soon.length; i++) this.#soon[i]?.();
    this.#soon = [];
    this.#inTurn = false;
    if (this.alive) this.check();
    if (this.#inbox.length > 0) this.#wakeUp();
  }

  #wakeUp(): void {
    this.world.at(this.#busyUntilMs, () => {
      if (this.#busyUntilMs > this.world.nowMs) return this.#wakeUp();
      const action = this.#inbox.shift();
      if (action !== undefined) this.#turn(action);
    });
  }
}
