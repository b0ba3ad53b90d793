/**
 * What values cost: `npm run bench:values`.
 *
 * A small value, both ways, with the functions that task frames use; and a `put` of 100 MB beside one copy of the same
 * array in memory, once the store's pages are there. Both pairs run in turn.
 */
import { availableResources, clusterResources, init, put, shutdown } from "mobula";
import { waitForCondition } from "mobula/testing";
import { decodeRange, encodeInto, type ValueHooks, ValueWriter } from "../src/io/values/index.js";

const SMALL_BAR_US = 2;
const PUT_BAR = 1.3;
const ROUNDS = 9;
const CALLS = 200_000;
const MIB = 1024 * 1024;
const ELEMENTS = 100_000_000 / Float64Array.BYTES_PER_ELEMENT;

const nothing = (): never => {
  throw new Error("the value names nothing");
};
const hooks: ValueHooks = { describe: () => undefined, revive: nothing, classId: nothing, classById: nothing };

/** Microseconds of CPU time for one value, there and back: other processes of the machine do not count. */
function smallValueUs(value: unknown): number {
  const writer = new ValueWriter();
  const start = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) {
    writer.reset();
    encodeInto(writer, value, hooks, "value");
    decodeRange(writer.buffer, 0, writer.position, hooks);
  }
  const { user, system } = process.cpuUsage(start);
  return (user + system) / CALLS;
}

/** A copy is taken before `put` returns; it goes into the store after that. The next put finds its pages there. */
async function putMs(array: Float64Array): Promise<number> {
  const start = performance.now();
  const ref = put(array);
  const ms = performance.now() - start;
  await waitForCondition(async () => (await usedBytes()) >= array.byteLength, { timeoutMs: 30_000 });
  ref[Symbol.dispose]();
  await waitForCondition(async () => (await usedBytes()) === 0, { timeoutMs: 30_000 });
  return ms;
}

async function usedBytes(): Promise<number> {
  const [all, free] = [await clusterResources(), await availableResources()];
  return (all["objectStoreMemory"] ?? 0) - (free["objectStoreMemory"] ?? 0);
}

function copyMs(array: Float64Array, target: Float64Array): number {
  const start = performance.now();
  target.set(array);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function report(name: string, value: number, unit: string, bar: number): void {
  const verdict = value <= bar ? "met" : "missed";
  process.stdout.write(`${name}: ${value.toFixed(2)}${unit} (bar ${bar}${unit}, ${verdict})\n`);
}

function benchSmall(): void {
  const value = [42, "hello", { a: 1 }];
  const rounds = Array.from({ length: ROUNDS }, () => smallValueUs(value)).slice(1);
  report(`encode + decode ${JSON.stringify(value)}`, median(rounds), " µs of CPU time", SMALL_BAR_US);
}

async function benchPut(): Promise<void> {
  await init({ numCpus: 1, objectStoreMemory: 512 * MIB });
  const array = new Float64Array(ELEMENTS).fill(Math.PI);
  const target = new Float64Array(ELEMENTS);
  const [copies, puts]: [number[], number[]] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const [copy, putting] = [copyMs(array, target), await putMs(array)];
    if (round === 0) continue; // pages were touched for the first time
    copies.push(copy);
    puts.push(putting);
  }
  await shutdown();
  process.stdout.write(`one copy of a Float64Array of 100 MB: ${median(copies).toFixed(1)} ms\n`);
  report("put() of it", median(puts) / median(copies), "×", PUT_BAR);
}

benchSmall();
await benchPut();
