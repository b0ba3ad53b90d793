/** Prints the floor's two rates: `npm run bench:floor`. The floor itself is `src/bench/floor.ts`. */
import { startFloor } from "../src/bench/floor.js";
import { measureInTurns, windowWorkload } from "../src/bench/timing.js";

const IN_FLIGHT = 1_000;

async function main(): Promise<void> {
  const floor = await startFloor();
  try {
    const summaries = await measureInTurns([
      windowWorkload("floor, one at a time", (durationMs) => floor.runOneAtATime(durationMs)),
      windowWorkload(`floor, ${IN_FLIGHT} in flight`, (durationMs) => floor.runInFlight(IN_FLIGHT, durationMs)),
    ]);
    for (const { name, median, mean, sd, min, cpuUsPerOp } of summaries) {
      const rates = [median, mean, sd, min].map((rate) => Math.round(rate).toLocaleString("en"));
      process.stdout.write(
        `${name}: median ${rates[0]}/s, mean ${rates[1]} ± ${rates[2]}, min ${rates[3]}; ${cpuUsPerOp.toFixed(2)} CPU µs/op\n`,
      );
    }
  } finally {
    await floor.stop();
  }
}

await main();
