/**
 * The main job, `npm start`: a cluster of two nodes on this machine runs the lecture's program, step by step, and then
 * counts the words of a directory.
 */
import { fileURLToPath } from "node:url";
import * as ray from "mobula";
import { TestCluster } from "mobula/testing";
import { cutIntoPortions, findFiles, totalBytes } from "./main-job/files.js";
import { progressBar } from "./main-job/progress.js";
import { countInCluster } from "./main-job/word-count.js";
import { countWords, differences, top } from "./main-job/words.js";

const DEFAULT = fileURLToPath(new URL("../../node_modules", import.meta.url));
const files = findFiles(process.argv[2] ?? DEFAULT);
const portions = cutIntoPortions(files);
await using cluster = await TestCluster.start({ nodes: [{ numCpus: 1 }, { numCpus: 1 }] });
await using _ = await ray.init({ address: cluster.address });
const bar = progressBar("counting", totalBytes(files), process.stdout);
const t0 = performance.now();
const result = await countInCluster(portions, bar);
const t1 = performance.now();
const alone = countWords(files.map((f) => f.path));
const t2 = performance.now();
console.log(result.mapTasks, result.reduceTasks, t1 - t0, t2 - t1, differences(result.counts, alone).length, top(alone, 20));
