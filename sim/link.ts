/** A connection between two virtual processes, with the ends that stream sockets have. */
import type { Network } from "./network.js";
import { END, type Item, LocalStream, PacketStream, type Stream } from "./stream.js";
import type { VirtualProcess } from "./virtual-process.js";
import type { World } from "./world.js";

/** What a process does with its end. Both are called in a turn of their own. */
export interface LinkEvents<F> {
  frame(frame: F): void;
  /** The peer closed it or died. Not called for an end that this side closed. */
  closed(): void;
}

/** How long a machine that lost its power is not missed: what keep-alive packets find out. */
const SILENCE_MS = 11_000;

export class LinkEnd<F> {
  readonly #process: VirtualProcess;
  #events: LinkEvents<F>;
  #out: Stream<F> | undefined;
  #peer: LinkEnd<F> | undefined;
  #open = true;

  constructor(process: VirtualProcess, events: LinkEvents<F>) {
    this.#process = process;
    this.#events = events;
    process.addLink(this);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  join(out: Stream<F>, peer: LinkEnd<F>): void {
    this.#out = out;
    this.#peer = peer;
  }

  send(frame: F): void {
    if (this.#open) this.#out?.send(frame, this.#process.localNowMs);
  }

  /** What was sent before still arrives, then the end. */
  close(): void {
    if (!this.#shut()) return;
    this.#out?.send(END, this.#process.localNowMs);
  }

  /** Its process was killed. */
  cut(): void {
    if (this.#shut()) this.#out?.cut();
  }

  /** Its machine lost its power: no word of an end. */
  vanish(world: World): void {
    if (!this.#shut()) return;
    this.#out?.abandon();
    world.after(SILENCE_MS, () => this.#peer?.arrived(END));
  }

  /** An item of the peer's stream. */
  arrived(item: Item<F>): void {
    if (!this.#open) return;
    this.#process.enter(() => {
      if (!this.#open) return;
      if (item === END) {
        this.#shut();
        this.#events.closed();
      } else {
        this.#events.frame(item);
      }
    });
  }

  #shut(): boolean {
    if (!this.#open) return false;
    this.#open = false;
    this.#peer?.deaf();
    this.#process.removeLink(this);
    return true;
  }

  /** Nobody hears what this end sends. */
  deaf(): void {
    // An end of the stream that is under way itself must still arrive; the rest has no receiver.
    if (this.#open) this.#out?.abandon();
  }
}

/** Connect two processes; within a machine nothing is lost. */
export function connect<F>(
  world: World,
  network: Network,
  a: { readonly process: VirtualProcess; readonly events: LinkEvents<F> },
  b: { readonly process: VirtualProcess; readonly events: LinkEvents<F> },
): readonly [LinkEnd<F>, LinkEnd<F>] {
  const isLocal = a.process.ref.nodeId === b.process.ref.nodeId;
  const Stream = isLocal ? LocalStream<F> : PacketStream<F>;
  const endA = new LinkEnd<F>(a.process, a.events);
  const endB = new LinkEnd<F>(b.process, b.events);
  endA.join(new Stream(world, network, (item) => endB.arrived(item)), endB);
  endB.join(new Stream(world, network, (item) => endA.arrived(item)), endA);
  return [endA, endB];
}
