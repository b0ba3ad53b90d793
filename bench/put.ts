/**
 * How fast `put` copies into the store, beside a copy of the same bytes from heap to heap in the same run:
 * `npm run bench:put [MiB]`. Pairs are run in turn, so that both see the same machine.
 *
 * Warm: each ref is given back before the next put. Dropped: a synchronous loop of three stores' worth that lets go of its
 * refs and never turns the event loop.
 */
import * as ray from "../src/api/index.js";

const MIB = 1024 * 1024;
const STORE_BYTES = 1024 * MIB;
const PAIRS = 15;
const SMALL_PUTS = 2_000;

function timeMs(action: () => void): number {
  const startMs = performance.now();
  action();
  return performance.now() - startMs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

function gbPerSecond(sizeBytes: number, durationMs: number): string {
  return `${(sizeBytes / durationMs / 1e6).toFixed(2)} GB/s`;
}

function warm(array: Float64Array): void {
  const target = new Float64Array(array.length).fill(1);
  const puts: number[] = [];
  const copies: number[] = [];
  for (let pair = 0; pair < PAIRS + 2; pair++) {
    let ref: ray.ObjectRef<Float64Array> | undefined;
    const putMs = timeMs(() => {
      ref = ray.put(array);
    });
    ref?.[Symbol.dispose]();
    const copyMs = timeMs(() => target.set(array));
    if (pair < 2) continue; // the pages are touched for the first time
    puts.push(putMs);
    copies.push(copyMs);
  }
  const { byteLength } = array;
  const ratio = median(copies.map((copyMs, i) => copyMs / (puts[i] ?? Number.NaN)));
  process.stdout.write(
    `put, warm:     ${gbPerSecond(byteLength, median(puts))}, memcpy ${gbPerSecond(byteLength, median(copies))}, ` +
      `ratio ${ratio.toFixed(2)} (median of ${PAIRS} pairs)\n`,
  );
}

function dropped(array: Float64Array): void {
  const count = Math.ceil((3 * STORE_BYTES) / array.byteLength);
  const durationMs = timeMs(() => {
    for (let i = 0; i < count; i++) ray.put(array);
  });
  process.stdout.write(
    `put, dropped:  ${gbPerSecond(count * array.byteLength, durationMs)}, ${count} puts into a store of ${STORE_BYTES / MIB} MiB\n`,
  );
}

function small(): void {
  const array = new Float64Array(160 * 1024);
  const durationMs = timeMs(() => {
    for (let i = 0; i < SMALL_PUTS; i++) ray.put(array)[Symbol.dispose]();
  });
  process.stdout.write(
    `put, 1.25 MiB: ${((durationMs / SMALL_PUTS) * 1e3).toFixed(0)} µs each, ${gbPerSecond(SMALL_PUTS * array.byteLength, durationMs)}\n`,
  );
}

async function main(): Promise<void> {
  const sizeMib = Number(process.argv[2] ?? 100);
  await ray.init({ numCpus: 1, objectStoreMemory: STORE_BYTES });
  const array = new Float64Array((sizeMib * MIB) / 8).fill(3);
  const first = ray.put(new Float64Array(MIB / 8));
  first[Symbol.dispose](); // the connection for extents is there
  process.stdout.write(`${sizeMib} MiB Float64Array\n`);
  warm(array);
  small();
  dropped(array);
  await ray.shutdown();
}

await main();
