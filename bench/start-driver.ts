/** The driver that `bench/start.ts` times: a cluster, one task's result, the natural end of the process. */
import { get, init, remote } from "mobula";

async function main(): Promise<void> {
  await init();
  const one = remote(() => 1);
  if ((await get(one.remote())) !== 1) throw new Error("the task gave something else");
}

void main();
