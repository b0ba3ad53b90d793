/**
 * One direction of a link, as stream sockets give it: frames arrive once and in order, then perhaps the end.
 *
 * Between machines that order is made here out of packets that are lost, duplicated and reordered, with sequence
 * numbers, acknowledgements and retransmission, as TCP does. Within a machine a queue is enough.
 */
import type { Timer } from "./event-queue.js";
import type { Network } from "./network.js";
import { cancel, type World } from "./world.js";

export const END = Symbol("end of stream");
export type Item<F> = F | typeof END;

export interface Stream<F> {
  send(item: Item<F>, departMs: number): void;
  /** The sender died: of what was under way some is still delivered, and then the end. */
  cut(): void;
  /** The receiver is gone: nothing more is delivered or retried. */
  abandon(): void;
}

interface Queued<F> {
  readonly item: Item<F>;
  readonly atMs: number;
  readonly departMs: number;
}

/** Between processes of one machine. */
export class LocalStream<F> implements Stream<F> {
  readonly #world: World;
  readonly #network: Network;
  readonly #deliver: (item: Item<F>) => void;
  #queue: Queued<F>[] = [];
  #lastMs = 0;

  constructor(world: World, network: Network, deliver: (item: Item<F>) => void) {
    this.#world = world;
    this.#network = network;
    this.#deliver = deliver;
  }

  send(item: Item<F>, departMs: number): void {
    this.#add(item, departMs, departMs + this.#network.localDelayMs());
  }

  cut(): void {
    const sent = this.#queue.filter(({ departMs }) => departMs <= this.#world.nowMs);
    this.#queue = sent.slice(0, this.#network.survivors(sent.length));
    this.#lastMs = this.#queue.at(-1)?.atMs ?? 0; // the end comes behind what is left, and not before its time
    this.#add(END, this.#world.nowMs, this.#world.nowMs + this.#network.endDelayMs());
  }

  abandon(): void {
    this.#queue = [];
  }

  #add(item: Item<F>, departMs: number, atMs: number): void {
    this.#lastMs = Math.max(this.#lastMs, atMs);
    this.#queue.push({ item, atMs: this.#lastMs, departMs });
    this.#world.at(this.#lastMs, () => this.#deliverFirst());
  }

  /** Events of one time come in any order; the queue keeps this stream's. */
  #deliverFirst(): void {
    const first = this.#queue[0];
    if (first === undefined || first.atMs > this.#world.nowMs) return;
    this.#queue.shift();
    this.#deliver(first.item);
  }
}

const FIRST_RETRY_MS = 40;
const MAX_RETRY_MS = 1_000;
/** Packets sent again at one time-out. */
const MAX_BURST = 16;

/** Between machines. */
export class PacketStream<F> implements Stream<F> {
  readonly #world: World;
  readonly #network: Network;
  readonly #deliver: (item: Item<F>) => void;
  /** Sender: what has not been acknowledged, by sequence number. */
  readonly #unacknowledged = new Map<number, { readonly item: Item<F>; readonly departMs: number }>();
  #next = 0;
  #retryTimer: Timer | undefined;
  #retryMs = FIRST_RETRY_MS;
  #abandoned = false;
  /** Receiver: what is expected next, and what came too early. */
  #expected = 0;
  readonly #early = new Map<number, Item<F>>();

  constructor(world: World, network: Network, deliver: (item: Item<F>) => void) {
    this.#world = world;
    this.#network = network;
    this.#deliver = deliver;
  }

  send(item: Item<F>, departMs: number): void {
    if (this.#abandoned) return;
    const number = this.#next++;
    this.#unacknowledged.set(number, { item, departMs });
    this.#transmit(number, departMs);
    this.#startTimer();
  }

  cut(): void {
    const { nowMs } = this.#world;
    const numbers = [...this.#unacknowledged.keys()].filter((number) => number >= this.#expected);
    const sent = numbers.filter((number) => (this.#unacknowledged.get(number)?.departMs ?? 0) <= nowMs);
    const end = this.#expected + this.#network.survivors(sent.length);
    for (const number of numbers) {
      if (number < end) continue;
      this.#unacknowledged.delete(number);
      this.#early.delete(number);
    }
    this.#next = end;
    this.send(END, nowMs);
  }

  abandon(): void {
    this.#abandoned = true;
    this.#unacknowledged.clear();
    cancel(this.#retryTimer);
  }

  /** What the packet carries is looked up when it arrives: a cut may have taken it back. */
  #transmit(number: number, departMs: number): void {
    for (const delayMs of this.#network.delays()) {
      this.#world.at(departMs + delayMs, () => this.#arrived(number));
    }
  }

  #arrived(number: number): void {
    if (this.#abandoned) return;
    const sent = this.#unacknowledged.get(number);
    if (sent !== undefined && number >= this.#expected) this.#early.set(number, sent.item);
    let next = this.#early.get(this.#expected);
    while (next !== undefined && !this.#abandoned) {
      this.#early.delete(this.#expected++);
      this.#deliver(next);
      next = this.#early.get(this.#expected);
    }
    this.#acknowledge(this.#expected);
  }

  #acknowledge(upTo: number): void {
    for (const delayMs of this.#network.delays()) {
      this.#world.after(delayMs, () => this.#acknowledged(upTo));
    }
  }

  #acknowledged(upTo: number): void {
    let news = false;
    for (const number of this.#unacknowledged.keys()) {
      if (number >= upTo) break;
      this.#unacknowledged.delete(number);
      news = true;
    }
    if (!news) return;
    this.#retryMs = FIRST_RETRY_MS;
    cancel(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#startTimer();
  }

  #startTimer(): void {
    if (this.#retryTimer !== undefined || this.#unacknowledged.size === 0 || this.#abandoned) return;
    this.#retryTimer = this.#world.after(this.#retryMs, () => {
      this.#retryTimer = undefined;
      this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
      let left = MAX_BURST;
      for (const [number, { departMs }] of this.#unacknowledged) {
        if (left-- === 0) break;
        this.#transmit(number, Math.max(departMs, this.#world.nowMs));
      }
      this.#startTimer();
    });
  }
}
