/**
 * Ten times more bytes than the store has go through it, as a shuffle: `npm run bench:spill`.
 *
 * Each map task puts one part for each reducer; each reduce task reads its part of every map task and compares every
 * byte. Before it, the same bytes are written to a file on the same disk and read back, as the measure of what the disk
 * alone does.
 *
 *     node dist/bench/spill.js [--gigabytes 10] [--store-gigabytes 1] [--directory PATH]
 */
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { get, init, type ObjectRef, put, remote, shutdown, wait } from "mobula";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const PART_BYTES = 16 * MIB;
const REDUCERS = 8;
const CHUNK_BYTES = 8 * MIB;
const BAR_MB_PER_S = 600;
const SAMPLE_MS = 500;

/** What the disk does with the same bytes, written and read in order by one process: MB/s. */
function bare(directory: string, totalBytes: number): number {
  const path = join(directory, "bare");
  const chunk = Buffer.alloc(CHUNK_BYTES, 7);
  const startMs = performance.now();
  const fd = openSync(path, "wx+", 0o600);
  for (let at = 0; at < totalBytes; at += CHUNK_BYTES) writeSync(fd, chunk, 0, CHUNK_BYTES, at);
  for (let at = 0; at < totalBytes; at += CHUNK_BYTES) readSync(fd, chunk, 0, CHUNK_BYTES, at);
  const seconds = (performance.now() - startMs) / 1_000;
  closeSync(fd);
  rmSync(path);
  return totalBytes / 1e6 / seconds;
}

/** Every MiB of a part says where it belongs; the rest of it is noise. */
function makePage(): Uint32Array {
  const page = new Uint32Array(MIB / 4);
  let next = 1;
  for (let i = 0; i < page.length; i++) {
    next = (Math.imul(next, 1_664_525) + 1_013_904_223) >>> 0;
    page[i] = next;
  }
  return page;
}

const map = remote((mapper: number) => {
  const page = makePage();
  const part = new Uint32Array(PART_BYTES / 4); // put() copies it
  return Array.from({ length: REDUCERS }, (_, reducer) => {
    for (let at = 0; at < part.length; at += page.length) {
      page.set([mapper, reducer, at]);
      part.set(page, at);
    }
    return put(part);
  });
});

/** How many of the parts are not what was put. */
const reduce = remote(async (reducer: number, parts: ObjectRef<Uint32Array>[]) => {
  const page = makePage();
  const wanted = Buffer.from(page.buffer);
  let wrong = 0;
  for (const [mapper, ref] of parts.entries()) {
    const part = await get(ref);
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    for (let at = 0; at < PART_BYTES; at += MIB) {
      page.set([mapper, reducer, at / 4]);
      if (!bytes.subarray(at, at + MIB).equals(wanted)) wrong++;
    }
  }
  return wrong;
});

interface Shuffled {
  readonly wrong: number;
  readonly mapSeconds: number;
  readonly reduceSeconds: number;
}

/** Map tasks run two at a time, as their results fit into worker processes. */
async function shuffle(totalBytes: number): Promise<Shuffled> {
  const startMs = performance.now();
  const mappers = Math.max(1, Math.round(totalBytes / (REDUCERS * PART_BYTES)));
  const mapped: ObjectRef<ObjectRef<Uint32Array>[]>[] = [];
  let running: typeof mapped = [];
  for (let mapper = 0; mapper < mappers; mapper++) {
    const ref = map.remote(mapper);
    mapped.push(ref);
    running.push(ref);
    if (running.length >= 2) running = [...(await wait(running)).pending];
  }
  const parts = await get(mapped);
  const mappedMs = performance.now();
  const reduced = Array.from({ length: REDUCERS }, (_, reducer) =>
    reduce.remote(
      reducer,
      parts.map((refs) => refs[reducer] as ObjectRef<Uint32Array>),
    ),
  );
  const wrong = (await get(reduced)).reduce((sum, count) => sum + count, 0);
  return { wrong, mapSeconds: (mappedMs - startMs) / 1_000, reduceSeconds: (performance.now() - mappedMs) / 1_000 };
}

/** Memory of this process and all that it has started, without the store's pages: MiB. */
function residentMib(): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0));
  }
  const isOurs = (pid: number): boolean => pid === process.pid || (pid > 1 && isOurs(parents.get(pid) ?? 0));
  const ours = [...parents.keys()].filter(isOurs);
  return ours.reduce(
    (sum, pid) => sum + Number(/RssAnon:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) / 1_024,
    0,
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // the process has ended
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      gigabytes: { type: "string", default: "10" },
      "store-gigabytes": { type: "string", default: "1" },
      directory: { type: "string", default: tmpdir() },
    },
  });
  const totalBytes = Number(values.gigabytes) * GIB;
  const directory = mkdtempSync(join(values.directory, "mobula-bench-"));
  const disk = bare(directory, totalBytes);
  await init({ objectStoreMemory: Number(values["store-gigabytes"]) * GIB, numCpus: 2, spillDirectory: directory });
  let resident = 0;
  const sampling = setInterval(() => {
    resident = Math.max(resident, residentMib());
  }, SAMPLE_MS);
  const { wrong, mapSeconds, reduceSeconds } = await shuffle(totalBytes);
  const rate = totalBytes / 1e6 / (mapSeconds + reduceSeconds);
  clearInterval(sampling);
  await shutdown();
  rmSync(directory, { recursive: true, force: true });
  process.stdout.write(
    `disk alone, the same bytes written and read: ${disk.toFixed(0)} MB/s\n` +
      `${values.gigabytes} GiB through a store of ${values["store-gigabytes"]} GiB: ${rate.toFixed(0)} MB/s ` +
      `(bar: at least ${BAR_MB_PER_S}, ${rate >= BAR_MB_PER_S ? "met" : "missed"}), ${(rate / disk).toFixed(2)} × the disk alone\n` +
      `map ${mapSeconds.toFixed(1)} s, reduce ${reduceSeconds.toFixed(1)} s\n` +
      `wrong MiB: ${wrong}; memory of all processes without the store: at most ${resident.toFixed(0)} MiB\n`,
  );
  if (wrong > 0) process.exitCode = 1;
}

await main();
