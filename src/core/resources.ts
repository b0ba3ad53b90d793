/**
 * Amounts of resources: whole multiples of 1/10,000, and whole bytes, so that sums are exact and what was taken always
 * comes back.
 */
import { assert } from "../base/assert.js";
import { RESOURCE_UNITS } from "../base/limits.js";

/** Units by resource name. A name that is absent means none. */
export type Amounts = ReadonlyMap<string, number>;

export const NOTHING: Amounts = new Map();

/** In 1/10,000 of a byte, the memory of a few large nodes together would not be exact any more. */
function unitsOf(name: string): number {
  return name === "memory" || name === "objectStoreMemory" ? 1 : RESOURCE_UNITS;
}

/** Amounts as users write them: `{ CPU: 0.5 }`. */
export function amountsOf(record: Readonly<Record<string, number>>): Amounts {
  const amounts = new Map<string, number>();
  for (const [name, amount] of Object.entries(record)) {
    if (amount > 0) amounts.set(name, Math.round(amount * unitsOf(name)));
  }
  return amounts;
}

export function recordOf(amounts: Amounts): Record<string, number> {
  const record: Record<string, number> = {};
  for (const [name, value] of amounts) record[name] = value / unitsOf(name);
  return record;
}

/** Nothing of a resource always fits, also where resuming tasks have taken more than there is. */
export function fits(demand: Amounts, available: Amounts): boolean {
  for (const [name, amount] of demand) if (amount > Math.max(0, available.get(name) ?? 0)) return false;
  return true;
}

/** What a demand lacks, in words: `CPU 4 of 2`. Empty when it fits. */
export function shortage(demand: Amounts, total: Amounts): string {
  const lacking: string[] = [];
  for (const [name, amount] of demand) {
    const has = total.get(name) ?? 0;
    const units = unitsOf(name);
    if (has < amount) lacking.push(`needs ${name} ${amount / units}, has ${has / units}`);
  }
  return lacking.join(", ");
}

export function sum(a: Amounts, b: Amounts): Amounts {
  const result = new Map(a);
  for (const [name, amount] of b) result.set(name, (result.get(name) ?? 0) + amount);
  return result;
}

/** Only the CPU part: what a task gives back while it waits in `get`. */
export function cpuOf(demand: Amounts): Amounts {
  const cpu = demand.get("CPU");
  return cpu === undefined ? NOTHING : new Map([["CPU", cpu]]);
}

/** How full the fullest resource of a node is, from 0 to 1. */
export function utilization(total: Amounts, available: Amounts): number {
  let fullest = 0;
  for (const [name, amount] of total) {
    if (amount > 0) fullest = Math.max(fullest, 1 - (available.get(name) ?? 0) / amount);
  }
  return fullest;
}

/**
 * What one node has, and what of it is free.
 *
 * Invariant I-03: admitted ≤ total. Tasks that resume after a `get` are the one exception: they take their CPU back at
 * once, so free CPUs may be negative until others end.
 */
export class NodeResources {
  readonly total: Amounts;
  readonly #free: Map<string, number>;
  /** CPU units taken by resuming tasks beyond the total. */
  #excess = 0;

  constructor(total: Amounts) {
    this.total = total;
    this.#free = new Map(total);
  }

  get available(): Amounts {
    const available = new Map<string, number>();
    for (const [name, amount] of this.#free) available.set(name, Math.max(0, amount));
    return available;
  }

  canTake(demand: Amounts): boolean {
    return fits(demand, this.#free);
  }

  take(demand: Amounts): void {
    assert(this.canTake(demand), "a lease is granted only from free resources");
    this.#change(demand, -1);
  }

  /** Take the CPU of a task that resumes, also beyond the total. */
  takeResuming(demand: Amounts): void {
    this.#change(demand, -1);
    this.#excess = Math.max(0, -(this.#free.get("CPU") ?? 0));
  }

  giveBack(demand: Amounts): void {
    this.#change(demand, 1);
    this.#excess = Math.max(0, -(this.#free.get("CPU") ?? 0));
  }

  check(): void {
    for (const [name, amount] of this.#free) {
      const total = this.total.get(name) ?? 0;
      assert(amount <= total, `no more ${name} comes back than was taken`);
      assert(amount >= (name === "CPU" ? -this.#excess : 0), `no more ${name} is admitted than the node has`);
    }
  }

  #change(demand: Amounts, sign: 1 | -1): void {
    for (const [name, amount] of demand) this.#free.set(name, (this.#free.get(name) ?? 0) + sign * amount);
  }
}
