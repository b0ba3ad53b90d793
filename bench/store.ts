/**
 * What the object store costs beside plain memory: `npm run bench:store [-- put sum view readers small]`.
 *
 * Each figure is a median of pairs: the store's way and the bare way in turn, in one process, so that both see the same
 * machine. Bars are those of the project; "missed" is no failure of the program.
 */
import { readFileSync } from "node:fs";
import { get, init, type ObjectRef, put, remote, shutdown } from "mobula";
import { availableBytes, waitUntilFree } from "./store-space.js";

const MB = 1_000_000;
const GB = 1_000 * MB;
const STORE_BYTES = 3 * GB;
const ROUNDS = 9;
const READERS = 8;
const SMALL_OPERATIONS = 50_000;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function touched(sizeBytes: number): Float64Array {
  return new Float64Array(sizeBytes / 8).map((_, i) => i % 1_000);
}

function report(name: string, figures: string, ratio: string, isMet: boolean, bar: string): void {
  process.stdout.write(
    `${name.padEnd(28)} ${figures.padEnd(46)} ${ratio.padEnd(12)} bar ${bar}: ${isMet ? "met" : "missed"}\n`,
  );
}

function timeMs(work: () => void): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

// ── Put ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The call of `put`, after which the value may change: beside a copy of the same bytes to memory that is warm. One `put`
 * after the other, and as the first for a while, which has to ask the raylet for an extent.
 */
async function benchPut(sizeBytes: number, isFirst: boolean): Promise<void> {
  const value = touched(sizeBytes);
  const target = touched(sizeBytes);
  const freeBytes = await availableBytes();
  const [putsMs, copiesMs, ratios]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS + 2; round++) {
    const copyMs = timeMs(() => target.set(value));
    let ref: ObjectRef<Float64Array> | undefined;
    const putMs = timeMs(() => {
      ref = put(value);
    });
    ref?.[Symbol.dispose]();
    await (isFirst ? waitUntilFree(freeBytes) : new Promise((resolve) => setTimeout(resolve, 20)));
    if (round < 2) continue; // the arena's pages had not been touched
    putsMs.push(putMs);
    copiesMs.push(copyMs);
    ratios.push(copyMs / putMs);
  }
  const rate = (ms: number) => `${(sizeBytes / ms / 1e6).toFixed(2)} GB/s`;
  const figures = `put ${rate(median(putsMs))}, memcpy ${rate(median(copiesMs))}`;
  const name = `put ${sizeBytes / MB} MB${isFirst ? ", after a pause" : ""}`;
  report(name, figures, `${median(ratios).toFixed(2)} ×`, median(ratios) >= 0.85, "≥ 0.85 ×");
}

// ── Get ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const Reader = remote(
  class Reader {
    #held: Float64Array | undefined;

    #sum(array: Float64Array): number {
      let total = 0;
      for (let i = 0; i < array.length; i++) total += array[i] as number;
      return total;
    }

    /** Time in ms of get and sum of the stored array, and of the sum of one in this process's own memory, in turn. */
    async compare([ref]: [ObjectRef<Float64Array>], rounds: number): Promise<[number, number][]> {
      const own = (await get(ref)).slice();
      const pairs: [number, number][] = [];
      for (let round = 0; round < rounds; round++) {
        const startMs = performance.now();
        const ownSum = this.#sum(own);
        const middleMs = performance.now();
        const storedSum = this.#sum(await get(ref));
        pairs.push([performance.now() - middleMs, middleMs - startMs]);
        if (ownSum !== storedSum) throw new Error("the sums differ");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return pairs;
    }

    async hold([ref]: [ObjectRef<Float64Array>]): Promise<number> {
      this.#held = await get(ref);
      return this.#sum(this.#held);
    }

    pid(): number {
      return process.pid;
    }
  },
);

async function benchSum(sizeBytes: number): Promise<void> {
  using ref = put(touched(sizeBytes));
  using reader = Reader.remote();
  const pairs = (await get(reader.compare.remote([ref], ROUNDS + 2))).slice(2);
  const ratio = median(pairs.map(([stored, own]) => stored / own));
  const ms = (index: 0 | 1) => median(pairs.map((pair) => pair[index])).toFixed(1);
  const figures = `get + sum ${ms(0)} ms, sum of own ${ms(1)} ms`;
  report(`get + sum ${sizeBytes / MB} MB`, figures, `${ratio.toFixed(2)} ×`, ratio <= 1.15, "≤ 1.15 ×");
}

async function benchView(sizeBytes: number): Promise<void> {
  using ref = await storedArray(sizeBytes);
  const timesMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const startMs = performance.now();
    const array = await get(ref);
    if ((array[0] ?? 0) + (array[array.length - 1] ?? 0) < 0) throw new Error("not what was put");
    timesMs.push(performance.now() - startMs);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const figures = `${median(timesMs).toFixed(2)} ms to a usable view`;
  report(`get ${sizeBytes / GB} GB`, figures, "", median(timesMs) <= 5, "≤ 5 ms");
}

/** An array that lies in the store alone. */
async function storedArray(sizeBytes: number): Promise<ObjectRef<Float64Array>> {
  const free = await availableBytes();
  const ref = put(touched(sizeBytes));
  while ((await availableBytes()) > free - sizeBytes) await new Promise((resolve) => setTimeout(resolve, 10));
  return ref;
}

// ── Memory ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a process has for itself alone, its page tables included. */
function ownBytes(pid: number): number {
  const kilobytes = (file: string, name: RegExp) =>
    readFileSync(`/proc/${pid}/${file}`, "utf8")
      .split("\n")
      .filter((line) => name.test(line))
      .reduce((sum, line) => sum + Number(/(\d+) kB/.exec(line)?.[1]), 0);
  return 1024 * (kilobytes("smaps_rollup", /^Private_(Clean|Dirty):/) + kilobytes("status", /^VmPTE:/));
}

async function benchReaders(sizeBytes: number): Promise<void> {
  using ref = await storedArray(sizeBytes);
  const readers = Array.from({ length: READERS }, () => Reader.options({ numCpus: 0 }).remote());
  const pids = await Promise.all(readers.map((reader) => get(reader.pid.remote())));
  const total = () => pids.reduce((sum, pid) => sum + ownBytes(pid), 0);
  const before = total();
  for (const reader of readers) await get(reader.hold.remote([ref]));
  const grownBytes = total() - before;
  const figures = `own memory of all grew by ${(grownBytes / MB).toFixed(0)} MB`;
  report(`${READERS} readers of ${sizeBytes / GB} GB`, figures, "", grownBytes < 100 * MB, "< 100 MB");
  for (const reader of readers) reader[Symbol.dispose]();
}

// ── Small ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Put and get of 1 KB in the owner's memory, each and both in turn, beside as many fresh copies, awaited. */
async function benchSmall(): Promise<void> {
  const value = new Uint8Array(1_000).fill(1);
  let ref = put(value);
  const loops = {
    copy: async () => {
      for (let i = 0; i < SMALL_OPERATIONS; i++) await value.slice();
    },
    "copy of a copy": async () => {
      for (let i = 0; i < SMALL_OPERATIONS; i++) await value.slice().slice();
    },
    put: async () => {
      for (let i = 0; i < SMALL_OPERATIONS; i++) ref = put(value);
    },
    get: async () => {
      for (let i = 0; i < SMALL_OPERATIONS; i++) await get(ref);
    },
    "put + get": async () => {
      for (let i = 0; i < SMALL_OPERATIONS; i++) await get(put(value));
    },
  };
  type Name = keyof typeof loops;
  const timesMs: Record<Name, number[]> = { copy: [], "copy of a copy": [], put: [], get: [], "put + get": [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(loops) as Name[]) {
      const startMs = performance.now();
      await loops[name]();
      timesMs[name].push(performance.now() - startMs);
    }
  }
  const compare = (name: Name, bare: Name) => {
    const ratio = median(timesMs[name].map((ms, round) => (timesMs[bare][round] ?? Number.NaN) / ms));
    const rate = (SMALL_OPERATIONS / median(timesMs[name])) * 1_000;
    const isMet = rate >= 400_000 && ratio >= 0.5;
    report(
      `${name} 1 KB`,
      `${Math.round(rate)} a second`,
      `${ratio.toFixed(2)} ×`,
      isMet,
      `≥ 400,000, ≥ 0.5 × ${bare} + await`,
    );
  };
  compare("put", "copy");
  compare("get", "copy");
  compare("put + get", "copy of a copy");
}

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  put: async () => {
    await benchPut(100 * MB, false);
    await benchPut(100 * MB, true);
  },
  sum: () => benchSum(100 * MB),
  view: () => benchView(GB),
  readers: () => benchReaders(GB),
  small: () => benchSmall(),
};

async function main(names: readonly string[]): Promise<void> {
  await init({ numCpus: 2, objectStoreMemory: STORE_BYTES });
  const free = await availableBytes();
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    const bench = BENCHES[name];
    if (bench === undefined) throw new Error(`no benchmark ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
    await bench();
    await waitUntilFree(free);
  }
  await shutdown();
}

await main(process.argv.slice(2));
