/**
 * Objects between nodes, beside what the machine gives without mobula: `npm run bench:transfer [-- one broadcast]`.
 *
 * One: 1 GB from node to node over TCP on the loopback, and the same bytes through a plain read/write loop in C with the
 * same checksum, in turn. Broadcast: 256 MB to 8 nodes at once, over TCP and with nodes that
 * map each other's arenas; both ratios are to eight transfers over TCP, one after the other. The clusters are of real processes; a time is that of `wait` until the object is local.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { get, init, type ObjectRef, remote, shutdown, wait } from "mobula";
import { TestCluster } from "mobula/testing";

const MB = 1_000_000;
const GB = 1_000 * MB;
const ROUNDS = 5;
const LOOP_SOURCES = ["../../bench/transfer-loop.cc", "../../native/crc32c.cc"];

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function print(name: string, figures: string, isMet: boolean | undefined, bar: string): void {
  const verdict = isMet === undefined ? "" : `bar ${bar}: ${isMet ? "met" : "missed"}`;
  process.stdout.write(`${name.padEnd(34)} ${figures.padEnd(64)} ${verdict}\n`);
}

const make = remote((sizeBytes: number) => new Uint8Array(sizeBytes).fill(sizeBytes % 251));
const on = (nodeId: string) => ({ schedulingStrategy: { nodeId }, numCpus: 0 });

async function madeOn(nodeId: string, sizeBytes: number): Promise<ObjectRef<Uint8Array>> {
  const ref = make.options(on(nodeId)).remote(sizeBytes);
  await wait([ref], { fetchLocal: false });
  return ref;
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1_000;
}

/** Room in the stores of a cluster comes back some time after the last ref has gone. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 500));

// ── One ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The loop's program, or undefined without a compiler. */
function compileLoop(directory: string): string | undefined {
  const program = join(directory, "transfer-loop");
  const sources = LOOP_SOURCES.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const done = spawnSync(process.env["CXX"] ?? "c++", ["-O2", "-std=c++17", "-o", program, ...sources]);
  return done.status === 0 ? program : undefined;
}

async function benchOne(sizeBytes: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "mobula-bench-"));
  const loop = compileLoop(directory);
  if (loop === undefined) print("one", "no C++ compiler: no loop to compare with", undefined, "");
  const objectStoreMemory = Math.ceil(sizeBytes * 1.3);
  const cluster = await TestCluster.start({ nodes: [{ objectStoreMemory }, { objectStoreMemory }] });
  await init({ address: cluster.address });
  const [ours, loops, ratios]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const loopSeconds = loop === undefined ? Number.NaN : Number(spawnSync(loop, [String(sizeBytes)]).stdout);
    const ref = await madeOn(cluster.nodes[1]?.nodeId ?? "", sizeBytes);
    const seconds = await secondsOf(() => wait([ref]));
    ref[Symbol.dispose]();
    await settle();
    if (round === 0) continue; // the arenas' pages had not been touched
    ours.push(seconds);
    loops.push(loopSeconds);
    ratios.push(loopSeconds / seconds);
  }
  await shutdown();
  await cluster.stop();
  rmSync(directory, { recursive: true });
  const rate = (seconds: number) => `${(sizeBytes / seconds / GB).toFixed(2)} GB/s`;
  const ratio = median(ratios);
  const figures = `${rate(median(ours))}, C loop ${rate(median(loops))}, ${ratio.toFixed(2)} ×`;
  print(`${sizeBytes / MB} MB node to node, TCP`, figures, ratio >= 0.8, "≥ 0.8 ×");
}

// ── Broadcast ───────────────────────────────────────────────────────────────────────────────────────────────────────

const RECEIVERS = 8;

/** A cluster with a source and receivers, each with room for a few objects. */
async function startReceivers(sizeBytes: number, sameHost: boolean): Promise<TestCluster> {
  process.env["MOBULA_SAME_HOST"] = sameHost ? "1" : "0";
  const node = { numCpus: 1, objectStoreMemory: Math.ceil(sizeBytes * 1.5) };
  const cluster = await TestCluster.start({ nodes: Array.from({ length: RECEIVERS + 1 }, () => node) });
  await init({ address: cluster.address });
  return cluster;
}

const touch = remote((bytes: Uint8Array) => bytes.length);

/** Seconds until the object has been an argument on all receivers at once. */
async function broadcast(cluster: TestCluster, sizeBytes: number): Promise<number> {
  const [source, ...receivers] = cluster.nodes.map((node) => node.nodeId);
  using ref = await madeOn(source ?? "", sizeBytes);
  return await secondsOf(() => get(receivers.map((nodeId) => touch.options(on(nodeId)).remote(ref))));
}

async function benchBroadcast(sizeBytes: number): Promise<void> {
  let bySocket = Number.NaN; // what eight separate transfers take without mapping anything
  for (const sameHost of [false, true]) {
    const cluster = await startReceivers(sizeBytes, sameHost);
    const [together, separate, ratios]: [number[], number[], number[]] = [[], [], []];
    let served = 0;
    for (let round = 0; round <= ROUNDS; round++) {
      const one = await separateTransfers(cluster, sizeBytes);
      await settle();
      const tool = await cluster.tool();
      const before = (await tool.traffic()).mostServedBytes;
      const all = await broadcast(cluster, sizeBytes);
      served = Math.max(served, (await tool.traffic()).mostServedBytes - before);
      await settle();
      if (round === 0) continue;
      together.push(all);
      separate.push(one);
      ratios.push(all / one);
    }
    await shutdown();
    await cluster.stop();
    if (!sameHost) bySocket = median(separate);
    const ratio = sameHost ? median(together) / bySocket : median(ratios);
    const figures = `${median(together).toFixed(2)} s, eight separate ${median(separate).toFixed(2)} s, ${ratio.toFixed(2)} ×; most sent by one node ${(served / sizeBytes).toFixed(1)} copies`;
    const bar = sameHost ? 0.3 : 1.1;
    print(
      `${sizeBytes / MB} MB to ${RECEIVERS}, ${sameHost ? "same host" : "TCP"}`,
      figures,
      ratio <= bar,
      `≤ ${bar} ×`,
    );
  }
}

/** A fresh object for each receiver: each transfer has the source for itself. */
async function separateTransfers(cluster: TestCluster, sizeBytes: number): Promise<number> {
  const [source, ...receivers] = cluster.nodes.map((node) => node.nodeId);
  let seconds = 0;
  for (const nodeId of receivers) {
    using ref = await madeOn(source ?? "", sizeBytes);
    seconds += await secondsOf(() => get(touch.options(on(nodeId)).remote(ref)));
  }
  return seconds;
}

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  one: () => benchOne(GB),
  broadcast: () => benchBroadcast(256 * MB),
};

for (const name of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(BENCHES)) {
  const bench = BENCHES[name];
  if (bench === undefined) throw new Error(`no benchmark ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
  await bench();
}
