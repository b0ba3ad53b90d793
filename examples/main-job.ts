/**
 * The main job, `npm start`: a cluster of two nodes on this machine runs the lecture's program, step by step, and then
 * counts the words of a directory, which this process alone counts again.
 *
 * Usage: npm start [-- DIRECTORY]      Exit codes: 0 ok, 1 failed or the counts differ, 2 wrong usage
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as ray from "mobula";
import { TestCluster } from "mobula/testing";
import { cutIntoPortions, findFiles, type InputFile, totalBytes } from "./main-job/files.js";
import { runLecture } from "./main-job/lecture.js";
import { progressBar } from "./main-job/progress.js";
import { inBytes, inSeconds, topWords } from "./main-job/text.js";
import { countInCluster } from "./main-job/word-count.js";
import { countWords, differences, type WordCounts } from "./main-job/words.js";

const NODES = [{ numCpus: 1 }, { numCpus: 1 }];
const DEFAULT_DIRECTORY = fileURLToPath(new URL("../../node_modules", import.meta.url)); // this file runs from dist
const TOP = 20;
const SHOWN_DIFFERENCES = 10;

async function main(args: readonly string[]): Promise<number> {
  const directory = args[0] ?? DEFAULT_DIRECTORY;
  if (args.length > 1 || !isDirectory(directory)) {
    console.error(args.length > 1 ? "usage: npm start [-- DIRECTORY]" : `${directory} is not a directory`);
    return 2;
  }
  const files = findFiles(directory);
  if (files.length === 0) {
    console.error(`below ${directory} is no .md, .txt, .js, .ts or .json file of at most 10 MiB`);
    return 2;
  }
  const startedMs = performance.now();
  await using cluster = await TestCluster.start({ nodes: NODES });
  await using _driver = await ray.init({ address: cluster.address });
  say(`A cluster of ${cluster.nodes.length} nodes at ${cluster.address}, up in ${since(startedMs)}.`);

  say(`\n── The lecture's program ──\n\n${await runLecture(cluster)}`);
  say("\n── Counting words ──\n");
  return (await wordCount(cluster, directory, files)) ? 0 : 1;
}

/** True when the cluster and this process alone have counted the same. */
async function wordCount(cluster: TestCluster, directory: string, files: readonly InputFile[]): Promise<boolean> {
  const bytes = totalBytes(files);
  say(`${files.length} files below ${directory}, ${inBytes(bytes)}`);

  const tool = await cluster.tool();
  const before = await tool.traffic();
  const startedMs = performance.now();
  const job = await countInCluster(cutIntoPortions(files), progressBar("counting", bytes, process.stdout));
  const clusterMs = performance.now() - startedMs;
  const after = await tool.traffic();

  const tasks = `${job.mapTasks + job.reduceTasks} (${job.mapTasks} map, ${job.reduceTasks} reduce)`;
  const objects = after.objectBytes - before.objectBytes;
  const calls = after.callBytes - before.callBytes;
  say(`\n${topWords(job.counts, TOP)}\n`);
  say(`bytes read           ${inBytes(bytes)}`);
  say(`tasks run            ${tasks}`);
  say(
    `moved between nodes  ${inBytes(objects + calls)}: ${inBytes(objects)} from store to store, ${inBytes(calls)} in calls and their answers`,
  );
  say(`two nodes            ${inSeconds(clusterMs)}`);
  return compare(files, job.counts, clusterMs);
}

/** The same count by this process alone, one file after the other. */
function compare(files: readonly InputFile[], counts: WordCounts, clusterMs: number): boolean {
  const startedMs = performance.now();
  const alone = countWords(files.map((file) => file.path));
  const aloneMs = performance.now() - startedMs;
  say(`one process          ${inSeconds(aloneMs)}, ${(aloneMs / clusterMs).toFixed(2)} times as long`);
  const differing = differences(counts, alone);
  if (differing.length === 0) {
    say(`\nBoth counts agree on each of ${alone.size} words.`);
    return true;
  }
  console.error(
    `\nThe counts differ on ${differing.length} words:\n${differing.slice(0, SHOWN_DIFFERENCES).join("\n")}`,
  );
  return false;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function since(startedMs: number): string {
  return inSeconds(performance.now() - startedMs);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.exitCode = await main(process.argv.slice(2));
