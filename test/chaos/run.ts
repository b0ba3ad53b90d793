/** `npm run chaos -- [SECONDS] [SEED]`: two minutes of deaths, unless told otherwise. */
import { runChaos } from "./chaos.js";

const [seconds = "120", seed = "1"] = process.argv.slice(2);
const report = await runChaos({
  seed: Number(seed),
  durationMs: Number(seconds) * 1_000,
  workerKillEveryMs: 200,
  nodeKillEveryMs: 10_000,
  progress: (text) => process.stdout.write(`${text}\n`),
});
const { tasks, checked, workersKilled, nodesKilled } = report;
process.stdout.write(
  `${tasks} tasks, ${checked} values compared, ${workersKilled} workers and ${nodesKilled} nodes killed; ` +
    "no value differs, nothing was lost, every block is free\n",
);
