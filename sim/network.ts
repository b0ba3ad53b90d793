/** The virtual network below the links: what becomes of one packet. */
import type { Prng } from "../src/base/prng.js";
import { between, prngFor } from "./world.js";

/** How bad the network is; drawn per seed, so that seeds differ in kind and not only in order. */
export interface Rates {
  /** Probabilities. */
  readonly loss: number;
  readonly duplicate: number;
  /** A packet that is held up a hundred times longer than others: it is overtaken by all that follow. */
  readonly holdUp: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  /** A message for a machine that calls it idempotent is delivered twice. */
  readonly repeat: number;
}

export const PERFECT: Rates = { loss: 0, duplicate: 0, holdUp: 0, minDelayMs: 0.5, maxDelayMs: 0.5, repeat: 0 };

/** Each kind of trouble is on in half of the seeds, with a rate of its own. */
export function drawRates(seed: number): Rates {
  const prng = prngFor(seed, "rates");
  const sometimes = (perMille: number) => (prng.chance(0.5) ? between(prng, 1, perMille) / 1_000 : 0);
  const minDelayMs = between(prng, 1, 20) / 20;
  return {
    loss: sometimes(200),
    duplicate: sometimes(200),
    holdUp: sometimes(20),
    minDelayMs,
    maxDelayMs: minDelayMs * between(prng, 1, 20),
    repeat: sometimes(300),
  };
}

export class Network {
  readonly rates: Rates;
  readonly #prng: Prng;
  #trouble = true;

  constructor(seed: number, rates: Rates) {
    this.rates = rates;
    this.#prng = prngFor(seed, "network");
  }

  /** The heal phase: from now on every packet arrives, once. */
  heal(): void {
    this.#trouble = false;
  }

  /** When the copies of a packet arrive: none if it is lost, two if it is duplicated. */
  delays(): readonly number[] {
    const { loss, duplicate } = this.rates;
    if (!this.#trouble) return [this.#delay()];
    if (this.#prng.chance(loss)) return [];
    return this.#prng.chance(duplicate) ? [this.#delay(), this.#delay()] : [this.#delay()];
  }

  /** Within one machine nothing is lost, and little time passes. */
  localDelayMs(): number {
    return between(this.#prng, 10, 200) / 1_000;
  }

  isRepeated(): boolean {
    return this.#trouble && this.#prng.chance(this.rates.repeat);
  }

  /** How much of what was under way survives its sender's death. */
  survivors(count: number): number {
    return this.#prng.below(count + 1);
  }

  /** How long a peer is in the dark about the end of a connection. */
  endDelayMs(): number {
    return between(this.#prng, 0, 20);
  }

  #delay(): number {
    const { holdUp, minDelayMs, maxDelayMs } = this.rates;
    const delayMs = minDelayMs + ((maxDelayMs - minDelayMs) * this.#prng.below(1_000)) / 1_000;
    return this.#trouble && this.#prng.chance(holdUp) ? delayMs * 100 : delayMs;
  }
}
